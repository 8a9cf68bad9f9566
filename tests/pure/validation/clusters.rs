//! Clusters and what they listen on.

use super::{check, cluster, listen, whole};

#[test]
fn a_cluster() {
    check(whole, &[
        ("version: 1\nclusters:\n  - listen: tcp://10.0.0.13:80\n    servers: []\n", &["3:5 `name` is missing in an entry of `clusters` | `name`, a name such as `web`"]),
        ("version: 1\nclusters:\n  - name: web\n", &["3:5 `listen` is missing in an entry of `clusters` | `listen`, a listener or a list of them such as `tcp://10.0.0.13:80`", "3:5 `servers` is missing in an entry of `clusters` | `servers`, a list; `[]` for none"]),
        ("version: 1\nclusters:\n  - {}\n", &["3:5 `name` is missing in an entry of `clusters` | `name`, a name such as `web`", "3:5 `listen` is missing in an entry of `clusters` | `listen`, a listener or a list of them such as `tcp://10.0.0.13:80`", "3:5 `servers` is missing in an entry of `clusters` | `servers`, a list; `[]` for none"]),
        ("version: 1\nclusters:\n  - web\n", &["3:5 an entry of `clusters` cannot be text | a cluster"]),
        ("version: 1\nclusters:\n  -\n", &["3:4 an entry of `clusters` is empty | a cluster"]),
        ("version: 1\nclusters:\n  - [web]\n", &["3:5 an entry of `clusters` cannot be a list | a cluster"]),
        ("version: 1\nclusters:\n  - { name: 80, listen: tcp://10.0.0.13:80, servers: [] }\n", &[r#"3:13 `name` cannot be a number | a name such as `web` | "80""#]),
        ("version: 1\nclusters:\n  - { name: true, listen: tcp://10.0.0.13:80, servers: [] }\n", &[r#"3:13 `name` cannot be true or false | a name such as `web` | "true""#]),
        ("version: 1\nclusters:\n  - { name: \"\", listen: tcp://10.0.0.13:80, servers: [] }\n", &["3:13 a cluster needs a name | 1 to 255 bytes on one line"]),
        ("version: 1\nclusters:\n  - { name: \" web\", listen: tcp://10.0.0.13:80, servers: [] }\n", &["3:13 the name begins or ends with a space, or contains a control character | 1 to 255 bytes on one line"]),
        ("version: 1\nclusters:\n  - { name: \"we\\u202eb\", listen: tcp://10.0.0.13:80, servers: [] }\n", &["3:13 the name contains U+202E, an invisible character or one that changes the direction of text | 1 to 255 bytes of visible characters, on one line"]),
        ("version: 1\nclusters:\n  - { name: \"we\\e[2Jb\", listen: tcp://10.0.0.13:80, servers: [] }\n", &["3:13 the name begins or ends with a space, or contains a control character | 1 to 255 bytes on one line"]),
        ("version: 1\nclusters:\n  - { name: web, listen: tcp://10.0.0.13:80, servers: [] }\n  - { name: web, listen: tcp://10.0.0.13:81, servers: [] }\n", &["4:13 duplicate cluster name `web`; first on line 3"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: [] }\n  - { name: b, listen: [udp://10.0.0.13:80, tcp://10.0.0.13:80], servers: [] }\n", &["4:45 duplicate listener tcp://10.0.0.13:80; first on line 3"]),
        ("version: 1\nclusters:\n  - &a { name: a, listen: tcp://10.0.0.13:80, servers: [] }\n  - *a\n", &["3:16 duplicate cluster name `a`; first on line 3", "3:27 duplicate listener tcp://10.0.0.13:80; first on line 3"]),
    ]);
}

#[test]
fn the_keys_of_a_cluster() {
    check(cluster, &[
        ("schduler: rr", &["6:5 unknown key `schduler` | <cluster keys> | scheduler"]),
        ("weight: 1", &["6:5 unknown key `weight` | <cluster keys>"]),
        ("virtual_server: x", &["6:5 unknown key `virtual_server` | <cluster keys> | listen"]),
        ("persistence:", &["6:5 `persistence` is empty | a duration such as `30s` or `5m`"]),
        ("forward: gate", &["6:14 unknown forwarding method `gate` | one of nat, dr, tun, fullnat | dr"]),
        ("forward: ~", &["6:5 `forward` is empty | one of nat, dr, tun, fullnat"]),
        ("name: again", &["6:5 duplicate key `name`; first on line 3"]),
        ("scheduler: [rr]", &["6:16 `scheduler` cannot be a list | a scheduler such as `rr` or `wlc`"]),
        ("scheduler: { name: rr }", &["6:16 `scheduler` cannot be a mapping | a scheduler such as `rr` or `wlc`"]),
    ]);
}

#[test]
fn a_listener() {
    check(listen, &[
        ("10.0.0.13:80", &["4:13 `10.0.0.13:80` has no protocol | <listeners> | tcp://10.0.0.13:80"]),
        ("10.0.0.13", &["4:13 `10.0.0.13` has no protocol | <listeners>"]),
        ("tpc://10.0.0.13:80", &["4:13 unknown protocol `tpc` | <listeners> | tcp://10.0.0.13:80"]),
        ("http://10.0.0.13:80", &["4:13 unknown protocol `http` | <listeners> | tcp://10.0.0.13:80"]),
        ("TCP://10.0.0.13", &["4:13 unknown protocol `TCP` | <listeners> | tcp"]),
        ("fwm://10", &["4:13 unknown protocol `fwm` | <listeners> | fwmark://10"]),
        ("tcp://10.0.0.13", &["4:13 `10.0.0.13` has no port | <ADDRESS:PORT>"]),
        ("tcp://fd00::13:80", &["4:13 `fd00::13:80` has no port | <ADDRESS:PORT> | tcp://[fd00::13]:80"]),
        ("tcp://10.0.0.13:http", &["4:13 `http` is not a port | <ADDRESS:PORT> | tcp://10.0.0.13:80"]),
        ("tcp://[fd00::13]:https", &["4:13 `https` is not a port | <ADDRESS:PORT> | tcp://[fd00::13]:443"]),
        ("tcp://10.0.0.13:8000-8010", &["4:13 `8000-8010` is a range of ports, and a virtual service has one port | one port, a list of listeners, or a mark for all of them: `marks: [{ mark: 1, match: [{ protocol: tcp, address: 10.0.0.13, ports: [8000-8010] }] }]` and `listen: fwmark://1`"]),
        ("udp://[fd00::13]:53-54", &["4:13 `53-54` is a range of ports, and a virtual service has one port | one port, a list of listeners, or a mark for all of them: `marks: [{ mark: 1, match: [{ protocol: udp, address: \"fd00::13\", ports: [53-54] }] }]` and `listen: fwmark6://1`"]),
        ("tcp://10.0.0.13:90-80", &["4:13 `90-80` is not a port | <ADDRESS:PORT>"]),
        ("fwmark:10", &["4:13 `fwmark:10` has no protocol | <listeners> | fwmark://10"]),
        ("tcp:10.0.0.13:80", &["4:13 `tcp:10.0.0.13:80` has no protocol | <listeners> | tcp://10.0.0.13:80"]),
        ("tcp:/10.0.0.13:80", &["4:13 `tcp:/10.0.0.13:80` has no protocol | <listeners> | tcp://10.0.0.13:80"]),
        ("\n      -tcp://10.0.0.13:80", &["5:7 a space is missing after the `-` | `- value` with a space | - tcp://10.0.0.13:80"]),
        ("tcp://10.0.0.13:70000", &["4:13 `70000` is not a port | <ADDRESS:PORT>"]),
        ("tcp://web.example.com:80", &["4:13 `web.example.com` is a host name, and the kernel knows only addresses | <ADDRESS:PORT>"]),
        ("tcp://0.0.0.0:80", &["4:13 0.0.0.0 is the wildcard address | the one address that clients connect to"]),
        (r#""tcp://[::]:80""#, &["4:13 :: is the wildcard address | the one address that clients connect to"]),
        ("tcp://224.0.0.1:80", &["4:13 224.0.0.1 is a multicast group | the one address that clients connect to"]),
        ("udp://[ff02::1]:80", &["4:13 ff02::1 is a multicast group | the one address that clients connect to"]),
        ("tcp://255.255.255.255:80", &["4:13 255.255.255.255 is the broadcast address | the one address that clients connect to"]),
        ("tcp://[::ffff:10.0.0.13]:80", &["4:13 ::ffff:10.0.0.13 is an IPv4 address written as IPv6 | the one address that clients connect to | tcp://10.0.0.13:80"]),
        ("tcp://[fe80::1]:80", &["4:13 fe80::1 is link-local, and IPVS cannot name the interface that such an address needs | the one address that clients connect to"]),
        ("tcp://[fe80::1%2]:80", &["4:13 `[fe80::1%2]:80` has a zone, which IPVS does not support | <ADDRESS:PORT>"]),
        ("fwmark://0", &["4:13 mark 0 means a packet without a mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("fwmark://0x0", &["4:13 mark 0 means a packet without a mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("fwmark://ten", &["4:13 `ten` is not a firewall mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("fwmark://4294967296", &["4:13 `4294967296` is not a firewall mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("fwmark://10", &["4:13 mark 10 is not declared under `marks` | an entry `- mark: 10` under `marks`"]),
        ("fwmark6://10", &["4:13 mark 10 is not declared under `marks` | an entry `- mark: 10` under `marks`", "5:15 `dr` does not cross address families: the server is IPv4, and fwmark6://10 is IPv6 | an IPv6 address, or `forward: tun`"]),
        ("", &["4:5 `listen` is empty | a listener or a list of them such as `tcp://10.0.0.13:80`"]),
        ("[]", &["4:13 a cluster needs at least one listener"]),
        ("[ ~ ]", &["4:15 an entry of `listen` is empty | a listener such as `tcp://10.0.0.13:80` or `fwmark://10`"]),
        ("80", &["4:13 `listen` cannot be a number | a listener or a list of them such as `tcp://10.0.0.13:80`"]),
        ("[80]", &["4:14 an entry of `listen` cannot be a number | a listener such as `tcp://10.0.0.13:80` or `fwmark://10`"]),
        ("[tcp://10.0.0.13:80, tcp://10.0.0.13:80]", &["4:34 duplicate listener tcp://10.0.0.13:80; first on line 4"]),
        ("tcp://10.0.0.13:0", &["4:13 port 0 means every port of the address, and works only with `persistence`: without it the service accepts no connection, and the other ports of the host at this address refuse theirs | a port from 1 to 65535, or `persistence`"]),
        ("{ tcp: 80 }", &["4:13 `listen` cannot be a mapping | a listener or a list of them such as `tcp://10.0.0.13:80`"]),
    ]);
}

#[test]
fn the_marks_of_clusters() {
    check(whole, &[
        ("version: 1\nmarks: [{ mark: 10 }]\nclusters:\n  - { name: a, listen: fwmark://10, servers: [] }\n  - { name: b, listen: [fwmark6://10, fwmark://0xa], servers: [] }\n", &["5:39 duplicate listener fwmark://10; first on line 4"]),
        ("version: 1\nmarks: [{ mark: 11 }]\nclusters:\n  - { name: a, listen: fwmark://10, servers: [] }\n", &["4:24 mark 10 is not declared under `marks` | an entry `- mark: 10` under `marks`"]),
    ]);
}
