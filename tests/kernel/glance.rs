//! A glance tells any change of any attribute from none, at a fraction of a reading.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use crate::lab::Netns;
use lbd::kernel::director::Director;
use lbd::kernel::{Kernel, Live, ReadScope, StatisticsScope};
use lbd::model::Connections;

/// One of each kind that is looked at in its own way: plain IPv4, a mark, IPv6, a tunnel, a server of the other family.
const TABLE: &str = "\
ipvsadm -A -t 10.0.0.1:80 -s wrr -p 300
ipvsadm -a -t 10.0.0.1:80 -r 10.9.0.1 -m -w 1
ipvsadm -a -t 10.0.0.1:80 -r 10.9.0.2:8080 -m -w 2 -x 100 -y 50
ipvsadm -A -u 10.0.0.2:53 -s rr
ipvsadm -a -u 10.0.0.2:53 -r 10.9.0.3 -g
ipvsadm -A -f 10 -s sh
ipvsadm -a -f 10 -r 10.9.0.4 -g
ipvsadm -A -f 10 -6 -s rr
ipvsadm -A -t [fd00::1]:80 -s rr
ipvsadm -a -t [fd00::1]:80 -r [fd00::2]:80 -m
ipvsadm -A -t 10.0.0.3:80 -s rr
ipvsadm -a -t 10.0.0.3:80 -r 10.9.0.5 -i --tun-type gue --tun-port 5555
ipvsadm -A -t 10.0.0.4:80 -s rr
ipvsadm -a -t 10.0.0.4:80 -r [fd00::3]:80 -i
ipvsadm -A -u 10.0.0.5:5060 -s rr -p 60
ipvsadm -A -t 10.0.0.6:80 -s rr
";

/// Each changes one thing, of a table that was changed by those before it.
const CHANGES: &[&str] = &[
    // services
    "ipvsadm -A -t 10.0.0.7:80 -s rr",
    "ipvsadm -D -t 10.0.0.7:80",
    "ipvsadm -E -u 10.0.0.2:53 -s wrr",
    "ipvsadm -E -f 10 -s sh -b sh-port",
    "ipvsadm -E -t 10.0.0.1:80 -s wrr -p 301",
    "ipvsadm -E -t 10.0.0.1:80 -s wrr -p 301 -M 255.255.255.0",
    "ipvsadm -E -t 10.0.0.1:80 -s wrr",
    "ipvsadm -E -u 10.0.0.2:53 -s wrr -o",
    "ipvsadm -E -u 10.0.0.5:5060 -s rr -p 60 --pe sip",
    "ipvsadm -E -f 10 -6 -s wlc",
    "ipvsadm -E -t [fd00::1]:80 -s rr -p 60 -M 64",
    // servers that the old interface tells
    "ipvsadm -e -t 10.0.0.1:80 -r 10.9.0.1 -m -w 2",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.9.0.1 -g -w 2",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.9.0.1 -g -w 2 -x 7",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.9.0.1 -g -w 2 -x 7 -y 3",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.9.0.1 -i -w 2 -x 7 -y 3",
    "ipvsadm -e -t 10.0.0.1:80 -r 10.9.0.1 -i -w 2 -x 7 -y 3 --tun-type gre",
    "ipvsadm -a -u 10.0.0.2:53 -r 10.9.0.9 -g",
    "ipvsadm -d -u 10.0.0.2:53 -r 10.9.0.3",
    "ipvsadm -a -f 10 -r 10.9.0.9 -g -w 5",
    "ipvsadm -a -t 10.0.0.6:80 -r 10.9.0.9 -m",
    // one for another, so that their number stays
    "ipvsadm -d -t 10.0.0.6:80 -r 10.9.0.9; ipvsadm -a -t 10.0.0.6:80 -r 10.9.0.10 -m",
    "ipvsadm -d -t 10.0.0.6:80 -r 10.9.0.10; ipvsadm -a -t 10.0.0.6:80 -r 10.9.0.10:81 -m",
    // servers that it hides
    "ipvsadm -e -t [fd00::1]:80 -r [fd00::2]:80 -m -w 9",
    "ipvsadm -a -t [fd00::1]:80 -r [fd00::9]:80 -m",
    "ipvsadm -e -t 10.0.0.3:80 -r 10.9.0.5 -i --tun-type gue --tun-port 5556",
    "ipvsadm -e -t 10.0.0.3:80 -r 10.9.0.5 -i --tun-type gue --tun-port 5556 --tun-csum",
    "ipvsadm -e -t 10.0.0.3:80 -r 10.9.0.5 -i",
    "ipvsadm -e -t 10.0.0.4:80 -r [fd00::3]:80 -i -w 3",
    "ipvsadm -d -t 10.0.0.4:80 -r [fd00::3]:80",
    "ipvsadm -a -t 10.0.0.4:80 -r [fd00::4]:80 -i",
    "ipvsadm -d -t 10.0.0.4:80 -r [fd00::4]:80",
    // what stands beside them
    "ipvsadm --set 901 0 0",
    "ipvsadm --set 0 121 0",
    "ipvsadm --set 0 0 301",
    "ip link add eth1 type dummy; ip link set eth1 up; ip addr add 10.1.0.1/24 dev eth1",
    "ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7",
    "ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 7",
    "sleep 0.2; ipvsadm --stop-daemon master",
    "echo 1 > /proc/sys/net/ipv4/vs/conntrack",
    "ipvsadm -C",
];

#[test]
fn every_change_of_every_attribute_is_seen_and_traffic_is_not() {
    let net = Netns::new();
    net.sh(&format!("set -e\n{TABLE}"));
    net.sh("ip addr add 10.0.0.1/32 dev lo; ip route add 10.9.0.0/24 dev lo");
    let mut kernel = Director::connect().unwrap();
    kernel.remember();
    let question = ReadScope {
        sysctls: vec!["net.ipv4.vs.conntrack".into()],
        filter: false,
        interfaces: vec!["eth1".into()],
        statistics: false,
    };
    assert!(kernel.has_changed(&question).unwrap(), "nothing was read yet");
    let mut live = kernel.read(&question).unwrap();
    for _ in 0..3 {
        assert!(!kernel.has_changed(&question).unwrap());
    }
    // A client comes: connections and counters change, and nothing else.
    net.try_sh("timeout 1 bash -c 'exec 3<>/dev/tcp/10.0.0.1/80'");
    assert!(net.sh("ipvsadm -Lcn").contains("10.0.0.1:80"), "{}", net.sh("ipvsadm -Lcn"));
    assert!(!kernel.has_changed(&question).unwrap(), "traffic is no change");
    // Only numbers are read again, and are those of a reading of all.
    let before = live.clone();
    assert!(kernel.refresh(&question, &mut live, true).unwrap());
    let (counted, whole) = (live.statistics.take().unwrap(), kernel.read(&question).unwrap());
    let without_packets = |live: &Live| {
        let of = |of: &Connections| Connections { packets: 0, ..*of };
        live.connections.iter().map(|(server, all)| (*server, of(all))).collect::<HashMap<_, _>>()
    };
    assert_eq!(without_packets(&live), without_packets(&whole));
    assert!(live.connections.len() == 1 && before.connections.is_empty());
    assert_eq!(live.state, whole.state);
    let scope = StatisticsScope { services: None, servers: false, totals: true };
    assert_eq!(counted.services, kernel.read_statistics(&scope).unwrap().services);
    for change in CHANGES {
        net.sh(change);
        assert!(kernel.has_changed(&question).unwrap(), "{change}");
        assert!(!kernel.refresh(&question, &mut live, false).unwrap(), "{change}");
        // Once seen, it stays seen until the whole is read.
        assert!(kernel.has_changed(&question).unwrap(), "{change}");
        kernel.read(&question).unwrap();
        assert!(!kernel.has_changed(&question).unwrap(), "after {change}");
    }
}
