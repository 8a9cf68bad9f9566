//! `untracked: true` on a kernel with nftables: its rules from the file to the kernel and back.

#![allow(clippy::unwrap_used)]

use crate::lab::Netns;

/// One service of its own, the packets of a mark, and beside them what an lbd without `untracked` made.
const FILE: &str = "\
version: 1
marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.1.0/24, ports: [80, 443], interface: eth7 }] }]
clusters:
  - { name: web, untracked: true, listen: ['tcp://10.0.0.1:80', 'udp://[fd00::1]:53'], servers: [] }
  - { name: shop, untracked: true, listen: fwmark://10, servers: [192.168.8.7] }
  - { name: far, listen: 'tcp://10.0.0.2:80', forward: fullnat, servers: [192.168.8.14] }
policy: { allow_empty: true }
";

/// lbd's own part for untracked packets, and what else is in the table.
fn tables(net: &Netns) -> (String, String) {
    let list = net.sh("nft list table inet lbd");
    let (mut own, mut others, mut is_own) = (String::new(), String::new(), false);
    for line in list.split_inclusive('\n') {
        is_own |= line.contains("set untracked") || line.contains("chain untracked");
        if is_own { &mut own } else { &mut others }.push_str(line);
        is_own &= !line.starts_with("\t}");
    }
    let squeezed = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    (squeezed(own), squeezed(others))
}

const OWN: &str = "\
set untracked_tcp4 { type ipv4_addr . inet_service elements = { 10.0.0.1 . 80 } } \
set untracked_udp6 { type ipv6_addr . inet_service elements = { fd00::1 . 53 } } \
chain untracked { type filter hook prerouting priority raw; policy accept; \
ip daddr . tcp dport @untracked_tcp4 notrack \
ip6 daddr . udp dport @untracked_udp6 notrack \
iifname \"eth7\" ip daddr 10.0.1.0/24 tcp dport { 80, 443 } notrack }";

#[track_caller]
fn lbd(net: &Netns, status: i32, words: &[&str]) -> String {
    let output = net.lbd(&[&["-f", "desired.yaml"], words].concat());
    assert_eq!(output.status, status, "lbd {words:?}:\n{}{}", output.stdout, output.stderr);
    output.stdout
}

#[test]
fn the_rules_of_untracked_clusters_are_added_to_an_older_table_repaired_exported_and_torn_down() {
    let net = Netns::new();
    net.ready();
    net.write("desired.yaml", &FILE.replace("untracked: true, ", ""));
    lbd(&net, 0, &["apply"]);
    let (own, older) = tables(&net);
    assert_eq!(own, "");

    net.write("desired.yaml", FILE);
    lbd(&net, 0, &["apply"]);
    assert_eq!(tables(&net), (OWN.to_owned(), older.clone()));

    // By hand: an element goes, another comes, and a rule.
    net.sh("nft delete element inet lbd untracked_tcp4 '{ 10.0.0.1 . 80 }'
         nft add element inet lbd untracked_tcp4 '{ 10.0.0.9 . 80 }'
         nft add rule inet lbd untracked counter notrack");
    assert_eq!(
        lbd(&net, 1, &["diff"]),
        "\
untracked packets
  + untracked  match: { protocol: tcp, address: 10.0.0.1, ports: [80] }
  - untracked  match: { protocol: tcp, address: 10.0.0.9, ports: [80] } -> none
firewall marks
  - mark rule counter notrack in untracked
fingerprint: 0f4a516ff2882133
1 to add, 0 to edit, 2 to delete
"
    );
    lbd(&net, 0, &["apply"]);
    assert_eq!(tables(&net), (OWN.to_owned(), older));
    assert_eq!(lbd(&net, 0, &["export"]).matches("untracked: true").count(), 3);
    lbd(&net, 0, &["teardown", "--yes"]);
    assert_eq!(net.sh("nft list tables"), "");
}
