//! Schedulers, persistence and forwarding methods.

use super::{check, cluster, top, whole};

#[test]
fn a_scheduler() {
    check(cluster, &[
        ("scheduler: wcl", &["6:16 unknown scheduler `wcl` | <schedulers> | wlc"]),
        ("scheduler: WLC", &["6:16 unknown scheduler `WLC` | <schedulers> | wlc"]),
        ("scheduler: ip_vs_rr", &["6:16 unknown scheduler `ip_vs_rr` | <schedulers> | rr"]),
        ("scheduler: maglev", &["6:16 unknown scheduler `maglev` | <schedulers>"]),
        ("scheduler: 'module:'", &["6:16 no kernel module can be called `ip_vs_` | `module:` and a name of 1 to 15 letters, digits, `_`, `-` or `.`"]),
        ("scheduler: module:a/b", &["6:16 no kernel module can be called `ip_vs_a/b` | `module:` and a name of 1 to 15 letters, digits, `_`, `-` or `.`"]),
        ("scheduler: module:abcdefghijklmnop", &["6:16 no kernel module can be called `ip_vs_abcdefghijklmnop` | `module:` and a name of 1 to 15 letters, digits, `_`, `-` or `.`"]),
        ("scheduler: module:none", &["6:16 a service without a scheduler refuses every connection"]),
        ("scheduler: 5", &["6:16 `scheduler` cannot be a number | a scheduler such as `rr` or `wlc`"]),
    ]);
}

#[test]
fn scheduler_flags() {
    check(cluster, &[
        ("scheduler_flags: [sh-port]", &["6:23 `sh-port` is a flag of `sh`, and the scheduler here is `wlc`"]),
        ("scheduler_flags: sh-port", &["6:22 `scheduler_flags` cannot be text | a list | [sh-port]"]),
        ("scheduler_flags: [sh-prot]\n    scheduler: sh", &["6:23 unknown scheduler flag `sh-prot` | <flags> | sh-port"]),
        ("scheduler_flags: [sh-port]\n    scheduler: mh", &["6:23 `sh-port` is a flag of `sh`, and the scheduler here is `mh` |  | mh-port"]),
        ("scheduler_flags: [mh-fallback]\n    scheduler: sh", &["6:23 `mh-fallback` is a flag of `mh`, and the scheduler here is `sh` |  | sh-fallback"]),
        ("scheduler_flags: [sh-fallback, flag-1]\n    scheduler: sh", &["6:36 `flag-1` is the same switch as another flag in this list"]),
        ("scheduler_flags: [flag-3, flag-3]", &["6:31 `flag-3` is the same switch as another flag in this list"]),
        ("scheduler_flags: [~]", &["6:23 an entry of `scheduler_flags` is empty | <flags>"]),
    ]);
}

#[test]
fn persistence() {
    check(cluster, &[
        ("persistence: 0", &["6:18 `0` is too short | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: 0s", &["6:18 `0s` is too short | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: -5", &["6:18 `-5` is not a duration | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: 4294968", &["6:18 `4294968` is too long | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: 50d", &["6:18 `50d` is too long | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: 99999999999999999999", &["6:18 `99999999999999999999` is too large for `persistence` | a duration such as `30s` or `5m`"]),
        ("persistence: 5 m", &["6:18 `5 m` is not a duration | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: 1h30m", &["6:18 `1h30m` is not a duration | 1 to 4294967 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("persistence: true", &["6:18 `persistence` cannot be true or false | a duration such as `30s` or `5m`"]),
        ("persistence: 1.5", &["6:18 `persistence` cannot be a fraction | a duration such as `30s` or `5m`"]),
        ("persistence_mask: 24", &["6:5 `persistence_mask` has no effect without `persistence` | `persistence` with a duration"]),
        ("persistence_engine: sip", &["6:5 `persistence_engine` has no effect without `persistence` | `persistence` with a duration", "6:25 `sip` recognises clients over UDP only, and this cluster listens on tcp://10.0.0.13:80"]),
        ("persistence: 5m\n    persistence_engine: sip", &["7:25 `sip` recognises clients over UDP only, and this cluster listens on tcp://10.0.0.13:80"]),
        ("persistence: 5m\n    persistence_engine: ftp", &["7:25 unknown persistence engine `ftp` | `sip`"]),
        ("persistence: 5m\n    persistence_mask: 255.0.255.0", &["7:23 the bits of the netmask 255.0.255.0 are not contiguous | a netmask such as 255.255.255.0, or a prefix length such as 24"]),
        ("persistence: 5m\n    persistence_mask: 33", &["7:23 33 is no mask for the IPv4 service tcp://10.0.0.13:80 | a netmask such as 255.255.255.0, or a prefix length from 0 to 32"]),
        ("persistence: 5m\n    persistence_mask: 129", &["7:23 `129` is neither a netmask nor a prefix length | a netmask such as 255.255.255.0, or a prefix length such as 24"]),
        ("persistence: 5m\n    persistence_mask: /24", &["7:23 `/24` is neither a netmask nor a prefix length | a netmask such as 255.255.255.0, or a prefix length such as 24"]),
    ]);
}

#[test]
fn persistence_over_ipv6() {
    check(whole, &[
        ("version: 1\nclusters:\n  - { name: a, listen: 'tcp://[fd00::13]:80', servers: [], persistence: 5m, persistence_mask: 255.255.255.0 }\n", &["3:95 255.255.255.0 is no mask for the IPv6 service tcp://[fd00::13]:80 | a prefix length from 1 to 128"]),
        ("version: 1\nclusters:\n  - { name: a, listen: 'tcp://[fd00::13]:80', servers: [], persistence: 5m, persistence_mask: 0 }\n", &["3:95 0 is no mask for the IPv6 service tcp://[fd00::13]:80 | a prefix length from 1 to 128"]),
    ]);
}

#[test]
fn one_packet_scheduling_and_port_0() {
    check(whole, &[
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: [], one_packet: true }\n", &["3:69 one-packet scheduling is for UDP and marks, and this cluster listens on tcp://10.0.0.13:80"]),
        ("version: 1\nclusters:\n  - { name: a, listen: [udp://10.0.0.13:80, sctp://10.0.0.13:80], servers: [], one_packet: true }\n", &["3:92 one-packet scheduling is for UDP and marks, and this cluster listens on sctp://10.0.0.13:80"]),
        ("version: 1\nclusters:\n  - { name: a, listen: udp://10.0.0.13:80, servers: [], one_packet: yes }\n", &["3:69 `one_packet` cannot be text | true or false | true"]),
        ("version: 1\nclusters:\n  - { name: a, listen: udp://10.0.0.13:0, servers: [], one_packet: true }\n", &["3:24 port 0 means every port of the address, and works only with `persistence`: without it the service accepts no connection, and the other ports of the host at this address refuse theirs | a port from 1 to 65535, or `persistence`"]),
    ]);
}

#[test]
fn a_forwarding_method() {
    check(cluster, &[
        ("forward: tunnel", &["6:14 unknown forwarding method `tunnel` | one of nat, dr, tun, fullnat | tun"]),
        ("forward: masq", &["6:14 unknown forwarding method `masq` | one of nat, dr, tun, fullnat | nat"]),
        ("forward: NAT", &["6:14 unknown forwarding method `NAT` | one of nat, dr, tun, fullnat | nat"]),
        ("forward: [nat]", &["6:14 `forward` cannot be a list | one of nat, dr, tun, fullnat"]),
        ("forward: 1", &["6:14 unknown forwarding method `1` | one of nat, dr, tun, fullnat"]),
    ]);
}

#[test]
fn the_defaults() {
    check(top, &[
        ("defaults: { scheduler: rrr, forward: fulnat }", &["3:24 unknown scheduler `rrr` | <schedulers> | rr", "3:38 unknown forwarding method `fulnat` | one of nat, dr, tun, fullnat | fullnat"]),
        ("defaults: { persistence: 5m }", &["3:13 unknown key `persistence` | one of scheduler, forward, drain, check"]),
        ("defaults:", &["3:1 `defaults` is empty | a mapping of defaults, such as { scheduler: wlc, forward: nat }"]),
        ("defaults: []", &["3:11 `defaults` cannot be a list | a mapping of defaults, such as { scheduler: wlc, forward: nat }"]),
    ]);
}
