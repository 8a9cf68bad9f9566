//! The guards on a real kernel, judged by ipvsadm: what they refuse, what they let through, and what they tell the operator.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use crate::lab::{Netns, Output};
use crate::running::{Daemon, soon_by};
use crate::tables::file;
use serde_json::Value;

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

const SERVERS: &str = "192.168.8.14, 192.168.8.15";
const QUIESCED: &str = "{ address: 192.168.8.14, weight: 0 }, { address: 192.168.8.15, weight: 0 }";

fn two(servers: &str) -> String {
    file("resync: 1s", &[("web", 80, servers), ("shop", 443, servers)])
}

/// What `ipvsadm -Sn` shows of services on these ports, with both servers.
fn rules(ports: &[u16]) -> Vec<String> {
    let mut rules = Vec::new();
    for port in ports {
        rules.push(format!("-A -t 10.0.0.1:{port} -s wlc"));
        let server = |number: u8| format!("-a -t 10.0.0.1:{port} -r 192.168.8.{number}:{port} -m -w 1");
        rules.extend([14, 15].map(server));
    }
    rules.sort();
    rules
}

/// Each look is a process or two, which are slow in the lab.
const LOOK: Duration = Duration::from_millis(200);

/// Three services, made by hand.
const BY_HAND: [&str; 3] = ["-A -t 10.9.9.1:80 -s rr", "-A -t 10.9.9.2:80 -s rr", "-A -t 10.9.9.3:80 -s rr"];

fn make_by_hand(net: &Netns) {
    BY_HAND.iter().for_each(|rule| drop(net.sh(&format!("ipvsadm {rule}"))));
}

fn with_those_made_by_hand(ports: &[u16]) -> Vec<String> {
    let mut rules = rules(ports);
    rules.extend(BY_HAND.map(str::to_owned));
    rules.sort();
    rules
}

// A package that installs `clusters: []`, and `prune: all` in it: three services made by hand were deleted, "verified".
#[test]
fn an_empty_file_that_is_the_whole_table_deletes_nothing_made_by_hand() {
    let net = Netns::new();
    make_by_hand(&net);
    net.write("desired.yaml", &file("prune: all", &[]));
    let says = "the file has no clusters, and `prune: all` would delete 3 virtual services that never were in the file: \
                tcp://10.9.9.1:80, tcp://10.9.9.2:80, tcp://10.9.9.3:80; if that is meant, run `lbd apply --allow-empty`, \
                or write `policy: { allow_empty: true }` in the file";
    let diff = lbd(&net, &["diff"]);
    assert_eq!(diff.status, 1, "{diff:?}");
    assert!(diff.stdout.contains(&format!("apply would refuse in part: {says}\n")), "{}", diff.stdout);
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 3, "{apply:?}");
    assert_eq!(apply.stderr, format!("error: refused in part, the rest is done: {says}\n"));
    assert_eq!(net.ipvsadm_save(), BY_HAND);
    let apply = lbd(&net, &["apply", "--output", "json"]);
    let document = json(&apply);
    assert_eq!((apply.status, &document["in_sync"], &document["refused"]), (3, &false.into(), &says.into()));
    assert_eq!(lbd(&net, &["apply", "--allow-empty"]).status, 0);
    assert_eq!(net.ipvsadm_save(), [] as [&str; 0]);
}

#[test]
fn services_made_by_hand_stop_neither_apply_nor_the_daemon_from_keeping_the_file() {
    let net = Netns::new();
    make_by_hand(&net);
    let all = |ports: &[u16]| {
        let names: Vec<String> = ports.iter().map(|port| format!("c{port}")).collect();
        let clusters: Vec<(&str, u16, &str)> =
            names.iter().zip(ports).map(|(name, port)| (name.as_str(), *port, SERVERS)).collect();
        file("prune: all, resync: 1s", &clusters)
    };
    net.write("desired.yaml", &all(&[80, 443]));
    let apply = lbd(&net, &["apply"]);
    assert_eq!(apply.status, 3, "{apply:?}");
    assert!(
        apply.stdout.contains("verified, but for what is refused: 6 added, 0 edited, 0 deleted"),
        "{}",
        apply.stdout
    );
    assert!(apply.stderr.contains("`lbd apply --allow-deletes`"), "{}", apply.stderr);
    assert_eq!(net.ipvsadm_save(), with_those_made_by_hand(&[80, 443]));

    let daemon = Daemon::start(&net);
    daemon
        .wait_for("the file is applied, but for deletions that are refused: `prune: all` would delete 3 of ");
    net.sh("ipvsadm -D -t 10.0.0.1:80");
    let becomes = |ports: &[u16]| {
        let rules = with_those_made_by_hand(ports);
        assert!(
            soon_by(LOOK, Duration::from_secs(20), || net.ipvsadm_save() == rules).is_some(),
            "{}",
            daemon.log()
        );
    };
    becomes(&[80, 443]);
    net.write("desired.yaml", &all(&[80, 443, 8080, 8443, 8888]));
    becomes(&[80, 443, 8080, 8443, 8888]);
    std::thread::sleep(Duration::from_secs(3));
    becomes(&[80, 443, 8080, 8443, 8888]);
    let status = lbd(&net, &["status"]);
    assert_eq!(status.status, 1, "{status:?}");
    assert_eq!(status.stdout.matches("`prune: all` would delete").count(), 1, "{}", status.stdout);
    assert!(
        status.stdout.contains("the daemon leaves out the deletions: the daemon accepts"),
        "{}",
        status.stdout
    );
    assert_eq!(daemon.log().matches("deletions that are refused").count(), 1, "{}", daemon.log());
    // What the message says to type works.
    assert_eq!(lbd(&net, &["apply", "--allow-deletes"]).status, 0);
    assert_eq!(net.ipvsadm_save(), rules(&[80, 443, 8080, 8443, 8888]));
    // It said "in sync", that deletions are refused, and "last change: refused", until the daemon's next pass.
    let status = lbd(&net, &["status"]);
    assert_eq!((status.status, status.stdout.contains("refused")), (0, false), "{status:?}");
    assert!(!status.stdout.contains("leaves out"), "{status:?}");
    assert!(status.stdout.contains("Z, lbd apply: verified; 0 added, 0 edited, "), "{status:?}");
    let in_sync = soon_by(LOOK, Duration::from_secs(20), || lbd(&net, &["status"]).status == 0);
    assert!(in_sync.is_some(), "{:?}\n{}", lbd(&net, &["status"]), daemon.log());
}

// `servers: []` in every cluster, and weights of 0 everywhere, were applied in 50 ms.
#[test]
fn servers_that_all_go_or_are_all_quiesced_stay_until_the_operator_says_so() {
    for servers in ["", QUIESCED] {
        let net = Netns::new();
        net.write("desired.yaml", &two(SERVERS));
        assert_eq!(lbd(&net, &["apply"]).status, 0);
        net.write("desired.yaml", &two(servers));
        let says = "2 virtual services would lose the last server with a weight above 0: tcp://10.0.0.1:80 (web), \
                    tcp://10.0.0.1:443 (shop); if that is meant, run `lbd apply --allow-empty`, or write `allow_empty: true` \
                    in the cluster in the file";
        let diff = lbd(&net, &["diff"]);
        assert!(
            diff.status == 1 && diff.stdout.contains(&format!("apply would refuse: {says}\n")),
            "{diff:?}"
        );
        let apply = lbd(&net, &["apply"]);
        assert_eq!(apply.status, 3, "{apply:?}");
        assert!(
            apply.stderr.contains(&format!("error: refused, nothing was changed: {says}\n")),
            "{}",
            apply.stderr
        );
        assert_eq!(lbd(&net, &["apply", "--allow-deletes"]).status, 3);
        assert_eq!(net.ipvsadm_save(), rules(&[80, 443]));
        // After a boot, and with a record that is spoilt, restore and apply remember what served.
        for spoil in [false, true] {
            net.sh("ipvsadm -C");
            if spoil {
                fs::write(net.path("state/state.json"), "{\"version\":1,").unwrap();
            }
            let apply = lbd(&net, &["apply"]);
            assert!(apply.status == 3 && net.ipvsadm_save().is_empty(), "{apply:?}");
            let restore = lbd(&net, &["restore"]);
            assert_eq!(restore.status, 0, "{restore:?}");
            assert!(
                restore.stderr.contains("restored from the last state that was verified"),
                "{}",
                restore.stderr
            );
            assert_eq!(net.ipvsadm_save(), rules(&[80, 443]));
        }
        // Weight 0 for one of two is everyday work; the word of the operator is taken; the file's own is, too.
        net.write("desired.yaml", &two("{ address: 192.168.8.14, weight: 0 }, 192.168.8.15"));
        assert_eq!(lbd(&net, &["apply"]).status, 0);
        net.write("desired.yaml", &two(servers));
        assert_eq!(lbd(&net, &["apply", "--allow-empty"]).status, 0);
        assert_eq!(net.ipvsadm_save().iter().filter(|line| line.ends_with("-w 1")).count(), 0);
        net.write("desired.yaml", &two(SERVERS));
        assert_eq!(lbd(&net, &["apply"]).status, 0);
        net.write("desired.yaml", &two(servers).replace("listen:", "allow_empty: true, listen:"));
        assert_eq!(lbd(&net, &["apply"]).status, 0);
    }
}

#[test]
fn in_the_daemon_no_edit_of_weights_goes_round_a_guard() {
    let net = Netns::new();
    net.write("desired.yaml", &two(SERVERS));
    let daemon = Daemon::start(&net);
    assert!(
        soon_by(LOOK, Duration::from_secs(20), || net.ipvsadm_save() == rules(&[80, 443])).is_some(),
        "{}",
        daemon.log()
    );
    net.write("desired.yaml", &two(QUIESCED));
    daemon.wait_for(
        "the file is refused, the last good state is kept: 2 virtual services would lose the last server",
    );
    daemon.wait_for("`lbd apply --allow-empty`");
    daemon.wait_for("the daemon accepts what `lbd apply` has applied");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(net.ipvsadm_save(), rules(&[80, 443]), "{}", daemon.log());
    assert_eq!(daemon.log().matches("the file is refused").count(), 1, "{}", daemon.log());
    let status = lbd(&net, &["status"]);
    assert_eq!(status.status, 1, "{status:?}");
    assert_eq!(status.stdout.matches("would lose the last server").count(), 1, "{}", status.stdout);
    assert_eq!(lbd(&net, &["apply", "--allow-empty"]).status, 0);
    let status = lbd(&net, &["status"]);
    assert_eq!((status.status, status.stdout.contains("refused")), (0, false), "{status:?}");
    assert!(!status.stdout.contains("keeps the last good state"), "{status:?}");
    assert!(status.stdout.contains("Z, lbd apply: verified; "), "{status:?}");
    std::thread::sleep(Duration::from_secs(3));
    let weights = net.ipvsadm_save();
    assert_eq!(weights.iter().filter(|line| line.ends_with("-w 0")).count(), 4, "put back: {}", daemon.log());
    assert_eq!(lbd(&net, &["status"]).status, 0);
}

// The commonest first edit, and it was refused: "of 1 virtual services that lbd owns 1 would be deleted".
#[test]
fn a_port_that_changes_and_a_cluster_that_is_renamed_are_no_deletions() {
    let net = Netns::new();
    let mut ports = Vec::new();
    for (name, port) in [("web", 80), ("web", 8080), ("shop", 8080), ("shop", 443)] {
        net.write("desired.yaml", &file("max_delete: 0%", &[(name, port, SERVERS)]));
        let apply = lbd(&net, &["apply"]);
        assert_eq!(apply.status, 0, "{apply:?}");
        assert_eq!(net.ipvsadm_save(), rules(&[port]));
        ports.push(port);
    }
    // At a boot, too.
    net.sh("ipvsadm -C");
    net.write("desired.yaml", &file("max_delete: 0%", &[("shop", 444, SERVERS)]));
    let restore = lbd(&net, &["restore"]);
    assert_eq!((restore.status, net.ipvsadm_save()), (0, rules(&[444])), "{restore:?}");
}

#[test]
fn a_service_that_comes_without_usable_servers_is_warned_of_and_not_refused() {
    let net = Netns::new();
    net.ready();
    net.write("desired.yaml", &file("", &[("web", 80, ""), ("shop", 443, QUIESCED)]));
    let warnings = "warning: tcp://10.0.0.1:80: has no servers, and refuses every connection; add one, or write \
                    `allow_empty: true` in its cluster if that is meant\n\
                    warning: tcp://10.0.0.1:443: has only servers of weight 0, and refuses every new connection; give one \
                    a weight above 0, or write `allow_empty: true` in its cluster if that is meant\n";
    for (arguments, status) in [
        (&["validate"][..], 0),
        (&["validate", "--host"], 0),
        (&["validate", "--host", "--strict"], 2),
        (&["diff"], 1),
        (&["apply"], 0),
        (&["diff"], 0),
    ] {
        let output = lbd(&net, arguments);
        assert_eq!((output.status, output.stderr.as_str()), (status, warnings), "{arguments:?}");
    }
    let text = fs::read_to_string(net.path("desired.yaml"))
        .unwrap()
        .replace("listen:", "allow_empty: true, listen:");
    net.write("desired.yaml", &text);
    let apply = lbd(&net, &["apply", "--strict"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{apply:?}");
}
