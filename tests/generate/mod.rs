//! Draws random states for the property tests: from small pools of keys, so that two of them overlap.

// Each test binary compiles this file for itself and uses a part of it.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod oddities;
mod settings;

use std::net::IpAddr;
use std::num::NonZeroU32;

use lbd::model::{
    Checksum, EngineName, Family, Forwarding, Persistence, PersistenceMask, Protocol, RealServer,
    SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers, ServiceKey, State, Thresholds, Tunnel,
    TunnelKind, VirtualService,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub use oddities::live_state;

/// A state that a desired file can ask for and that a kernel takes as it is.
pub fn state() -> impl Strategy<Value = State> {
    let kernel = (settings::sysctls(), settings::timeouts(), settings::sync());
    (services(), settings::marks(), any::<u8>(), kernel).prop_map(
        |(services, marks, untracked, (sysctls, timeouts, sync))| {
            let mut state = State {
                services: services.into_iter().collect(),
                marks,
                sysctls,
                timeouts,
                sync,
                ..State::default()
            };
            settings::declare_used_marks(&mut state);
            settings::keep_sync_and_mixed_families_apart(&mut state);
            settings::track_connections_for_fullnat(&mut state);
            settings::leave_untracked(&mut state, untracked);
            state
        },
    )
}

/// The services as IPVS itself knows them: FULLNAT is NAT and something else.
pub fn without_fullnat(state: &State) -> State {
    let mut state = state.clone();
    for server in state.services.values_mut().flat_map(|service| service.servers_mut().values_mut()) {
        if server.forwarding == Forwarding::FullNat {
            server.forwarding = Forwarding::Nat;
        }
    }
    state
}

/// Up to eight virtual services.
fn services() -> impl Strategy<Value = Vec<(ServiceKey, VirtualService)>> {
    subsequence(service_keys(), 0..=8).prop_shuffle().prop_flat_map(|keys| {
        keys.into_iter().map(|key| service(key).prop_map(move |service| (key, service))).collect::<Vec<_>>()
    })
}

/// Every listener that a state is drawn from: each kind of key, and neighbours that differ in one part.
pub fn service_keys() -> Vec<ServiceKey> {
    [
        "tcp://10.0.0.13:80",
        "tcp://10.0.0.13:443",
        "udp://10.0.0.13:80",
        "tcp://10.0.0.14:80",
        "udp://10.0.0.14:53",
        "sctp://10.0.0.14:2905",
        "tcp://10.0.0.15:0",
        "tcp://[fd00::13]:80",
        "udp://[fd00::13]:53",
        "fwmark://10",
        "fwmark6://10",
        "fwmark://11",
        "fwmark://4294967295",
    ]
    .map(|url| url.parse().unwrap())
    .to_vec()
}

/// Any service that can listen on this key.
pub fn service(key: ServiceKey) -> impl Strategy<Value = VirtualService> {
    (scheduling(key), servers(key))
        .prop_map(|(scheduling, servers)| VirtualService::new(scheduling, Servers::from_iter(servers)))
}

/// Any way to schedule the connections of this key.
pub fn scheduling(key: ServiceKey) -> impl Strategy<Value = Scheduling> {
    let persistence = option::of(persistence(key.family()));
    let scheduler = select(vec!["rr", "wrr", "wlc", "sh", "mh", "twos", "my-own_mod.ule"]);
    (scheduler, flags(), persistence, any::<bool>(), any::<bool>()).prop_map(
        move |(scheduler, flags, persistence, engine, one_packet)| {
            let (datagrams, all_ports) = match key {
                ServiceKey::FirewallMark { .. } => (true, false),
                ServiceKey::Address { protocol, port, .. } => (protocol == Protocol::Udp, port == 0),
            };
            // A service on every port needs persistence, an engine needs persistence and datagrams.
            let persistence = persistence.or_else(|| {
                let mask = PersistenceMask::single_client(key.family());
                all_ports.then_some(Persistence { timeout: 300, mask })
            });
            Scheduling {
                scheduler: SchedulerName::new(scheduler).unwrap(),
                flags,
                persistence,
                engine: (engine && datagrams && persistence.is_some())
                    .then(|| EngineName::new("sip").unwrap()),
                one_packet: one_packet && datagrams && persistence.is_none(),
            }
        },
    )
}

fn flags() -> impl Strategy<Value = SchedulerFlags> {
    prop_oneof![
        2 => Just(SchedulerFlags::default()),
        1 => any::<[bool; 3]>().prop_map(|[flag_1, flag_2, flag_3]| SchedulerFlags { flag_1, flag_2, flag_3 }),
    ]
}

fn persistence(family: Family) -> impl Strategy<Value = Persistence> {
    let masks = match family {
        Family::V4 => ["255.255.255.255", "255.255.255.0", "128.0.0.0"]
            .map(|mask| PersistenceMask::V4(mask.parse().unwrap())),
        Family::V6 => [128, 64, 1].map(PersistenceMask::V6),
    };
    let timeout = select(vec![1, 50, 300, 86_400, 4_294_967]);
    (timeout, select(masks.to_vec())).prop_map(|(timeout, mask)| Persistence { timeout, mask })
}

/// Up to four real servers, each in the normal form: a `dr` or `tun` server of an address service has the port of the
/// service, and the family is another one only through a tunnel.
fn servers(service: ServiceKey) -> impl Strategy<Value = Vec<(ServerKey, RealServer)>> {
    subsequence(server_addresses(), 0..=4).prop_shuffle().prop_flat_map(move |addresses| {
        let one = move |address: IpAddr| {
            server(service, address).prop_map(move |(port, server)| (ServerKey { address, port }, server))
        };
        addresses.into_iter().map(one).collect::<Vec<_>>()
    })
}

/// Every address that a real server is drawn from.
fn server_addresses() -> Vec<IpAddr> {
    ["192.168.8.14", "192.168.8.15", "192.168.8.16", "127.0.0.1", "fd00:8::14", "fd00:8::15"]
        .map(|address| address.parse().unwrap())
        .to_vec()
}

/// Any real server of a service at an address, with its port.
pub fn server(service: ServiceKey, address: IpAddr) -> impl Strategy<Value = (u16, RealServer)> {
    let mixed = Family::of(address) != service.family();
    (forwarding(mixed), weight(), thresholds(), select(vec![0_u16, 0, 8080])).prop_map(
        move |(mut forwarding, weight, thresholds, other)| {
            let own = service.default_server_port();
            let is_mark = matches!(service, ServiceKey::FirewallMark { .. });
            if forwarding == Forwarding::FullNat && own == 0 && !is_mark {
                forwarding = Forwarding::Nat;
            }
            if address.is_loopback() && matches!(forwarding, Forwarding::Nat | Forwarding::FullNat) {
                forwarding = Forwarding::DirectRouting;
            }
            let free = is_mark || matches!(forwarding, Forwarding::Nat | Forwarding::FullNat);
            let port = if free && other != 0 { other } else { own };
            (port, RealServer { weight, forwarding, thresholds })
        },
    )
}

fn forwarding(mixed: bool) -> BoxedStrategy<Forwarding> {
    let tunnel = tunnel().prop_map(Forwarding::Tunnel);
    if mixed {
        return tunnel.boxed();
    }
    let plain = select(vec![Forwarding::Nat, Forwarding::FullNat, Forwarding::DirectRouting]);
    prop_oneof![4 => plain, 1 => tunnel].boxed()
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    let (none, csum, remcsum) = (Checksum::None, Checksum::Csum, Checksum::Remcsum);
    let gue = (select(vec![1, 5555, u16::MAX]), select(vec![none, csum, remcsum]));
    prop_oneof![
        Just(Tunnel::IPIP),
        gue.prop_map(|(port, checksum)| Tunnel { kind: TunnelKind::Gue, port, checksum }),
        select(vec![none, csum]).prop_map(|checksum| Tunnel { kind: TunnelKind::Gre, port: 0, checksum }),
    ]
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![3 => select(vec![0, 1, 2, 3]), 1 => select(vec![100, 65_535, 70_000, 2_147_483_647])]
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let (one, few, most) = (1, 100, 2_147_483_647);
    let pairs =
        vec![(0, 0), (0, 0), (0, 0), (one, 0), (few, 0), (few, one), (few, few), (most, few), (most, most)];
    select(pairs).prop_map(|(upper, lower)| Thresholds {
        upper: NonZeroU32::new(upper),
        lower: NonZeroU32::new(lower),
    })
}
