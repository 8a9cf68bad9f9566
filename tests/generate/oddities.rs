//! Draws live states: what desired files hold, and beside it what a kernel stores though no file can ask for it.

use std::num::NonZeroU32;

use lbd::model::{
    Checksum, EngineName, Family, Forwarding, Persistence, PersistenceMask, Protocol, SchedulerName,
    ServerKey, ServiceKey, State, Thresholds, Tunnel, TunnelKind, VirtualService,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{service, service_keys, settings};

/// A state as a kernel may report it, whoever made it.
pub fn live_state() -> impl Strategy<Value = State> {
    let settings =
        (settings::live_marks(), settings::sysctls(), settings::live_timeouts(), settings::live_sync());
    (live_services(), settings, any::<bool>(), any::<u8>()).prop_map(
        |(services, settings, are_stale, untracked)| {
            let ((marks, strays), sysctls, timeouts, sync) = settings;
            let services = services.into_iter().collect();
            let mut state = State { services, marks, strays, sysctls, timeouts, sync, ..State::default() };
            settings::keep_sync_and_mixed_families_apart(&mut state);
            settings::leave_untracked(&mut state, untracked);
            // The interface of both was made again, or that of none.
            state.stale_sync = state.sync.iter().filter(|_| are_stale).map(|daemon| daemon.role).collect();
            state
        },
    )
}

fn live_services() -> impl Strategy<Value = Vec<(ServiceKey, VirtualService)>> {
    let address = "10.0.0.13".parse().unwrap();
    let mut keys = service_keys();
    keys.push(ServiceKey::Address { protocol: Protocol::Other(47), address, port: 0 });
    keys.push(ServiceKey::Address { protocol: Protocol::Tcp, address, port: 0 });
    subsequence(keys, 0..=8)
        .prop_shuffle()
        .prop_flat_map(|keys| keys.into_iter().map(live_service).collect::<Vec<_>>())
}

fn live_service(key: ServiceKey) -> impl Strategy<Value = (ServiceKey, VirtualService)> {
    let spoiled = (service(key), any::<prop::sample::Index>(), select(ODDITIES.to_vec())).prop_map(
        move |(mut service, which, spoil)| {
            spoil(key, &mut service, which);
            (key, service)
        },
    );
    prop_oneof![2 => service(key).prop_map(move |service| (key, service)), 1 => spoiled]
}

/// Makes one thing of a service odd; `Index` chooses the server.
type Oddity = fn(ServiceKey, &mut VirtualService, prop::sample::Index);

const ODDITIES: [Oddity; 9] = [
    |_, service, _| service.scheduling_mut().scheduler = SchedulerName::from_kernel(SchedulerName::NONE),
    |_, service, _| service.scheduling_mut().scheduler = SchedulerName::from_kernel("ODD/name"),
    |_, service, _| {
        service.scheduling_mut().engine = Some(EngineName::from_kernel("odd"));
        service.scheduling_mut().one_packet = true;
    },
    |key, service, _| {
        // A persistence of no time, for clients that share a bit in the middle.
        let mask = match key.family() {
            Family::V4 => PersistenceMask::V4("0.255.0.255".parse().unwrap()),
            Family::V6 => PersistenceMask::V6(77),
        };
        service.scheduling_mut().persistence = Some(Persistence { timeout: 0, mask });
    },
    |key, service, which| {
        // Another family is nothing that the kernel takes but through a tunnel.
        edit_server(service, which, |server, of| {
            if Family::of(server.address) == key.family() {
                of.forwarding = Forwarding::Other(4);
            }
        });
    },
    |_, service, which| {
        edit_server(service, which, |_, of| {
            let odd = Tunnel { kind: TunnelKind::Other(3), port: 9, checksum: Checksum::Other(0x8) };
            of.forwarding = Forwarding::Tunnel(odd);
        });
    },
    |_, service, which| {
        edit_server(service, which, |_, of| {
            of.thresholds = Thresholds { upper: NonZeroU32::new(u32::MAX), lower: None };
        });
    },
    |_, service, which| {
        // A port that only NAT should have: the kernel ignores it, yet it is part of the identity.
        edit_server(service, which, |server, _| server.port = 9);
    },
    |key, service, which| {
        // The kernel takes it, and drops the packets of clients.
        edit_server(service, which, |server, of| {
            if server.address.is_loopback() && Family::of(server.address) == key.family() {
                of.forwarding = Forwarding::Nat;
            }
        });
    },
];

fn edit_server(
    service: &mut VirtualService,
    which: prop::sample::Index,
    edit: impl Fn(&mut ServerKey, &mut lbd::model::RealServer),
) {
    if service.servers.is_empty() {
        return;
    }
    let at = which.index(service.servers.len());
    let entries = std::mem::take(service.servers_mut()).into_iter().enumerate();
    *service.servers_mut() = entries
        .map(|(index, (mut key, mut server))| {
            if index == at {
                edit(&mut key, &mut server);
            }
            (key, server)
        })
        .collect();
}
