//! Tables of virtual services in few words, for the tests of the kernel and of its model.
// Each test binary has its own copy of this module and uses what it needs of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::num::NonZeroU32;
use std::sync::Arc;

use lbd::kernel::Kernel;
use lbd::model::{
    Checksum, EngineName, Forwarding, Operation, Persistence, PersistenceMask, RealServer, SchedulerFlags,
    SchedulerName, Scheduling, ServerKey, ServerOp, Servers, ServiceKey, ServiceOp, Services, Thresholds,
    Tunnel, TunnelKind, VirtualService,
};

pub(crate) fn service(url: &str) -> ServiceKey {
    url.parse().unwrap()
}

pub(crate) fn scheduling(scheduler: &str) -> Scheduling {
    Scheduling {
        scheduler: SchedulerName::new(scheduler).unwrap(),
        flags: SchedulerFlags::default(),
        persistence: None,
        engine: None,
        one_packet: false,
    }
}

pub(crate) fn server(address: &str) -> ServerKey {
    let socket: std::net::SocketAddr = address.parse().unwrap();
    ServerKey { address: socket.ip(), port: socket.port() }
}

pub(crate) fn real(weight: u32, forwarding: Forwarding) -> RealServer {
    RealServer { weight, forwarding, thresholds: Thresholds::default() }
}

pub(crate) fn limits(upper: u32, lower: u32) -> Thresholds {
    Thresholds { upper: NonZeroU32::new(upper), lower: NonZeroU32::new(lower) }
}

pub(crate) fn tunnel(kind: TunnelKind, port: u16, checksum: Checksum) -> Forwarding {
    Forwarding::Tunnel(Tunnel { kind, port, checksum })
}

/// A service with its servers.
pub(crate) type Row<'a> = (&'a str, Scheduling, Vec<(&'a str, RealServer)>);

/// Tables from plain lists, servers in the order in which they are added.
pub(crate) fn services<const N: usize>(list: [Row<'_>; N]) -> Services {
    list.into_iter()
        .map(|(url, scheduling, servers)| {
            let servers: Servers =
                servers.into_iter().map(|(address, real)| (server(address), real)).collect();
            (service(url), VirtualService::new(scheduling, servers))
        })
        .collect()
}

/// The operations that make a table from nothing.
pub(crate) fn additions(services: &Services) -> Vec<Operation> {
    let add = |(&service, VirtualService { scheduling, servers }): (&ServiceKey, &VirtualService)| {
        let to = Arc::clone(scheduling);
        let mut operations: Vec<Operation> = vec![ServiceOp::Add { service, to }.into()];
        operations.extend(servers.iter().map(|(&server, &to)| ServerOp::Add { service, server, to }.into()));
        operations
    };
    services.iter().flat_map(add).collect()
}

/// Every attribute that there is, on both families and on marks.
pub(crate) fn everything() -> Services {
    let persistent = |timeout, mask| Some(Persistence { timeout, mask });
    services([
        (
            "tcp://10.0.0.1:80",
            Scheduling {
                persistence: persistent(300, PersistenceMask::V4([255, 255, 255, 0].into())),
                ..scheduling("wrr")
            },
            vec![
                ("10.9.0.1:81", RealServer { thresholds: limits(100, 50), ..real(5, Forwarding::Nat) }),
                ("10.9.0.2:80", real(0, Forwarding::DirectRouting)),
                ("10.9.0.3:80", real(2_147_483_647, tunnel(TunnelKind::Ipip, 0, Checksum::None))),
                ("10.9.0.4:80", real(1, tunnel(TunnelKind::Gue, 6080, Checksum::Remcsum))),
                ("10.9.0.5:80", real(1, tunnel(TunnelKind::Gre, 0, Checksum::Csum))),
                ("[fd00::9]:80", real(1, tunnel(TunnelKind::Gue, 6081, Checksum::Csum))),
            ],
        ),
        (
            "udp://[fd00::1]:53",
            Scheduling {
                flags: SchedulerFlags { flag_1: true, flag_2: true, flag_3: true },
                persistence: persistent(60, PersistenceMask::V6(64)),
                engine: EngineName::new("sip"),
                one_packet: true,
                ..scheduling("mh")
            },
            vec![
                ("[fd00::2]:5353", real(3, Forwarding::Nat)),
                ("10.9.0.9:53", real(1, tunnel(TunnelKind::Ipip, 0, Checksum::None))),
            ],
        ),
        ("sctp://10.0.0.1:99", scheduling("lblcr"), vec![]),
        ("fwmark://10", scheduling("sh"), vec![("10.9.0.3:0", real(1, Forwarding::DirectRouting))]),
        ("fwmark6://10", scheduling("rr"), vec![("[fd00::3]:8080", real(1, Forwarding::Nat))]),
        ("fwmark://4294967295", Scheduling { one_packet: true, ..scheduling("rr") }, vec![]),
    ])
}

/// Carries the operations out, none of which may be refused.
#[track_caller]
pub(crate) fn execute(kernel: &mut impl Kernel, operations: &[Operation]) {
    let refusals = kernel.execute(operations).unwrap();
    if let Some((place, refusal)) = refusals.first_key_value() {
        panic!("{}: {refusal}", operations[*place]);
    }
}

/// A file: its policy, and clusters by name, port and servers.
pub(crate) fn file(policy: &str, clusters: &[(&str, u16, &str)]) -> String {
    let cluster = |(name, port, servers): &(&str, u16, &str)| {
        format!(
            "  - {{ name: {name}, listen: 'tcp://10.0.0.1:{port}', forward: nat, servers: [{servers}] }}\n"
        )
    };
    let clusters: String = clusters.iter().map(cluster).collect();
    let clusters = if clusters.is_empty() { " []\n".to_owned() } else { format!("\n{clusters}") };
    format!("version: 1\npolicy: {{ {policy} }}\nclusters:{clusters}")
}
