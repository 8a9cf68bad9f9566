//! What `lbd status --stats`, `zero` and `connections` say under real traffic is what ipvsadm says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::lab::{Netns, run};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};

/// The kernel sums its counters up every two seconds.
const SUMMED_UP: Duration = Duration::from_millis(2500);

const FILE: &str = "\
version: 1
defaults: { scheduler: rr, forward: nat }
sysctls: { net.ipv4.ip_forward: 1 }
marks: [{ mark: 10 }]
clusters:
  - { name: web, listen: tcp://10.0.0.1:80, servers: [192.168.8.14, 192.168.8.15] }
  - { name: six, listen: 'tcp://[fd00::1]:80', persistence: 5m, servers: ['fd00::14'] }
  - { name: dns, listen: udp://10.0.0.1:53, persistence: 5m, persistence_mask: 24, servers: [192.168.8.14] }
  - { name: marked, listen: fwmark://10, persistence: 5m, servers: [192.168.8.15] }
";

/// The counters of a service or server in the order of ipvsadm: connections, packets in and out, bytes in and out.
type Numbers = [u64; 5];

/// What ipvsadm prints of each service, `TCP 10.0.0.1:80`, and each of its servers, `TCP 10.0.0.1:80 -> 192.168.8.14:80`.
fn by_ipvsadm(net: &Netns, option: &str) -> BTreeMap<String, Numbers> {
    let mut all = BTreeMap::new();
    let mut service = String::new();
    for line in net.sh(&format!("ipvsadm -Ln {option} --exact")).lines().skip(3) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, numbers) = words.split_at(words.len() - 5);
        let numbers = numbers.iter().map(|number| number.parse().unwrap()).collect::<Vec<u64>>();
        let name = name.join(" ");
        let key = match name.strip_prefix("-> ") {
            Some(_) => format!("{service} {name}"),
            None => name.clone(),
        };
        if !name.starts_with("->") {
            service = name;
        }
        all.insert(key, numbers.try_into().unwrap());
    }
    all
}

fn numbers(row: &Value) -> Numbers {
    ["connections", "incoming_packets", "outgoing_packets", "incoming_bytes", "outgoing_bytes"]
        .map(|key| row[key].as_u64().unwrap())
}

/// The same by lbd.
fn by_lbd(status: &Value, key: &str) -> BTreeMap<String, Numbers> {
    let mut all = BTreeMap::new();
    for service in status["services"].as_array().unwrap() {
        let url = service["service"].as_str().unwrap();
        let (scheme, rest) = url.split_once("://").unwrap();
        let scheme = if scheme == "fwmark" { "FWM".to_owned() } else { scheme.to_uppercase() };
        let name = format!("{scheme} {rest}");
        for server in service["servers"].as_array().unwrap() {
            let server_name = format!("{name} -> {}", server["server"].as_str().unwrap());
            all.insert(server_name, numbers(&server[key]));
        }
        all.insert(name, numbers(&service[key]));
    }
    all
}

fn status(net: &Netns, options: &[&str]) -> Value {
    let arguments = [&["status", "-f", "desired.yaml", "-o", "json"], options].concat();
    let output = net.lbd(&arguments);
    assert_eq!(output.status, 0, "{}{}", output.stdout, output.stderr);
    serde_json::from_str(&output.stdout).unwrap()
}

/// The connections as ipvsadm lists them, without the seconds that they have left.
fn connections_by_ipvsadm(net: &Netns) -> BTreeSet<String> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        [words[0], words[2], words[3], words[4], words[5]].join(" ")
    };
    net.sh("ipvsadm -Lnc").lines().skip(2).map(of).collect()
}

fn connections(net: &Netns, options: &[&str]) -> Vec<Value> {
    let output = net.lbd(&[&["connections", "-f", "desired.yaml", "-o", "json"], options].concat());
    assert_eq!((output.status, &*output.stderr), (0, ""), "{}", output.stdout);
    output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same by lbd, in ipvsadm's words: it writes port 0 to the address of a template, and a mark as an address.
fn connections_by_lbd(rows: &[Value]) -> BTreeSet<String> {
    let of = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let is_template = row["template"] == true;
        let client = text("client");
        let client = client.split('/').next().unwrap();
        let client = match client.contains(':') {
            _ if !is_template => client.to_owned(),
            true => format!("[{client}]:0"),
            false => format!("{client}:0"),
        };
        let (protocol, to) = match text("virtual").strip_prefix("fwmark://") {
            Some(mark) => {
                let mark: u32 = mark.parse().unwrap();
                ("IP".to_owned(), format!("{}:0", std::net::Ipv4Addr::from(mark)))
            }
            None => (text("protocol").to_uppercase(), text("virtual")),
        };
        format!("{protocol} {} {client} {to} {}", text("state"), text("server"))
    };
    rows.iter().map(of).collect()
}

/// Servers that take connections and answer nothing, and clients of all services: what keeps their connections.
fn traffic(net: &Netns) -> (Vec<TcpListener>, Vec<TcpStream>, Vec<UdpSocket>) {
    let servers = ["192.168.8.14:80", "192.168.8.15:80", "[fd00::14]:80"];
    let servers: Vec<TcpListener> = servers.map(|address| TcpListener::bind(address).unwrap()).into();
    let mut clients: Vec<TcpStream> = Vec::new();
    for to in ["10.0.0.1:80"; 5].into_iter().chain(["[fd00::1]:80"; 2]) {
        let mut client = TcpStream::connect(to).unwrap();
        client.write_all(b"some bytes").unwrap();
        clients.push(client);
    }
    let datagrams = || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"datagram", "10.0.0.1:53").unwrap();
        socket
    };
    let marked = UdpSocket::bind("0.0.0.0:0").unwrap();
    setsockopt(&marked, sockopt::Mark, &10).unwrap();
    marked.send_to(b"marked", "10.0.0.2:7").unwrap();
    assert!(net.path(".").exists());
    (servers, clients, vec![datagrams(), datagrams(), marked])
}

#[test]
fn counters_rates_and_connections_are_those_of_ipvsadm() {
    let net = Netns::new();
    net.sh("for address in 10.0.0.1 10.0.0.2 192.168.8.14 192.168.8.15; do echo address add $address/32 dev lo; done | ip -batch -
         for address in fd00::1 fd00::14; do ip -6 address add $address/128 dev lo nodad; done
         echo 1 > /proc/sys/net/ipv4/ip_forward
         ipvsadm -A -t 10.0.0.2:25 -s rr; ipvsadm -a -t 10.0.0.2:25 -r 192.168.8.14:80 -m");
    net.write("desired.yaml", FILE);
    let applied = net.lbd(&["apply", "-f", "desired.yaml"]);
    assert_eq!(applied.status, 0, "{}", applied.stderr);
    let traffic = traffic(&net);
    let foreign = TcpStream::connect("10.0.0.2:25").unwrap();
    thread::sleep(SUMMED_UP);

    let counted = by_ipvsadm(&net, "--stats");
    let shown = status(&net, &["--stats", "--rates"]);
    assert_eq!(by_lbd(&shown, "statistics"), counted);
    assert_eq!((counted["TCP 10.0.0.1:80"][0], counted["TCP [fd00::1]:80"][0]), (5, 2));
    assert_eq!((counted["UDP 10.0.0.1:53"][0], counted["FWM 10"][0]), (2, 1));
    assert_eq!(shown["counters"], "running");
    assert_eq!(numbers(&shown["totals"]["statistics"])[0], 11);
    let clusters: Vec<&Value> = shown["clusters"].as_array().unwrap().iter().collect();
    let names: Vec<&str> = clusters.iter().map(|row| row["cluster"].as_str().unwrap()).collect();
    assert_eq!(names, ["dns", "marked", "six", "web"]);
    assert_eq!(numbers(&clusters[3]["statistics"]), counted["TCP 10.0.0.1:80"]);
    // The estimator may have gone on between two readings.
    let same = (0..5).any(|_| {
        let before = by_ipvsadm(&net, "--rate");
        by_lbd(&status(&net, &["--rates"]), "rates") == before
    });
    assert!(same, "{:?}", by_ipvsadm(&net, "--rate"));

    let rows = connections(&net, &[]);
    assert_eq!(connections_by_lbd(&rows), connections_by_ipvsadm(&net));
    let of_client = traffic.1[0].local_addr().unwrap().to_string();
    let one = connections(&net, &["--client", &of_client]);
    let server = one[0]["server"].clone();
    let expected = json!({ "protocol": "tcp", "client": of_client, "virtual": "10.0.0.1:80", "server": server, "state": "ESTABLISHED",
        "expires_in": one[0]["expires_in"], "cluster": "web", "service": "tcp://10.0.0.1:80", "template": false });
    assert_eq!(one, [expected]);
    // A connection and a template of a mark, which no rule of the file sets.
    let marked = connections(&net, &["marked"]);
    let services: Vec<&Value> = marked.iter().map(|row| &row["service"]).collect();
    assert_eq!(services, ["fwmark://10", "fwmark://10"]);
    let of_another = rows.iter().find(|row| row["virtual"] == "10.0.0.2:25").unwrap();
    assert_eq!((&of_another["cluster"], &of_another["service"]), (&Value::Null, &json!("tcp://10.0.0.2:25")));
    let count = net.lbd(&["connections", "-f", "desired.yaml", "--count", "web"]).stdout;
    assert!(count.ends_with("all: 5 connections\n"), "{count}");

    let refused = run(net.lbd_command(&["zero", "web"]).stdin(Stdio::null()));
    assert_eq!((refused.status, &*refused.stdout), (2, ""), "{}", refused.stderr);
    let zeroed = net.lbd(&["zero", "web", "--yes"]);
    assert_eq!(
        (zeroed.status, &*zeroed.stdout),
        (0, "set to zero: the counters of 1 virtual service\n"),
        "{}",
        zeroed.stderr
    );
    let mut expected = counted.clone();
    expected.iter_mut().filter(|(name, _)| name.contains("10.0.0.1:80")).for_each(|(_, of)| *of = [0; 5]);
    assert_eq!(by_ipvsadm(&net, "--stats"), expected);
    let all = net.lbd(&["zero", "--all", "--yes"]);
    assert_eq!(
        all.stdout, "set to zero: the counters of all 5 virtual services, and of the host\n",
        "{}",
        all.stderr
    );
    let shown = status(&net, &["--stats"]);
    assert!(by_lbd(&shown, "statistics").values().all(|of| *of == [0; 5]), "{shown}");
    assert_eq!(numbers(&shown["totals"]["statistics"]), [0; 5]);
    let events = net.lbd(&["history", "--events"]).stdout;
    assert!(events.contains("counters set to zero by"), "{events}");
    drop((traffic, foreign));
}

#[test]
fn counters_that_are_stopped_are_no_zeros() {
    let setting = "/proc/sys/net/ipv4/vs/run_estimation";
    // Linux 5.10 always counts.
    if !Path::new(setting).exists() {
        return;
    }
    let net = Netns::new();
    net.ready();
    net.write("desired.yaml", "{ version: 1, clusters: [{ name: web, listen: 'tcp://10.0.0.1:80', forward: nat, servers: [192.168.8.14] }] }");
    assert_eq!(net.lbd(&["apply", "-f", "desired.yaml"]).status, 0);
    std::fs::write(setting, "0").unwrap();
    let shown = status(&net, &["--stats", "--rates"]);
    assert_eq!((&shown["counters"], &shown["totals"]), (&json!("stopped"), &Value::Null));
    assert_eq!(shown["clusters"], json!([{ "cluster": "web" }]));
    let service = &shown["services"][0];
    assert_eq!((&service["statistics"], &service["servers"][0]["rates"]), (&Value::Null, &Value::Null));
    let text = net.lbd(&["status", "-f", "desired.yaml", "--rates"]).stdout;
    let last = text.lines().last().unwrap();
    assert_eq!(last, "the kernel's counters are stopped (net.ipv4.vs.run_estimation: 0)");
    let warned = net.lbd(&["diff", "-f", "desired.yaml", "-o", "json"]);
    let warned: Value = serde_json::from_str(&warned.stdout).unwrap();
    assert_eq!(warned["warnings"][0]["code"], "counters-stopped", "{warned}");
}
