//! lbd on a kernel with IPVS and nftables: marks and FULLNAT from the file to the kernel and back, judged by nft and ipvsadm.

#![allow(clippy::unwrap_used)]

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::lab::Netns;

const MARKS: &str = "\
version: 1
sysctls: { net.ipv4.vs.expire_nodest_conn: 1 }
marks:
  - mark: 10
    match:
      - { protocol: tcp, address: 192.168.8.13, ports: [80, 443] }
      - { protocol: tcp, address: fd00::13, ports: [80] }
  - mark: 11
    match: [{ protocol: udp, address: 192.168.8.0/24, source: 10.0.0.0/8, ports: [5000-5010], interface: eth7 }]
clusters:
  - { name: shop, listen: [fwmark://10, fwmark6://10], scheduler: rr, servers: [] }
  - { name: office, listen: fwmark://11, servers: [192.168.8.7, 192.168.8.17] }
policy: { resync: 1h }
";

const MARK_TABLE: &str = "\
table inet lbd {
	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		ip daddr 192.168.8.13 tcp dport { 80, 443 } meta mark set 0x0000000a
		ip6 daddr fd00::13 tcp dport 80 meta mark set 0x0000000a
		iifname \"eth7\" ip saddr 10.0.0.0/8 ip daddr 192.168.8.0/24 udp dport 5000-5010 meta mark set 0x0000000b
	}
}
";

/// Somebody else's table, which nobody but he may touch.
fn others_table(net: &Netns) -> String {
    net.sh("nft list table inet other")
}

fn own_table(net: &Netns) -> String {
    net.sh("nft list table inet lbd")
}

/// The file, with the virtual addresses on the host, so that there is nothing to warn of.
fn director(file: &str) -> Netns {
    let net = Netns::new();
    net.sh("ip addr add 192.168.8.13/32 dev lo; ip addr add 192.168.8.0/24 dev lo; ip addr add fd00::13/128 dev lo nodad");
    net.sh("nft 'add table inet other; add chain inet other mine { type filter hook input priority 0; }; add rule inet other mine tcp dport 22 accept'");
    net.write("desired.yaml", file);
    net
}

const FILE: [&str; 2] = ["-f", "desired.yaml"];

#[track_caller]
fn lbd(net: &Netns, status: i32, words: &[&str]) -> String {
    let output = net.lbd(&[&FILE, words].concat());
    assert_eq!(output.status, status, "lbd {words:?}:\n{}{}", output.stdout, output.stderr);
    output.stdout
}

#[test]
fn marks_are_set_kept_exported_and_taken_away_again_and_other_tables_never_touched() {
    let net = director(MARKS);
    let others = others_table(&net);
    lbd(&net, 0, &["apply"]);
    assert_eq!(own_table(&net), MARK_TABLE);
    assert_eq!(
        net.ipvsadm_save(),
        [
            "-A -f 10 -6 -s rr",
            "-A -f 10 -s rr",
            "-A -f 11 -s wlc",
            "-a -f 11 -r 192.168.8.17:0 -g -w 1",
            "-a -f 11 -r 192.168.8.7:0 -g -w 1"
        ]
    );
    // In sync is no write at all, as somebody else hears it.
    let (output, heard) = net.lbd_overheard(&[FILE.as_slice(), &["apply"]].concat());
    assert_eq!((output.status, heard["writes"].as_u64()), (0, Some(0)), "{heard}");

    // By hand: a rule goes, another becomes a third, and two come that no file could ask for.
    net.sh("handle() { nft -a list table inet lbd | sed -n \"s/.*$1.* # handle //p\"; }
         nft delete rule inet lbd prerouting handle $(handle fd00::13)
         nft replace rule inet lbd prerouting handle $(handle eth7) ip daddr 192.168.8.99 meta mark set 11
         nft insert rule inet lbd prerouting tcp dport 22 drop
         nft add chain inet lbd mine");
    assert_eq!(
        lbd(&net, 1, &["diff"]),
        "\
firewall marks
  ~ mark 10  match: { protocol: tcp, address: fd00::13, ports: [80] }
  ~ mark 11  match: { address: 192.168.8.99 } -> none, match: { protocol: udp, address: 192.168.8.0/24, ports: \
         [5000-5010], source: 10.0.0.0/8, interface: eth7 }
  - mark chain mine
  - mark rule tcp dport 22 drop in prerouting
fingerprint: 20d543cf32b2dc3b
0 to add, 2 to edit, 2 to delete
"
    );
    lbd(&net, 0, &["apply"]);
    assert_eq!(own_table(&net), MARK_TABLE);
    net.sh("nft delete table inet lbd");
    lbd(&net, 0, &["apply"]);
    assert_eq!(own_table(&net), MARK_TABLE);

    // What is exported asks for what is there.
    let export = lbd(&net, 0, &["export"]);
    net.write("export.yaml", &export);
    let same = net.lbd(&["-f", "export.yaml", "diff"]);
    assert_eq!(same.status, 0, "{}{}\n{export}", same.stdout, same.stderr);

    // A mark goes before its service, and the last one takes the table along.
    net.write(
        "desired.yaml",
        &MARKS
            .replace("  - { name: office, listen: fwmark://11, servers: [192.168.8.7, 192.168.8.17] }\n", ""),
    );
    net.sh("sed -i '/mark: 11/,/eth7/d' desired.yaml");
    assert_eq!(
        lbd(&net, 1, &["diff"]),
        "\
firewall marks
  - mark 11  match: { protocol: udp, address: 192.168.8.0/24, ports: [5000-5010], source: 10.0.0.0/8, interface: eth7 } -> none
fwmark://11 (office)
  - service
      refuses new connections, and takes 2 servers (192.168.8.7:0, 192.168.8.17:0) with it
fingerprint: 765fb3ede60d3149
0 to add, 0 to edit, 2 to delete
"
    );
    lbd(&net, 0, &["apply"]);
    lbd(&net, 0, &["teardown", "--yes"]);
    assert_eq!(net.sh("nft list tables"), "table inet other\n");
    assert_eq!(others_table(&net), others);
    assert_eq!(net.sh("ipvsadm -Sn"), "");
    assert_eq!(net.sh("cat /proc/sys/net/ipv4/vs/expire_nodest_conn"), "0\n");
}

const FULLNAT: &str = "\
version: 1
sysctls: { net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1 }
clusters:
  - { name: web, listen: [tcp://192.168.8.13:80, 'udp://192.168.8.13:53'], forward: fullnat, servers: [192.168.9.14, '192.168.9.15:8080'] }
  - { name: plain, listen: tcp://192.168.8.13:81, forward: nat, servers: [192.168.9.14] }
";

/// The elements of the sets that have any.
fn elements(net: &Netns) -> String {
    net.sh("nft list table inet lbd | tr -s ' \\n\\t' ' ' | grep -oE 'set [a-z0-9_]+ \\{ type [^;{}]*elements = \\{ [^}]* \\}' | sed 's/ { type .*elements = / /'")
}

#[test]
fn fullnat_is_nat_with_a_rule_for_just_those_servers() {
    let net = director(FULLNAT);
    lbd(&net, 0, &["apply"]);
    assert_eq!(
        elements(&net),
        "set fullnat_tcp4 { 192.168.8.13 . 80 . 192.168.9.14, 192.168.8.13 . 80 . 192.168.9.15 }\n\
         set fullnat_udp4 { 192.168.8.13 . 53 . 192.168.9.14, 192.168.8.13 . 53 . 192.168.9.15 }\n"
    );
    assert_eq!(net.sh("cat /proc/sys/net/ipv4/vs/conntrack"), "1\n");
    assert!(net.ipvsadm_save().contains(&"-a -t 192.168.8.13:80 -r 192.168.9.15:8080 -m -w 1".to_owned()));
    lbd(&net, 0, &["diff"]);
    let export = lbd(&net, 0, &["export"]);
    net.write("export.yaml", &export);
    let same = net.lbd(&["-f", "export.yaml", "diff"]);
    assert_eq!(same.status, 0, "{}{}\n{export}", same.stdout, same.stderr);

    // Without its rule a server is plain nat, and that is seen as what it is.
    net.sh("nft delete element inet lbd fullnat_tcp4 '{ 192.168.8.13 . 80 . 192.168.9.15 }'");
    assert_eq!(
        lbd(&net, 1, &["diff"]),
        "\
tcp://192.168.8.13:80 (web)
  ~ server 192.168.9.15:8080  forward: nat -> fullnat
fingerprint: 98c33e04de0ea600
0 to add, 1 to edit, 0 to delete
"
    );
    lbd(&net, 0, &["apply"]);

    // One server becomes plain nat, one goes, and their rules with them.
    net.sh("sed -i \"s/'192.168.9.15:8080'/{ address: 192.168.9.15:8080, forward: nat }/; s/192.168.9.14, {/{/\" desired.yaml");
    lbd(&net, 0, &["apply"]);
    assert_eq!(net.sh("nft list tables"), "table inet other\n");
    lbd(&net, 0, &["teardown", "--yes"]);
    assert_eq!(net.sh("cat /proc/sys/net/ipv4/vs/conntrack /proc/sys/net/ipv4/ip_forward"), "0\n0\n");
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}: not after two minutes");
        std::thread::sleep(Duration::from_millis(50));
    }
    began.elapsed()
}

// A reload of nftables.service begins with a flush of everything; the next resync is an hour away.
#[test]
fn a_flush_of_all_tables_is_heard_and_mended_at_once() {
    let net = director(MARKS);
    let mut command = net.lbd_command(&[FILE.as_slice(), &["run"]].concat());
    let _daemon = Daemon(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let is_there = || net.try_sh("nft list table inet lbd").stdout == MARK_TABLE;
    eventually("the table", is_there);
    // (The pass that made it has a reading to go.)
    std::thread::sleep(Duration::from_secs(3));
    net.sh("nft flush ruleset");
    eventually("the table after the flush", is_there);
}
