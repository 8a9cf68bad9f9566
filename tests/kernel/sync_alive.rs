//! Sync daemons that the kernel lists and that do not run as listed: on an interface that is gone, or with other threads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::lab::{Netns, Output};
use crate::running::{Daemon, soon};
use serde_json::json;

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

const BOTH: &str =
    "sync: [{ role: master, interface: eth1, id: 7 }, { role: backup, interface: eth1, id: 8 }]";

fn desired(net: &Netns, text: &str) {
    net.write("desired.yaml", &format!("version: 1\nclusters: []\npolicy: {{ resync: 1s }}\n{text}\n"));
}

/// Applies the file, and gives what was done.
#[track_caller]
fn applies(net: &Netns) -> String {
    let apply = lbd(net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{apply:?}");
    let diff = lbd(net, &["diff"]);
    assert_eq!(diff.status, 0, "{diff:?}");
    apply.stdout
}

const MAKE: &str = "ip link add eth1 type dummy; ip addr add 10.3.3.3/24 dev eth1; ip link set eth1 up";

fn namespace() -> Netns {
    let net = Netns::new();
    net.sh(MAKE);
    net
}

/// Whether the backup belongs to its group on eth1, as `ip` tells it.
fn hears(net: &Netns, group: &str) -> bool {
    net.sh("ip maddress show dev eth1").contains(group)
}

// The kernel went on naming eth1, sent nothing and heard nothing there, and lbd said "in sync".
#[test]
fn daemons_on_an_interface_that_was_made_again_or_renamed_are_restarted() {
    for (group, option) in [("224.0.0.81", ""), ("ff02::81", ", mcast_group: 'ff02::81'")] {
        let net = Netns::new();
        // An IPv6 address is one at once.
        net.sh(&format!("sysctl -q -w net.ipv6.conf.default.accept_dad=0; {MAKE}"));
        desired(&net, &BOTH.replace("eth1", &format!("eth1{option}")));
        applies(&net);
        assert!(hears(&net, group));
        for change in
            ["ip link del eth1", "ip link set eth1 down; ip link set eth1 name old; ip link set old up"]
        {
            net.sh(&format!("{change}; {MAKE}"));
            assert!(!hears(&net, group), "{change}");
            let diff = lbd(&net, &["diff"]);
            assert_eq!(diff.status, 1, "{change}: {diff:?}");
            for role in ["master", "backup"] {
                let impact = "sends and gets nothing since its interface is gone; works again after this";
                let planned = format!("  ~ sync {role}  interface: eth1 (gone) -> eth1\n      {impact}\n");
                assert!(diff.stdout.contains(&planned), "{change}: {}", diff.stdout);
            }
            let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
            assert_eq!(apply.status, 0, "{change}: {apply:?}");
            let counts = (&heard["ipvs"]["DEL_DAEMON"], &heard["ipvs"]["NEW_DAEMON"]);
            assert_eq!(counts, (&json!(2), &json!(2)), "{change}: {heard}");
            assert!(hears(&net, group), "{change}");
            applies(&net);
            net.try_sh("ip link del old");
        }
    }
}

#[test]
fn an_interface_that_goes_down_and_comes_up_is_still_the_same() {
    let net = namespace();
    desired(&net, BOTH);
    applies(&net);
    for change in [
        "ip link set eth1 down",
        "ip link set eth1 up",
        "ip link set eth1 mtu 1400",
        "ip addr flush dev eth1",
    ] {
        net.sh(change);
        let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
        assert_eq!((apply.status, &heard["writes"]), (0, &json!(0)), "{change}: {apply:?} {heard}");
    }
}

#[test]
fn the_daemon_notices_an_interface_that_was_made_again() {
    let net = namespace();
    desired(&net, BOTH);
    let daemon = Daemon::start(&net);
    daemon.wait_for("applied: start sync backup on eth1");
    assert!(soon(Duration::from_secs(10), || hears(&net, "224.0.0.81")).is_some());
    net.sh(&format!("ip link del eth1; {MAKE}"));
    assert!(soon(Duration::from_secs(20), || hears(&net, "224.0.0.81")).is_some(), "{}", daemon.log());
    for role in ["master", "backup"] {
        daemon.wait_for(&format!("restart sync {role} on eth1 (the interface that it ran on is gone)"));
    }
    // Once, and not with each look.
    let length = daemon.log().len();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(daemon.log_since(length), "");
    net.sh("ip link del eth1");
    daemon.wait_for("waiting: restart sync backup on eth1 (the interface that it ran on is gone) when interface eth1 is there");
    net.sh(MAKE);
    assert!(soon(Duration::from_secs(20), || hears(&net, "224.0.0.81")).is_some(), "{}", daemon.log());
}

/// The threads of sync daemons by role and number, of all namespaces: how many there are of each, by the kernel's names
/// (`ipvs-m:3:0`).
fn threads() -> BTreeMap<String, usize> {
    let mut threads = BTreeMap::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(name) = fs::read_to_string(process.path().join("comm")) else { continue };
        if let Some((daemon, _)) = name.trim().strip_prefix("ipvs-").and_then(|name| name.rsplit_once(':')) {
            *threads.entry(daemon.to_owned()).or_default() += 1;
        }
    }
    threads
}

/// Whether there are two daemons with so many threads each. No other test has as many.
fn has_daemons_with(number: usize) -> bool {
    threads().values().filter(|threads| **threads == number).count() == 2
}

// The setting was "verified" and the threads stayed as they were.
#[test]
fn another_number_of_threads_takes_a_restart_of_all_daemons() {
    let net = namespace();
    let file = |ports: u32| desired(&net, &format!("sysctls: {{ net.ipv4.vs.sync_ports: {ports} }}\n{BOTH}"));
    file(16);
    applies(&net);
    assert!(has_daemons_with(16), "{:?}", threads());
    file(32);
    let diff = lbd(&net, &["diff"]);
    assert_eq!(diff.status, 1, "{diff:?}");
    let impact = "loses what the other director sends or gets while the daemon starts again";
    for role in ["master", "backup"] {
        let planned = format!("  ~ sync {role}  sync_ports: 16 -> 32\n      {impact}\n");
        assert!(diff.stdout.contains(&planned), "{}", diff.stdout);
    }
    applies(&net);
    assert!(soon(Duration::from_secs(5), || has_daemons_with(32)).is_some(), "{:?}", threads());
    // Set by hand, and set back, it is the same; started by hand with another number, it is not.
    net.sh(
        "sysctl -q -w net.ipv4.vs.sync_ports=16; ipvsadm --stop-daemon master; ipvsadm --stop-daemon backup
        ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7
        ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 8
        sysctl -q -w net.ipv4.vs.sync_ports=32",
    );
    assert!(has_daemons_with(16), "{:?}", threads());
    let done = applies(&net);
    assert!(!done.contains("net.ipv4.vs.sync_ports"), "{done}");
    assert!(soon(Duration::from_secs(5), || has_daemons_with(32)).is_some(), "{:?}", threads());
    // One that leaves the file goes before the other one starts again.
    desired(
        &net,
        "sysctls: { net.ipv4.vs.sync_ports: 16 }\nsync: [{ role: backup, interface: eth1, id: 8 }]",
    );
    applies(&net);
    assert!(
        soon(Duration::from_secs(5), || threads().values().filter(|of| **of == 16).count() == 1).is_some()
    );
    // A value that the kernel refuses interrupts nobody.
    desired(&net, "sysctls: { net.ipv4.vs.sync_ports: 3 }\nsync: [{ role: backup, interface: eth1, id: 8 }]");
    let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
    assert_eq!((apply.status, &heard["ipvs"]["DEL_DAEMON"]), (2, &json!(null)), "{apply:?} {heard}");
    assert!(apply.stderr.contains("1, 2, 4, 8, 16, 32 or 64"), "{}", apply.stderr);
}
