//! Keeps what the documents of `/v1/table` have on clusters, services and servers, in the form in which they are shown.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use crate::model::Counters;

/// A document of `/v1/table`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct TableReading {
    /// When the kernel was read, as RFC 3339
    pub at: String,
    /// Whether the file is valid, and the kernel is equal to it under the conditions
    pub in_sync: bool,
    /// What `lbd status` shows above the table, line by line; a daemon of an older lbd has none
    #[serde(default)]
    pub report: Vec<String>,
    /// `running`, or `stopped` where the kernel does not count
    pub counters: String,
    /// What the host has balanced
    pub totals: Option<Totals>,
    /// The virtual services
    pub services: Vec<Service>,
}

/// What the host has balanced.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Totals {
    /// Per second
    pub rates: Counters,
}

/// A virtual service.
#[derive(Debug, Clone, Deserialize)]
pub struct Service {
    /// `tcp://10.0.0.13:80`
    #[serde(rename = "service")]
    pub name: String,
    /// Its cluster; `None`: of another program
    pub cluster: Option<String>,
    /// The name of the scheduler
    pub scheduler: String,
    /// Whether it is in the file, and not in the kernel
    pub missing: bool,
    /// Established connections
    pub active: u64,
    /// Connections in every other state
    pub inactive: u64,
    /// Per second; `None` where the kernel does not count
    pub rates: Option<Counters>,
    /// How many servers are in each state
    pub servers_by_state: BTreeMap<String, usize>,
    /// The real servers; `None` in a document without them
    pub servers: Option<Vec<Server>>,
}

/// A real server.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// `192.168.8.14:80`
    #[serde(rename = "server")]
    pub name: String,
    /// The forwarding method
    pub forward: String,
    /// `None`: not in the kernel
    pub weight: Option<u32>,
    /// `None`: not in the file
    pub file_weight: Option<u32>,
    /// Established connections
    pub active: u64,
    /// Connections in every other state
    pub inactive: u64,
    /// Persistence templates
    pub persistent: u64,
    /// Since it was added, or set to zero
    pub statistics: Option<Counters>,
    /// Per second; `None` where the kernel does not count
    pub rates: Option<Counters>,
    /// What it does, in one word
    pub state: String,
    /// Why it is not what the file says
    pub reason: Option<Reason>,
}

/// Why a server is not what the file says.
#[derive(Debug, Clone, Deserialize)]
pub struct Reason {
    /// In words
    pub text: String,
    /// Since when, as RFC 3339
    pub since: Option<String>,
    /// When it ends by itself at the latest, as RFC 3339
    pub until: Option<String>,
}

/// What is shown of a cluster, a service or a server beside its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Per second; `None` where the kernel does not count
    pub rates: Option<Counters>,
    /// Established connections
    pub active: u64,
    /// How many servers there are
    pub servers: usize,
    /// How many of them get new connections
    pub serving: usize,
    /// How many of them fail, or are missing
    pub bad: usize,
}

impl Numbers {
    fn of_service(service: &Service) -> Self {
        let Service { rates, active, servers_by_state, missing, .. } = service;
        let count = |state: &str| servers_by_state.get(state).copied().unwrap_or_default();
        Self {
            rates: *rates,
            active: *active,
            servers: servers_by_state.values().sum(),
            serving: count("serving"),
            bad: count("failing") + count("missing") + usize::from(*missing),
        }
    }

    /// Those of a server.
    pub fn of_server(server: &Server) -> Self {
        let Server { rates, active, state, .. } = server;
        Self {
            rates: *rates,
            active: *active,
            servers: 1,
            serving: usize::from(state == "serving"),
            bad: usize::from(state == "failing" || state == "missing"),
        }
    }

    fn add(&mut self, other: &Self) {
        if let Some(more) = other.rates {
            let mut rates = self.rates.unwrap_or_default();
            rates += more;
            self.rates = Some(rates);
        }
        self.active = self.active.saturating_add(other.active);
        self.servers = self.servers.saturating_add(other.servers);
        self.serving = self.serving.saturating_add(other.serving);
        self.bad = self.bad.saturating_add(other.bad);
    }

    /// Bytes per second, both ways.
    pub fn bytes(&self) -> u64 {
        self.rates.map_or(0, |rates| rates.incoming_bytes.saturating_add(rates.outgoing_bytes))
    }

    /// New connections per second.
    pub fn connections(&self) -> u64 {
        self.rates.map_or(0, |rates| rates.connections)
    }
}

/// A cluster with its services.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `None`: the services of other programs
    pub name: Option<String>,
    /// The sums of its services
    pub numbers: Numbers,
    /// Its services, each with its numbers
    pub services: Vec<(Service, Numbers)>,
}

/// All that was read last.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// When the kernel was read, as RFC 3339; empty before the first reading
    pub at: String,
    /// Whether the kernel is equal to the file
    pub in_sync: bool,
    /// What `lbd status` shows above the table
    pub report: Vec<String>,
    /// Whether the kernel does not count
    pub is_stopped: bool,
    /// What the host balances per second
    pub host: Option<Counters>,
    /// The clusters, by name; the services of other programs at the end
    pub clusters: Vec<Cluster>,
    /// The sums of all clusters
    pub sum: Numbers,
    /// The servers of services, where they were read
    servers: HashMap<String, ServerList>,
}

/// The servers of a service.
#[derive(Debug, Clone)]
struct ServerList {
    servers: Vec<Server>,
    /// The sums of them
    sum: Numbers,
}

impl From<Vec<Server>> for ServerList {
    fn from(servers: Vec<Server>) -> Self {
        let mut sum = Numbers::default();
        servers.iter().for_each(|server| sum.add(&Numbers::of_server(server)));
        Self { servers, sum }
    }
}

impl Model {
    /// Takes a document of all clusters.
    pub fn take(&mut self, table: TableReading) {
        let TableReading { at, in_sync, report, counters, totals, services } = table;
        let mut clusters: BTreeMap<(bool, Option<String>), Cluster> = BTreeMap::new();
        self.sum = Numbers::default();
        for mut service in services {
            let numbers = Numbers::of_service(&service);
            if let Some(servers) = service.servers.take() {
                self.servers.insert(service.name.clone(), servers.into());
            }
            self.sum.add(&numbers);
            let name = service.cluster.clone();
            let cluster = clusters.entry((name.is_none(), name.clone())).or_insert_with(|| Cluster {
                name,
                numbers: Numbers::default(),
                services: Vec::new(),
            });
            cluster.numbers.add(&numbers);
            cluster.services.push((service, numbers));
        }
        self.clusters = clusters.into_values().collect();
        let names: HashSet<&str> = self.services().map(|(service, _)| service.name.as_str()).collect();
        let gone: Vec<String> =
            self.servers.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        for name in gone {
            self.servers.remove(&name);
        }
        self.is_stopped = counters == "stopped";
        self.host = totals.map(|totals| totals.rates).filter(|_| !self.is_stopped);
        (self.at, self.in_sync, self.report) = (at, in_sync, report);
    }

    /// Takes a document with the servers of some clusters.
    pub fn take_servers(&mut self, detail: TableReading) {
        let servers =
            detail.services.into_iter().filter_map(|service| Some((service.name, service.servers?.into())));
        self.servers.extend(servers);
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &(Service, Numbers)> {
        self.clusters.iter().flat_map(|cluster| &cluster.services)
    }

    /// The servers of a service; `None` where they were not read yet.
    pub fn servers(&self, service: &str) -> Option<&[Server]> {
        self.servers.get(service).map(|list| list.servers.as_slice())
    }

    /// The sums of the servers of a service; `None` where they were not read yet.
    pub fn sum_of_servers(&self, service: &str) -> Option<&Numbers> {
        self.servers.get(service).map(|list| &list.sum)
    }

    /// A server of a service.
    pub fn server(&self, service: &str, server: &str) -> Option<&Server> {
        self.servers(service)?.iter().find(|of| of.name == server)
    }
}
