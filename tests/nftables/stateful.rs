//! Packets of dr and nat services through a firewall that looks at the states of connections, as firewalld does.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::hosts::{Hosts, at};
use crate::lab::Netns;

/// For what is sure to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// For what never happens.
const NEVER: Duration = Duration::from_secs(2);

const FILE: &str = "\
version: 1
sysctls: { net.ipv4.ip_forward: 1, net.ipv4.vs.conntrack: 1 }
clusters:
  - { name: direct, listen: 'tcp://10.7.0.1:80', forward: dr, servers: [10.7.5.2] }
  - { name: translated, listen: 'tcp://10.7.0.2:80', forward: nat, servers: [10.7.5.2] }
";

const FIREWALL: &str = "\
table inet firewalld {
    counter invalid { }
    chain filter_INPUT {
        type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname \"lo\" accept
        ct state invalid counter name invalid drop
        tcp dport { 22, 80 } ct state { new, untracked } accept
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct state invalid drop
        reject with icmpx admin-prohibited
    }
}
";

/// The client and the server; the test's own namespace is the director. The server answers for the address of the dr service by
/// a cable of its own, for all others through the director.
fn hosts(net: &Netns) -> Hosts {
    net.sh("ip netns add fw-client; ip netns add fw-server; ip -batch - <<'WIRES'
link add c type veth peer name d netns fw-client
link add s type veth peer name d netns fw-server
link add x netns fw-client type veth peer name x netns fw-server
address add 10.7.3.1/24 dev c
address add 10.7.5.1/24 dev s
address add 10.7.0.1/32 dev lo
address add 10.7.0.2/32 dev lo
link set dev c up
link set dev s up
WIRES
ip -n fw-client -batch - <<'CLIENT'
link set dev d up
link set dev x up
address add 10.7.3.2/24 dev d
address add 10.7.6.1/24 dev x
route add 10.7.0.0/24 via 10.7.3.1
CLIENT
ip -n fw-server -batch - <<'SERVER'
link set dev lo up
link set dev d up
link set dev x up
address add 10.7.0.1/32 dev lo
address add 10.7.5.2/24 dev d
address add 10.7.6.2/24 dev x
route add default via 10.7.5.1
route add default via 10.7.6.1 table 100
rule add from 10.7.0.1 table 100
SERVER");
    Hosts(&["fw-client", "fw-server"])
}

/// Sends back what comes first, and says whose connections were closed in order.
fn serve(closed: Sender<SocketAddr>) {
    let listener = at("fw-server", || TcpListener::bind("0.0.0.0:80")).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, closed) = (stream.unwrap(), closed.clone());
            thread::spawn(move || {
                let mut word = [0; 5];
                let peer = stream.peer_addr().unwrap();
                if stream.read_exact(&mut word).and_then(|()| stream.write_all(&word)).is_ok()
                    && stream.read(&mut word).is_ok_and(|length| length == 0)
                {
                    let _ = closed.send(peer);
                }
            });
        }
    });
}

/// A connection, once it has sent its data.
fn connect(service: &'static str) -> TcpStream {
    at("fw-client", move || {
        let mut stream = TcpStream::connect_timeout(&service.parse().unwrap(), PATIENCE).unwrap();
        stream.write_all(b"hello").unwrap();
        stream
    })
}

fn is_answered(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut word = [0; 5];
    stream.read_exact(&mut word).is_ok() && &word == b"hello"
}

/// Asserts that a whole connection works, and that the server hears of its end.
#[track_caller]
fn works(service: &'static str, closed: &Receiver<SocketAddr>) {
    let mut stream = connect(service);
    assert!(is_answered(&mut stream, PATIENCE), "{service}");
    let own = stream.local_addr().unwrap();
    drop(stream);
    while closed.recv_timeout(PATIENCE).unwrap() != own {}
}

const DIRECT: &str = "10.7.0.1:80";
const TRANSLATED: &str = "10.7.0.2:80";

#[test]
fn dr_behind_connection_states_loses_its_packets_as_the_warning_says_until_it_is_untracked() {
    let net = Netns::new();
    let _hosts = hosts(&net);
    net.write("rules", FIREWALL);
    net.sh("nft -f rules");
    let (told, closed) = mpsc::channel();
    serve(told);
    let apply = |file: &str| {
        net.write("desired.yaml", file);
        let output = net.lbd(&["-f", "desired.yaml", "apply"]);
        assert_eq!(output.status, 0, "{output:?}");
        output.stderr
    };
    let track = |value: &str| net.write("/proc/sys/net/ipv4/vs/conntrack", value);

    let warnings = apply(FILE);
    let warning = "tcp://10.7.0.1:80: the firewall drops packets of no known connection (chain filter_INPUT of table inet \
                   firewalld (nftables)), and the host sees one direction only of those to dr and tun servers: all data of \
                   clients is dropped, since net.ipv4.vs.conntrack is 1; write `untracked: true` in its cluster";
    assert!(warnings.contains(warning), "{warnings}");
    works(TRANSLATED, &closed);
    assert!(!is_answered(&mut connect(DIRECT), NEVER), "all data is dropped");

    // Its data goes through now, and its end does not.
    track("0");
    net.sh("nft reset counters > reset");
    let mut stream = connect(DIRECT);
    assert!(is_answered(&mut stream, PATIENCE));
    let own = stream.local_addr().unwrap();
    drop(stream);
    let began = Instant::now();
    while net.sh("nft list counter inet firewalld invalid").contains("packets 0 ") {
        assert!(began.elapsed() < PATIENCE, "nothing was dropped");
        thread::sleep(Duration::from_millis(100));
    }
    assert!(!closed.try_iter().any(|peer| peer == own));

    assert_eq!(apply(&FILE.replace("name: direct,", "name: direct, untracked: true,")), "");
    works(DIRECT, &closed);
    works(TRANSLATED, &closed);
    track("0");
    works(DIRECT, &closed);
}
