//! Connections of the kernel's list: which cluster each belongs to, which of them are wanted, and how many there are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, Read};

use lbd::config::{Source, load};
use lbd::connections::{ConnectionCounts, ConnectionFilter, Endpoint, ServiceNames};
use lbd::kernel::connections::{ConnectionEntry, ConnectionList};
use lbd::report::{Output, connection_counts_text, connection_json, connection_text};
use serde_json::{Value, json};

const FILE: &str = "
version: 1
defaults: { forward: nat, scheduler: rr }
marks:
  - { mark: 10, match: [{ protocol: tcp, address: 10.0.0.2, ports: [80, 443] }] }
  - { mark: 11 }
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', persistence: 5m, persistence_mask: 24, servers: [192.168.8.14] }
  - { name: every, listen: 'tcp://10.0.0.1:0', persistence: 5m, servers: [192.168.8.14] }
  - { name: shop, listen: 'fwmark://10', persistence: 5m, servers: [192.168.8.15] }
  - { name: others, listen: 'fwmark://11', servers: [192.168.8.16] }
  - { name: six, listen: 'tcp://[fd00::1]:80', servers: ['fd00::14'] }
";

/// Each kind of connection and template, and at the end a connection to a service of another program, and one to none.
const LIST: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000207 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED     897
TCP C0000200 0000 0A000001 0050 C0A8080E 0050 ASSURED         297
TCP C0000207 A613 0A000001 0019 C0A8080E 0019 FIN_WAIT         7
TCP C0000207 A614 0A000002 01BB C0A8080F 01BB ESTABLISHED     60
IP  C0000208 0000 0000000A 0000 C0A8080F 0000 NONE            357
TCP C0000208 A615 0A000003 0016 C0A80810 0016 SYN_RECV        57
TCP 2001:0db8:0000:0000:0000:0000:0000:0007 CEB9 fd00:0000:0000:0000:0000:0000:0000:0001 0050 fd00:0000:0000:0000:0000:0000:0000:0014 0050 CLOSE             9
UDP C0000207 A616 0A000009 0035 C0A80811 0035 UDP             297
UDP C0000207 A617 0A00000A 0035 C0A80811 0035 UDP             297
";

fn names() -> ServiceNames {
    let desired = load(&Source::new("desired.yaml", FILE)).unwrap();
    let owned = [("tcp://10.0.0.8:80".parse().unwrap(), "gone".into())].into_iter().collect();
    ServiceNames::new(&desired, &owned, ["udp://10.0.0.9:53".parse().unwrap()])
}

fn entries() -> Vec<ConnectionEntry> {
    ConnectionList::over(LIST.as_bytes()).map(Result::unwrap).collect()
}

/// What a reader gets of it.
fn written(write: impl FnOnce(&mut Output)) -> String {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut output = Output::new(Box::new(writer), false);
    write(&mut output);
    drop(output);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn each_connection_names_its_cluster_and_service_as_far_as_they_are_known() {
    let names = names();
    let text = written(|out| {
        entries().iter().for_each(|entry| connection_text(out, entry, &names.of(entry)).unwrap());
    });
    let expected = "\
192.0.2.7:42514 -> tcp://10.0.0.1:80 (web) -> 192.168.8.14:80  ESTABLISHED, 14m 57s
192.0.2.0/24 -> tcp://10.0.0.1:80 (web) -> 192.168.8.14:80  persistence, 4m 57s
192.0.2.7:42515 -> tcp://10.0.0.1:25 (every, tcp://10.0.0.1:0) -> 192.168.8.14:25  FIN_WAIT, 7s
192.0.2.7:42516 -> tcp://10.0.0.2:443 (shop, fwmark://10) -> 192.168.8.15:443  ESTABLISHED, 1m
192.0.2.8 -> fwmark://10 (shop) -> 192.168.8.15:0  persistence, 5m 57s
192.0.2.8:42517 -> tcp://10.0.0.3:22 (others, fwmark://11) -> 192.168.8.16:22  SYN_RECV, 57s
[2001:db8::7]:52921 -> tcp://[fd00::1]:80 (six) -> [fd00::14]:80  CLOSE, 9s
192.0.2.7:42518 -> udp://10.0.0.9:53 -> 192.168.8.17:53  UDP, 4m 57s
192.0.2.7:42519 -> udp://10.0.0.10:53 -> 192.168.8.17:53  UDP, 4m 57s
";
    assert_eq!(text, expected);
}

#[test]
fn json_has_one_object_a_line_with_the_same_keys() {
    let names = names();
    let text = written(|out| {
        entries().iter().for_each(|entry| connection_json(out, entry, &names.of(entry)).unwrap());
    });
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = |numbers: [usize; 4]| numbers.map(|number| rows[number].clone());
    assert_eq!(
        row([0, 1, 4, 7]),
        [
            json!({ "protocol": "tcp", "client": "192.0.2.7:42514", "virtual": "10.0.0.1:80", "server": "192.168.8.14:80", "state": "ESTABLISHED",
                "expires_in": 897, "cluster": "web", "service": "tcp://10.0.0.1:80", "template": false }),
            json!({ "protocol": "tcp", "client": "192.0.2.0/24", "virtual": "10.0.0.1:80", "server": "192.168.8.14:80", "state": "ASSURED",
                "expires_in": 297, "cluster": "web", "service": "tcp://10.0.0.1:80", "template": true }),
            json!({ "protocol": "any", "client": "192.0.2.8", "virtual": "fwmark://10", "server": "192.168.8.15:0", "state": "NONE",
                "expires_in": 357, "cluster": "shop", "service": "fwmark://10", "template": true }),
            json!({ "protocol": "udp", "client": "192.0.2.7:42518", "virtual": "10.0.0.9:53", "server": "192.168.8.17:53", "state": "UDP",
                "expires_in": 297, "cluster": null, "service": "udp://10.0.0.9:53", "template": false }),
        ]
    );
}

#[test]
fn a_filter_takes_addresses_ports_prefixes_states_and_clusters_and_finds_the_template_of_a_client() {
    let names = names();
    let entries = entries();
    let found = |filter: ConnectionFilter| -> Vec<usize> {
        let wanted = entries.iter().enumerate().filter(|(_, entry)| filter.has(entry, &names.of(entry)));
        wanted.map(|(place, _)| place).collect()
    };
    let none = ConnectionFilter::default;
    let client = |text: &str| found(ConnectionFilter { client: Some(text.parse().unwrap()), ..none() });
    let server = |text: &str| found(ConnectionFilter { server: Some(text.parse().unwrap()), ..none() });
    let state = |text: &str| found(ConnectionFilter { state: Some(text.into()), ..none() });
    let clusters = |names: &[&str]| {
        found(ConnectionFilter { clusters: names.iter().map(|name| (*name).to_owned()).collect(), ..none() })
    };
    assert_eq!(found(none()), (0..9).collect::<Vec<_>>());
    assert_eq!(client("192.0.2.7"), [0, 1, 2, 3, 7, 8]);
    assert_eq!(client("192.0.2.7:42514"), [0]);
    assert_eq!(client("192.0.2.99"), [1]);
    assert_eq!(client("192.0.2.8/30"), [1, 4, 5]);
    assert_eq!(client("2001:db8::/32"), [6]);
    assert_eq!(client("[2001:db8::7]:52921"), [6]);
    assert_eq!(client("0.0.0.0/0"), [0, 1, 2, 3, 4, 5, 7, 8]);
    assert_eq!(server("192.168.8.14"), [0, 1, 2]);
    assert_eq!(server("192.168.8.14:80"), [0, 1]);
    assert_eq!(server("192.168.8.16/31"), [5, 7, 8]);
    assert_eq!(state("established"), [0, 3]);
    assert_eq!(state("persistence"), [1, 4]);
    assert_eq!(clusters(&["shop", "six"]), [3, 4, 6]);
    assert_eq!(clusters(&["gone"]), [0; 0]);
    for wrong in ["", "web", "192.0.2.7:", "192.0.2.0/33", "192.0.2.0/+8", "192.0.2.7:80/24", "fd00::/129"] {
        assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
    }
}

#[test]
fn connections_are_counted_by_cluster_service_server_and_state() {
    let (names, mut counts) = (names(), ConnectionCounts::default());
    entries().iter().for_each(|entry| counts.add(entry, &names.of(entry)));
    let text = written(|out| connection_counts_text(out, &counts.sorted()).unwrap());
    let expected = "\
every  1 connection
  tcp://10.0.0.1:0  1 connection
    192.168.8.14:25  1 FIN_WAIT
others  1 connection
  fwmark://11  1 connection
    192.168.8.16:22  1 SYN_RECV
shop  1 connection, 1 persistence template
  fwmark://10  1 connection, 1 persistence template
    192.168.8.15:0  1 persistence
    192.168.8.15:443  1 ESTABLISHED
six  1 connection
  tcp://[fd00::1]:80  1 connection
    [fd00::14]:80  1 CLOSE
web  1 connection, 1 persistence template
  tcp://10.0.0.1:80  1 connection, 1 persistence template
    192.168.8.14:80  1 ESTABLISHED, 1 persistence
of no cluster  2 connections
  udp://10.0.0.9:53  1 connection
    192.168.8.17:53  1 UDP
  of no service  1 connection
    192.168.8.17:53  1 UDP
all: 7 connections, 2 persistence templates
";
    assert_eq!(text, expected);
}
