//! The lab of the tests that need nftables: one kernel that has it and IPVS, and packets that pass both.

use crate::lab::{Netns, assert_kernel_is_the_one_asked_for};

#[test]
fn the_kernel_is_the_one_asked_for() {
    assert_kernel_is_the_one_asked_for();
}

// The rules belong to the network namespace, as the table of IPVS does: either test would see the other's were they shared.
#[test]
fn a_test_has_rules_of_its_own() {
    let net = Netns::new();
    net.sh("nft add table inet one; sleep 0.3");
    assert_eq!(net.sh("nft list tables"), "table inet one\n");
}

#[test]
fn another_test_has_other_rules() {
    let net = Netns::new();
    net.sh("nft add table inet two; sleep 0.3");
    assert_eq!(net.sh("nft list tables"), "table inet two\n");
}

// The test's own namespace is the director. A mark has no port, so packets keep theirs: 80 and 443 are one service.
#[test]
fn marked_packets_are_balanced_as_one_service() {
    let net = Netns::new();
    let seen = net.sh("
        trap 'kill $web; ip netns del nft-client; ip netns del nft-server' EXIT
        ip netns add nft-client
        ip netns add nft-server
        ip -batch - <<'WIRES'
link add eth0 type veth peer name eth0 netns nft-client
link add eth1 type veth peer name eth0 netns nft-server
link set eth0 up
link set eth1 up
addr add 10.0.0.13/24 dev eth0
addr add 192.168.8.13/24 dev eth1
WIRES
        ip -n nft-client -batch - <<'CLIENT'
link set eth0 up
addr add 10.0.0.12/24 dev eth0
CLIENT
        ip -n nft-server -batch - <<'SERVER'
link set lo up
link set eth0 up
addr add 192.168.8.14/24 dev eth0
route add default via 192.168.8.13
SERVER
        echo 1 > /proc/sys/net/ipv4/ip_forward
        mkdir www; echo served > www/index.html
        ip netns exec nft-server /usr/bin/python3 -m http.server --directory www 443 >&2 & web=$!
        for attempt in $(seq 100); do ip netns exec nft-server curl -s http://127.0.0.1:443/ >&2 && break; sleep 0.2; done
        get() { ip netns exec nft-client curl -sS --max-time 20 http://10.0.0.13:443/ || echo \"curl says $?\"; }

        ipvsadm -A -f 10 -s rr
        ipvsadm -a -f 10 -r 192.168.8.14 -m
        echo unmarked: $(get)
        nft 'add table inet rules
            add chain inet rules prerouting { type filter hook prerouting priority mangle; }
            add rule inet rules prerouting ip daddr 10.0.0.13 tcp dport { 80, 443 } meta mark set 10'
        echo marked: $(get)");
    // 7: refused, by the director itself, who has no such server.
    assert_eq!(seen, "unmarked: curl says 7\nmarked: served\n");
}
