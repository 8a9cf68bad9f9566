//! Checks from end to end: the daemon with its checker, real servers behind real virtual services, and a client that counts what it loses.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use crate::checker::checker_of;
use crate::lab::Netns;
use crate::running::{Daemon, printed, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// Longer than any of this takes in a busy lab.
const PATIENCE: Duration = Duration::from_secs(15);

const FILE: &str = "\
version: 1
policy: { resync: 1h }
clusters:
  - name: shop
    listen: tcp://10.0.0.1:80
    scheduler: rr
    forward: nat
    check: { type: http, path: /healthz, host: shop.example.com, interval: 1s, timeout: 500ms, fast: 200ms, fall: 2 }
    servers: [192.168.8.14, 192.168.8.15]
";

/// An HTTP server that answers with a status until it is dropped, when its port is closed.
struct Server {
    address: String,
    status: Arc<AtomicU16>,
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let (status, ends) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(false)));
        let (answers, is_over) = (Arc::clone(&status), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // One that is gone already has its answer.
                let _ = stream.and_then(|stream| answer(stream, answers.load(Ordering::SeqCst)));
            }
        });
        Self { address: address.to_owned(), status, ends, thread: Some(thread) }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        self.thread.take().map(thread::JoinHandle::join);
    }
}

fn answer(mut stream: TcpStream, status: u16) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    // The head of the request, up to the empty line.
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    write!(stream, "HTTP/1.1 {status} Well\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

/// A server that answers each datagram with its name until it is dropped, when its port is closed.
struct Answering {
    ends: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Answering {
    fn start(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (name, ends) = (address.to_owned(), Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                if let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                    // One that is gone already needs no answer.
                    let _ = socket.send_to(name.as_bytes(), from);
                }
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        self.thread.take().map(thread::JoinHandle::join);
    }
}

/// Whether a request to the virtual service is answered with 200.
fn is_served() -> bool {
    let request = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&"10.0.0.1:80".parse().unwrap(), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    request().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

/// The weights of both servers, as ipvsadm sees them.
fn weights(net: &Netns) -> Vec<String> {
    let weight = |line: String| line.rsplit_once("-w ").map(|(_, weight)| weight.to_owned());
    net.ipvsadm_save().into_iter().filter_map(weight).collect()
}

#[test]
fn a_client_loses_requests_to_a_dying_server_only_until_its_check_fails() {
    let net = Netns::new();
    fs::set_permissions(net.path("."), Permissions::from_mode(0o755)).unwrap();
    net.sh("for address in 10.0.0.1 192.168.8.14 192.168.8.15; do ip address add $address/32 dev lo; done
         echo 1 > /proc/sys/net/ipv4/ip_forward");
    net.write("desired.yaml", FILE);
    let stays = Server::start("192.168.8.14:80");
    let mut dies = Some(Server::start("192.168.8.15:80"));
    let daemon = Daemon::start(&net);
    let becomes = |wanted: [&str; 2]| {
        assert!(soon(PATIENCE, || weights(&net) == wanted).is_some(), "{wanted:?}: {}", daemon.log());
    };
    becomes(["1", "1"]);
    let none_is_lost = || assert!((0..20).all(|_| is_served()), "{}", daemon.log());
    none_is_lost();
    // Its first success: from then on a failure is a verdict.
    let is_proven =
        || net.lbd(&["-f", "desired.yaml", "status", "-o", "json"]).stdout.contains("\"unknown\": 0");
    assert!(soon(PATIENCE, is_proven).is_some(), "{}", daemon.log());
    // Its port is closed.
    drop(dies.take());
    becomes(["1", "0"]);
    none_is_lost();
    daemon.wait_for("check http: connection refused");
    let server = Server::start("192.168.8.15:80");
    becomes(["1", "1"]);
    none_is_lost();
    // It answers, and says that it does not serve.
    server.answers(503);
    becomes(["1", "0"]);
    none_is_lost();
    daemon.wait_for("check http: status 503");
    // Neither end of the two processes changes anything.
    let length = daemon.log().len();
    daemon.kill();
    let daemon = Daemon::start(&net);
    let is_passed = || daemon.log_since(length).contains("watching the desired file");
    assert!(soon(PATIENCE, is_passed).is_some(), "{}", daemon.log());
    assert_eq!(weights(&net), ["1", "0"]);
    server.answers(200);
    assert!(soon(PATIENCE, || weights(&net) == ["1", "1"]).is_some(), "{}", daemon.log());
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
    drop(stays);
}

#[test]
fn neither_a_stopped_checker_nor_a_stopped_daemon_changes_the_table_and_a_udp_client_leaves_a_dead_server() {
    let net = Netns::new();
    fs::set_permissions(net.path("."), Permissions::from_mode(0o755)).unwrap();
    net.sh("for address in 10.0.0.1 192.168.8.14 192.168.8.15; do ip address add $address/32 dev lo; done
         echo 1 > /proc/sys/net/ipv4/ip_forward");
    let often = "interval: 300ms, timeout: 200ms, fast: 100ms, fall: 2";
    let dns = format!(
        "  - name: dns
    listen: udp://10.0.0.1:53
    scheduler: rr
    forward: nat
    check: {{ type: udp, send: '?', expect: '192.168', {often} }}
    servers: [192.168.8.14, 192.168.8.15]
"
    );
    net.write(
        "desired.yaml",
        &(FILE.replace("interval: 1s, timeout: 500ms, fast: 200ms, fall: 2", often) + &dns),
    );
    let (_stays, sick) = (Server::start("192.168.8.14:80"), Server::start("192.168.8.15:80"));
    let mut names = ["192.168.8.14:53", "192.168.8.15:53"].map(|name| (name, Some(Answering::start(name))));
    let daemon = Daemon::start(&net);
    let is_known =
        || net.lbd(&["-f", "desired.yaml", "status", "-o", "json"]).stdout.contains("\"unknown\": 0");
    assert!(soon(PATIENCE, is_known).is_some(), "{}", daemon.log());
    sick.answers(503);
    let is_out = || printed().values().flatten().any(|server| server == "C0A8080F:0050 Masq 0");
    assert!(soon(PATIENCE, is_out).is_some(), "{:?} {}", printed(), daemon.log());
    daemon.wait_for("check http: status 503");

    // Each is stopped for longer than an interval and a time-out.
    let (table, length) = (printed(), daemon.log().len());
    let processes = [checker_of(&daemon).unwrap(), daemon.id().try_into().unwrap()];
    for process in processes.map(Pid::from_raw) {
        kill(process, Signal::SIGSTOP).unwrap();
        thread::sleep(Duration::from_millis(600));
        kill(process, Signal::SIGCONT).unwrap();
    }

    // A client whose packets all come from one socket belongs to one server, until that is removed. That shows that both go on.
    let client = UdpSocket::bind("10.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    client.connect("10.0.0.1:53").unwrap();
    let answer = || {
        let mut answer = [0; 64];
        client.send(b"?").ok()?;
        let length = client.recv(&mut answer).ok()?;
        String::from_utf8(answer[..length].to_vec()).ok()
    };
    let first = answer().unwrap();
    assert_eq!([answer(), answer()], [Some(first.clone()), Some(first.clone())]);
    names.iter_mut().find(|(name, _)| *name == first).unwrap().1 = None;
    let other = || answer().filter(|name| *name != first);
    assert!(soon(PATIENCE, || other().is_some()).is_some(), "{}", daemon.log());
    assert!((0..10).all(|_| other().is_some()));

    // Nothing else has changed.
    let removed = |(service, servers): (&String, &Vec<String>)| {
        let is_removed = service.starts_with("UDP");
        (service.clone(), if is_removed { servers.len() - 1 } else { servers.len() })
    };
    let counts = |(service, servers): (&String, &Vec<String>)| (service.clone(), servers.len());
    let now = printed();
    assert_eq!(now.iter().map(counts).collect::<Vec<_>>(), table.iter().map(removed).collect::<Vec<_>>());
    assert!(is_out());
    daemon.wait_for(&format!("check failed: {first} of udp://10.0.0.1:53"));
    let edits = daemon.log_since(length).lines().filter(|line| line.contains("applied: ")).count();
    assert_eq!(edits, 1, "{}", daemon.log());
}

#[test]
fn a_ping_passes_and_fails_where_the_setting_permits_it() {
    let net = Netns::new();
    // What is sent over a dummy interface to a neighbour that is known is lost, and what has no route is unreachable.
    net.sh("echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range
         ip address add 192.168.8.14/32 dev lo
         ip link add lost type dummy; ip address add 192.168.9.1/24 dev lost; ip link set lost up
         ip neighbour add 192.168.9.2 lladdr 02:00:00:00:00:02 dev lost
         ip route add unreachable 192.168.7.0/24");
    let servers = "[192.168.8.14, 192.168.9.2, 192.168.7.2]";
    let text = format!(
        "{{ version: 1, defaults: {{ check: {{ type: ping, timeout: 300ms, interval: 1s }} }}, clusters:
        [{{ name: shop, listen: tcp://10.0.0.1:80, servers: {servers} }}] }}"
    );
    net.write("desired.yaml", &text);
    let verdicts = || {
        let output = net.lbd(&["-f", "desired.yaml", "check", "-o", "json"]);
        let document: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let verdict = |row: &Value| (row["verdict"].clone(), row["detail"].clone());
        (output.status, document["checks"].as_array().unwrap().iter().map(verdict).collect::<Vec<_>>())
    };
    let failing = |detail: &str| (json!("failing"), json!(detail));
    let expected =
        [(json!("passing"), Value::Null), failing("no answer within 300 ms"), failing("host unreachable")];
    assert_eq!(verdicts(), (1, expected.to_vec()));
    net.sh("echo 1 0 > /proc/sys/net/ipv4/ping_group_range");
    let (status, found) = verdicts();
    let detail = found[0].1.as_str().unwrap_or_default();
    assert!(
        detail.starts_with("echo not permitted: net.ipv4.ping_group_range is without group "),
        "{detail}"
    );
    let not_probed = (json!("not_probed"), json!(detail));
    assert_eq!((status, found.as_slice()), (2, vec![not_probed; 3].as_slice()));
}
