//! Marks, kernel settings, timeouts, sync daemons and the policy.

use super::{check, mark, top};

#[test]
fn marks() {
    check(mark, &[
        ("10", &["4:5 an entry of `marks` cannot be a number | a mapping with a mark, such as { mark: 10 }"]),
        ("{ mark: 0 }", &["4:13 mark 0 means a packet without a mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("{ mark: -1 }", &["4:13 `-1` is not a firewall mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("{ mark: 0x100000000 }", &["4:13 `4294967296` is not a firewall mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("{ mark: ten }", &["4:13 `ten` is not a firewall mark | a number from 1 to 4294967295, decimal or `0x…`"]),
        ("{ match: [] }", &["4:5 `mark` is missing in an entry of `marks` | `mark`, a firewall mark such as `10` or `0x10`"]),
        ("{ mark: 10, match: }", &["4:17 `match` is empty | a list; `[]` for none"]),
        ("{ mark: 10, match: { protocol: tcp } }", &["4:24 `match` cannot be a mapping | a list: `- ` before its first key"]),
        ("{ mark: 10, match: [tcp] }", &["4:25 an entry of `match` cannot be text | a mapping that describes packets, such as { protocol: tcp, address: 192.168.8.13, ports: [80] }"]),
        ("{ mark: 10 }\n  - { mark: 0xa }", &["5:13 duplicate mark 10; first on line 4"]),
    ]);
}

#[test]
fn the_packets_of_a_mark() {
    check(mark, &[
        ("{ mark: 10, match: [{}] }", &["4:25 an empty match would mark every packet | at least one of protocol, address, ports, source and interface"]),
        ("{ mark: 10, match: [~] }", &["4:25 an entry of `match` is empty | a mapping that describes packets, such as { protocol: tcp, address: 192.168.8.13, ports: [80] }"]),
        ("{ mark: 10, match: [{ protocol: tpc }] }", &["4:37 unknown protocol `tpc` | one of tcp, udp, sctp | tcp"]),
        ("{ mark: 10, match: [{ ports: [80] }] }", &["4:27 ports need a protocol | `protocol`: tcp, udp or sctp"]),
        ("{ mark: 10, match: [{ protocol: tcp, ports: [] }] }", &["4:49 the list of ports is empty | at least one port, or no `ports` for every port"]),
        ("{ mark: 10, match: [{ protocol: tcp, ports: [0, 65536, 90-80, http] }] }", &["4:50 `0` is neither a port nor a range | a port from 1 to 65535, or a range such as 8000-8010", "4:53 `65536` is neither a port nor a range | a port from 1 to 65535, or a range such as 8000-8010", "4:60 the range `90-80` ends before it begins |  | 80-90", "4:67 `http` is neither a port nor a range | a port from 1 to 65535, or a range such as 8000-8010"]),
        ("{ mark: 10, match: [{ protocol: tcp, ports: 80 }] }", &["4:49 `ports` cannot be a number | a list | [80]"]),
        ("{ mark: 10, match: [{ address: 10.0.0.1/24 }] }", &["4:36 `10.0.0.1/24` has bits set after the prefix length | the first address of the network | 10.0.0.0/24"]),
        ("{ mark: 10, match: [{ address: 10.0.0.1/33 }] }", &["4:36 `10.0.0.1/33` is neither an IP address nor a prefix | an IP address or prefix such as 192.168.8.13 or 192.168.8.0/24"]),
        ("{ mark: 10, match: [{ address: web }] }", &["4:36 `web` is neither an IP address nor a prefix | an IP address or prefix such as 192.168.8.13 or 192.168.8.0/24"]),
        ("{ mark: 10, match: [{ address: 10.0.0.1, source: 'fd00::/64' }] }", &["4:54 the source is IPv6 and the address is IPv4: no packet is both | an IPv4 address or prefix"]),
        ("{ mark: 10, match: [{ address: 0.0.0.0 }] }", &["4:36 no packet has the address 0.0.0.0"]),
        ("{ mark: 10, match: [{ address: 224.0.0.1 }] }", &["4:36 224.0.0.1 is a multicast group, and IPVS does not balance multicast"]),
        ("{ mark: 10, match: [{ interface: eth0/1 }] }", &["4:38 `eth0/1` is not the name of an interface | 1 to 15 characters without spaces, `/` and `:`, such as eth1"]),
        ("{ mark: 10, match: [{ dport: 80 }] }", &["4:27 unknown key `dport` | one of protocol, address, ports, source, interface"]),
        ("{ mark: 10, match: [{ address: 10.0.0.1 }, { address: 10.0.0.1/32 }] }", &["4:48 duplicate match: the same packets are described already, and a packet has one mark; first on line 4"]),
    ]);
}

#[test]
fn sysctls() {
    check(top, &[
        ("sysctls: ", &["3:1 `sysctls` is empty | a mapping"]),
        ("sysctls:\n  net.ipv4.ip_forward: 1\n  net.ipv4.conf.all.forwarding: 0", &["4:3 `net.ipv4.ip_forward` and `net.ipv4.conf.all.forwarding` are one setting; first on line 5 | one value for both, or only one of them"]),
        ("sysctls: [net.ipv4.ip_forward]", &["3:10 `sysctls` cannot be a list | a mapping"]),
        ("sysctls: { net.ipv4.ip_forward: true }", &["3:33 `net.ipv4.ip_forward` cannot be true or false | a whole number or text such as `1` or `4096 87380 6291456` | 1"]),
        ("sysctls: { net.ipv4.ip_forward: }", &["3:12 `net.ipv4.ip_forward` is empty | a whole number or text such as `1` or `4096 87380 6291456`"]),
        ("sysctls: { net.ipv4.ip_forward: [1] }", &["3:33 `net.ipv4.ip_forward` cannot be a list | a whole number or text such as `1` or `4096 87380 6291456`"]),
        ("sysctls: { net.ipv4.ip_forward: 1.5 }", &[r#"3:33 `net.ipv4.ip_forward` cannot be a fraction | a whole number or text such as `1` or `4096 87380 6291456` | "1.5""#]),
        ("sysctls: { vm.swappiness: 1 }", &["3:12 `vm.swappiness` is not a setting under `net.` | a full name under `net.`, such as net.ipv4.ip_forward"]),
        ("sysctls: { ipv4.ip_forward: 1 }", &["3:12 `ipv4.ip_forward` is not a full name | a full name under `net.`, such as net.ipv4.ip_forward | net.ipv4.ip_forward"]),
        ("sysctls: { net/../vm: 1 }", &["3:12 `net/../vm` is not the name of a setting | a full name under `net.`, such as net.ipv4.ip_forward"]),
        ("sysctls: { net.ipv4.conf.eth0/100.forwarding: 1 }", &["3:12 `net.ipv4.conf.eth0/100.forwarding` mixes dots and slashes | a full name under `net.`, such as net.ipv4.ip_forward | net/ipv4/conf/eth0.100/forwarding"]),
        ("sysctls: { net.ipv4.conf.eth0.100.rp_filter: 1 }", &["3:12 `net.ipv4.conf.eth0.100.rp_filter` separates by dots, and the name of the interface `eth0.100` contains one | a full name under `net.`, such as net.ipv4.ip_forward | net/ipv4/conf/eth0.100/rp_filter"]),
        ("sysctls: { /proc/sys/net/ipv4/ip_forward: 1 }", &["3:12 `/proc/sys/net/ipv4/ip_forward` is a path, not the name of a setting | a full name under `net.`, such as net.ipv4.ip_forward | net/ipv4/ip_forward"]),
        ("sysctls: { net.ipv4.ip_forward: 1, net/ipv4/ip_forward: 1 }", &["3:36 duplicate setting `net.ipv4.ip_forward`; first on line 3"]),
        ("sysctls: { net.ipv4.ip_forward: 1, net.ipv4.ip_forward: 0 }", &["3:36 duplicate key `net.ipv4.ip_forward`; first on line 3"]),
        (r#"sysctls: { net.ipv4.ip_forward: "1\n2" }"#, &["3:33 the value contains a line break or another control character | a value on one line"]),
    ]);
}

// A pattern was valid, and waited for ever for an interface that is called `*`.
#[test]
fn names_of_settings_and_interfaces() {
    const FULL: &str = "a full name under `net.`, such as net.ipv4.ip_forward";
    const NO_PATTERN: &str = "a name for each interface, or `all` and `default` in its place: net.ipv4.conf.all.rp_filter";
    for pattern in ["net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth?.rp_filter", "net.ipv4.conf.eth[01].rp_filter", "net.ipv4.*"] {
        check(top, &[(&format!("sysctls: {{ \"{pattern}\": 0 }}"), &[&format!("3:12 `{pattern}` is a pattern, and no setting has such a name | {NO_PATTERN}")])]);
    }
    for name in ["net.ipv4.conf.a:1.rp_filter", "net.ipv4.conf.of-sixteen-bytes.rp_filter", "net.ipv6.neigh.größe.x"] {
        let interface = name.split('.').nth(3).unwrap();
        check(top, &[(&format!("sysctls: {{ \"{name}\": 0 }}"), &[&format!("3:12 `{name}`: `{interface}` is not the name of an interface | {FULL}")])]);
    }
    for name in ["net.ipv4.$(id)", "net.ipv4.a;b", "net.ipv4.a b", "net.ipv4."] {
        check(top, &[(&format!("sysctls: {{ \"{name}\": 0 }}"), &[&format!("3:12 `{name}` is not the name of a setting | {FULL}")])]);
    }
    check(top, &[(r#"sysctls: { net.ipv4.ip_forward: "größer" }"#, &["3:33 the value contains characters that no kernel setting has | a value of ASCII letters, digits and punctuation"])]);
    for name in ["", ".", "..", "of-sixteen-bytes", "a/b", "a:1", "a b", "größe"] {
        let wrong = format!("`{name}` is not the name of an interface | 1 to 15 characters without spaces, `/` and `:`, such as eth1");
        check(top, &[(&format!("sync: [{{ role: master, interface: \"{name}\" }}]"), &[&format!("3:35 {wrong}")])]);
        check(mark, &[(&format!("{{ mark: 10, match: [{{ interface: \"{name}\" }}] }}"), &[&format!("4:38 {wrong}")])]);
    }
    for name in ["eth*", "eth?", "eth[01]"] {
        let wrong = format!("`{name}` is a pattern, and no interface has such a name | the name of one interface, such as eth1");
        check(top, &[(&format!("sync: [{{ role: master, interface: \"{name}\" }}]"), &[&format!("3:35 {wrong}")])]);
        check(mark, &[(&format!("{{ mark: 10, match: [{{ interface: \"{name}\" }}] }}"), &[&format!("4:38 {wrong}")])]);
    }
}

#[test]
fn timeouts() {
    check(top, &[
        ("timeouts: { tcp: 0, tcp_fin: 2147484, udp: soon }", &["3:18 `0` is too short | 1 to 2147483 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`", "3:30 `2147484` is too long | 1 to 2147483 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`", "3:44 `soon` is not a duration | 1 to 2147483 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("timeouts: { tpc: 1 }", &["3:13 unknown key `tpc` | one of tcp, tcp_fin, udp | tcp"]),
        ("timeouts: 15m", &["3:11 `timeouts` cannot be text | a mapping of timeouts, such as { tcp: 15m, tcp_fin: 2m, udp: 5m }"]),
    ]);
}

#[test]
fn sync_daemons() {
    check(top, &[
        ("sync: { role: master, interface: eth1 }", &["3:7 `sync` cannot be a mapping | a list: `- ` before its first key"]),
        ("sync: [{ role: master }]", &["3:8 `interface` is missing in an entry of `sync` | `interface`, an interface such as `eth1`"]),
        ("sync: [{ role: slave, interface: eth1 }]", &["3:16 unknown role `slave` | one of master, backup | backup"]),
        ("sync: [{ role: master, interface: a-long-interface }]", &["3:35 `a-long-interface` is not the name of an interface | 1 to 15 characters without spaces, `/` and `:`, such as eth1"]),
        ("sync: [{ role: master, interface: eth1, id: 256 }]", &["3:45 `256` is too large for `id` | a number from 0 to 255"]),
        ("sync: [{ role: master, interface: eth1 }, { role: master, interface: eth2 }]", &["3:51 duplicate master: only one can run; first on line 3"]),
        ("sync: [{ role: backup, interface: eth1, sync_maxlen: 1000 }]", &["3:54 a backup cannot have messages of 1000 bytes | a number from 1024 to 65507"]),
        ("sync: [{ role: master, interface: eth1, mcast_group: 10.0.0.1 }]", &["3:54 `10.0.0.1` is not a multicast group | an address from 224.0.0.0 to 239.255.255.255, or one that begins with ff"]),
        ("sync: [{ role: master, interface: eth1, mcast_group: 'ff02::81', sync_maxlen: 65500 }]", &["3:79 a master cannot have messages of 65500 bytes | a number from 1 to 65487"]),
        ("sync: [{ role: master, interface: eth1, mcast_port: 0, mcast_ttl: 256 }]", &["3:53 `0` is too small for `mcast_port` | a number from 1 to 65535", "3:67 `256` is too large for `mcast_ttl` | a number from 1 to 255"]),
    ]);
}

#[test]
fn policy() {
    check(top, &[
        ("policy: ", &["3:1 `policy` is empty | a mapping of limits, such as { prune: owned, max_delete: 50% }"]),
        ("policy: owned", &["3:9 `policy` cannot be text | a mapping of limits, such as { prune: owned, max_delete: 50% }"]),
        ("policy: { prune: none }", &["3:18 `prune` cannot be `none` | one of owned, all, never | never"]),
        ("policy: { prune: own }", &["3:18 `prune` cannot be `own` | one of owned, all, never | owned"]),
        ("policy: { allow_empty: no }", &["3:24 `allow_empty` cannot be text | true or false | false"]),
        ("policy: { max_delete: 101% }", &["3:23 `101%` is neither a share nor a number of services | a share from `0%` to `100%`, or a number from 0 to 4294967295"]),
        ("policy: { max_delete: -1 }", &["3:23 `-1` is neither a share nor a number of services | a share from `0%` to `100%`, or a number from 0 to 4294967295"]),
        ("policy: { max_delete: half }", &["3:23 `half` is neither a share nor a number of services | a share from `0%` to `100%`, or a number from 0 to 4294967295"]),
        ("policy: { resync: 0 }", &["3:19 `0` is too short | 1 to 86400 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("policy: { resync: 2d }", &["3:19 `2d` is too long | 1 to 86400 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("policy: { max_deletes: 1 }", &["3:11 unknown key `max_deletes` | one of prune, allow_empty, max_delete, resync, history | max_delete"]),
        ("policy: { history: 1001 }", &["3:20 `1001` is too large for `history` | a number from 0 to 1000"]),
    ]);
}

#[test]
fn how_long_a_server_drains() {
    check(top, &[
        ("defaults: { drain: -1 }", &["3:20 `-1` is not a duration | 0 to 2592000 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("defaults: { drain: 31d }", &["3:20 `31d` is too long | 0 to 2592000 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("defaults: { drain: 5 minutes }", &["3:20 `5 minutes` is not a duration | 0 to 2592000 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("defaults: { drain: never }", &["3:20 `never` is not a duration | 0 to 2592000 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("defaults: { drain: }", &["3:13 `drain` is empty | a duration or 0 such as `5m` or `90s`"]),
        ("defaults: { drain: no }", &["3:20 `no` is not a duration | 0 to 2592000 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`"]),
        ("defaults: { drian: 5m }", &["3:13 unknown key `drian` | one of scheduler, forward, drain, check | drain"]),
    ]);
}
