//! Converts a keepalived.conf: what keepalived 2.2.7 would put into the kernel, with the health checks that it would do.
//!
//! `preprocess` reads lines, `tree` puts them into blocks, `servers`, `checkers`, `group` and `global` read these, `services` repairs
//! what keepalived repairs, and `clusters` writes the result.

mod address;
mod checkers;
mod checks;
mod clusters;
mod definitions;
mod global;
mod group;
mod keywords;
mod model;
mod numbers;
mod pattern;
mod preprocess;
mod servers;
mod services;
mod shared;
mod text;
mod tree;
mod values;
mod words;

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;

use self::clusters::{Writer, differences};
use self::global::{Global, Sync};
use self::model::Virtual;
use self::services::Service;
use self::text::{Origin, Remark, Text};
use self::tree::Node;
use crate::config::document::{
    Choice, Cluster, Document, Group, Interface, MarkEntry, MarkNumber, MessageLength, Number, SyncEntry,
    TimeoutsEntry,
};
use crate::config::{self, Source};
use crate::import::{Files, Finding, Imported, Place};
use crate::model::{ServiceKey, SyncRole, Timeouts};

/// Converts a configuration; `files` has what it includes.
pub(super) fn import(source: &Source, files: &dyn Files) -> Imported {
    let mut text = preprocess::read(source, files);
    let nodes = tree::tree(&mut text);
    let mut global = Global::default();
    let (mut groups, mut virtuals) = (Vec::new(), Vec::new());
    for node in &nodes {
        match node.name() {
            "global_defs" => global.read(node, &mut text),
            "virtual_server_group" => groups.extend(group::group(node, &mut text)),
            "virtual_server" => virtuals.extend(servers::virtual_server(node, &mut text)),
            // What is not lbd's was said when it was read over.
            name if keywords::is_foreign(name) => {}
            "SSL" => client_certificate(node, &mut text),
            "net_namespace" | "net_namespace_ipvs" => {
                text.lost(
                    node.origin,
                    "run lbd in that network namespace, such as by `NetworkNamespacePath=` in its units",
                );
            }
            _ => text.note(node.origin, "a setting of keepalived itself, which is not lbd's"),
        }
    }
    let services = services::services(&mut virtuals, &groups, &mut text);
    let made = clusters_of(&virtuals, &services, &mut text);
    let sync = global.sync.as_ref().map_or_else(Vec::new, |sync| sync_daemons(sync, &nodes, &mut text));
    let findings = findings(&text, &made);
    let document = Document {
        marks: marks(&services),
        timeouts: timeouts(global.timeouts),
        sync,
        clusters: made.clusters,
        ..config::empty_document()
    };
    Imported { document, findings }
}

/// The clusters, and the first one of each virtual server, by its place.
struct Made {
    clusters: Vec<Cluster>,
    places: HashMap<Origin, usize>,
}

fn clusters_of(virtuals: &[Virtual], services: &IndexMap<ServiceKey, Service>, text: &mut Text) -> Made {
    let mut of_virtuals: Vec<Vec<(ServiceKey, &Service)>> = virtuals.iter().map(|_| Vec::new()).collect();
    for (key, service) in services {
        if let Some(own) = of_virtuals.get_mut(service.of) {
            own.push((*key, service));
        }
    }
    let mut made = Made { clusters: Vec::new(), places: HashMap::new() };
    let mut writer = Writer::new(virtuals, text);
    for (index, (of, own)) in virtuals.iter().zip(&of_virtuals).enumerate() {
        made.places.insert(of.origin, made.clusters.len());
        differences(of, text);
        made.clusters.append(&mut writer.clusters(index, own, text));
    }
    let has_checks = |of: &&Virtual| of.servers.iter().any(|server| !server.checkers.is_empty());
    if let Some(of) = virtuals.iter().find(has_checks) {
        text.note(
            of.origin,
            "`min_serving` is 0, since keepalived keeps no failing server in service; without it lbd keeps half of them rather than fewer",
        );
    }
    made
}

/// Every mark that a service listens on: firewall rules set it.
fn marks(services: &IndexMap<ServiceKey, Service>) -> Vec<MarkEntry> {
    let mut marks: Vec<u32> = services.keys().filter_map(ServiceKey::mark).collect();
    marks.sort_unstable();
    marks.dedup();
    marks.into_iter().map(|mark| MarkEntry { mark: MarkNumber::from(mark), matches: Vec::new() }).collect()
}

fn timeouts(of: Timeouts) -> Option<TimeoutsEntry> {
    let Timeouts { tcp, tcp_fin, udp } = of;
    let entry = TimeoutsEntry {
        tcp: tcp.map(config::duration),
        tcp_fin: tcp_fin.map(config::duration),
        udp: udp.map(config::duration),
    };
    (of != Timeouts::default()).then_some(entry)
}

/// The sync daemons: keepalived runs both where no VRRP instance says which.
fn sync_daemons(sync: &Sync, nodes: &[Node], text: &mut Text) -> Vec<SyncEntry> {
    let mut id = sync.id;
    if let Some(instance) = &sync.instance {
        let is_it = |node: &&Node| node.name() == "vrrp_instance" && node.words.get(1) == Some(instance);
        let Some(found) = nodes.iter().find(is_it) else {
            text.note(
                sync.origin,
                format!("left out, as by keepalived: there is no VRRP instance `{instance}`"),
            );
            return Vec::new();
        };
        let number = found.children.iter().find(|line| line.name() == "virtual_router_id");
        id = id.or_else(|| number?.words.get(1)?.parse().ok());
        text.lost(
            sync.origin,
            format!("keepalived runs one sync daemon, master or backup as `{instance}` is; lbd runs both all the time, as long as the file has both"),
        );
    }
    let entry = |role: SyncRole| SyncEntry {
        role: Choice(role),
        interface: Interface::from(sync.interface.as_str()),
        id: id.and_then(Number::new).filter(|id| id.get() != 0),
        // A backup takes no less.
        sync_maxlen: sync
            .max_length
            .filter(|length| role == SyncRole::Master || *length >= 1_024)
            .and_then(MessageLength::new),
        mcast_group: sync.group.map(|group| Group::from(group.to_string())),
        mcast_port: sync.port.and_then(Number::new),
        mcast_ttl: sync.ttl.and_then(Number::new),
    };
    vec![entry(SyncRole::Master), entry(SyncRole::Backup)]
}

/// The certificate that checks show to servers.
fn client_certificate(node: &Node, text: &mut Text) {
    for line in &node.children {
        match line.name() {
            "ca" => text.note(line.origin, "keepalived takes any certificate, and so does `verify: none`"),
            _ => text.lost(
                line.origin,
                "write `certificate` and `key` into the checks of type `https` that need them",
            ),
        }
    }
}

/// What there is to say, with the places in the configuration and in the result.
fn findings(text: &Text, made: &Made) -> Vec<Finding> {
    // A virtual server that has become nothing is before the next one that has.
    let mut clusters = BTreeMap::new();
    let mut next = made.clusters.len();
    for (begin, end) in text.virtuals.iter().rev() {
        next = made.places.get(begin).copied().unwrap_or(next);
        clusters.insert(*begin, (*end, next));
    }
    let place = |origin: Origin| {
        let (_, (end, cluster)) = clusters.range(..=origin).next_back()?;
        (origin <= *end).then_some(Place::Before(*cluster))
    };
    let finding = |remark: &Remark| {
        let (file, line, content) = text.place(remark.origin);
        Finding {
            file: file.to_owned(),
            line,
            text: content.to_owned(),
            message: remark.message.clone(),
            effect: remark.effect,
            place: place(remark.origin).unwrap_or(Place::Head),
        }
    };
    let mut remarks: Vec<&Remark> = text.remarks.iter().collect();
    remarks.sort_by_key(|remark| remark.origin);
    remarks.dedup_by(|one, other| {
        (one.origin, one.effect, &one.message) == (other.origin, other.effect, &other.message)
    });
    remarks.into_iter().map(finding).collect()
}
