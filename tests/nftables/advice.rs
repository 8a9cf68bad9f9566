//! What others' rules of nftables do to a director, provoked on a real kernel: each is warned of until it is mended.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use crate::lab::{self, Netns};
use serde_json::Value;

/// What is warned of, as code and subject. What `--strict` makes of it is tested in `tests/kernel/advice.rs`.
#[track_caller]
fn warned(net: &Netns) -> Vec<(String, String)> {
    let output = net.lbd(&["-f", "desired.yaml", "validate", "--host", "-o", "json"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{output:?}");
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let warnings = document["warnings"].as_array().cloned().unwrap_or_default();
    let text = |warning: &Value, key: &str| warning[key].as_str().unwrap().to_owned();
    warnings.iter().map(|warning| (text(warning, "code"), text(warning, "subject"))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(code, subject)| ((*code).to_owned(), (*subject).to_owned())).collect()
}

fn rules(net: &Netns, rules: &str) {
    net.write("rules", &format!("flush ruleset\n{rules}\n"));
    net.sh("nft -f rules");
}

const FIREWALL: &str = "table inet filter {
    chain forward { type filter hook forward priority filter; policy drop; ct state established,related accept; }
}";

#[test]
fn a_stateful_firewall_needs_the_connections_of_nat() {
    let net = Netns::new();
    net.ready();
    let file = |settings: &str, forward: &str| {
        net.write(
            "desired.yaml",
            &format!(
                "version: 1\n{settings}\nclusters: [{{ name: web, listen: 'tcp://10.0.0.13:80', forward: {forward}, \
                 servers: [192.168.8.14] }}]\n"
            ),
        );
    };
    file("", "nat");
    assert_eq!(warned(&net), []);
    rules(&net, FIREWALL);
    assert_eq!(warned(&net), pairs(&[("connections-not-tracked", "tcp://10.0.0.13:80")]));
    let validate = net.lbd(&["-f", "desired.yaml", "validate", "--host"]);
    assert_eq!(
        validate.stderr,
        "warning: tcp://10.0.0.13:80: the firewall asks for the state of connections (chain forward of table inet filter \
         (nftables)), and does not know those of nat servers, since net.ipv4.vs.conntrack is 0; add \
         `net.ipv4.vs.conntrack: 1` to `sysctls`\n"
    );
    file("sysctls: { net.ipv4.vs.conntrack: 1 }", "nat");
    assert_eq!(warned(&net), []);
    file("", "dr");
    assert_eq!(warned(&net), []);
    file("", "nat");
    net.sh("echo 1 > /proc/sys/net/ipv4/vs/conntrack");
    assert_eq!(warned(&net), []);
    // Where no rule forwards what comes from that interface, no state helps.
    net.sh("ip link add eth1 type dummy; ip link set dev eth1 up; ip route add 192.168.8.0/24 dev eth1");
    rules(&net, &FIREWALL.replace("ct state", "iifname eth2 ct state"));
    assert_eq!(warned(&net), pairs(&[("replies-dropped", "tcp://10.0.0.13:80")]));
}

#[test]
fn a_mark_without_a_match_has_to_be_set_by_somebody() {
    let net = Netns::new();
    net.write(
        "desired.yaml",
        "version: 1\nmarks: [{ mark: 10 }]\nclusters: [{ name: web, listen: 'fwmark://10', servers: [192.168.8.14] }]\n",
    );
    assert_eq!(warned(&net), pairs(&[("mark-not-set", "fwmark://10")]));
    let chain = |hook: &str, rule: &str| {
        rules(&net, &format!("table ip mine {{\n chain pre {{ type filter hook {hook}; {rule}; }}\n}}"));
    };
    chain("prerouting priority mangle", "meta mark set 11");
    assert_eq!(warned(&net), pairs(&[("mark-not-set", "fwmark://10")]));
    chain("postrouting priority mangle", "meta mark set 10");
    assert_eq!(warned(&net), pairs(&[("mark-not-set", "fwmark://10")]));
    chain("prerouting priority mangle", "tcp dport 80 meta mark set 0xa");
    assert_eq!(warned(&net), []);
    // Whatever is worked out may be that mark.
    chain("input priority filter", "meta mark set ct mark");
    assert_eq!(warned(&net), []);
}

#[test]
fn marks_that_others_set_behind_lbds_own_are_named() {
    let net = Netns::new();
    net.ready();
    net.write(
        "desired.yaml",
        "version: 1\nmarks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.13, ports: [80] }] }]\n\
         clusters: [{ name: web, listen: 'fwmark://10', servers: [192.168.8.14] }]\n",
    );
    // lbd's own table is nobody else's.
    assert_eq!(net.lbd(&["-f", "desired.yaml", "apply", "--strict"]).status, 0);
    assert_eq!(warned(&net), []);
    rules(
        &net,
        "table ip mine {
            chain restore { meta mark set ct mark; }
            chain pre { type filter hook prerouting priority filter; tcp dport vmap { 80 : jump restore }; }
        }",
    );
    assert_eq!(warned(&net), pairs(&[("marks-changed", "chain restore of table ip mine (nftables)")]));
    net.sh("nft flush chain ip mine pre");
    assert_eq!(warned(&net), []);
    // What comes before lbd's own rule is replaced by it.
    rules(
        &net,
        "table ip mine {\n chain pre { type filter hook prerouting priority raw; meta mark set 5; }\n}",
    );
    assert_eq!(warned(&net), []);
}

// To start a program takes longer than all the rest of a small `diff`.
#[test]
fn programs_that_list_rules_are_started_where_somebody_made_any() {
    let net = Netns::new();
    net.write(
        "desired.yaml",
        "version: 1\nclusters: [{ name: web, listen: 'tcp://10.0.0.13:80', forward: nat, servers: [192.168.8.14] }]\n",
    );
    net.sh("mkdir bin");
    let bin = net.path("bin");
    for name in ["nft", "iptables-save"] {
        let noted = format!("echo {name} >> {}/started", bin.display());
        net.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{noted}\nexec /usr/sbin/{name} \"$@\"\n"));
    }
    net.sh("chmod +x bin/*");
    let started = || {
        let command =
            format!("PATH={}:$PATH exec {} -f desired.yaml validate --host", bin.display(), lab::lbd());
        assert_eq!(net.try_sh(&command).status, 0);
        std::fs::read_to_string(bin.join("started")).unwrap_or_default()
    };
    assert_eq!(started(), "");
    net.sh("nft add table ip others && nft delete table ip others");
    assert!(started().contains("nft\n"));
}
