//! Turns one virtual service into a cluster.

use std::net::{IpAddr, SocketAddr};

use super::{Rewritten, empty, settings};
use crate::config::format::document::{
    self, Choice, Cluster, Document, FullServer, Limit, Listen, MarkEntry, MarkNumber, ServerEntry,
    TunnelEntry, Weight,
};
use crate::config::format::issue::Issue;
use crate::config::format::path::PathStep;
use crate::config::resolve::address::is_port_like;
use crate::config::resolve::resolve;
use crate::model::{
    Checksum, Family, Forwarding, ForwardingMethod, Named, Persistence, PersistenceEngine, PersistenceMask,
    RealServer, SchedulerName, Scheduling, ServerKey, ServiceKey, State, Thresholds, Tunnel, VirtualService,
};

/// A virtual service of the state as a cluster, and what of it a file cannot ask for. `untracked` is whether its packets pass
/// connection tracking by.
pub(super) fn rewritten(
    key: ServiceKey,
    service: &VirtualService,
    state: &State,
    untracked: bool,
) -> Rewritten {
    let mut lost = Vec::new();
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = &*service.scheduling;
    let word = if SchedulerName::MAINLINE.contains(&scheduler.as_str()) {
        scheduler.to_string()
    } else {
        format!("module:{scheduler}")
    };
    let mask = persistence.map(|Persistence { mask, .. }| mask);
    let mask =
        mask.filter(|mask| *mask != PersistenceMask::single_client(key.family())).map(|mask| match mask {
            PersistenceMask::V4(mask) => mask.to_string().into(),
            PersistenceMask::V6(length) => length.into(),
        });
    let known = engine.as_ref().and_then(|engine| PersistenceEngine::from_name(engine.as_str()));
    if let Some(engine) = engine
        && known.is_none()
    {
        lost.push(format!("the file has no persistence engine `{engine}`"));
    }
    let mut methods = service.servers.values().map(|server| server.forwarding.method());
    let first = methods.next().flatten();
    let common = first.filter(|_| methods.all(|method| method == first));
    let cluster = Cluster {
        name: name(key).into(),
        listen: Listen::One(key.to_string().into()),
        scheduler: Some(word.into()),
        scheduler_flags: flags.flags(scheduler).map(Choice).collect(),
        persistence: persistence.map(|Persistence { timeout, .. }| settings::duration(timeout)),
        persistence_mask: mask,
        persistence_engine: known.map(Choice),
        one_packet: *one_packet,
        forward: common.map(Choice),
        untracked,
        allow_empty: false,
        drain: None,
        // What checks and their conditions do is not in a state.
        check: None,
        on_failure: None,
        reset_after: None,
        min_serving: None,
        fallback: None,
        slow_start: None,
        // In the order in which they were added: `sh` and `dh` map the clients by it.
        servers: service
            .servers
            .iter()
            .filter_map(|(server, of)| entry(key, *server, of, common, &mut lost))
            .collect(),
    };
    lost.extend(misread(key, service, &cluster, state, lost.is_empty()));
    Rewritten { listen: key.to_string(), cluster, wrong: lost, before: Vec::new() }
}

/// What the file would not take of a cluster, or take for something else.
fn misread(
    key: ServiceKey,
    service: &VirtualService,
    cluster: &Cluster,
    state: &State,
    whole: bool,
) -> Vec<String> {
    let marks = key
        .mark()
        .map(|mark| MarkEntry { mark: MarkNumber::from(mark), matches: settings::matches(mark, state) });
    let alone = Document {
        clusters: vec![cluster.clone()],
        marks: marks.into_iter().collect(),
        // A server of the other family cannot be in a file with a sync daemon.
        sync: settings::sync(state),
        ..empty()
    };
    let wrong = super::wrong(alone.clone(), "clusters");
    if !wrong.is_empty() || !whole {
        return wrong.iter().map(|issue| with_server(issue, cluster)).collect();
    }
    let (read, _) = resolve(alone);
    let same = read.state.services.get(&key) == Some(service);
    if same { Vec::new() } else { vec!["it would not be read back as it is".to_owned()] }
}

/// An issue with the server that it is about.
pub(super) fn with_server(issue: &Issue, cluster: &Cluster) -> String {
    let server = match issue.path.0.as_slice() {
        [_, _, PathStep::Key(key), PathStep::Index(index), ..] if key == "servers" => {
            cluster.servers.get(*index)
        }
        _ => None,
    };
    match server {
        Some(ServerEntry::Short(address) | ServerEntry::Full(FullServer { address, .. })) => {
            format!("server {}: {}", address.as_str(), issue.message)
        }
        None => issue.message.clone(),
    }
}

/// `tcp-10.0.0.13-80`, `fwmark6-10`: unique, since the key is.
pub fn name(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address, port } => format!("{protocol}-{address}-{port}"),
        ServiceKey::FirewallMark { family: Family::V4, mark } => format!("fwmark-{mark}"),
        ServiceKey::FirewallMark { family: Family::V6, mark } => format!("fwmark6-{mark}"),
    }
}

/// A server, in as few words as there can be. `common` is the forwarding method that the cluster names.
fn entry(
    service: ServiceKey,
    server: ServerKey,
    of: &RealServer,
    common: Option<ForwardingMethod>,
    lost: &mut Vec<String>,
) -> Option<ServerEntry> {
    let ServerKey { address, port } = server;
    let own = service.default_server_port() == port;
    let path = if own { bare_address(address) } else { SocketAddr::new(address, port).to_string() };
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = *of;
    let mut lose = |what: String| lost.push(format!("server {server}: {what}"));
    let Some(method) = forwarding.method() else {
        lose(format!("the file has no forwarding method `{forwarding}`"));
        return None;
    };
    let mut limit = |threshold: Option<std::num::NonZeroU32>| {
        let number = threshold?.get();
        let limit = Limit::new(number);
        if limit.is_none() {
            lose(format!("the threshold {number} is beyond {}", Limit::MOST));
        }
        limit
    };
    let (upper_threshold, lower_threshold) = (limit(upper), limit(lower));
    if Weight::new(weight).is_none() {
        lose(format!("the weight {weight} is beyond {}", Weight::MOST));
    }
    let tunnel = match forwarding {
        Forwarding::Tunnel(Tunnel::IPIP) => None,
        Forwarding::Tunnel(tunnel) => {
            let written = written(tunnel);
            if written.is_none() {
                let Tunnel { kind, port, checksum } = tunnel;
                lose(format!("the file has no tunnel of {kind}, port {port}, checksum {checksum}"));
            }
            written
        }
        Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    };
    let full = FullServer {
        weight: Weight::new(weight).filter(|_| weight != 1),
        forward: Some(Choice(method)).filter(|_| common.is_none()),
        tunnel,
        upper_threshold,
        lower_threshold,
        ..FullServer::new(path.into())
    };
    let bare = FullServer::new(full.address.clone());
    Some(if full == bare { ServerEntry::Short(full.address) } else { ServerEntry::Full(full) })
}

/// An address without a port, in brackets where its end looks like one.
pub fn bare_address(address: IpAddr) -> String {
    match address.to_string() {
        text if is_port_like(&text) => format!("[{text}]"),
        text => text,
    }
}

fn written(Tunnel { kind, port, checksum }: Tunnel) -> Option<TunnelEntry> {
    kind.name()?;
    checksum.name()?;
    Some(TunnelEntry {
        kind: Some(Choice(kind)),
        port: document::Number::new(port.into()),
        checksum: (checksum != Checksum::None).then_some(Choice(checksum)),
    })
}
