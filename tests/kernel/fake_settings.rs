//! The fake kernel against the real one, in what stands beside the table: sync daemons, timeouts and kernel settings.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;

use crate::lab::Netns;
use crate::tables::{real, scheduling, server, service};
use lbd::kernel::director::Director;
use lbd::kernel::fake::Fake;
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, Live, ReadScope};
use lbd::model::{
    Forwarding, Operation, RestartCause, ServerOp, ServiceOp, SetSysctl, SetTimeouts, SyncDaemon, SyncOp,
    SyncRole, Timeouts, Tunnel,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

/// A namespace with one interface that is up, one that is down, and one that is not there.
fn namespace() -> Netns {
    let net = Netns::new();
    net.sh("ip link add eth1 type dummy; ip link set eth1 up; ip link add eth2 type dummy");
    net
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() })
}

fn a_daemon() -> impl Strategy<Value = SyncDaemon> {
    let group = select(vec![None, Some("239.1.2.3"), Some("ff02::81"), Some("ff05::1"), Some("10.1.2.3")]);
    (
        select(vec![SyncRole::Master, SyncRole::Backup]),
        prop_oneof![6 => Just("eth1"), 2 => Just("eth2"), 1 => Just("eth3")],
        any::<u8>(),
        prop::option::of(select(vec![0, 1, 500, 1024, 1472, 9000, 65_487, 65_507, u16::MAX])),
        group,
        prop::option::of(select(vec![0, 1, 9000, u16::MAX])),
        prop::option::of(any::<u8>()),
    )
        .prop_map(|(role, interface, id, max_length, group, port, ttl)| SyncDaemon {
            role,
            interface: interface.into(),
            id,
            max_length,
            group: group.map(|group| group.parse().unwrap()),
            port,
            ttl,
        })
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let one = || prop::option::of(select(vec![0_u32, 1, 77, 2_147_483]));
    (one(), one(), one()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp })
}

/// Edits of the table among the others: beside a server of another family no sync daemon runs.
fn an_operation() -> impl Strategy<Value = Operation> {
    let (address, mixed) = (service("tcp://10.0.0.1:80"), server("[fd00::9]:80"));
    let to = real(1, Forwarding::Tunnel(Tunnel::IPIP));
    prop_oneof![
        4 => a_daemon().prop_map(|to| Operation::Sync(SyncOp::Start { to: to.into() })),
        4 => (a_daemon(), a_daemon()).prop_map(|(from, to)| {
            let to = SyncDaemon { role: from.role, ..to }.into();
            Operation::Sync(SyncOp::Restart { to, from: from.into(), cause: RestartCause::Attributes })
        }),
        3 => select(vec![SyncRole::Master, SyncRole::Backup]).prop_map(|role| Operation::Sync(SyncOp::Stop { role })),
        2 => timeouts().prop_map(|to| Operation::Timeouts(SetTimeouts { from: Timeouts::default(), to })),
        1 => Just(Operation::Service(ServiceOp::Add { service: address, to: scheduling("rr").into() })),
        1 => Just(Operation::Server(ServerOp::Add { service: address, server: mixed, to })),
        1 => Just(Operation::Server(ServerOp::Delete { service: address, server: mixed })),
        1 => Just(Operation::Service(ServiceOp::Delete { service: address })),
    ]
}

#[test]
fn the_fake_runs_sync_daemons_and_sets_timeouts_as_the_kernel_does() {
    let _net = namespace();
    let mut real = Ipvs::connect().unwrap();
    let mut fake = Fake::default();
    fake.live = real.read(&ReadScope::default()).unwrap();
    fake.live.absent.insert("eth3".into());
    fake.live.down.insert("eth2".into());
    let both = RefCell::new((&mut real, &mut fake));
    let batches = prop::collection::vec(an_operation(), 1..30);
    let all = ReadScope::default();
    runner(100)
        .run(&batches, |operations| {
            let (real, fake) = &mut *both.borrow_mut();
            let (said, expected) = (real.execute(&operations).unwrap(), fake.execute(&operations).unwrap());
            assert_eq!(said, expected, "{operations:?}");
            assert_eq!(real.read(&all).unwrap(), fake.read(&all).unwrap());
            Ok(())
        })
        .unwrap();
}

/// Those that change others, and those that are changed.
const SETTINGS: [&str; 23] = [
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.default.forwarding",
    "net.ipv4.conf.lo.forwarding",
    "net.ipv4.conf.eth1.forwarding",
    "net.ipv4.conf.eth2.forwarding",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.eth1.accept_redirects",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.eth1.rp_filter",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
    "net.ipv6.conf.eth1.forwarding",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.eth1.disable_ipv6",
    "net.ipv6.conf.all.ignore_routes_with_linkdown",
    "net.ipv6.conf.eth2.ignore_routes_with_linkdown",
    "net.ipv6.conf.all.addr_gen_mode",
    "net.ipv6.conf.eth1.addr_gen_mode",
    "net.ipv6.conf.all.accept_ra",
    "net.ipv6.conf.eth1.accept_ra",
    "net.ipv4.vs.conntrack",
    "net.ipv4.no_such_setting",
];

#[test]
fn a_setting_changes_others_in_the_fake_as_it_does_in_the_kernel() {
    let _net = namespace();
    let mut real = Director::connect().unwrap();
    let question = ReadScope { sysctls: SETTINGS.map(str::to_owned).into(), ..ReadScope::default() };
    let mut fake = Fake::default();
    fake.live = real.read(&question).unwrap();
    assert_eq!(fake.live.state.sysctls.len(), SETTINGS.len() - 1);
    let both = RefCell::new((&mut real, &mut fake));
    let one = (select(SETTINGS.to_vec()), select(vec!["0", "1"]));
    let sorted = |live: Live| {
        let mut sysctls = live.state.sysctls;
        sysctls.sort_unstable_keys();
        sysctls
    };
    runner(1000)
        .run(&one, |(name, value)| {
            let (real, fake) = &mut *both.borrow_mut();
            let set = [Operation::Sysctl(SetSysctl { name: name.into(), from: None, to: value.into() })];
            let errno = |kernel: &mut dyn Kernel| {
                kernel.execute(&set).unwrap().remove(&0).map(|refusal| refusal.errno)
            };
            assert_eq!(errno(*real), errno(*fake), "{name} = {value}");
            let (held, expected) = (real.read(&question).unwrap(), fake.read(&question).unwrap());
            assert_eq!(sorted(held), sorted(expected), "after {name} = {value}");
            Ok(())
        })
        .unwrap();
}
