//! What a director needs but the file forgot, provoked on a real kernel: each is warned of until it is mended.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Child, Stdio};

use crate::lab::{self, Netns, Output};
use serde_json::{Value, json};

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

fn desired(net: &Netns, more: &str, clusters: &str) {
    net.write("desired.yaml", &format!("version: 1\n{more}\nclusters:\n{clusters}\n"));
}

/// The warnings of an output in JSON: code and subject.
#[track_caller]
fn warnings(output: &Output) -> Vec<(String, String)> {
    let document: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let text = |warning: &Value, key: &str| warning[key].as_str().unwrap().to_owned();
    let warnings = document["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| (text(warning, "code"), text(warning, "subject"))).collect()
}

/// What is warned of. That all commands warn of the same is tested once: [`agreed`].
#[track_caller]
fn warned(net: &Netns) -> Vec<(String, String)> {
    warnings(&lbd(net, &["diff", "-o", "json"]))
}

/// What is warned of by all three commands, in both forms. With `--strict` it is an error of each, and nothing is changed.
#[track_caller]
fn agreed(net: &Netns) -> Vec<(String, String)> {
    let warned = warned(net);
    let validate = lbd(net, &["validate", "--host", "-o", "json"]);
    assert_eq!((validate.status, warnings(&validate)), (0, warned.clone()), "{validate:?}");
    let text = lbd(net, &["validate", "--host"]);
    assert_eq!((text.status, text.stderr.lines().count()), (0, warned.len()), "{text:?}");
    // Treated as errors, they are errors of each command, and nothing is changed.
    for verb in [&["diff", "--strict"][..], &["validate", "--host", "--strict"]] {
        let strict = lbd(net, verb);
        assert_eq!(strict.status == 2, !warned.is_empty(), "{strict:?}");
    }
    if !warned.is_empty() {
        let before = net.table();
        let strict = lbd(net, &["apply", "--strict"]);
        assert_eq!((strict.status, strict.stdout.as_str()), (2, ""), "{strict:?}");
        assert!(
            strict.stderr.ends_with("error: nothing was changed: `--strict` treats warnings as errors\n"),
            "{strict:?}"
        );
        assert_eq!(net.table(), before);
    }
    warned
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(code, subject)| ((*code).to_owned(), (*subject).to_owned())).collect()
}

const NAT: &str = "  - { name: web, listen: 'tcp://10.0.0.13:80', forward: nat, servers: [192.168.8.14] }";
const DR: &str = "  - { name: web, listen: 'tcp://10.0.0.13:80', servers: [192.168.8.14] }";

/// Two links to elsewhere: `front` with the virtual address, `back` with the default route.
fn links(net: &Netns) {
    net.sh(
        "for i in front back; do ip link add $i type veth peer name $i-peer; ip link set $i up; ip link set $i-peer up; done
         ip addr add 10.0.0.13/24 dev front; ip addr add 10.1.0.13/24 dev back; ip route add default via 10.1.0.1",
    );
}

#[test]
fn nat_without_forwarding_is_told_with_the_way_out_and_exit_codes_stay() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo");
    desired(&net, "", NAT);
    let warning = "warning: tcp://10.0.0.13:80: the replies of nat servers are not forwarded, since net.ipv4.ip_forward \
                   is 0; add `net.ipv4.ip_forward: 1` to `sysctls`\n";
    let diff = lbd(&net, &["diff"]);
    assert_eq!((diff.status, diff.stderr.as_str()), (1, warning));
    let strict = lbd(&net, &["apply", "--strict", "-o", "json"]);
    assert_eq!(strict.status, 2);
    assert_eq!(
        serde_json::from_str::<Value>(&strict.stdout).unwrap(),
        json!({
            "version": 1, "in_sync": false, "operations": [], "foreign": [],
            "summary": { "add": 0, "edit": 0, "delete": 0 }, "failed": [],
            "warnings": [{
                "code": "forwarding-off",
                "subject": "tcp://10.0.0.13:80",
                "message": "tcp://10.0.0.13:80: the replies of nat servers are not forwarded, since \
                            net.ipv4.ip_forward is 0",
                "advice": "add `net.ipv4.ip_forward: 1` to `sysctls`",
            }],
        })
    );
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());
    let apply = lbd(&net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, warning));
    // In sync it is no better.
    let apply = lbd(&net, &["apply"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, warning));
    assert_eq!(agreed(&net), pairs(&[("forwarding-off", "tcp://10.0.0.13:80")]));
    // What the file itself sets counts before it is set.
    desired(&net, "sysctls: { net.ipv4.conf.all.forwarding: 1 }", NAT);
    assert_eq!(agreed(&net), []);
    desired(&net, "", NAT);
    net.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    assert_eq!(warned(&net), []);
    let apply = lbd(&net, &["apply", "--strict"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""));
    // An export stands for no host.
    let live = lbd(&net, &["diff", "--live", "desired.yaml"]);
    assert_eq!((live.status, live.stderr.as_str()), (0, ""));
}

#[test]
fn nat_of_ipv6_has_a_switch_of_its_own() {
    let net = Netns::new();
    net.sh("ip addr add fd00::13/128 dev lo nodad; echo 1 > /proc/sys/net/ipv4/ip_forward");
    desired(&net, "", "  - { name: web, listen: 'tcp://[fd00::13]:80', forward: nat, servers: ['fd00::7'] }");
    assert_eq!(warned(&net), pairs(&[("forwarding-off", "tcp://[fd00::13]:80")]));
    net.sh("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    assert_eq!(warned(&net), []);
}

#[test]
fn an_address_is_local_as_the_kernel_routes_it_not_as_it_is_listed() {
    let net = Netns::new();
    desired(
        &net,
        "",
        &format!("{DR}\n  - {{ name: six, listen: 'udp://[fd00::13]:53', servers: ['fd00::7'] }}"),
    );
    assert_eq!(warned(&net), pairs(&[("address-not-local", "10.0.0.13"), ("address-not-local", "fd00::13")]));
    // A route elsewhere, and one that refuses, are not local either.
    links(&net);
    net.sh("ip addr del 10.0.0.13/24 dev front; ip route add 10.0.0.13 dev front; ip -6 route add unreachable fd00::13");
    assert_eq!(warned(&net), pairs(&[("address-not-local", "10.0.0.13"), ("address-not-local", "fd00::13")]));
    net.sh("ip route add local 10.0.0.13 dev lo; ip -6 route del unreachable fd00::13; ip -6 addr add fd00::13/128 dev lo");
    assert_eq!(warned(&net), []);
}

// What lbd knows from the kernel's table of local addresses, `ip` asks for one by one.
#[test]
fn the_table_of_local_addresses_is_read_as_the_kernel_reads_it() {
    let net = Netns::new();
    links(&net);
    let addresses = [
        "10.0.0.13",
        "10.0.0.255",
        "10.16.0.1",
        "10.16.7.1",
        "10.16.255.255",
        "10.17.0.1",
        "10.18.0.1",
        "127.0.0.5",
        "fd00:16::1",
        "fd00:16::ff",
        "fd00:17::1",
    ];
    let listen = |address: &str| {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        format!("'tcp://{host}:80'")
    };
    let listeners: Vec<String> = addresses.iter().map(|address| listen(address)).collect();
    let (v6, v4): (Vec<String>, Vec<String>) = listeners.into_iter().partition(|url| url.contains('['));
    let clusters = format!(
        "  - {{ name: four, listen: [{}], servers: [192.168.8.14] }}\n  - {{ name: six, listen: [{}], servers: ['fd00::7'] }}",
        v4.join(", "),
        v6.join(", ")
    );
    desired(&net, "", &clusters);
    let mut counts = Vec::new();
    for change in [
        "true",
        "ip route add local 10.16.0.0/16 dev lo; ip -6 route add local fd00:16::/64 dev lo",
        "ip route add unreachable 10.16.7.0/24 table local; ip -6 route add unreachable fd00:16::ff table local",
        "ip route add throw 10.16.255.255 table local",
        // A local route of another table, which the rules reach or do not.
        "ip route add local 10.17.0.0/16 dev lo table main; ip -6 route add local fd00:17::/64 dev lo table 100",
        "ip -6 rule add lookup 100",
        "ip route add local 10.18.0.0/16 dev lo table 100; ip rule add to 10.18.0.0/16 lookup 100",
        // Another rule before all.
        "ip rule add pref 1 lookup local; ip rule del pref 0; ip route add blackhole 10.0.0.13 table 101; ip rule add pref 0 lookup 101",
    ] {
        net.sh(change);
        let validate = lbd(&net, &["validate", "--host", "-o", "json"]);
        let document: Value = serde_json::from_str(&validate.stdout).unwrap();
        let not_local: Vec<&str> = document["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|warning| warning["code"] == "address-not-local")
            .map(|warning| warning["subject"].as_str().unwrap())
            .collect();
        let is_elsewhere =
            |address: &&&str| !net.sh(&format!("ip route get {address} 2>&1 || true")).starts_with("local ");
        let expected: Vec<&str> = addresses.iter().filter(is_elsewhere).copied().collect();
        assert_eq!(not_local, expected, "after `{change}`");
        counts.push(not_local.len());
    }
    assert_eq!(counts, [9, 4, 6, 7, 6, 5, 4, 5], "each change makes a difference");
}

// Lists of the kernel come in frames, several of them in one call.
#[test]
fn a_director_with_thousands_of_addresses_is_looked_at() {
    let net = Netns::new();
    net.sh("seq 0 2999 | awk '{ print \"addr add 10.16.\" int($1 / 256) \".\" $1 % 256 \"/32 dev lo\" }' | ip -batch -");
    desired(&net, "", "  - { name: web, listen: 'tcp://10.16.11.183:80', servers: [192.168.8.14] }");
    assert_eq!(warned(&net), []);
    desired(&net, "", "  - { name: web, listen: 'tcp://10.16.11.184:80', servers: [192.168.8.14] }");
    assert_eq!(warned(&net), pairs(&[("address-not-local", "10.16.11.184")]));
}

#[test]
fn packets_of_a_mark_may_be_local_by_a_rule_for_that_mark() {
    let net = Netns::new();
    desired(
        &net,
        "marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.13, ports: [80, 443] }] }]",
        "  - { name: web, listen: 'fwmark://10', servers: [192.168.8.14] }",
    );
    let warned = || {
        let validate = lbd(&net, &["validate", "--host", "-o", "json"]);
        serde_json::from_str::<Value>(&validate.stdout).unwrap()["warnings"][0]["subject"].clone()
    };
    assert_eq!(warned(), json!("10.0.0.13"));
    net.sh("ip rule add fwmark 10 lookup 100; ip route add local 0.0.0.0/0 dev lo table 100");
    assert_eq!(warned(), Value::Null);
}

#[test]
fn a_strict_check_of_the_way_back_is_named_where_clients_come_in_elsewhere() {
    let net = Netns::new();
    links(&net);
    desired(&net, "", DR);
    net.sh(
        "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/front/rp_filter",
    );
    assert_eq!(warned(&net), []);
    for place in ["all", "front"] {
        net.sh(&format!("echo 1 > /proc/sys/net/ipv4/conf/{place}/rp_filter"));
        assert_eq!(warned(&net), pairs(&[("strict-reverse-path", "front")]), "{place}");
        net.sh(&format!("echo 0 > /proc/sys/net/ipv4/conf/{place}/rp_filter"));
    }
    net.sh("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter");
    let validate = lbd(&net, &["validate", "--host"]);
    assert_eq!(
        validate.stderr,
        "warning: front: rp_filter is strict (1), and the default route leaves by back: packets to 10.0.0.13 from \
         clients behind that are dropped where they arrive here; add `net.ipv4.conf.front.rp_filter: 2` to \
         `sysctls`\n"
    );
    desired(&net, "sysctls: { net.ipv4.conf.front.rp_filter: 2 }", DR);
    assert_eq!(warned(&net), []);
    // A route for what comes from that address mends it as well, and so does one default route over both links.
    desired(&net, "", DR);
    net.sh("ip rule add from 10.0.0.13 lookup 100; ip route add default via 10.0.0.1 table 100");
    assert_eq!(warned(&net), []);
    net.sh("ip rule del from 10.0.0.13 lookup 100");
    assert_eq!(warned(&net), pairs(&[("strict-reverse-path", "front")]));
    net.sh("ip route replace default nexthop via 10.1.0.1 nexthop via 10.0.0.1");
    assert_eq!(warned(&net), []);
    net.sh("ip route del default");
    assert_eq!(warned(&net), []);
}

#[test]
fn a_strict_tunnel_that_holds_a_virtual_address_is_named() {
    let net = Netns::new();
    net.sh("modprobe ipip; ip link set tunl0 up; ip addr add 10.0.0.13/32 dev tunl0
         echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 1 > /proc/sys/net/ipv4/conf/tunl0/rp_filter");
    desired(&net, "", DR);
    assert_eq!(warned(&net), pairs(&[("strict-reverse-path-tunnel", "tunl0")]));
    net.sh("echo 2 > /proc/sys/net/ipv4/conf/tunl0/rp_filter");
    assert_eq!(warned(&net), []);
}

#[test]
fn clients_of_quiesced_servers_are_thought_of() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo");
    let cluster = |more: &str, weight: u32| {
        format!(
            "  - {{ name: web, listen: 'tcp://10.0.0.13:80', {more}, servers: [192.168.8.14, {{ address: 192.168.8.15, \
             weight: {weight} }}] }}"
        )
    };
    desired(&net, "", &cluster("scheduler: sh", 0));
    assert_eq!(warned(&net), pairs(&[("sh-without-fallback", "tcp://10.0.0.13:80")]));
    desired(&net, "", &cluster("scheduler: sh, scheduler_flags: [sh-fallback]", 0));
    assert_eq!(warned(&net), []);
    // A server that comes with weight 0 has no place in mh's table, one that served keeps it.
    desired(&net, "", &cluster("scheduler: mh", 0));
    assert_eq!(warned(&net), []);
    desired(&net, "", &cluster("scheduler: mh", 1));
    assert_eq!(lbd(&net, &["apply", "--strict"]).status, 0);
    desired(&net, "", &cluster("scheduler: mh", 0));
    // What depends on the live table is no other to a command that only looks.
    assert_eq!(agreed(&net), pairs(&[("mh-without-fallback", "tcp://10.0.0.13:80")]));
    desired(&net, "", &cluster("scheduler: mh, scheduler_flags: [mh-fallback]", 0));
    assert_eq!(warned(&net), []);

    desired(&net, "", &cluster("persistence: 5m", 0));
    assert_eq!(warned(&net), pairs(&[("quiesced-still-used", "tcp://10.0.0.13:80")]));
    desired(&net, "sysctls: { net.ipv4.vs.expire_quiescent_template: 1 }", &cluster("persistence: 5m", 0));
    assert_eq!(warned(&net), []);
}

// A mistyped setting passed `validate`, `validate --host` and `diff`.
#[test]
fn a_setting_that_this_kernel_does_not_have_is_warned_of_and_one_of_an_interface_to_come_is_not() {
    let net = Netns::new();
    let settings = "net.ipv4.ip_forwad: 1, net.ipv4.ip_forward: 1, net/ipv4/conf/eth9.7/rp_filter: 0, net.ipv4.vs.conntrack: 1";
    desired(&net, &format!("sysctls: {{ {settings} }}"), "  []");
    assert_eq!(agreed(&net), pairs(&[("unknown-setting", "net.ipv4.ip_forwad")]));
    assert_eq!(
        lbd(&net, &["diff"]).stderr,
        "warning: net.ipv4.ip_forwad: this kernel has no such setting now; did you mean net.ipv4.ip_forward?\n"
    );
    desired(&net, "sysctls: { net.bridge.bridge-nf-call-iptables: 0 }", "  []");
    let stderr = lbd(&net, &["validate", "--host"]).stderr;
    assert!(stderr.contains("modprobe br_netfilter"), "{stderr}");
}

/// That the warning about mh is true: `(refused, answered)` of 40 clients after one of two servers was quiesced.
fn clients(net: &Netns, flags: &str, live_first: bool) -> (usize, usize) {
    net.sh("ipvsadm -C");
    let weight = u32::from(live_first);
    net.sh(&format!(
        "ipvsadm -A -t 10.0.0.13:80 -s mh {flags}; ipvsadm -a -t 10.0.0.13:80 -r 127.0.0.1:8080 -m -w 1
         ipvsadm -a -t 10.0.0.13:80 -r 127.0.0.2:8080 -m -w {weight}
         ipvsadm -e -t 10.0.0.13:80 -r 127.0.0.2:8080 -m -w 0"
    ));
    let script = "import socket
answered = 0
for i in range(1, 41):
    try:
        socket.create_connection(('10.0.0.13', 80), 5, ('10.2.0.%d' % i, 0)).close()
        answered += 1
    except ConnectionRefusedError:
        pass
print(answered)";
    let answered = net.sh(&format!("/usr/bin/python3 -c \"{script}\"")).trim().parse().unwrap();
    (40 - answered, answered)
}

#[test]
fn mh_refuses_clients_of_a_server_that_served() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo; for i in $(seq 40); do ip addr add 10.2.0.$i/32 dev lo; done");
    net.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    let _servers =
        ["127.0.0.1:8080", "127.0.0.2:8080"].map(|address| std::net::TcpListener::bind(address).unwrap());
    let (refused, answered) = clients(&net, "", true);
    assert!(refused > 5 && answered > 5, "{refused} refused, {answered} answered");
    assert_eq!(clients(&net, "", false), (0, 40));
    assert_eq!(clients(&net, "-b mh-fallback", true), (0, 40));
}

#[test]
fn live_connections_of_a_deleted_server_hang_unless_a_setting_ends_them() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo; echo 1 > /proc/sys/net/ipv4/ip_forward");
    let cluster = |servers: &str| {
        format!(
            "  - {{ name: web, listen: 'tcp://10.0.0.13:80', forward: dr, drain: 0, servers: [{servers}] }}"
        )
    };
    desired(&net, "", &cluster("127.0.0.1"));
    assert_eq!(lbd(&net, &["apply", "--strict"]).status, 0);
    let server = std::net::TcpListener::bind("10.0.0.13:80").unwrap();
    let client = std::net::TcpStream::connect("10.0.0.13:80").unwrap();
    let accepted = server.accept().unwrap();
    desired(&net, "", &cluster("127.0.0.2"));
    assert_eq!(warned(&net), pairs(&[("connections-hang", "127.0.0.1:80 of tcp://10.0.0.13:80")]));
    desired(&net, "sysctls: { net.ipv4.vs.expire_nodest_conn: 1 }", &cluster("127.0.0.2"));
    assert_eq!(warned(&net), []);
    let apply = lbd(&net, &["apply", "--strict"]);
    assert_eq!((apply.status, apply.stderr.as_str()), (0, ""));
    drop((client, accepted));
}

#[test]
fn routes_from_routers_are_thought_of_before_the_host_becomes_one() {
    let net = Netns::new();
    links(&net);
    net.sh(
        "ip -6 addr add fe80::1/64 dev back nodad; ip -6 route add default via fe80::99 dev back proto ra",
    );
    let forwarding = "sysctls: { net.ipv6.conf.all.forwarding: 1 }";
    desired(&net, forwarding, DR);
    assert_eq!(warned(&net), pairs(&[("learned-routes-lost", "back")]));
    desired(&net, "sysctls: { net.ipv6.conf.all.forwarding: 1, net.ipv6.conf.back.accept_ra: 2 }", DR);
    assert_eq!(warned(&net), []);
    desired(&net, forwarding, DR);
    net.sh("echo 2 > /proc/sys/net/ipv6/conf/back/accept_ra");
    assert_eq!(warned(&net), []);
    net.sh(
        "echo 1 > /proc/sys/net/ipv6/conf/back/accept_ra; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
    );
    assert_eq!(warned(&net), []);
}

/// A program by a name, which waits; gone with the value.
struct Program(Child);

impl Program {
    fn start(net: &Netns, name: &str, arguments: &str) -> Self {
        // The shell stays the process by that name until its input ends.
        let script = net.write(name, "#!/bin/sh\nread wait\n");
        net.sh(&format!("chmod 755 {name}"));
        let mut command = std::process::Command::new(script);
        command.args(arguments.split_whitespace()).stdin(Stdio::piped());
        let child = command.spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&comm).unwrap().trim() != name {
            std::thread::yield_now();
        }
        Self(child)
    }

    fn subject(&self, name: &str) -> String {
        format!("{name} (process {})", self.0.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn other_managers_in_the_same_namespace_are_named() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo");
    desired(&net, "", DR);
    assert_eq!(warned(&net), []);
    let config = net.write("keepalived.conf", "vrrp_instance one {\n}\n");
    let keepalived = Program::start(&net, "keepalived", &format!("-D -f {}", config.display()));
    assert_eq!(warned(&net), []);
    net.write("keepalived.conf", "vrrp_instance one {\n}\nvirtual_server 10.0.0.13 80 {\n}\n");
    assert_eq!(warned(&net), pairs(&[("another-manager", &keepalived.subject("keepalived"))]));
    let ldirectord = Program::start(&net, "ldirectord", "");
    assert_eq!(
        warned(&net),
        pairs(&[
            ("another-manager", &keepalived.subject("keepalived")),
            ("another-manager", &ldirectord.subject("ldirectord")),
        ])
    );
    drop(keepalived);
    drop(ldirectord);
    assert_eq!(warned(&net), []);
    // In a namespace of their own they are nobody's business.
    let elsewhere = Program::start(&net, "kube-proxy", "");
    assert_eq!(warned(&net), pairs(&[("another-manager", &elsewhere.subject("kube-proxy"))]));
    let other = Netns::new();
    other.sh("ip addr add 10.0.0.13/32 dev lo");
    desired(&other, "", DR);
    assert_eq!(warned(&other), []);
}

#[test]
fn rules_that_ipvsadm_puts_back_at_boot_are_named_in_the_first_namespace() {
    let net = Netns::new();
    net.sh("ip addr add 10.0.0.13/32 dev lo");
    desired(&net, "", DR);
    net.write("auto", "AUTO=\"true\"\n");
    let validate = |inside: &str| {
        net.try_sh(&format!(
            "exec unshare --mount sh -ec 'mount --bind auto /etc/default/ipvsadm
             exec {inside} {} -f desired.yaml validate --host'",
            lab::lbd()
        ))
    };
    let first = validate("nsenter --net=/proc/1/ns/net");
    assert_eq!(first.status, 0, "{first:?}");
    assert!(
        first.stderr.contains(
            "warning: ipvsadm: restores its own rules at boot, as set in /etc/default/ipvsadm; set AUTO=\"false\" there"
        ),
        "{first:?}"
    );
    // What happens at boot happens elsewhere for this one.
    assert_eq!(validate("").stderr, "");
    net.write("auto", "AUTO=\"false\"\n");
    assert!(!validate("nsenter --net=/proc/1/ns/net").stderr.contains("ipvsadm"));
}

#[test]
fn whoever_may_not_ask_the_kernel_is_told_the_rest() {
    let net = Netns::new();
    desired(&net, "", NAT);
    net.sh("chmod 755 . && chmod 644 desired.yaml");
    let validate = net.try_sh(&format!(
        "exec setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all {} -f desired.yaml validate --host",
        lab::lbd()
    ));
    assert_eq!(validate.status, 0, "{validate:?}");
    assert!(validate.stderr.contains("note: not compared with the live table: "), "{validate:?}");
    assert!(
        validate.stderr.contains("warning: tcp://10.0.0.13:80: the replies of nat servers"),
        "{validate:?}"
    );
    assert!(
        validate.stderr.contains("warning: 10.0.0.13: this virtual address is not local"),
        "{validate:?}"
    );
}

#[test]
fn the_same_trouble_of_many_services_is_one_warning() {
    let net = Netns::new();
    let service = |number: u32| {
        format!(
            "  - {{ name: s{number}, listen: 'tcp://10.{}.{}.1:80', forward: nat, servers: [192.168.8.14] }}",
            number >> 8,
            number & 255
        )
    };
    let clusters: Vec<String> = (0..3000).map(service).collect();
    desired(&net, "", &clusters.join("\n"));
    let from = std::time::Instant::now();
    let diff = lbd(&net, &["diff"]);
    assert_eq!(diff.status, 1);
    let warnings: Vec<&str> = diff.stderr.lines().collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(warnings[2], "note: `lbd diff --verbose` shows the warnings in full");
    assert!(
        warnings[0].starts_with(
            "warning: tcp://10.0.0.1:80, tcp://10.0.1.1:80, tcp://10.0.2.1:80 and 2997 more: the replies"
        ),
        "{warnings:?}"
    );
    assert!(
        warnings[1]
            .starts_with("warning: 10.0.0.1, 10.0.1.1, 10.0.2.1 and 2997 more: this virtual address is not"),
        "{warnings:?}"
    );
    assert!(from.elapsed() < std::time::Duration::from_secs(30), "{:?}", from.elapsed());
}
