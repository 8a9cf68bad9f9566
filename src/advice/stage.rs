//! What the tests of this room play with: states in one line each, and the advice for them.

use super::{Advice, Planned, advise};
use crate::host::Host;
use crate::model::{
    Checksum, Connections, Forwarding, Persistence, PersistenceMask, RealServer, SchedulerFlags,
    SchedulerName, Scheduling, ServerKey, Servers, ServiceKey, State, Sysctls, Thresholds, Tunnel,
    TunnelKind, VirtualService,
};
use crate::plan;

/// A state from lines `SERVICE SCHEDULER[,persistent] FORWARD SERVER*WEIGHT...`.
pub(super) fn desired(text: &str) -> State {
    let service = |line: &str| {
        let mut words = line.split(' ');
        let key: ServiceKey = words.next().unwrap().parse().unwrap();
        let scheduler = words.next().unwrap();
        let forwarding = match words.next().unwrap() {
            "nat" => Forwarding::Nat,
            "fullnat" => Forwarding::FullNat,
            "tun" => Forwarding::Tunnel(Tunnel { kind: TunnelKind::Ipip, port: 0, checksum: Checksum::None }),
            _ => Forwarding::DirectRouting,
        };
        let server = |word: &str| {
            let (socket, weight) = word.split_once('*').unwrap();
            let socket: std::net::SocketAddr = socket.parse().unwrap();
            let server =
                RealServer { weight: weight.parse().unwrap(), forwarding, thresholds: Thresholds::default() };
            (ServerKey { address: socket.ip(), port: socket.port() }, server)
        };
        let (name, persistent) = match scheduler.split_once(',') {
            Some((name, _)) => (name, true),
            None => (scheduler, false),
        };
        let mask = PersistenceMask::single_client(key.family());
        let scheduling = Scheduling {
            scheduler: SchedulerName::new(name).unwrap(),
            flags: SchedulerFlags::default(),
            persistence: persistent.then_some(Persistence { timeout: 300, mask }),
            engine: None,
            one_packet: false,
        };
        (key, VirtualService::new(scheduling, words.map(server).collect::<Servers>()))
    };
    State { services: text.lines().map(service).collect(), ..State::default() }
}

pub(super) fn live(settings: &[(&str, &str)]) -> Sysctls {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The advice where the kernel was not read.
pub(super) fn advised(desired: &State, host: &Host) -> Vec<Advice> {
    advise(desired, host, None)
}

/// The advice for a plan from one state to another, each server having so many connections.
pub(super) fn planned_from(live: &State, desired: &State, host: &Host, active: u32) -> Vec<Advice> {
    let plan = plan::plan(live, desired);
    let connections = |_: &ServiceKey, _: &ServerKey| Connections { active, ..Connections::default() };
    let planned = Planned { plan: &plan, live: &live.services, connections: &connections };
    advise(desired, host, Some(&planned))
}
