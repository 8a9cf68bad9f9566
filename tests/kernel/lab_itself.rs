//! The lab itself: a kernel with IPVS, a table for each test, and two witnesses who agree.

use crate::lab::{Netns, SOME_OF_EVERYTHING, assert_kernel_is_the_one_asked_for};
use serde_json::json;

#[test]
fn the_kernel_has_ipvs() {
    let net = Netns::new();
    assert!(net.sh("ipvsadm -Ln").starts_with("IP Virtual Server version 1.2.1"));
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());
}

#[test]
fn the_kernel_is_the_one_asked_for() {
    assert_kernel_is_the_one_asked_for();
}

// Two tests at once, as threads of one process: either would see the other's service were the table shared.
#[test]
fn a_test_has_a_table_of_its_own() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.0.0.1:80 -s rr; ipvsadm -a -t 10.0.0.1:80 -r 10.9.0.1 -m; sleep 0.3");
    assert_eq!(net.ipvsadm_save(), ["-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.9.0.1:80 -m -w 1"]);
}

#[test]
fn another_test_has_another_table() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.0.0.1:80 -s wlc; sleep 0.3");
    assert_eq!(net.ipvsadm_save(), ["-A -t 10.0.0.1:80 -s wlc"]);
}

#[test]
fn a_thread_of_the_test_is_in_its_namespace() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.0.0.3:80 -s rr");
    let seen = std::thread::scope(|scope| scope.spawn(|| net.ipvsadm_save()).join().expect("the thread"));
    assert_eq!(seen, ["-A -t 10.0.0.3:80 -s rr"]);
}

#[test]
fn the_independent_eye_sees_what_ipvsadm_wrote() {
    let net = Netns::new();
    net.sh(SOME_OF_EVERYTHING);
    let server = |family, address, port, forward, weight| {
        json!({
            "family": family, "address": address, "port": port, "forward": forward, "weight": weight,
            "upper_threshold": 0, "lower_threshold": 0,
            "active_connections": 0, "inactive_connections": 0, "persistent_connections": 0,
            "tunnel_type": "ipip", "tunnel_port": 0, "tunnel_flags": 0,
        })
    };
    let mut limited = server("inet", "10.9.0.1", 81, "nat", 5);
    limited["upper_threshold"] = json!(100);
    limited["lower_threshold"] = json!(50);
    let mut tunnelled = server("inet6", "fd00::2", 53, "tunnel", 1);
    tunnelled["tunnel_type"] = json!("gue");
    tunnelled["tunnel_port"] = json!(6080);
    tunnelled["tunnel_flags"] = json!(1);
    let expected = json!({
        "version": "1.2.1",
        "timeouts": {"tcp": 1000, "tcp_fin": 60, "udp": 30},
        "sync": [{
            "role": "master", "interface": "eth1", "id": 7,
            "max_length": 1472, "group": "224.0.0.81", "port": 8848, "ttl": 1,
        }],
        "services": [
            {
                "family": "inet", "protocol": 6, "address": "10.0.0.1", "port": 80, "scheduler": "wrr",
                "flags": 0x1 | 0x2, "flags_mask": u32::MAX, "timeout": 300, "netmask": "255.255.255.0",
                "persistence_engine": null, "servers": [limited],
            },
            {
                "family": "inet6", "protocol": 17, "address": "fd00::1", "port": 53, "scheduler": "mh",
                "flags": 0x1 | 0x2 | 0x4 | 0x10, "flags_mask": u32::MAX, "timeout": 60, "netmask": 64,
                "persistence_engine": "sip", "servers": [tunnelled],
            },
            {
                "family": "inet", "fwmark": 7, "scheduler": "sh",
                "flags": 0x2, "flags_mask": u32::MAX, "timeout": 0, "netmask": "255.255.255.255",
                "persistence_engine": null,
                // The newest comes first.
                "servers": [server("inet", "10.9.0.4", 0, "direct", 0), server("inet", "10.9.0.3", 0, "direct", 1)],
            },
        ],
    });
    let table = net.table();
    assert_eq!(table, expected, "the eye reads\n{table:#}");
}

#[test]
fn a_listener_hears_reads_and_writes() {
    let net = Netns::new();
    let count = |command: &str| -> serde_json::Value {
        let eye = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/ipvsnl.py");
        net.sh(&format!("/usr/bin/python3 {eye} count heard.json {command}"));
        serde_json::from_str(&net.sh("cat heard.json")).expect("JSON")
    };
    assert_eq!(
        count("ipvsadm -A -t 10.0.0.1:80 -s rr"),
        json!({"ipvs": {"GET_INFO": 1, "NEW_SERVICE": 1}, "nftables": {}, "writes": 1})
    );
    assert_eq!(
        count("ipvsadm -Sn"),
        json!({"ipvs": {"GET_INFO": 1, "GET_SERVICE": 1, "GET_DEST": 1}, "nftables": {}, "writes": 0})
    );
    assert_eq!(count("true"), json!({"ipvs": {}, "nftables": {}, "writes": 0}));
}

#[test]
fn lbd_can_be_overheard() {
    let net = Netns::new();
    let file = net.write(
        "desired.yaml",
        "version: 1\nclusters: [{ name: web, listen: 'tcp://10.0.0.1:80', forward: nat, servers: [10.9.0.1, 10.9.0.2] }]\n",
    );
    let apply = ["-f", file.to_str().expect("a plain path"), "apply"];
    let (output, heard) = net.lbd_overheard(&apply);
    assert_eq!((output.status, heard["writes"].as_u64()), (0, Some(3)), "{output:?} {heard}");
    assert_eq!(heard["ipvs"]["NEW_DEST"], 2, "{heard}");
    // In sync means no write at all, and that in the words of somebody else.
    let (output, heard) = net.lbd_overheard(&apply);
    assert_eq!((output.status, heard["writes"].as_u64()), (0, Some(0)), "{output:?} {heard}");
}
