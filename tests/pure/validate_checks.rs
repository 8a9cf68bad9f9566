//! What `lbd validate` says of checks: how soon they take effect, and what lbd sets for them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};

use crate::cli::{self, lbd};

const FILE: &str = "\
version: 1
checks: { web: { type: http, port: 80 } }
clusters:
  - name: shop
    listen: tcp://10.0.0.13:80
    check: [web, { type: ping, interval: 10s }]
    servers: [192.168.8.14, 192.168.8.15]
  - name: mail
    listen: tcp://10.0.0.13:25
    check: { type: tcp, fall: 1, rise: 1 }
    reset_after: 30s
    servers: [192.168.8.14]
  - name: dns
    listen: udp://10.0.0.13:53
    check: { type: udp }
    servers: [192.168.8.14, { address: 192.168.8.15, check: { type: exec, command: [/bin/true] } }]
  - { name: plain, listen: 'tcp://10.0.0.13:81', check: none, servers: [192.168.8.14] }
";

#[test]
fn validate_says_how_soon_a_check_takes_effect_and_what_it_sets() {
    let directory = cli::directory(&[("a.yaml", FILE)]);
    let output = lbd(&directory, &["-f", "a.yaml", "validate"]);
    let expected = "\
a.yaml: valid: 4 virtual services, 6 real servers
check web: out of service 1.8 to 7.7 s after it refuses or answers wrongly, 6 to 11.5 s after it stops answering; back 0.9 to 6.6 s after it recovers
check ping: out of service 6 to 17 s after it stops answering; back 0.9 to 12.1 s after it recovers
check tcp: out of service 0 to 5.5 s after it refuses, 2 to 7.5 s after it stops answering; back 0 to 5.5 s after it recovers
check udp: out of service 1.8 to 7.7 s after it refuses; back 4 to 9.5 s after it recovers
check exec: out of service 1.8 to 7.7 s after it fails in the program, 6 to 11.5 s after it makes the program run into its time-out; back 0.9 to 6.6 s after it recovers
where more than half of all targets fail at once, up to 12 s more: that may be the director's own network
a failing server gets weight 0: shop, mail
a failing server is deleted: mail, dns
lbd keeps net.ipv4.vs.expire_nodest_conn at 1 for it
";
    let targets = "where more than half";
    let few: String =
        expected.lines().filter(|line| !line.starts_with(targets)).map(|line| format!("{line}\n")).collect();
    assert_eq!((output.status, output.stdout, output.stderr.as_str()), (0, few, ""));
    // With eight targets.
    let more = FILE.replace("servers: [192.168.8.14]", "servers: [192.168.8.14, 192.168.8.16, 192.168.8.17]");
    let many = cli::directory(&[("a.yaml", more.as_str())]);
    let output = lbd(&many, &["-f", "a.yaml", "validate"]);
    assert_eq!(output.stdout, expected.replace("6 real servers", "10 real servers"));
}

#[test]
fn scripts_get_the_same_in_seconds() {
    let text = "version: 1\nclusters: [{ name: dns, listen: 'udp://10.0.0.13:53', check: { type: dns }, servers: [192.168.8.14] }]\n";
    let directory = cli::directory(&[("a.yaml", text)]);
    let output = lbd(&directory, &["-f", "a.yaml", "validate", "-o", "json"]);
    let expected = json!({
        "version": 1,
        "problems": [],
        "checks": [{
            "name": "dns",
            "type": "dns",
            "clusters": ["dns"],
            "out_of_service_s": { "refused": [1.8, 7.7], "silent": [6.0, 11.5] },
            "back_in_service_s": [0.9, 6.6],
        }],
        "common_failure_s": null,
        "on_failure": { "quiesce": [], "remove": ["dns"] },
        "sets": { "net.ipv4.vs.expire_nodest_conn": "1" },
    });
    assert_eq!(serde_json::from_str::<Value>(&output.stdout).unwrap(), expected);
}
