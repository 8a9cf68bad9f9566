//! Checks from end to end: the daemon with its checker, real servers behind real virtual services, and a client that counts what it loses.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use crate::lab::Netns;
use crate::running::{Daemon, soon};

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
