//! Draws what a director needs beside its virtual services: marks, kernel settings, timeouts, sync daemons.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use indexmap::IndexMap;
use lbd::model::sysctl::VS_CONNTRACK;
use lbd::model::{
    Family, Forwarding, Mark, MarkMatch, Prefix, Protocol, State, SyncDaemon, SyncRole, Timeouts,
    VirtualService, untracked,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Firewall marks, sorted, each with its own destinations.
pub(super) fn marks() -> impl Strategy<Value = Vec<Mark>> {
    subsequence(vec![10_u32, 11, 12, u32::MAX], 0..=3).prop_flat_map(|marks| {
        let one = |mark| matches(mark).prop_map(move |matches| Mark { mark, matches });
        marks.into_iter().map(one).collect::<Vec<_>>()
    })
}

/// None, or one match, or one for each family.
fn matches(mark: u32) -> impl Strategy<Value = Vec<MarkMatch>> {
    let last = mark % 200;
    let v4 = MarkPool {
        destinations: vec![prefix(&format!("10.1.0.{last}"), 32), prefix(&format!("10.{last}.0.0"), 16)],
        sources: vec![prefix("172.16.0.0", 12), prefix("203.0.113.9", 32)],
    };
    let v6 = MarkPool {
        destinations: vec![prefix(&format!("fd00:1::{last}"), 128), prefix(&format!("fd00:{last}::"), 32)],
        sources: vec![prefix("2001:db8::", 32)],
    };
    (option::of(one_match(v4)), option::of(one_match(v6)))
        .prop_map(|(v4, v6)| v4.into_iter().chain(v6).collect())
}

struct MarkPool {
    destinations: Vec<Prefix>,
    sources: Vec<Prefix>,
}

fn one_match(pool: MarkPool) -> impl Strategy<Value = MarkMatch> {
    let protocol = option::of(select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]));
    // In the normal form the ranges are sorted and leave a gap between them.
    let ranges: Vec<RangeInclusive<u16>> = vec![80..=80, 443..=443, 8000..=8010, 65_535..=65_535];
    (
        protocol,
        select(pool.destinations),
        subsequence(ranges, 0..=3),
        option::of(select(pool.sources)),
        option::of(select(vec!["eth0".to_owned(), "eth1.100".to_owned()])),
    )
        .prop_map(|(protocol, destination, ports, source, interface)| MarkMatch {
            protocol,
            address: Some(destination),
            // Ports mean something only with a protocol.
            ports: if protocol.is_some() { ports } else { Vec::new() },
            source,
            interface,
        })
}

fn prefix(address: &str, length: u8) -> Prefix {
    Prefix { address: address.parse().unwrap(), length }
}

/// Kernel settings, with dots and with slashes.
pub(super) fn sysctls() -> impl Strategy<Value = IndexMap<String, String>> {
    // Those that change others among them, and one that the kernel changes by itself.
    let names = vec![
        "net.ipv4.ip_forward",
        "net.ipv4.vs.conntrack",
        "net/ipv4/conf/eth0.100/forwarding",
        "net.ipv4.conf.all.accept_redirects",
        "net.ipv6.conf.all.forwarding",
        "net.ipv6.conf.eth0.forwarding",
        "net.ipv4.vs.drop_entry",
    ];
    subsequence(names, 0..=7).prop_shuffle().prop_flat_map(|names| {
        let one = |name: &str| {
            let name = name.to_owned();
            let values = if name.ends_with("drop_entry") { vec!["0", "1", "2", "3"] } else { vec!["0", "1"] };
            select(values).prop_map(str::to_owned).prop_map(move |value| (name.clone(), value))
        };
        names.into_iter().map(one).collect::<Vec<_>>().prop_map(|pairs| pairs.into_iter().collect())
    })
}

/// Timeouts, each set or left to the kernel.
pub(super) fn timeouts() -> impl Strategy<Value = Timeouts> {
    let one = || option::of(select(vec![1_u32, 120, 300, 900, 2_147_483]));
    (one(), one(), one()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp })
}

/// Timeouts as a kernel reports them: always all three.
pub(super) fn live_timeouts() -> impl Strategy<Value = Timeouts> {
    let one = || select(vec![120_u32, 300, 900]).prop_map(Some);
    (one(), one(), one()).prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp })
}

/// No sync daemon, or one of either role, or both.
pub(super) fn sync() -> impl Strategy<Value = Vec<SyncDaemon>> {
    daemons(|role| {
        let (group, length) = (option::of(groups()), option::of(lengths()));
        (interfaces(), ids(), length, group, option::of(ports()), option::of(ttls())).prop_map(
            move |(interface, id, max_length, group, port, ttl)| SyncDaemon {
                role,
                interface,
                id,
                max_length,
                group,
                port,
                ttl,
            },
        )
    })
}

/// Sync daemons as a kernel reports them: with every field.
pub(super) fn live_sync() -> impl Strategy<Value = Vec<SyncDaemon>> {
    daemons(|role| {
        (interfaces(), ids(), lengths(), groups(), ports(), ttls()).prop_map(
            move |(interface, id, length, group, port, ttl)| SyncDaemon {
                role,
                interface,
                id,
                max_length: Some(length),
                group: Some(group),
                port: Some(port),
                ttl: Some(ttl),
            },
        )
    })
}

fn daemons<S: Strategy<Value = SyncDaemon>>(
    one: impl Fn(SyncRole) -> S + 'static,
) -> impl Strategy<Value = Vec<SyncDaemon>> {
    subsequence(vec![SyncRole::Master, SyncRole::Backup], 0..=2)
        .prop_flat_map(move |roles| roles.into_iter().map(&one).collect::<Vec<_>>())
}

fn interfaces() -> impl Strategy<Value = String> {
    select(vec!["eth0".to_owned(), "eth1".to_owned()])
}

fn ids() -> impl Strategy<Value = u8> {
    select(vec![0, 7, 255])
}

fn lengths() -> impl Strategy<Value = u16> {
    select(vec![1_472, 2_000])
}

fn groups() -> impl Strategy<Value = IpAddr> {
    select(["224.0.0.81", "239.1.2.3", "ff05::51"].map(|group| group.parse().unwrap()).to_vec())
}

fn ports() -> impl Strategy<Value = u16> {
    select(vec![8_848, 9_000])
}

fn ttls() -> impl Strategy<Value = u8> {
    select(vec![1, 16, 255])
}

/// A mark that a service listens on is one that the file declares.
pub(super) fn declare_used_marks(state: &mut State) {
    for mark in state.services.keys().filter_map(|key| key.mark()) {
        if !state.marks.iter().any(|declared| declared.mark == mark) {
            state.marks.push(Mark { mark, matches: Vec::new() });
        }
    }
    state.marks.sort_by_key(|mark| mark.mark);
}

/// FULLNAT needs the connections of IPVS to be tracked, and a file that asks for it gets that, too.
pub(super) fn track_connections_for_fullnat(state: &mut State) {
    if state.has_fullnat() {
        state.sysctls.insert(VS_CONNTRACK.to_owned(), "1".to_owned());
    }
}

/// The packets of some services pass connection tracking by: those with a bit in `which`, if they can.
pub(super) fn leave_untracked(state: &mut State, which: u8) {
    let can = |(place, (_, service)): &(usize, (_, &VirtualService))| {
        let mut servers = service.servers.values();
        which & 1 << place != 0
            && servers.all(|server| !matches!(server.forwarding, Forwarding::Nat | Forwarding::FullNat))
    };
    let chosen = state.services.iter().take(8).enumerate().filter(can);
    let packets = chosen.flat_map(|(_, (key, _))| untracked::packets(key, &state.marks)).collect();
    state.untracked = untracked::sorted(packets);
    state.untracked.dedup();
}

/// The rules of marks as a kernel may hold them: in any order, and with something that nobody asked for.
pub(super) fn live_marks() -> impl Strategy<Value = (Vec<Mark>, Vec<String>)> {
    let rules = marks().prop_flat_map(|marks| {
        let single = |mark: Mark| {
            let number = mark.mark;
            mark.matches.into_iter().map(move |packets| Mark { mark: number, matches: vec![packets] })
        };
        Just(marks.into_iter().flat_map(single).collect::<Vec<_>>()).prop_shuffle()
    });
    let in_runs = |rules: Vec<Mark>| {
        let mut runs: Vec<Mark> = Vec::new();
        for rule in rules {
            match runs.last_mut() {
                Some(run) if run.mark == rule.mark => run.matches.extend(rule.matches),
                _ => runs.push(rule),
            }
        }
        runs
    };
    let strays = subsequence(vec!["tcp dport 22 drop".to_owned(), "chain mine".to_owned()], 0..=1);
    (rules.prop_map(in_runs), strays)
}

/// The kernel refuses a server of the other family beside a sync daemon (kernel-facts 2).
pub(super) fn keep_sync_and_mixed_families_apart(state: &mut State) {
    let mixed = state.services.iter().any(|(key, service)| {
        service.servers.keys().any(|server| Family::of(server.address) != key.family())
    });
    if mixed {
        state.sync.clear();
    }
}
