//! Makes the tables that are measured: N virtual services with M real servers each, in every form that somebody reads.
// Each program has its own copy of this module and uses what it needs of it.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::str::FromStr;

use lbd::model::{
    Forwarding, Protocol, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers,
    ServiceKey, Services, State, Thresholds, VirtualService,
};

/// The sizes at which everything is measured that takes long: a thousand entries to a hundred thousand, and one service
/// with very many servers.
pub(crate) const SIZES: [Table; 4] =
    [Table::new(100, 10), Table::new(1_000, 10), Table::new(10_000, 10), Table::new(1, 10_000)];

/// The scheduler of all services.
pub(crate) const SCHEDULER: &str = "wlc";
/// The port of all services.
pub(crate) const SERVICE_PORT: u16 = 80;
/// The port of all servers.
pub(crate) const SERVER_PORT: u16 = 8080;

/// A table by its size. It reads and prints as `10000x10`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    /// Virtual services
    pub(crate) services: u32,
    /// Real servers of each
    pub(crate) servers: u32,
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('x').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
        numbers.map(|(services, servers)| Self { services, servers }).ok_or(format!("`{text}` is not NxM"))
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.services, self.servers)
    }
}

impl Table {
    pub(crate) const fn new(services: u32, servers: u32) -> Self {
        Self { services, servers }
    }

    /// How many real servers there are in all.
    pub(crate) fn size(self) -> u32 {
        self.services * self.servers
    }

    /// The address of a service, by its number.
    pub(crate) fn service(self, service: u32) -> Ipv4Addr {
        address(10, service)
    }

    /// The servers of a service, by its number: each with its address and its weight.
    pub(crate) fn servers_of(self, service: u32) -> impl Iterator<Item = (Ipv4Addr, u32)> {
        let first = service * self.servers;
        (first..first + self.servers).map(|number| (address(172, number), number % 10 + 1))
    }

    /// As the desired file, in the form that people write: one line a key.
    pub(crate) fn yaml(self) -> String {
        let mut text =
            format!("version: 1\ndefaults: {{ forward: nat, scheduler: {SCHEDULER} }}\nclusters:\n");
        for service in 0..self.services {
            let address = self.service(service);
            let _ = write!(
                text,
                "  - name: service-{service}\n    listen: tcp://{address}:{SERVICE_PORT}\n    servers:\n"
            );
            for (address, weight) in self.servers_of(service) {
                let _ = write!(text, "      - address: {address}:{SERVER_PORT}\n        weight: {weight}\n");
            }
        }
        text
    }

    /// As `ipvsadm -R` reads it.
    pub(crate) fn ipvsadm(self) -> String {
        let mut text = String::new();
        for service in 0..self.services {
            let listen = format!("{}:{SERVICE_PORT}", self.service(service));
            let _ = writeln!(text, "-A -t {listen} -s {SCHEDULER}");
            for (address, weight) in self.servers_of(service) {
                let _ = writeln!(text, "-a -t {listen} -r {address}:{SERVER_PORT} -m -w {weight}");
            }
        }
        text
    }

    /// As `keepalived.conf`, without health checks, so that every server is up from the start.
    pub(crate) fn keepalived(self) -> String {
        let mut text = String::from("global_defs {\n  router_id bench\n}\n");
        for service in 0..self.services {
            let _ = write!(
                text,
                "virtual_server {} {SERVICE_PORT} {{\n  lb_algo {SCHEDULER}\n  lb_kind NAT\n  protocol TCP\n",
                self.service(service)
            );
            for (address, weight) in self.servers_of(service) {
                let _ = writeln!(text, "  real_server {address} {SERVER_PORT} {{\n    weight {weight}\n  }}");
            }
            text.push_str("}\n");
        }
        text
    }

    /// As the state that the file asks for, and that the kernel has when it is loaded.
    pub(crate) fn state(self) -> State {
        let services: Services = (0..self.services)
            .map(|service| {
                let servers = self.servers_of(service).map(|(address, weight)| {
                    let key = ServerKey { address: address.into(), port: SERVER_PORT };
                    (
                        key,
                        RealServer { weight, forwarding: Forwarding::Nat, thresholds: Thresholds::default() },
                    )
                });
                let key = ServiceKey::Address {
                    protocol: Protocol::Tcp,
                    address: self.service(service).into(),
                    port: SERVICE_PORT,
                };
                (key, VirtualService::new(scheduling(), servers.collect::<Servers>()))
            })
            .collect();
        State { services, ..State::default() }
    }

    /// The same with the weight of every hundredth server changed.
    pub(crate) fn state_with_changes(self) -> State {
        let mut state = self.state();
        let servers = state.services.values_mut().flat_map(|service| service.servers_mut().values_mut());
        for server in servers.step_by(100) {
            server.weight += 1;
        }
        state
    }
}

fn scheduling() -> Scheduling {
    Scheduling {
        scheduler: SchedulerName::from_kernel(SCHEDULER),
        flags: SchedulerFlags::default(),
        persistence: None,
        engine: None,
        one_packet: false,
    }
}

/// The address of an entry by its number: `NET.16.0.1` and on, without a last byte of 0 or 255.
fn address(net: u8, number: u32) -> Ipv4Addr {
    let [high, middle, low] =
        [number / 62_500 + 16, number / 250 % 250, number % 250 + 1].map(|byte| byte as u8);
    Ipv4Addr::new(net, high, middle, low)
}
