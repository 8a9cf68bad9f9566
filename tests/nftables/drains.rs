//! Drains of services that need lbd's own nftables table, with real packets: a cluster that moves from a mark to an address, and fullnat.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::hosts::{Hosts, at};
use crate::lab::Netns;

const SETTINGS: &str = "sysctls: { net.ipv4.ip_forward: 1, net.ipv4.vs.conntrack: 1 }";

/// A client and two servers, each server by its address; the test's own namespace is the director.
fn hosts(net: &Netns) -> Hosts {
    net.sh("ip netns add drain-client; ip netns add drain-server; ip -batch - <<'WIRES'
link add c type veth peer name d netns drain-client
link add s type veth peer name d netns drain-server
address add 10.8.0.1/24 dev c
address add 192.168.8.1/24 dev s
link set dev lo up
link set dev c up
link set dev s up
WIRES
ip -n drain-client -batch - <<'CLIENT'
link set dev d up
address add 10.8.0.2/24 dev d
CLIENT
ip -n drain-server -batch - <<'SERVER'
link set dev lo up
link set dev d up
address add 192.168.8.14/24 dev d
address add 192.168.8.15/24 dev d
route add default via 192.168.8.1
SERVER");
    for number in [14, 15] {
        let listener = at("drain-server", move || TcpListener::bind((format!("192.168.8.{number}"), 80)));
        let listener = listener.unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    while stream.read_exact(&mut [0]).is_ok() && stream.write_all(&[number]).is_ok() {}
                });
            }
        });
    }
    Hosts(&["drain-client", "drain-server"])
}

fn connect() -> TcpStream {
    let stream = at("drain-client", || {
        TcpStream::connect_timeout(&"10.8.0.1:80".parse().unwrap(), Duration::from_secs(20)).unwrap()
    });
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// The number of the server that answers.
fn answers(mut stream: &TcpStream) -> u8 {
    let mut byte = [0];
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut byte).unwrap();
    byte[0]
}

/// Applies a file.
fn apply(net: &Netns, file: &str, words: &[&str]) {
    net.write("desired.yaml", &format!("version: 1\n{SETTINGS}\n{file}\n"));
    let all = [&["-f", "desired.yaml", "apply"], words].concat();
    let output = net.lbd(&all);
    assert_eq!(output.status, 0, "{output:?}");
}

fn a_cluster_that_moves_from_a_mark_to_an_address_keeps_its_connections_and_takes_new_ones_there() {
    let net = Netns::new();
    let _hosts = hosts(&net);
    let marked = "\
marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.8.0.1, ports: [80] }] }]
clusters: [{ name: web, listen: 'fwmark://10', forward: nat, servers: [192.168.8.14] }]";
    let addressed =
        "clusters: [{ name: web, listen: 'tcp://10.8.0.1:80', forward: nat, servers: [192.168.8.15] }]";
    apply(&net, marked, &[]);
    let old = connect();
    assert_eq!(answers(&old), 14);
    apply(&net, addressed, &[]);
    assert_eq!(net.sh("nft list ruleset"), "");
    assert_eq!(answers(&old), 14);
    let new = connect();
    assert_eq!((answers(&new), answers(&old)), (15, 14));
    let services = [
        "-A -f 10 -s wlc",
        "-A -t 10.8.0.1:80 -s wlc",
        "-a -f 10 -r 192.168.8.14:0 -m -w 0",
        "-a -t 10.8.0.1:80 -r 192.168.8.15:80 -m -w 1",
    ];
    assert_eq!(net.ipvsadm_save(), services);
    apply(&net, addressed, &["--drain=0"]);
    assert_eq!(net.ipvsadm_save(), [services[1], services[3]]);
    assert_eq!(answers(&new), 15);
}

fn what_fullnat_needs_stays_until_its_cluster_has_drained() {
    let net = Netns::new();
    let _hosts = hosts(&net);
    // The server cannot answer the client but through the director's own address.
    net.sh("ip -n drain-server route del default");
    let both = "clusters:
  - { name: web, listen: 'tcp://10.8.0.1:80', forward: fullnat, servers: [192.168.8.14] }
  - { name: other, listen: 'tcp://10.8.0.1:81', forward: nat, servers: [192.168.8.15] }";
    let one =
        "clusters: [{ name: other, listen: 'tcp://10.8.0.1:81', forward: nat, servers: [192.168.8.15] }]";
    apply(&net, both, &[]);
    let old = connect();
    assert_eq!(answers(&old), 14);
    let rules = net.sh("nft list ruleset");
    apply(&net, one, &[]);
    assert_eq!(answers(&old), 14);
    assert_eq!(net.sh("nft list ruleset"), rules);
    // Another pass finds nothing to do.
    apply(&net, one, &[]);
    assert_eq!((answers(&old), net.sh("nft list ruleset")), (14, rules));
    apply(&net, one, &["--drain=0"]);
    assert_eq!(net.sh("nft list ruleset"), "");
}

// One after the other: the hosts have names.
#[test]
fn what_needs_rules_drains_with_real_packets() {
    a_cluster_that_moves_from_a_mark_to_an_address_keeps_its_connections_and_takes_new_ones_there();
    what_fullnat_needs_stays_until_its_cluster_has_drained();
}
