//! The fake kernel against the real one: the same operations have the same results and leave the same table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::Netns;
use crate::tables::{self, additions, limits, real, scheduling, server, service, services};
use lbd::kernel::fake::Fake;
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, ReadScope};
use lbd::model::{
    Checksum, EngineName, Family, Forwarding, Operation, Persistence, PersistenceMask, RealServer,
    SchedulerFlags, SchedulerName, Scheduling, ServerOp, ServiceOp, Tunnel, TunnelKind, VirtualService,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

// Few keys, so that operations meet; among the values the ones that the kernel refuses.
const SERVICES: [&str; 6] = [
    "tcp://10.0.0.1:80",
    "tcp://10.0.0.1:0",
    "udp://[fd00::1]:53",
    "fwmark://10",
    "fwmark6://10",
    "sctp://239.1.1.1:9",
];
const SERVERS: [&str; 11] = [
    "10.9.0.1:80",
    "10.9.0.1:81",
    "10.9.0.2:0",
    "[fd00::9]:80",
    "[::10.0.0.1]:80",
    "0.1.2.3:80",
    "0.0.0.0:80",
    "224.0.0.1:80",
    "255.255.255.255:80",
    "[fe80::1]:80",
    "[::ffff:10.0.0.1]:80",
];
const SCHEDULERS: [&str; 6] = ["rr", "wlc", "sh", "mh", "none", "nosuch"];

fn a_scheduling(v6: bool) -> impl Strategy<Value = Scheduling> {
    let mask = if v6 {
        select(vec![0, 1, 64, 128, 129]).prop_map(PersistenceMask::V6).boxed()
    } else {
        any::<u32>().prop_map(|bits| PersistenceMask::V4(bits.into())).boxed()
    };
    let persistence = (0..4_294_967_u32, mask).prop_map(|(timeout, mask)| Persistence { timeout, mask });
    let engine =
        prop_oneof![9 => Just("sip"), 1 => Just("nosuch")].prop_map(|name| EngineName::new(name).unwrap());
    (
        select(SCHEDULERS.to_vec()),
        any::<(bool, bool, bool, bool)>(),
        prop::option::of(persistence),
        prop::option::weighted(0.2, engine),
    )
        .prop_map(|(scheduler, (flag_1, flag_2, flag_3, one_packet), persistence, engine)| Scheduling {
            scheduler: SchedulerName::new(scheduler).unwrap(),
            flags: SchedulerFlags { flag_1, flag_2, flag_3 },
            persistence,
            engine,
            one_packet,
        })
}

fn a_real_server() -> impl Strategy<Value = RealServer> {
    let kind = prop_oneof![
        Just(TunnelKind::Ipip),
        Just(TunnelKind::Gue),
        Just(TunnelKind::Gre),
        (3..=255_u8).prop_map(TunnelKind::Other)
    ];
    let checksum = prop_oneof![
        Just(Checksum::None),
        Just(Checksum::Csum),
        Just(Checksum::Remcsum),
        (3..=u16::MAX).prop_map(Checksum::Other)
    ];
    let tunnel = (kind, select(vec![0, 1, 6080, u16::MAX]), checksum)
        .prop_map(|(kind, port, checksum)| Forwarding::Tunnel(Tunnel { kind, port, checksum }));
    let forwarding = prop_oneof![
        2 => Just(Forwarding::Nat),
        1 => Just(Forwarding::DirectRouting),
        1 => (0..=7_u8).prop_map(Forwarding::Other),
        3 => tunnel
    ];
    let weight = prop_oneof![
        4 => 0..100_u32,
        1 => select(vec![65_536, i32::MAX as u32, i32::MAX as u32 + 1, u32::MAX])
    ];
    // Newer kernels refuse an upper threshold above 2147483647.
    (weight, forwarding, 0..4_u32, 0..3_u32, 0..20_u8).prop_map(
        |(weight, forwarding, upper, lower, large)| {
            let upper = if large == 0 { i32::MAX as u32 } else { upper };
            RealServer { thresholds: limits(upper, lower), ..real(weight, forwarding) }
        },
    )
}

fn an_operation() -> impl Strategy<Value = Operation> {
    (select(SERVICES.to_vec()), select(SERVERS.to_vec()), 0..10_u8).prop_flat_map(|(url, address, which)| {
        let (service, server) = (service(url), server(address));
        let v6 = service.family() == Family::V6;
        let from = scheduling("rr");
        match which {
            0 | 1 => a_scheduling(v6)
                .prop_map(move |to| Operation::Service(ServiceOp::Add { service, to: to.into() }))
                .boxed(),
            2 => a_scheduling(v6)
                .prop_map(move |to| {
                    Operation::Service(ServiceOp::Edit { service, from: from.clone().into(), to: to.into() })
                })
                .boxed(),
            3 => Just(Operation::Service(ServiceOp::Delete { service })).boxed(),
            4..=6 => a_real_server()
                .prop_map(move |to| Operation::Server(ServerOp::Add { service, server, to }))
                .boxed(),
            7 | 8 => a_real_server()
                .prop_map(move |to| {
                    Operation::Server(ServerOp::Edit {
                        service,
                        server,
                        from: real(1, Forwarding::Nat).into(),
                        to: Box::new(to),
                    })
                })
                .boxed(),
            _ => Just(Operation::Server(ServerOp::Delete { service, server })).boxed(),
        }
    })
}

/// One kernel of each kind, with nothing in them.
fn both() -> (Ipvs, Fake) {
    let mut real = Ipvs::connect().unwrap();
    let mut fake = Fake::default();
    fake.live = real.read(&ReadScope::default()).unwrap();
    (real, fake)
}

/// Gives the operations to both, and finds no difference.
#[track_caller]
fn agree(real: &mut Ipvs, fake: &mut Fake, operations: &[Operation]) {
    let (said, expected) = (real.execute(operations).unwrap(), fake.execute(operations).unwrap());
    assert_eq!(said, expected, "{operations:?}");
    let (mut live, mut expected) =
        (real.read(&ReadScope::default()).unwrap(), fake.read(&ReadScope::default()).unwrap());
    for (key, service) in std::mem::take(&mut live.state.services) {
        let expected = expected.state.services.shift_remove(&key);
        let order = |service: &VirtualService| service.servers.keys().copied().collect::<Vec<_>>();
        assert_eq!(
            expected.as_ref().map(|expected| &expected.scheduling),
            Some(&service.scheduling),
            "{key}"
        );
        assert_eq!(
            expected.as_ref().map(order),
            Some(order(&service)),
            "the servers of {key} in their order"
        );
        assert_eq!(expected.map(|expected| expected.servers), Some(service.servers), "{key}");
    }
    // What is left are services that only the fake has.
    assert_eq!(live, expected);
}

#[test]
fn the_fake_answers_as_the_kernel_does_and_holds_the_same_table() {
    let _net = Netns::new();
    let (mut real, mut fake) = both();
    let mut runner = TestRunner::new(Config {
        cases: 150,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let batches = prop::collection::vec(an_operation(), 1..60);
    // The tables live on from case to case: they grow, and every case starts from another one.
    let real = std::cell::RefCell::new((&mut real, &mut fake));
    runner
        .run(&batches, |operations| {
            let (real, fake) = &mut *real.borrow_mut();
            agree(real, fake, &operations);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_fake_knows_that_a_sync_daemon_and_mixed_families_exclude_each_other() {
    let net = Netns::new();
    net.sh("ip link add eth1 type dummy; ip addr add 10.3.3.3/24 dev eth1; ip link set eth1 up
        ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7");
    let (mut real, mut fake) = both();
    assert_eq!(fake.live.state.sync.len(), 1);
    let mixed = services([(
        "tcp://10.0.0.1:80",
        scheduling("rr"),
        vec![
            ("[fd00::9]:80", tables::real(1, Forwarding::Tunnel(Tunnel::IPIP))),
            ("10.9.0.1:80", tables::real(1, Forwarding::Tunnel(Tunnel::IPIP))),
        ],
    )]);
    agree(&mut real, &mut fake, &additions(&mixed));
}

#[test]
fn the_fake_knows_that_no_address_is_up() {
    let _net = Netns::new();
    // An address that was up once is enough: this namespace never had one.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let (mut real, mut fake) = both();
    fake.address_up = false;
    let table = services([
        ("tcp://10.0.0.1:80", scheduling("rr"), vec![("10.9.0.1:80", tables::real(1, Forwarding::Nat))]),
        ("tcp://[fd00::1]:80", scheduling("rr"), vec![("[fd00::9]:80", tables::real(1, Forwarding::Nat))]),
    ]);
    agree(&mut real, &mut fake, &additions(&table));
}

#[test]
fn the_fake_knows_what_becomes_of_a_service_with_too_many_servers_for_mh() {
    let _net = Netns::new();
    let (mut real, mut fake) = both();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    fake.keeps_scheduler = !release.starts_with("5.10.46");
    let many: Vec<String> = (0..4094).map(|n| format!("10.9.{}.{}:80", n / 250, n % 250 + 1)).collect();
    let servers = |most: usize| {
        many.iter().take(most).map(|address| (address.as_str(), tables::real(1, Forwarding::Nat))).collect()
    };
    let table = services([
        ("tcp://10.0.0.1:80", scheduling("rr"), servers(4093)),
        ("tcp://10.0.0.2:80", scheduling("rr"), servers(4094)),
    ]);
    agree(&mut real, &mut fake, &additions(&table));
    let to = |url| {
        Operation::Service(ServiceOp::Edit {
            service: service(url),
            from: scheduling("rr").into(),
            to: scheduling("mh").into(),
        })
    };
    agree(&mut real, &mut fake, &[to("tcp://10.0.0.1:80"), to("tcp://10.0.0.2:80")]);
}
