//! One mistake, one message.

use super::{check, whole};

#[test]
fn what_only_follows_from_another_mistake_is_not_said() {
    check(whole, &[
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:0, persistense: 5m, servers: [] }\n", &["3:43 unknown key `persistense` | <cluster keys> | persistence"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:0, persistence: [5m], servers: [] }\n", &["3:56 `persistence` cannot be a list | a duration such as `30s` or `5m`"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, persistence: true, persistence_mask: 24, servers: [] }\n", &["3:57 `persistence` cannot be true or false | a duration such as `30s` or `5m`"]),
        ("version: 1\nmarks: [{ mrak: 10 }]\nclusters:\n  - { name: a, listen: fwmark://10, servers: [] }\n", &["2:11 unknown key `mrak` | one of mark, match | mark"]),
        ("version: 1\nmarks: 10\nclusters:\n  - { name: a, listen: fwmark://10, servers: [] }\n", &["2:8 `marks` cannot be a number | a list | [10]"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, forward: nta, servers: ['192.168.8.14:8080'] }\n", &["3:53 unknown forwarding method `nta` | one of nat, dr, tun, fullnat | nat"]),
        ("version: 1\ndefaults: { forward: nta }\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: ['192.168.8.14:8080'] }\n", &["2:22 unknown forwarding method `nta` | one of nat, dr, tun, fullnat | nat"]),
        ("version: 1\ndefaults: nat\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: ['192.168.8.14:8080'] }\n", &["2:11 `defaults` cannot be text | a mapping of defaults, such as { scheduler: wlc, forward: nat }"]),
        ("version: 1\ndefault: { forward: nat }\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: ['192.168.8.14:8080'] }\n", &["2:1 unknown key `default` | <top keys> | defaults"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: [{ address: 192.168.8.14, forward: tnu, tunnel: { type: gre } }] }\n", &["3:88 unknown forwarding method `tnu` | one of nat, dr, tun, fullnat | tun"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: [{ address: 192.168.8.14, uper_threshold: 9, lower_threshold: 5 }] }\n", &["3:79 unknown key `uper_threshold` | one of address, weight, forward, tunnel, upper_threshold, lower_threshold, drain, check | upper_threshold"]),
        ("version: 1\nclusters:\n  - { name: a, listen: [80], servers: [] }\n", &["3:25 an entry of `listen` cannot be a number | a listener such as `tcp://10.0.0.13:80` or `fwmark://10`"]),
        ("version: 1\nclusters:\n  - { name: 1, listen: tcp://10.0.0.13:80, servers: [] }\n  - { name: 2, listen: tcp://10.0.0.14:80, servers: [] }\n", &[r#"3:13 `name` cannot be a number | a name such as `web` | "1""#, r#"4:13 `name` cannot be a number | a name such as `web` | "2""#]),
        ("version: 1\nclusters: []\nmarks:\n  - { mark: 10, match: [{ protocol: tpc, ports: [80] }] }\n", &["4:37 unknown protocol `tpc` | one of tcp, udp, sctp | tcp"]),
        ("version: 1\nsync: [{ role: mastr, interface: eth1 }, { role: master, interface: eth1 }]\nclusters: []\n", &["2:16 unknown role `mastr` | one of master, backup | master"]),
    ]);
}
