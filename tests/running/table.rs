//! A random table, as a desired file and as the kernel and ipvsadm are to show it, without lbd's help.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Table;

/// Services by number: what each is.
pub(crate) type Services = BTreeMap<u16, Service>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) scheduler: &'static str,
    /// The weights by the servers' last bytes.
    pub(crate) servers: BTreeMap<u8, u32>,
}

const SCHEDULERS: [&str; 4] = ["rr", "wrr", "wlc", "sh"];

/// So many services, of which a few are left out, with three servers or a few more or less.
pub(crate) fn random(random: &mut fastrand::Rng, services: u16) -> Services {
    let mut table = Services::new();
    for number in 0..services {
        if random.u8(..10) == 0 {
            continue;
        }
        let servers = (0..random.u8(2..=4)).map(|_| (random.u8(1..=6), random.u32(0..4))).collect();
        table.insert(number, Service { scheduler: SCHEDULERS[random.usize(..SCHEDULERS.len())], servers });
    }
    table
}

pub(crate) fn port(number: u16) -> u16 {
    1000 + number
}

/// The desired file. What leaves is deleted at once: a test waits until the table is just this.
pub(crate) fn file(policy: &str, services: &Services) -> String {
    let mut text =
        format!("version: 1\npolicy: {{ {policy} }}\ndefaults: {{ forward: nat, drain: 0 }}\nclusters:\n");
    for (number, Service { scheduler, servers }) in services {
        let servers: Vec<String> = servers
            .iter()
            .map(|(server, weight)| format!("{{ address: 192.168.8.{server}, weight: {weight} }}"))
            .collect();
        let port = port(*number);
        writeln!(
            text,
            "  - {{ name: c{number}, listen: 'tcp://10.0.0.13:{port}', scheduler: {scheduler}, servers: [{}] }}",
            servers.join(", ")
        )
        .unwrap();
    }
    text
}

/// What the kernel prints then.
pub(crate) fn printed(services: &Services) -> Table {
    let line = |(number, Service { scheduler, servers }): (&u16, &Service)| {
        let port = port(*number);
        let server = |(server, weight): (&u8, &u32)| format!("C0A808{server:02X}:{port:04X} Masq {weight}");
        (format!("TCP 0A00000D:{port:04X} {scheduler}"), servers.iter().map(server).collect())
    };
    services.iter().map(line).collect()
}

/// What `ipvsadm -Sn` shows then, sorted.
pub(crate) fn rules(services: &Services) -> Vec<String> {
    let mut rules = Vec::new();
    for (number, Service { scheduler, servers }) in services {
        let port = port(*number);
        rules.push(format!("-A -t 10.0.0.13:{port} -s {scheduler}"));
        for (server, weight) in servers {
            rules.push(format!("-a -t 10.0.0.13:{port} -r 192.168.8.{server}:{port} -m -w {weight}"));
        }
    }
    rules.sort();
    rules
}
