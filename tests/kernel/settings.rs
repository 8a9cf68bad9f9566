//! Kernel settings and timeouts on a real kernel, judged by `sysctl`, by `ipvsadm` and by a client that shares no code
//! with lbd.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use crate::lab::{self, Netns, Output};
use serde_json::{Value, json};

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

/// A file with no clusters.
fn desired(net: &Netns, settings: &str) {
    net.write(
        "desired.yaml",
        &format!("version: 1\nclusters: []\npolicy: {{ allow_empty: true }}\n{settings}\n"),
    );
}

#[track_caller]
fn applies(net: &Netns) {
    let apply = lbd(net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""), "{apply:?}");
}

/// Applies what is refused in part, and gives what was said.
#[track_caller]
fn fails(net: &Netns) -> String {
    let apply = lbd(net, &["apply"]);
    assert_eq!(apply.status, 2, "{apply:?}");
    apply.stderr
}

/// As `sysctl` tells it, the words of a value separated by blanks.
#[track_caller]
fn sysctl(net: &Netns, name: &str) -> String {
    net.sh(&format!("sysctl -n {name}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn timeouts(net: &Netns) -> String {
    let line = net.sh("ipvsadm -L --timeout");
    line.trim().trim_start_matches("Timeout (tcp tcpfin udp): ").to_owned()
}

/// What is to be done, by name.
#[track_caller]
fn planned(net: &Netns) -> Vec<String> {
    let diff = lbd(net, &["diff", "--output", "json"]);
    assert_ne!(diff.status, 2, "{diff:?}");
    let document: Value = serde_json::from_str(&diff.stdout).unwrap();
    let operation = |one: &Value| {
        let change = &one["changes"][0];
        format!("{} {} -> {}", one["name"].as_str().unwrap(), change["from"], change["to"])
    };
    document["operations"].as_array().unwrap().iter().map(operation).collect()
}

#[test]
fn settings_and_timeouts_are_set_kept_and_repaired() {
    let net = Netns::new();
    desired(
        &net,
        "sysctls:
  net.ipv4.ip_forward: 1
  net.ipv4.vs.conntrack: 1
  net.ipv4.vs.sync_threshold: 5 60
  net.ipv4.tcp_rmem: 4096  131072  6291456
  net.ipv4.ip_local_port_range: 20000 40000
timeouts: { tcp: 10m, udp: 30s }",
    );
    let is_right = || {
        assert_eq!(sysctl(&net, "net.ipv4.ip_forward"), "1");
        assert_eq!(sysctl(&net, "net.ipv4.vs.conntrack"), "1");
        assert_eq!(sysctl(&net, "net.ipv4.vs.sync_threshold"), "5 60");
        assert_eq!(sysctl(&net, "net.ipv4.tcp_rmem"), "4096 131072 6291456");
        assert_eq!(sysctl(&net, "net.ipv4.ip_local_port_range"), "20000 40000");
    };
    applies(&net);
    is_right();
    assert_eq!(timeouts(&net), "600 120 30");
    assert_eq!(net.table()["timeouts"], json!({ "tcp": 600, "tcp_fin": 120, "udp": 30 }));

    // In sync is no write: not to the kernel, and not to a file of /proc that would not take it.
    for verb in ["diff", "apply"] {
        let (output, heard) = net.lbd_overheard(&["-f", "desired.yaml", verb]);
        assert_eq!((output.status, &heard["writes"]), (0, &json!(0)), "{verb}: {output:?} {heard}");
    }
    let read_only = in_read_only_proc(&net, "diff");
    assert_eq!(read_only.status, 0, "{read_only:?}");
    let read_only = in_read_only_proc(&net, "apply");
    assert_eq!(read_only.status, 0, "{read_only:?}");

    net.sh("sysctl -q -w net.ipv4.vs.sync_threshold='3 50' net.ipv4.ip_forward=0; ipvsadm --set 600 77 99");
    let (apply, heard) = net.lbd_overheard(&["-f", "desired.yaml", "apply"]);
    assert_eq!((apply.status, &heard["writes"]), (0, &json!(1)), "{apply:?} {heard}");
    is_right();
    // What the file says nothing of stays as somebody else set it.
    assert_eq!(timeouts(&net), "600 77 30");
}

/// Runs lbd where `/proc/sys` cannot be written to, as in a container.
fn in_read_only_proc(net: &Netns, verb: &str) -> Output {
    net.try_sh(&format!(
        "exec unshare --mount sh -ec 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys
            exec {} -f desired.yaml --state-dir state {verb}'",
        lab::lbd()
    ))
}

#[test]
fn forwarding_for_all_and_an_exception_for_one_interface_are_one_plan() {
    let net = Netns::new();
    net.sh("ip link add eth1 type dummy; ip link add eth2 type dummy");
    desired(
        &net,
        "sysctls:
  net.ipv4.conf.eth1.forwarding: 0
  net.ipv6.conf.eth1.forwarding: 0
  net.ipv4.conf.all.accept_redirects: 1
  net.ipv6.conf.all.forwarding: 1
  net.ipv4.ip_forward: 1
  net.ipv4.conf.all.forwarding: 1",
    );
    assert_eq!(
        planned(&net),
        [
            "net.ipv6.conf.all.forwarding 0 -> 1",
            "net.ipv4.ip_forward 0 -> 1",
            "net.ipv4.conf.all.accept_redirects 0 -> 1",
            "net.ipv4.conf.eth1.forwarding 1 -> 0",
            "net.ipv6.conf.eth1.forwarding 1 -> 0",
        ]
    );
    let apply = lbd(&net, &["apply", "--output", "json"]);
    let document: Value = serde_json::from_str(&apply.stdout).unwrap();
    assert_eq!((apply.status, &document["summary"]), (0, &json!({ "add": 0, "edit": 5, "delete": 0 })));
    for (name, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.conf.eth1.forwarding", "0"),
        ("net.ipv4.conf.eth2.forwarding", "1"),
        ("net.ipv4.conf.all.accept_redirects", "1"),
        ("net.ipv6.conf.eth1.forwarding", "0"),
        ("net.ipv6.conf.eth2.forwarding", "1"),
    ] {
        assert_eq!(sysctl(&net, name), value, "{name}");
    }
    assert_eq!(planned(&net), [] as [&str; 0]);
    net.sh("sysctl -q -w net.ipv4.conf.eth1.forwarding=1");
    assert_eq!(planned(&net), ["net.ipv4.conf.eth1.forwarding 1 -> 0"]);
    applies(&net);
    assert_eq!(sysctl(&net, "net.ipv4.conf.eth1.forwarding"), "0");
}

#[test]
fn what_the_kernel_switches_by_itself_is_in_sync() {
    let net = Netns::new();
    desired(
        &net,
        "sysctls: { net.ipv4.vs.drop_entry: 2, net.ipv4.vs.secure_tcp: 1, net.ipv4.vs.drop_packet: 3 }",
    );
    applies(&net);
    // With memory to spare the kernel makes 1 of 2 within a second or so.
    let start = Instant::now();
    while sysctl(&net, "net.ipv4.vs.drop_entry") != "1" && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(sysctl(&net, "net.ipv4.vs.drop_entry"), "1");
    assert_eq!(planned(&net), [] as [&str; 0]);
    net.sh("sysctl -q -w net.ipv4.vs.drop_entry=0");
    assert_eq!(planned(&net), ["net.ipv4.vs.drop_entry 0 -> 2"]);
}

#[test]
fn a_setting_that_is_not_there_is_named_and_keeps_nothing_else_from_being_done() {
    let net = Netns::new();
    net.write(
        "desired.yaml",
        "version: 1
sysctls:
  net.ipv4.ip_foward: 1
  net.ipv4.vs.conntrak: 1
  net.ipv4.cnf.all.rp_filter: 0
  net.ipv4.vs.nothing_like_it: 1
  net.bridge.bridge-nf-call-iptables: 0
  net.ipv4.conf: 1
  net.ipv4.route.flush: 1
  net.ipv4.conf.lo.mc_forwarding: 1
  net.ipv4.ip_forward.x: 1
  net.ipv4.vs.conntrack: 1
timeouts: { tcp: 5m }
clusters:
  - { name: web, listen: tcp://10.0.0.1:80, forward: nat, servers: [10.9.0.1] }
",
    );
    net.ready();
    // The warnings of before are the subject of another test.
    let said = fails(&net);
    let said: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let said = said.join("\n");
    for words in [
        "net.ipv4.ip_foward to 1: this kernel has no such setting (ENOENT); did you mean net.ipv4.ip_forward?",
        "net.ipv4.vs.conntrak to 1: this kernel has no such setting (ENOENT); did you mean net.ipv4.vs.conntrack?",
        "did you mean net.ipv4.conf.all.rp_filter?",
        "net.ipv4.vs.nothing_like_it to 1: this kernel does not have it here (ENOENT); ",
        "net.bridge.bridge-nf-call-iptables to 0: the module br_netfilter is not loaded",
        "net.ipv4.conf to 1: this is a directory of settings, and no setting (EISDIR); ",
        "net.ipv4.route.flush to 1: the kernel never shows what it is",
        "net.ipv4.conf.lo.mc_forwarding to 1: it cannot be changed here (EACCES); ",
        "net.ipv4.ip_forward.x to 1: this kernel does not have it here (ENOENT); ",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert_eq!(said.lines().count(), 9, "{said}");
    assert_eq!(
        (sysctl(&net, "net.ipv4.vs.conntrack").as_str(), timeouts(&net).as_str()),
        ("1", "300 120 300")
    );
    assert_eq!(net.ipvsadm_save(), ["-A -t 10.0.0.1:80 -s wlc", "-a -t 10.0.0.1:80 -r 10.9.0.1:80 -m -w 1"]);
}

#[test]
fn a_value_that_the_kernel_does_not_take_or_shows_differently_is_explained() {
    let net = Netns::new();
    for (setting, words) in [
        ("net.ipv4.vs.drop_entry: 4", "the kernel does not take `4` (EINVAL); it can be 0 to 3"),
        (
            "net.ipv4.vs.sync_threshold: 50 3",
            "the kernel does not take `50 3` (EINVAL); it takes two numbers",
        ),
        ("net.ipv4.vs.sync_ports: 3", "1, 2, 4, 8, 16, 32 or 64"),
        (
            "net.ipv4.conf.all.rp_filter: strict",
            "does not take `strict` (EINVAL); it takes a whole number, and is 0",
        ),
        ("net.ipv4.ip_local_port_range: 5000 1024", "two port numbers, the smaller one first"),
        ("net.ipv4.tcp_congestion_control: nosuch", "the kernel does not know `nosuch` (ENOENT); "),
        ("net.ipv4.conf.all.rp_filter: 1 2", "took `1 2` and made `1` of it; write `1` into the file"),
        ("net.ipv4.conf.all.rp_filter: 0x2", "took `0x2` and made `2` of it; write `2` into the file"),
        (
            "net.ipv4.ip_local_reserved_ports: 8081,8080",
            "took `8081,8080` and made `8080-8081` of it; write `8080-8081` into the file",
        ),
    ] {
        desired(&net, &format!("sysctls: {{ \"{}\" }}", setting.replace(": ", "\": \"")));
        let said = fails(&net);
        assert!(said.contains(words), "{setting}\n{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    desired(&net, "sysctls: { net.ipv4.ip_local_reserved_ports: 8080-8081 }");
    applies(&net);
    desired(&net, "sysctls: { net.ipv4.ip_forward: 1 }");
    let said = in_read_only_proc(&net, "apply");
    assert_eq!(said.status, 2, "{said:?}");
    assert!(said.stderr.contains("/proc/sys is read-only here (EROFS); "), "{}", said.stderr);
    applies(&net);
}

#[test]
fn the_setting_of_an_interface_waits_for_it_also_where_its_name_has_a_dot() {
    let net = Netns::new();
    desired(
        &net,
        "sysctls: { net.ipv4.ip_forward: 1, net/ipv4/conf/eth1.100/rp_filter: 2, net.ipv4.conf.eth1.rp_filter: 1 }",
    );
    for verb in ["apply", "restore", "diff"] {
        let output = lbd(&net, &[verb]);
        assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{verb}: {output:?}");
        assert!(output.stdout.contains("net/ipv4/conf/eth1.100/rp_filter"), "{}", output.stdout);
    }
    assert_eq!(sysctl(&net, "net.ipv4.ip_forward"), "1");
    net.sh("ip link add eth1 type dummy; ip link add eth1.100 type dummy");
    applies(&net);
    let file = "/proc/sys/net/ipv4/conf/eth1.100/rp_filter";
    assert_eq!(
        (net.sh(&format!("cat {file}")).as_str(), sysctl(&net, "net.ipv4.conf.eth1.rp_filter")),
        ("2\n", "1".into())
    );
    assert_eq!(lbd(&net, &["diff"]).status, 0);
}
