//! Writes a desired file with many servers that are checked.

use std::fmt::Write as _;

use crate::target;

/// How many servers a cluster has.
const SERVERS: u32 = 10;

/// The file: clusters of ten servers each, all with the same check. Loopback addresses are for `dr`, whose servers have the service's port.
pub(crate) fn text(kind: &str, count: u32, interval: &str, port: u16) -> String {
    let mut text = format!(
        "version: 1\nchecks: {{ load: {{ type: {kind}, interval: {interval}s }} }}\n\
         defaults: {{ scheduler: rr, forward: dr, check: load }}\nclusters:\n"
    );
    for cluster in 0..count.div_ceil(SERVERS) {
        let service = std::net::Ipv4Addr::from(0x0a10_0001 + cluster);
        write!(text, "  - {{ name: c{cluster}, listen: tcp://{service}:{port}, servers: [").unwrap();
        let servers =
            (cluster * SERVERS..count.min((cluster + 1) * SERVERS)).map(|number| target(number, port));
        let servers: Vec<String> = servers.map(|server| format!("\"{server}\"")).collect();
        writeln!(text, "{}] }}", servers.join(", ")).unwrap();
    }
    text
}
