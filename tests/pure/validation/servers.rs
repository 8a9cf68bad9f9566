//! Real servers.

use super::{check, server, whole};

#[test]
fn the_address_of_a_server() {
    check(server, &[
        ("192.168.8.256", &["7:9 `192.168.8.256` is not an IP address | <server address>"]),
        ("web1", &["7:9 `web1` is a host name, and the kernel knows only addresses | <server address>"]),
        ("web1.example.com:80", &["7:9 `web1.example.com` is a host name, and the kernel knows only addresses | <server address>"]),
        ("192.168.8.14:70000", &["7:9 `70000` is not a port | <server address>"]),
        ("192.168.8.14:http", &["7:9 `http` is not a port | <server address> | 192.168.8.14:80"]),
        ("192.168.8.14:", &["7:9 unknown key `192.168.8.14` | one of address, weight, forward, tunnel, upper_threshold, lower_threshold, drain, check", "7:9 `address` is missing in an entry of `servers` | `address`, a server address such as `192.168.8.14` or `192.168.8.14:8080`"]),
        ("192.168.8.0/24", &["7:9 `192.168.8.0/24` is not the address of one server | <server address>"]),
        ("0.0.0.0", &["7:9 0.0.0.0 is the wildcard address | the address of one server"]),
        ("224.0.0.1", &["7:9 224.0.0.1 is a multicast group | the address of one server"]),
        ("255.255.255.255", &["7:9 255.255.255.255 is the broadcast address | the address of one server"]),
        (r#""[::]""#, &["7:9 :: is the wildcard address | the address of one server"]),
        ("fe80::1", &["7:9 fe80::1 is link-local, and IPVS cannot name the interface that such an address needs | the address of one server"]),
        (r#""[fe80::1%2]:80""#, &["7:9 `[fe80::1%2]:80` has a zone, which IPVS does not support | <server address>"]),
        ("::ffff:10.0.0.1", &["7:9 ::ffff:10.0.0.1 is an IPv4 address written as IPv6 | the address of one server | 10.0.0.1"]),
        ("fd00::1", &["7:9 `nat` does not cross address families: the server is IPv6, and tcp://10.0.0.13:80 is IPv4 | an IPv4 address, or `forward: tun`"]),
        ("80", &["7:9 an entry of `servers` cannot be a number | a server such as `192.168.8.14`"]),
        ("~", &["7:9 an entry of `servers` is empty | a server such as `192.168.8.14`"]),
        ("[192.168.8.14, 80]", &["7:9 an entry of `servers` cannot be a list | a server such as `192.168.8.14`"]),
        ("!ip 192.168.8.14", &["7:9 the tag `!ip` is not supported | the value without a tag"]),
    ]);
}

#[test]
fn the_port_of_a_server_that_is_not_reached_by_nat() {
    check(whole, &[
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: ['192.168.8.14:8080'] }\n", &["3:54 `dr` cannot change the port: packets for tcp://10.0.0.13:80 reach the server at port 80, not 8080 | no port, or port 80; `forward: nat` changes ports | 192.168.8.14"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, servers: [{ address: '192.168.8.14:8080', forward: tun }] }\n", &["3:65 `tun` cannot change the port: packets for tcp://10.0.0.13:80 reach the server at port 80, not 8080 | no port, or port 80; `forward: nat` changes ports | 192.168.8.14"]),
        ("version: 1\nclusters:\n  - { name: a, listen: [tcp://10.0.0.13:80, tcp://10.0.0.13:443], servers: ['192.168.8.14:80'] }\n", &["3:77 `dr` cannot change the port: packets for tcp://10.0.0.13:443 reach the server at port 443, not 80 | no port, or port 443; `forward: nat` changes ports | 192.168.8.14"]),
        ("version: 1\nclusters:\n  - { name: a, listen: 'tcp://[fd00::13]:80', servers: ['[fd00::14]:0'] }\n", &["3:57 `dr` cannot change the port: packets for tcp://[fd00::13]:80 reach the server at port 80, not 0 | no port, or port 80; `forward: nat` changes ports | fd00::14"]),
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:0, persistence: 5m, servers: ['192.168.8.14:80'] }\n", &["3:70 `dr` cannot change the port: packets for tcp://10.0.0.13:0 reach the server at the port they were sent to, not 80 | no port, or port 0; `forward: nat` changes ports | 192.168.8.14"]),
    ]);
}

// `nat` to 127.0.0.1 was valid and "in sync", and every client timed out.
#[test]
fn nat_to_a_loopback_address() {
    const CANNOT: &str = "the kernel drops the packets of clients | `forward: dr`, with the port of the service; or a server that listens on another address of this host";
    let nat = |address: &str| format!("`nat` cannot reach the loopback address {address}: {CANNOT}");
    let sorry = "version: 1\nsysctls: { net.ipv4.ip_forward: 1 }\nclusters: [{ name: sorry, listen: \"tcp://10.7.0.1:80\", scheduler: rr, forward: nat, servers: [\"127.0.0.1:8080\"] }]\n";
    let mark = "version: 1\nmarks: [{ mark: 6 }]\nclusters:\n  - { name: a, listen: fwmark6://6, servers: [{ address: '::1', forward: fullnat }, '::1'] }\n";
    let unread = "version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, forward: nta, servers: [{ address: 127.0.0.1, forward: nat }] }\n";
    check(whole, &[
        (sorry, &[&format!("3:95 {}", nat("127.0.0.1"))]),
        (mark, &[&format!("4:58 `fullnat` cannot reach the loopback address ::1: {CANNOT}")]),
        (unread, &["3:53 unknown forwarding method `nta` | one of nat, dr, tun, fullnat | nat"]),
    ]);
    check(server, &[
        ("127.0.0.1:8080", &[&format!("7:9 {}", nat("127.0.0.1"))]),
        ("{ address: 127.9.9.9 }", &[&format!("7:20 {}", nat("127.9.9.9"))]),
        ("::ffff:127.0.0.1", &["7:9 ::ffff:127.0.0.1 is an IPv4 address written as IPv6 | the address of one server | 127.0.0.1"]),
    ]);
}

#[test]
fn the_keys_of_a_server() {
    check(server, &[
        ("{ weight: 1 }", &["7:9 `address` is missing in an entry of `servers` | `address`, a server address such as `192.168.8.14` or `192.168.8.14:8080`"]),
        ("{ address: }", &["7:11 `address` is empty | a server address such as `192.168.8.14` or `192.168.8.14:8080`"]),
        ("{ address: 192.168.8.14, weigth: 1 }", &["7:34 unknown key `weigth` | one of address, weight, forward, tunnel, upper_threshold, lower_threshold, drain, check | weight"]),
        ("{ address: 192.168.8.14, weight: -1 }", &["7:42 `-1` is too small for `weight` | a number from 0 to 2147483647"]),
        ("{ address: 192.168.8.14, weight: 2147483648 }", &["7:42 `2147483648` is too large for `weight` | a number from 0 to 2147483647"]),
        (r#"{ address: 192.168.8.14, weight: "3" }"#, &["7:42 `weight` cannot be text | a number from 0 to 2147483647 | 3"]),
        ("{ address: 192.168.8.14, weight: 1.5 }", &["7:42 `weight` cannot be a fraction | a number from 0 to 2147483647"]),
        ("{ address: 192.168.8.14, weight: heavy }", &["7:42 `weight` cannot be text | a number from 0 to 2147483647"]),
        ("{ address: 192.168.8.14, weight: }", &["7:34 `weight` is empty | a number from 0 to 2147483647"]),
        ("{ address: 192.168.8.14, forward: masq }", &["7:43 unknown forwarding method `masq` | one of nat, dr, tun, fullnat | nat"]),
    ]);
}

#[test]
fn fullnat() {
    let head = "version: 1\nclusters:\n  - name: a\n    listen: tcp://10.0.0.13:80\n    forward: fullnat\n    servers:\n";
    let every_port = "version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:0, persistence: 5m, forward: fullnat, servers: [192.168.8.14] }\n";
    let two_ways = format!("{head}      - 192.168.8.14:80\n      - {{ address: 192.168.8.14:81, forward: nat }}\n");
    let untracked = format!("{head}      - 192.168.8.14\nsysctls:\n  net/ipv4/vs/conntrack: 0\n");
    check(whole, &[
        (every_port, &["3:88 `fullnat` does not support tcp://10.0.0.13:0, which is every port of the address | a service with a port, or one that listens on a firewall mark for several"]),
        (&two_ways, &["8:20 192.168.8.14 is `fullnat` at one port behind tcp://10.0.0.13:80 and not at another; first on line 7 | one forwarding method for all ports of an address"]),
        (&untracked, &["9:26 `fullnat` servers need net.ipv4.vs.conntrack: without it their answers are lost | net.ipv4.vs.conntrack: 1, or no entry for it"]),
    ]);
}

#[test]
fn untracked() {
    let cluster = |marks: &str, listen: &str, rest: &str| {
        format!("version: 1\n{marks}clusters:\n  - name: a\n    untracked: true\n    listen: {listen}\n    {rest}\n")
    };
    let tcp = "tcp://10.0.0.13:80";
    let way_out = "`forward: dr` or `tun`; or a cluster of its own, without `untracked`, for this server";
    let no_match = "a `match` for this mark under `marks`; or no `untracked`, and `notrack` beside the firewall rules that set it";
    let v4 = "marks: [{ mark: 10, match: [{ address: 10.0.0.13 }] }]\n";
    check(whole, &[
        (&cluster("", tcp, "servers: [192.168.8.14, { address: 192.168.8.15, forward: nat }]"), &[&format!("6:40 an `untracked` cluster cannot have a `nat` server | {way_out}")]),
        (&cluster("", tcp, "servers: [192.168.8.14]\n    forward: fullnat"), &[&format!("6:15 an `untracked` cluster cannot have a `fullnat` server | {way_out}")]),
        (&cluster("marks: [{ mark: 10 }]\n", "fwmark://10", "servers: []"), &[&format!("6:13 `untracked` needs the packets of fwmark://10, and its mark has no `match` of IPv4 | {no_match}")]),
        (&cluster(v4, "[fwmark://10, fwmark6://10]", "servers: []"), &[&format!("6:27 `untracked` needs the packets of fwmark6://10, and its mark has no `match` of IPv6 | {no_match}")]),
        (&cluster("", "fwmark://10", "servers: []"), &["5:13 mark 10 is not declared under `marks` | an entry `- mark: 10` under `marks`"]),
        (&cluster("", tcp, "servers: []\n    forward: gate"), &["7:14 unknown forwarding method `gate` | one of nat, dr, tun, fullnat | dr"]),
    ]);
}

#[test]
fn thresholds() {
    check(server, &[
        ("{ address: 192.168.8.14, lower_threshold: 5 }", &["7:51 `lower_threshold` has no effect without `upper_threshold` | `upper_threshold` with a number"]),
        ("{ address: 192.168.8.14, upper_threshold: 4, lower_threshold: 5 }", &["7:71 the lower threshold 5 is above the upper threshold 4 | a number from 0 to 4"]),
        ("{ address: 192.168.8.14, upper_threshold: 0, lower_threshold: 5 }", &["7:71 `lower_threshold` has no effect without `upper_threshold` | `upper_threshold` with a number"]),
        ("{ address: 192.168.8.14, upper_threshold: 2147483648 }", &["7:51 `2147483648` is too large for `upper_threshold` | a number from 0 to 2147483647"]),
    ]);
}

#[test]
fn a_tunnel() {
    check(server, &[
        ("{ address: 192.168.8.14, tunnel: { type: gre } }", &["7:34 `tunnel` is for `forward: tun`, and this server is reached by `nat` | `forward: tun`, or no `tunnel`"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { type: gue } }", &["7:64 a `gue` tunnel needs a port | `port` with the UDP port at which the server takes the packets"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { type: gue, port: 0 } }", &["7:75 `0` is too small for `port` | a number from 1 to 65535"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { port: 5555 } }", &["7:58 a tunnel of type `ipip` has no port | `type: gue`, or no `port`"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { type: gre, port: 5555 } }", &["7:69 a tunnel of type `gre` has no port | `type: gue`, or no `port`"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { checksum: csum } }", &["7:68 a tunnel of type `ipip` has no checksum `csum` | `none`"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { type: gre, checksum: remcsum } }", &["7:79 a tunnel of type `gre` has no checksum `remcsum` | one of none, csum"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: gue }", &["7:56 `tunnel` cannot be text | a mapping that describes a tunnel, such as { type: gue, port: 5555 }"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: }", &["7:48 `tunnel` is empty | a mapping that describes a tunnel, such as { type: gue, port: 5555 }"]),
        ("{ address: 192.168.8.14, forward: tun, tunnel: { type: vxlan } }", &["7:64 unknown encapsulation `vxlan` | one of ipip, gue, gre"]),
    ]);
}

#[test]
fn the_same_server_twice() {
    check(server, &[
        ("192.168.8.14\n      - 192.168.8.14:80", &["8:9 duplicate server 192.168.8.14:80 behind tcp://10.0.0.13:80; first on line 7"]),
        ("192.168.8.14\n      - { address: 192.168.8.14, weight: 2 }", &["8:20 duplicate server 192.168.8.14:80 behind tcp://10.0.0.13:80; first on line 7"]),
        ("fd00::1\n      - \"[fd00:0::1]:80\"", &["7:9 `nat` does not cross address families: the server is IPv6, and tcp://10.0.0.13:80 is IPv4 | an IPv4 address, or `forward: tun`", "8:9 `nat` does not cross address families: the server is IPv6, and tcp://10.0.0.13:80 is IPv4 | an IPv4 address, or `forward: tun`"]),
    ]);
}

#[test]
fn a_server_of_another_family() {
    check(whole, &[
        ("version: 1\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, forward: dr, servers: ['fd00::1'] }\n", &["3:67 `dr` does not cross address families: the server is IPv6, and tcp://10.0.0.13:80 is IPv4 | an IPv4 address, or `forward: tun`"]),
        ("version: 1\nclusters:\n  - { name: a, listen: 'tcp://[fd00::13]:80', forward: nat, servers: [10.0.0.1] }\n", &["3:71 `nat` does not cross address families: the server is IPv4, and tcp://[fd00::13]:80 is IPv6 | an IPv6 address, or `forward: tun`"]),
        ("version: 1\nsync: [{ role: master, interface: eth1 }]\nclusters:\n  - { name: a, listen: tcp://10.0.0.13:80, forward: tun, servers: ['fd00::1'] }\n", &["4:68 the sync daemons cannot describe an IPv6 server of an IPv4 service, and the kernel refuses to have both | an IPv4 address, or a file without `sync`"]),
    ]);
}
