//! What monitoring reads is what ipvsadm shows, on standard output and in a file.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::Duration;

use crate::lab::Netns;

const FILE: &str = "\
version: 1
defaults: { forward: nat }
clusters:
  - { name: \"the \\\"dns\\\"\", listen: udp://10.0.0.13:53, servers: [10.9.0.1] }
";

/// The numbers of a line of `ipvsadm -Ln --stats`.
fn numbers(line: &str) -> Vec<&str> {
    line.split_whitespace().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect()
}

#[test]
fn the_counters_of_a_service_are_those_that_ipvsadm_shows() {
    let net = Netns::new();
    net.ready();
    net.write("desired.yaml", FILE);
    let applied = net.lbd(&["-f", "desired.yaml", "apply"]);
    assert_eq!(applied.status, 0, "{}", applied.stderr);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for length in [100, 200, 300] {
        // There is no server: each comes back as an error.
        let _ = socket.send_to(&vec![0; length], "10.0.0.13:53");
    }
    // The kernel sums its counters up every two seconds.
    sleep(Duration::from_millis(2_500));
    let shown = net.sh("ipvsadm -Ln --stats --exact");
    let rows: Vec<Vec<&str>> = shown.lines().skip(3).map(numbers).collect();
    let metrics = net.lbd(&["-f", "desired.yaml", "metrics", "--servers"]);
    assert_eq!((metrics.status, metrics.stderr.as_str()), (0, ""));
    let labels = r#"{cluster="the \"dns\"",service="udp://10.0.0.13:53"}"#;
    let of = |name: &str| {
        let start = format!("{name} ");
        let line = metrics.stdout.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {name} in {}", metrics.stdout))
    };
    let kinds = ["connections", "incoming_packets", "outgoing_packets", "incoming_bytes", "outgoing_bytes"];
    let service = kinds.map(|kind| of(&format!("lbd_service_{kind}_total{labels}")));
    let host = kinds.map(|kind| of(&format!("lbd_kernel_{kind}_total")));
    let server = format!("{},server=\"10.9.0.1:53\"}}", labels.trim_end_matches('}'));
    assert_eq!(rows.first().unwrap().as_slice(), service, "{shown}");
    assert_eq!(rows.get(1).unwrap().first(), Some(&of(&format!("lbd_server_connections_total{server}"))));
    // Each datagram has 28 bytes before its content.
    assert_eq!((&service[..4], host), (&["1", "3", "3", "684"][..], service));
    assert_eq!(
        [of("lbd_in_sync"), of("lbd_daemon_running"), of("lbd_kernel_counters_running")],
        ["1", "0", "1"]
    );
    assert_eq!(of(&format!("lbd_server_weight{server}")), "1");

    // The same in a file, for node_exporter.
    let written = net.lbd(&["-f", "desired.yaml", "metrics", "--servers", "--output", "lbd.prom"]);
    assert_eq!((written.status, written.stdout.as_str(), written.stderr.as_str()), (0, "", ""));
    let file = net.path("lbd.prom");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), metrics.stdout);
    let failed = net.lbd(&["-f", "desired.yaml", "metrics", "--output", "no/lbd.prom"]);
    assert_eq!((failed.status, failed.stdout.as_str()), (2, ""));
    assert!(failed.stderr.starts_with("error: no/lbd.prom: "), "{}", failed.stderr);
}
