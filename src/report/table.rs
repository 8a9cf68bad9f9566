//! Writes the table as a document for pages and programs: what the kernel has, beside what the file says, and why they differ.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::json::{VERSION, text};
use super::observed::Observed;
use super::output::Output;
use super::statistics::ShownStatistics;
use crate::escape;
use crate::model::{
    Connections, Counters, Forwarding, RealServer, SchedulerName, ServerKey, ServiceKey, Statistics, Subject,
    VirtualService,
};
use crate::reconcile::{ServerStatus, ServerStatuses};
use crate::status::Timestamp;
use crate::target::{Reason, ServerOf};

/// The table, as `/v1/table` has it.
#[derive(Serialize, JsonSchema)]
pub struct TableDocument<'a> {
    /// The version of the document: 1
    version: u32,
    /// When the kernel was read
    #[schemars(with = "String")]
    at: Timestamp,
    /// The name of the host
    host: &'a str,
    /// Whether the file is valid, and the kernel is equal to it under the conditions
    in_sync: bool,
    /// What `lbd status` shows above the table, line by line: why it is not in sync, pauses, refusals, the daemon, warnings
    report: &'a [String],
    /// Whether the kernel counts what services and servers balance; `stopped` where `net.ipv4.vs.run_estimation` is 0, and then there are neither
    /// statistics nor rates
    counters: CounterState,
    /// What the host has balanced
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<StatisticsRow>,
    /// The virtual services of the kernel and of the file, sorted
    #[schemars(with = "Vec<ServiceRow<'a>>")]
    services: AllRows<'a>,
}

/// A virtual service.
#[derive(Debug, Serialize, JsonSchema)]
struct ServiceRow<'a> {
    /// `tcp://10.0.0.13:80`
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    service: &'a ServiceKey,
    /// Its cluster; null: of another program
    cluster: Option<&'a str>,
    /// The file that the cluster comes from, where there are several
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    scheduler: &'a SchedulerName,
    /// Whether it is in the file, and not in the kernel
    missing: bool,
    /// The sum of its servers
    #[serde(flatten)]
    connections: ConnectionRow,
    #[serde(flatten)]
    counted: Option<StatisticsRow>,
    /// How many servers are in each state
    servers_by_state: BTreeMap<&'static str, usize>,
    /// The real servers of the kernel, and behind them those that only the file has; not there where they are not wanted
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Vec<ServerRow<'a>>>,
}

/// A real server of a virtual service.
#[derive(Debug, Serialize, JsonSchema)]
struct ServerRow<'a> {
    /// `192.168.8.14:80`
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    server: &'a ServerKey,
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    forward: Forwarding,
    /// Null: not in the kernel
    weight: Option<u32>,
    /// Null: not in the file
    file_weight: Option<u32>,
    #[serde(flatten)]
    connections: ConnectionRow,
    #[serde(flatten)]
    counted: Option<StatisticsRow>,
    /// What it does, in one word
    #[schemars(extend("enum" = ServerStatus::ALL.map(ServerStatus::as_str)))]
    state: &'static str,
    /// Why it is not what the file says
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRow>,
}

/// Whether the kernel counts.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CounterState {
    Running,
    Stopped,
}

/// What the kernel has counted.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
struct StatisticsRow {
    /// Since the entry was added, or set to zero
    statistics: Counters,
    /// Per second
    rates: Counters,
}

impl From<Statistics> for StatisticsRow {
    fn from(Statistics { counters, rates }: Statistics) -> Self {
        Self { statistics: counters, rates }
    }
}

/// The connections that there are.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
struct ConnectionRow {
    /// Established ones
    active: u64,
    /// Those in every other state
    inactive: u64,
    /// Persistence templates
    persistent: u64,
}

/// Why something is not what the file says.
#[derive(Debug, Serialize, JsonSchema)]
struct ReasonRow {
    /// `check`, `drain`, `trial`, or the kind of an override
    kind: String,
    /// In words
    text: String,
    #[schemars(with = "Option<String>")]
    since: Option<Timestamp>,
    /// When it ends by itself at the latest; null: it does not
    #[schemars(with = "Option<String>")]
    until: Option<Timestamp>,
}

impl ReasonRow {
    fn of(reason: &Reason) -> Self {
        Self {
            kind: reason.kind().to_owned(),
            text: reason.to_string(),
            since: reason.since(),
            until: reason.until(),
        }
    }
}

impl ConnectionRow {
    fn of(connections: Connections) -> Self {
        let Connections { active, inactive, persistent, packets: _ } = connections;
        Self { active: active.into(), inactive: inactive.into(), persistent: persistent.into() }
    }

    fn add(&mut self, other: Self) {
        self.active += other.active;
        self.inactive += other.inactive;
        self.persistent += other.persistent;
    }
}

/// What the table is written with, beside what was observed.
pub struct TableQuestion<'a> {
    /// What is above the table, line by line
    pub report: &'a [String],
    /// When the kernel was read
    pub at: Timestamp,
    /// The name of the host
    pub host: &'a str,
    /// The clusters that are wanted; all where there are none
    pub clusters: &'a [String],
    /// Whether each server has a row, or only their numbers are wanted
    pub has_servers: bool,
}

/// Writes it, row by row.
///
/// # Errors
/// Those of `out`.
pub fn json(out: &mut Output, observed: &Observed<'_>, question: &TableQuestion<'_>) -> io::Result<()> {
    let TableQuestion { report, at, host, clusters, has_servers } = *question;
    let statuses = ServerStatuses::of(observed.comparison);
    let absent = statuses.absent(&observed.live.state.services).into_iter().collect();
    let is_wanted = |service: &&ServiceKey| {
        let cluster = observed.comparison.cluster(service);
        clusters.is_empty() || cluster.is_some_and(|cluster| clusters.iter().any(|name| name == cluster))
    };
    let desired = observed.desired.state.services.keys().filter(is_wanted);
    let mut services: Vec<&ServiceKey> = observed.live.state.services.keys().chain(desired).collect();
    services.sort_unstable();
    services.dedup();
    let shown = observed.statistics.as_ref();
    let document = TableDocument {
        version: VERSION,
        at,
        host,
        in_sync: observed.is_in_sync(),
        report,
        counters: match shown.is_some_and(|shown| shown.table.are_stopped) {
            true => CounterState::Stopped,
            false => CounterState::Running,
        },
        totals: shown.and_then(ShownStatistics::of_host).map(StatisticsRow::from),
        services: AllRows { rows: Rows { observed, statuses, absent }, services, has_servers },
    };
    escape::json(out, &document)?;
    writeln!(out)
}

/// The rows of all services, of which one is in memory at a time.
struct AllRows<'a> {
    rows: Rows<'a>,
    services: Vec<&'a ServiceKey>,
    has_servers: bool,
}

impl Serialize for AllRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let services = self.services.iter().copied();
        serializer.collect_seq(services.filter_map(|service| self.rows.service(service, self.has_servers)))
    }
}

/// A server with what it is in the kernel, and in the file.
type InEither<'a> = (&'a ServerKey, Option<&'a RealServer>, Option<&'a RealServer>);

/// What rows are made of.
struct Rows<'a> {
    observed: &'a Observed<'a>,
    statuses: ServerStatuses<'a>,
    /// The servers that are not in the kernel
    absent: HashMap<ServerOf, ServerStatus>,
}

impl<'a> Rows<'a> {
    fn service(&self, key: &'a ServiceKey, has_servers: bool) -> Option<ServiceRow<'a>> {
        let comparison = self.observed.comparison;
        let live = self.observed.live.state.services.get(key);
        let desired = self.observed.desired.state.services.get(key);
        let VirtualService { scheduling, .. } = live.or(desired)?;
        let in_file = |server: &ServerKey| desired.and_then(|service| service.servers.get(server));
        let is_live = |server: &ServerKey| live.is_some_and(|service| service.servers.contains_key(server));
        let there = live.iter().flat_map(|service| service.servers.iter());
        let there = there.map(|(server, real)| (server, Some(real), in_file(server)));
        let others = desired.iter().flat_map(|service| service.servers.iter());
        let others = others.filter(|(server, _)| !is_live(server));
        let others = others.map(|(server, wanted)| (server, None, Some(wanted)));
        let mut servers = has_servers.then(Vec::new);
        let (mut connections, mut servers_by_state) = (ConnectionRow::default(), BTreeMap::new());
        for (server, live, desired) in there.chain(others) {
            let state = self.status(key, server, live).as_str();
            let own = ConnectionRow::of(self.observed.connections(key, server));
            connections.add(own);
            *servers_by_state.entry(state).or_default() += 1;
            // Of large tables only these numbers are wanted.
            if let Some(servers) = &mut servers {
                servers.extend(self.server(key, (server, live, desired), own, state));
            }
        }
        let cluster = comparison.cluster(key);
        Some(ServiceRow {
            service: key,
            cluster,
            file: cluster.and_then(|cluster| comparison.file_of(cluster)),
            scheduler: &scheduling.scheduler,
            missing: live.is_none(),
            connections,
            counted: self.shown().and_then(|shown| shown.of_service(key)).map(StatisticsRow::from),
            servers_by_state,
            servers,
        })
    }

    fn status(&self, service: &ServiceKey, server: &ServerKey, live: Option<&RealServer>) -> ServerStatus {
        match live {
            Some(real) => self.statuses.status(service, server, real),
            None => self.absent.get(&(*service, *server)).copied().unwrap_or(ServerStatus::Missing),
        }
    }

    /// A server in the kernel, in the file, or in both.
    fn server(
        &self,
        service: &'a ServiceKey,
        (server, live, desired): InEither<'a>,
        connections: ConnectionRow,
        state: &'static str,
    ) -> Option<ServerRow<'a>> {
        let reasons = &self.observed.comparison.reasons;
        let reason = reasons.get(&Subject::Server(*service, *server));
        Some(ServerRow {
            server,
            forward: live.or(desired)?.forwarding,
            weight: live.map(|real| real.weight),
            file_weight: desired.map(|real| real.weight),
            connections,
            counted: self.shown().and_then(|shown| shown.of_server(service, server)).map(StatisticsRow::from),
            state,
            reason: reason.map(|reason| ReasonRow::of(reason)),
        })
    }

    fn shown(&self) -> Option<&'a ShownStatistics> {
        self.observed.statistics.as_ref()
    }
}
