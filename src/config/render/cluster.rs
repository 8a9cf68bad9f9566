//! Turns one virtual service into a cluster.

use std::net::SocketAddr;

use super::{Rewritten, empty, settings};
use crate::config::format::document::{
    self, Checksum, Cluster, Document, Engine, Forward, Limit, Listen, MarkNumber, SchedulerFlag, Server,
    TunnelType, Weight,
};
use crate::config::format::place::{Finding, Step};
use crate::config::resolve::resolve;
use crate::model::{
    self, Family, Forwarding, Persistence, PersistenceMask, RealServer, SchedulerName, Scheduling, ServerKey,
    ServiceKey, State, Thresholds, Tunnel, TunnelKind, VirtualService,
};

/// A virtual service of the state as a cluster, and what of it a file cannot ask for.
pub(super) fn rewritten(key: ServiceKey, service: &VirtualService, state: &State) -> Rewritten {
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
    let sip = engine.as_ref().is_some_and(|engine| engine.as_str() == Engine::Sip.word());
    if let Some(engine) = engine
        && !sip
    {
        lost.push(format!("there is no persistence engine `{engine}` in the file's terms"));
    }
    let mut methods = service.servers.values().map(|server| forward(server.forwarding));
    let first = methods.next().flatten();
    let common = first.filter(|_| methods.all(|method| method == first));
    let cluster = Cluster {
        name: name(key).into(),
        listen: Listen::One(key.to_string().into()),
        scheduler: Some(word.into()),
        scheduler_flags: flags.names(scheduler).into_iter().filter_map(flag).collect(),
        persistence: persistence.map(|Persistence { timeout, .. }| settings::duration(timeout)),
        persistence_mask: mask,
        persistence_engine: sip.then_some(Engine::Sip),
        one_packet: *one_packet,
        forward: common,
        allow_empty: false,
        // In the order in which they were added: `sh` and `dh` map the clients by it.
        servers: service
            .servers
            .iter()
            .filter_map(|(server, of)| entry(key, *server, of, common, &mut lost))
            .collect(),
    };
    lost.extend(misread(key, service, &cluster, state, lost.is_empty()));
    Rewritten { listen: key.to_string(), cluster, wrong: lost }
}

/// What the file would not take of a cluster, or take for something else.
fn misread(
    key: ServiceKey,
    service: &VirtualService,
    cluster: &Cluster,
    state: &State,
    whole: bool,
) -> Vec<String> {
    let marks = key.mark().map(|mark| document::Mark { mark: MarkNumber::from(mark), matches: Vec::new() });
    let alone = Document {
        clusters: vec![cluster.clone()],
        marks: marks.into_iter().collect(),
        // A server of the other family stands beside no sync daemon.
        sync: settings::sync(state),
        ..empty()
    };
    let wrong = super::wrong(alone.clone(), "clusters");
    if !wrong.is_empty() || !whole {
        return wrong.iter().map(|finding| told(finding, cluster)).collect();
    }
    let (read, _) = resolve(alone);
    let same = read.state.services.get(&key) == Some(service);
    if same { Vec::new() } else { vec!["it would not be read back as it is".to_owned()] }
}

/// A finding with the server that it is about.
fn told(finding: &Finding, cluster: &Cluster) -> String {
    let server = match finding.place.0.as_slice() {
        [_, _, Step::Key(key), Step::Index(index), ..] if key == "servers" => cluster.servers.get(*index),
        _ => None,
    };
    match server {
        Some(Server::Short(address) | Server::Full(document::RealServer { address, .. })) => {
            format!("server {}: {}", address.as_str(), finding.message)
        }
        None => finding.message.clone(),
    }
}

/// `tcp-10.0.0.13-80`, `fwmark6-10`: unique, since the key is.
fn name(key: ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, address, port } => format!("{protocol}-{address}-{port}"),
        ServiceKey::FirewallMark { family: Family::V4, mark } => format!("fwmark-{mark}"),
        ServiceKey::FirewallMark { family: Family::V6, mark } => format!("fwmark6-{mark}"),
    }
}

fn flag(word: &str) -> Option<SchedulerFlag> {
    use SchedulerFlag::{Flag1, Flag2, Flag3, MhFallback, MhPort, ShFallback, ShPort};

    [ShFallback, ShPort, MhFallback, MhPort, Flag1, Flag2, Flag3].into_iter().find(|flag| flag.word() == word)
}

fn forward(forwarding: Forwarding) -> Option<Forward> {
    match forwarding {
        Forwarding::Nat => Some(Forward::Nat),
        Forwarding::FullNat => Some(Forward::FullNat),
        Forwarding::DirectRouting => Some(Forward::Dr),
        Forwarding::Tunnel(_) => Some(Forward::Tun),
        Forwarding::Other(_) => None,
    }
}

/// A server, in as few words as there can be. `common` is the forwarding method that the cluster names.
fn entry(
    service: ServiceKey,
    server: ServerKey,
    of: &RealServer,
    common: Option<Forward>,
    lost: &mut Vec<String>,
) -> Option<Server> {
    let ServerKey { address, port } = server;
    let own = service.default_server_port() == port;
    let place = if own { address.to_string() } else { SocketAddr::new(address, port).to_string() };
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = *of;
    let mut lose = |what: String| lost.push(format!("server {server}: {what}"));
    let Some(method) = forward(forwarding) else {
        lose(format!("there is no forwarding method `{forwarding}` in the file's terms"));
        return None;
    };
    let mut limit = |threshold: Option<std::num::NonZeroU32>| {
        let number = threshold?.get();
        let limit = Limit::new(number);
        if limit.is_none() {
            lose(format!("the threshold {number} is beyond 2147483647"));
        }
        limit
    };
    let (upper_threshold, lower_threshold) = (limit(upper), limit(lower));
    if Weight::new(weight).is_none() {
        lose(format!("the weight {weight} is beyond 2147483647"));
    }
    let tunnel = match forwarding {
        Forwarding::Tunnel(Tunnel::IPIP) => None,
        Forwarding::Tunnel(tunnel) => {
            let written = written(tunnel);
            if written.is_none() {
                let Tunnel { kind, port, checksum } = tunnel;
                lose(format!(
                    "there is no tunnel of {kind}, port {port}, checksum {checksum} in the file's terms"
                ));
            }
            written
        }
        Forwarding::Nat | Forwarding::FullNat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    };
    let full = document::RealServer {
        weight: Weight::new(weight).filter(|_| weight != 1),
        forward: Some(method).filter(|_| common.is_none()),
        tunnel,
        upper_threshold,
        lower_threshold,
        ..document::RealServer::new(place.into())
    };
    let bare = document::RealServer::new(full.address.clone());
    Some(if full == bare { Server::Short(full.address) } else { Server::Full(full) })
}

fn written(Tunnel { kind, port, checksum }: Tunnel) -> Option<document::Tunnel> {
    let kind = match kind {
        TunnelKind::Ipip => TunnelType::Ipip,
        TunnelKind::Gue => TunnelType::Gue,
        TunnelKind::Gre => TunnelType::Gre,
        TunnelKind::Other(_) => return None,
    };
    let checksum = match checksum {
        model::Checksum::None => None,
        model::Checksum::Csum => Some(Checksum::Csum),
        model::Checksum::Remcsum => Some(Checksum::Remcsum),
        model::Checksum::Other(_) => return None,
    };
    Some(document::Tunnel { kind: Some(kind), port: document::Number::new(port.into()), checksum })
}
