//! What lbd says to nft is what the kernel holds afterwards, and whatever somebody else does to lbd's table is seen.
//!
//! Each test moves its thread into a network namespace of its own, which takes CAP_NET_ADMIN: where it may not, it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::generate;
use lbd::kernel::Live;
use lbd::kernel::nftables::{NftClient, NftError};
use lbd::model::untracked::sorted;
use lbd::model::{Desired, Forwarding, Mark, MarkMatch, MaxDelete, Prefix, Protocol, Prune, State};
use lbd::nft::{SourceNat, Table};
use lbd::reconcile::StateDiff;
use lbd::report;
use lbd::store::Record;
use nix::sched::{CloneFlags, unshare};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

/// Moves the calling thread into a network namespace of its own, and finds nft in it.
fn filter() -> NftClient {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own");
    NftClient::default()
}

#[track_caller]
fn sh(script: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-e", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\nfailed:\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// How many random cases: an emulated processor is slow. `LBD_CASES=100` for the long form.
fn cases() -> u32 {
    std::env::var("LBD_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8)
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

/// Any packets that a file can ask for, in the normal form.
fn packets() -> impl Strategy<Value = MarkMatch> {
    let address = |v6: bool| {
        let any = (any::<u128>(), 0..=128_u8, any::<bool>()).prop_map(move |(bits, length, whole)| {
            let bits = if v6 { bits } else { bits << 96 };
            let most = if v6 { 128 } else { 32 };
            let length = if whole { most } else { length.min(most) };
            let kept = bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            let address =
                if v6 { kept.to_be_bytes().into() } else { ((kept >> 96) as u32).to_be_bytes().into() };
            Prefix { address, length }
        });
        let odd = ["::ffff:1.2.3.4", "::1.2.3.4", "::1", "fe80::", "255.255.255.255", "127.0.0.1"];
        let odd = odd.into_iter().map(|text| text.parse().unwrap());
        let odd: Vec<Prefix> = odd
            .filter(|address: &std::net::IpAddr| address.is_ipv6() == v6)
            .map(|address| Prefix { address, length: if v6 { 128 } else { 32 } })
            .collect();
        prop_oneof![3 => any, 1 => select(odd)]
    };
    let range = (any::<u16>(), option::of(any::<u16>())).prop_map(|(one, other)| {
        let other = other.unwrap_or(one);
        one.min(other).max(1)..=one.max(other).max(1)
    });
    let ports = prop::collection::vec(range, 0..=6);
    // Whatever the kernel takes and a file may say.
    let interface =
        "[!#-)+-.0-9;-\\[\\]-~]{1,15}".prop_filter("no names", |name| name != "." && name != "..");
    let protocol = option::of(select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]));
    any::<bool>().prop_flat_map(move |v6| {
        let (address, source) = (option::of(address(v6)), option::of(address(v6)));
        (protocol.clone(), address, ports.clone(), source, option::of(interface.clone()))
            .prop_map(|(protocol, address, ports, source, interface)| {
                let ports = if protocol.is_some() { ports } else { Vec::new() };
                MarkMatch { protocol, address, ports, source, interface }.normal()
            })
            .prop_filter("an empty match", |packets| {
                let MarkMatch { protocol, address, ports: _, source, interface } = packets;
                protocol.is_some() || address.is_some() || source.is_some() || interface.is_some()
            })
    })
}

fn table() -> impl Strategy<Value = Table> {
    let number = prop_oneof![select(vec![1, 10, 11, u32::MAX]), 1..=u32::MAX];
    let mark =
        (number, prop::collection::vec(packets(), 1..=3)).prop_map(|(mark, matches)| Mark { mark, matches });
    let marks = prop::collection::vec(mark, 0..=4).prop_map(|marks| {
        // The rules of one mark that follow each other are one entry.
        let mut runs: Vec<Mark> = Vec::new();
        for mark in marks {
            match runs.last_mut() {
                Some(last) if last.mark == mark.mark => last.matches.extend(mark.matches),
                _ => runs.push(mark),
            }
        }
        runs
    });
    let untracked = prop::collection::vec(packets(), 0..=3).prop_map(sorted);
    let others = (untracked, generate::state().prop_map(|state| state.untracked), any::<bool>());
    (marks, others, source_nat()).prop_map(|(marks, (any, of_services, both), source_nat)| {
        let untracked = if both { sorted([any, of_services].concat()) } else { any };
        Table { marks, untracked, source_nat, strays: Vec::new() }
    })
}

fn source_nat() -> impl Strategy<Value = HashSet<SourceNat>> {
    generate::state().prop_map(|state| wanted(&state).source_nat)
}

/// What the packet filter holds where the kernel is what this state says.
fn wanted(state: &State) -> Table {
    let servers = state.services.iter().flat_map(|(service, contents)| {
        let full_nat = |(_, real): &(_, &lbd::model::RealServer)| real.forwarding == Forwarding::FullNat;
        contents.servers.iter().filter(full_nat).map(|(server, _)| SourceNat::of(service, server))
    });
    Table {
        marks: state.mark_rules(),
        untracked: state.untracked.clone(),
        source_nat: servers.collect(),
        strays: Vec::new(),
    }
}

#[test]
fn every_table_comes_back_from_the_kernel_as_it_was_written() {
    let filter = RefCell::new(filter());
    runner(cases())
        .run(&table(), |table| {
            filter.borrow_mut().write(&table).map_err(failed)?;
            prop_assert_eq!(filter.borrow_mut().read().map_err(failed)?, table);
            Ok(())
        })
        .unwrap();
}

fn http(address: &str) -> MarkMatch {
    MarkMatch {
        protocol: Some(Protocol::Tcp),
        address: Some(Prefix { address: address.parse().unwrap(), length: 32 }),
        ports: vec![80..=80, 443..=443],
        source: None,
        interface: None,
    }
}

fn small() -> Table {
    let source_nat = |service: &str| SourceNat {
        service: service.parse().unwrap(),
        address: "192.168.8.14".parse().unwrap(),
    };
    Table {
        marks: vec![Mark { mark: 10, matches: vec![http("192.168.8.13"), http("192.168.8.12")] }],
        untracked: vec![MarkMatch { ports: vec![80..=80], ..http("10.0.0.13") }, http("192.168.8.14")],
        source_nat: HashSet::from([source_nat("tcp://10.0.0.13:80"), source_nat("fwmark://10")]),
        strays: Vec::new(),
    }
}

/// What somebody may do, with the strays that are seen then; none where the table only lacks something, or has one rule or
/// element more. `$(handle WORDS)` is the number of the first rule in which the words stand.
const MUTATIONS: [(&str, &[&str]); 26] = [
    ("delete table inet lbd", &[]),
    ("flush table inet lbd", &["set fullnat_tcp4", "set fullnat_mark6"]),
    ("delete rule inet lbd prerouting $(handle 192.168.8.13)", &[]),
    ("insert rule inet lbd prerouting tcp dport 22 meta mark set 10", &[]),
    (
        "add rule inet lbd prerouting meta mark set 10 accept",
        &["rule meta mark set 0x0000000a accept in prerouting"],
    ),
    (
        "replace rule inet lbd prerouting $(handle 192.168.8.13) ip daddr 192.168.8.13 drop",
        &["rule ip daddr 192.168.8.13 drop in prerouting"],
    ),
    (
        "replace rule inet lbd prerouting $(handle 192.168.8.13) tcp dport { 80, 443 } counter meta mark set 10",
        &["rule tcp dport { 80, 443 } counter meta mark set 0x0000000a in prerouting"],
    ),
    ("flush chain inet lbd prerouting", &[]),
    ("delete chain inet lbd prerouting", &[]),
    (
        "add chain inet lbd prerouting { type filter hook prerouting priority mangle; policy drop; }",
        &["chain prerouting"],
    ),
    (
        "delete chain inet lbd prerouting; table inet lbd { chain prerouting { \
         type filter hook prerouting priority filter; ip daddr 192.168.8.13 tcp dport 80 meta mark set 10; }; }",
        &["chain prerouting"],
    ),
    ("flush chain inet lbd untracked", &["set untracked_tcp4"]),
    ("delete element inet lbd untracked_tcp4 { 10.0.0.13 . 80 }", &[]),
    ("add rule inet lbd untracked ip daddr 10.0.0.14 notrack", &[]),
    (
        "add rule inet lbd untracked ip daddr 10.0.0.14 counter notrack",
        &["rule ip daddr 10.0.0.14 counter notrack in untracked"],
    ),
    ("delete chain inet lbd postrouting", &["set fullnat_tcp4", "set fullnat_mark6"]),
    ("delete rule inet lbd postrouting $(handle @fullnat_tcp4)", &["set fullnat_tcp4"]),
    ("add element inet lbd fullnat_mark4 { 11 . 192.168.8.14 }", &[]),
    (
        "add element inet lbd fullnat_mark4 { 11 . 192.168.8.14 comment mine }",
        &["element { 11 . 192.168.8.14 } of fullnat_mark4"],
    ),
    ("delete element inet lbd fullnat_tcp4 { 10.0.0.13 . 80 . 192.168.8.14 }", &[]),
    ("flush set inet lbd fullnat_tcp4", &[]),
    ("add chain inet lbd mine", &["chain mine"]),
    ("add set inet lbd x { type mark; }", &["set x"]),
    ("add map inet lbd x { type mark : verdict; }", &["map x"]),
    ("add counter inet lbd x", &["counter x"]),
    ("add table inet lbd { flags dormant; }", &["flags dormant"]),
];

const HANDLE: &str =
    r#"handle() { nft -a list table inet lbd | grep -F "$1" | head -n 1 | grep -o 'handle [0-9]*$'; }"#;

#[test]
fn whatever_is_done_to_the_table_by_hand_is_seen_and_undone() {
    let mut filter = filter();
    for (mutation, strays) in MUTATIONS {
        filter.write(&small()).unwrap();
        assert_eq!(filter.read().unwrap(), small());
        sh(&format!("{HANDLE}\nnft \"{mutation}\""));
        let seen = filter.read().unwrap();
        assert_ne!(seen, small(), "{mutation}");
        assert_eq!(seen.strays.is_empty(), strays.is_empty(), "{mutation}: {:?}", seen.strays);
        let unseen: Vec<_> =
            strays.iter().filter(|stray| !seen.strays.contains(&(**stray).to_owned())).collect();
        assert!(unseen.is_empty(), "{mutation}: {unseen:?} not among {:?}", seen.strays);
    }
    filter.write(&small()).unwrap();
    assert_eq!(filter.read().unwrap(), small());
    filter.write(&Table::default()).unwrap();
    assert_eq!(filter.read().unwrap(), Table::default());
    assert_eq!(sh("nft list ruleset"), "");
}

#[test]
fn a_table_that_is_not_wanted_and_not_there_is_no_trouble() {
    let mut filter = filter();
    assert_eq!(filter.read().unwrap(), Table::default());
    filter.write(&Table::default()).unwrap();
    assert_eq!(sh("nft list ruleset"), "");
}

#[test]
fn a_script_that_the_kernel_refuses_leaves_the_table_as_it_was() {
    let mut filter = filter();
    filter.write(&small()).unwrap();
    let packets = MarkMatch { interface: Some("longer-than-any-interface".into()), ..http("192.168.8.13") };
    let refused = Table { marks: vec![Mark { mark: 10, matches: vec![packets] }], ..small() };
    let message = filter.write(&refused).unwrap_err().to_string();
    assert!(message.starts_with("nft cannot change table inet lbd: "), "{message}");
    assert_eq!(filter.read().unwrap(), small());
}

fn failed(error: NftError) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// An nft that keeps a record of how it was started.
fn watched(directory: &Path) -> NftClient {
    filter();
    let program = directory.join("nft");
    let real = sh("command -v nft");
    let lines =
        format!("#!/bin/sh\necho \"$*\" >> {}/runs\nexec {} \"$@\"", directory.display(), real.trim());
    // Written by another process: a file that is open for writing anywhere here cannot be started.
    sh(&format!("cat > {0} <<'END'\n{lines}\nEND\nchmod 755 {0}", program.display()));
    NftClient::with_program(program)
}

#[test]
fn an_idle_daemon_runs_no_program() {
    let directory = tempfile::tempdir().unwrap();
    let mut filter = watched(directory.path());
    let runs = || std::fs::read_to_string(directory.path().join("runs")).unwrap().lines().count();
    filter.write(&small()).unwrap();
    assert_eq!(filter.read().unwrap(), small());
    assert_eq!(runs(), 2);
    for _ in 0..10 {
        assert_eq!(filter.read().unwrap(), small());
    }
    assert_eq!(runs(), 2);
    // Also a change that has nothing to do with lbd, and one that was undone.
    sh("nft add table inet other");
    assert_eq!(filter.read().unwrap(), small());
    assert_eq!(runs(), 3);
    sh("nft add element inet lbd fullnat_mark4 '{ 11 . 192.168.8.14 }'");
    assert_ne!(filter.read().unwrap(), small());
    assert_eq!(runs(), 4);
    filter.write(&small()).unwrap();
    assert_eq!(filter.read().unwrap(), small());
    assert_eq!(runs(), 6);
}

/// What somebody may have left in the table.
const MESSES: [&str; 8] = [
    "",
    "add chain inet lbd mine",
    "table inet lbd { set fullnat_tcp4 { type mark; }; }",
    "table inet lbd { chain prerouting { type filter hook input priority 0; }; }",
    "table inet lbd { chain postrouting { type nat hook postrouting priority 0; }; }",
    "table inet lbd { chain prerouting { tcp dport 22 accept; }; }",
    "table inet lbd { chain postrouting { masquerade; }; set x { type mark; }; }",
    "add table inet lbd { flags dormant; }",
];

#[test]
fn the_commands_that_diff_prints_do_what_apply_does() {
    let filter = RefCell::new(filter());
    let before_and_after = (generate::state(), generate::state(), select(MESSES.to_vec()));
    runner(cases())
        .run(&before_and_after, |(before, after, mess)| {
            // A mess may fit into nothing that is there: then it comes first, and lbd's table not at all.
            filter.borrow_mut().write(&wanted(&before)).map_err(failed)?;
            sh(&format!(
                "nft '{mess}' 2> /dev/null || nft 'add table inet lbd; delete table inet lbd; add table inet lbd; {mess}'"
            ));
            let found = filter.borrow_mut().read().map_err(failed)?;
            let (untracked, strays) = (found.untracked, found.strays);
            let mut live = State { marks: found.marks, untracked, strays, ..before };
            for (service, contents) in live.services.iter_mut() {
                for (server, real) in contents.servers_mut().iter_mut() {
                    let is_served = found.source_nat.contains(&SourceNat::of(service, server));
                    if real.forwarding == Forwarding::FullNat && !is_served {
                        real.forwarding = Forwarding::Nat;
                    }
                }
            }
            let mut desired = Desired { state: after, ..Desired::default() };
            desired.policy.prune = Prune::All;
            desired.policy.allow_empty = true;
            desired.policy.max_delete = MaxDelete::Percent(100);
            let live = Live { state: live, ..Live::default() };
            let comparison = StateDiff::new(live, &desired, None, &Record::default());
            for command in report::commands(&comparison) {
                if command.starts_with("nft ") {
                    sh(&command);
                }
            }
            prop_assert_eq!(filter.borrow_mut().read().map_err(failed)?, wanted(&desired.state));
            Ok(())
        })
        .unwrap();
}
