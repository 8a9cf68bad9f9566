//! Collects what is exported: plain data, made of what `lbd status` shows, of the kernel's statistics, and of what the daemon counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use compact_str::{CompactString, ToCompactString};

use super::passes::PassCounts;
use crate::escape;
use crate::guard::Guard;
use crate::health::ProbeResults;
use crate::kernel::TableStatistics;
use crate::model::{Connections, Counters, RealServer, ServerKey, ServiceKey};
use crate::reconcile::{ServerStatus, ServerStatuses};
use crate::report::Observed;
use crate::status::{HealthSummary, Status};
use crate::target::ServerOf;

/// All that is exported. Texts are escaped for a terminal; quotes and backslashes in them are up to the format.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Whether the file is valid and the kernel is equal to it
    pub is_in_sync: bool,
    /// Whether the file is valid
    pub is_file_valid: bool,
    /// The SHA-256 of its text, where it can be read
    pub file_sha256: Option<String>,
    /// The guards that refuse something
    pub refusing: BTreeSet<Guard>,
    /// How many services of the kernel lbd does not manage
    pub foreign_services: usize,
    /// How many servers have left the file and keep connections
    pub draining_servers: usize,
    /// How many overrides are in force
    pub overrides: usize,
    /// Whether anything is paused
    pub is_paused: bool,
    /// What checks do
    pub checks: HealthSummary,
    /// What the probes of the checker have shown, where it has written anything
    pub probes: Option<ProbeResults>,
    /// What only a daemon that runs knows
    pub daemon: Option<DaemonNumbers>,
    /// What the daemon has counted
    pub passes: Option<PassCounts>,
    /// Whether the kernel counts, where that is known
    pub are_counters_running: Option<bool>,
    /// The counters of the host
    pub totals: Option<Counters>,
    /// The services that belong to a cluster, in the order of their keys
    pub services: Vec<ServiceNumbers>,
}

/// What the last status of a daemon that runs has.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DaemonNumbers {
    /// How many entries another program keeps reverting
    pub conflicts: usize,
    /// How many warnings about the host there are, by their code; `None` before it was examined
    pub warnings: Option<BTreeMap<String, u64>>,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceNumbers {
    /// The name of its cluster
    pub cluster: CompactString,
    /// What clients connect to
    pub service: CompactString,
    /// What the kernel has counted, where it counts
    pub counters: Option<Counters>,
    /// How many of its servers are in each status, in the order of [`ServerStatus::ALL`]
    pub servers: [u64; ServerStatus::ALL.len()],
    /// Its servers one by one, where these are exported
    pub each: Vec<ServerNumbers>,
}

/// A real server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerNumbers {
    /// Its address and port
    pub server: CompactString,
    /// Whether its checks pass, as far as is known; `None`: it has none
    pub is_up: Option<bool>,
    /// What the kernel has of it, where it is there
    pub live: Option<LiveNumbers>,
}

/// What the kernel has of a real server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiveNumbers {
    /// Its weight
    pub weight: u32,
    /// Its active connections
    pub active: u32,
    /// Its inactive connections
    pub inactive: u32,
    /// How many connections were scheduled to it, where the kernel counts
    pub connections: Option<u64>,
}

impl ServiceNumbers {
    fn count(&mut self, status: ServerStatus) {
        for (count, of) in self.servers.iter_mut().zip(ServerStatus::ALL) {
            *count += u64::from(of == status);
        }
    }
}

impl Snapshot {
    /// What is exported of what `lbd status` shows, with its statistics where there are some; `passes` is what this process has counted, where it is the
    /// daemon, and `has_servers` says whether real servers are exported one by one. Pure.
    pub fn of(observed: &Observed<'_>, passes: Option<PassCounts>, has_servers: bool) -> Self {
        let statistics = observed.statistics.as_ref().map(|shown| &shown.table);
        let comparison = observed.comparison;
        let refusal = comparison.guard_refusal.iter();
        let status = observed.daemon.status.as_ref();
        let running = status.filter(|_| observed.daemon.presence.holder().is_some());
        Self {
            is_in_sync: observed.is_in_sync(),
            is_file_valid: observed.file_problem.is_none(),
            file_sha256: observed.file_sha256.clone(),
            refusing: refusal
                .flat_map(|refusal| &refusal.violations)
                .map(|violation| violation.guard())
                .collect(),
            foreign_services: comparison.foreign.len(),
            draining_servers: comparison.draining.iter().count(),
            overrides: comparison.overrides().len(),
            is_paused: !comparison.pauses.is_empty(),
            checks: observed.health.clone(),
            probes: observed.probes,
            daemon: running.map(of_daemon),
            passes,
            are_counters_running: statistics.map(|statistics| !statistics.are_stopped),
            totals: statistics.and_then(|statistics| statistics.totals).map(|of| of.counters),
            services: services(observed, has_servers),
        }
    }
}

fn of_daemon(status: &Status) -> DaemonNumbers {
    let by_code = |host: &crate::status::HostFindings| {
        let mut warnings = BTreeMap::new();
        for warning in &host.warnings {
            *warnings.entry(escape::text(&warning.code).into_owned()).or_default() += 1;
        }
        warnings
    };
    DaemonNumbers { conflicts: status.conflicts.len(), warnings: status.host.as_ref().map(by_code) }
}

/// The services that belong to a cluster: those in the kernel, and those that should be there.
fn services(observed: &Observed<'_>, has_servers: bool) -> Vec<ServiceNumbers> {
    let comparison = observed.comparison;
    let live = &observed.live.state.services;
    let statuses = ServerStatuses::of(comparison);
    let mut absent: HashMap<ServiceKey, Vec<(ServerOf, ServerStatus)>> = HashMap::new();
    for (server, status) in statuses.absent(live) {
        absent.entry(server.0).or_default().push((server, status));
    }
    let mut keys: Vec<&ServiceKey> = live.keys().chain(absent.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut all = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(cluster) = comparison.cluster(key) else { continue };
        let mut of = ServiceNumbers {
            cluster: escape::text(cluster).to_compact_string(),
            service: key.to_compact_string(),
            counters: statistics(observed).and_then(|of| of.services.get(key)).map(|of| of.counters),
            servers: [0; ServerStatus::ALL.len()],
            each: Vec::new(),
        };
        if let Some(service) = live.get(key) {
            for (server, real) in service.servers.iter() {
                let status = statuses.status(key, server, real);
                of.count(status);
                if has_servers {
                    of.each.push(server_numbers(observed, key, server, status, Some(real)));
                }
            }
        }
        for ((_, server), status) in absent.get(key).into_iter().flatten() {
            of.count(*status);
            if has_servers {
                of.each.push(server_numbers(observed, key, server, *status, None));
            }
        }
        all.push(of);
    }
    all
}

/// What the kernel has counted, where it is known and the kernel counts.
fn statistics<'a>(observed: &'a Observed<'_>) -> Option<&'a TableStatistics> {
    observed.statistics.as_ref().map(|shown| &shown.table).filter(|table| !table.are_stopped)
}

/// A server; `real` is what it is in the kernel, where it is there.
fn server_numbers(
    observed: &Observed<'_>,
    service: &ServiceKey,
    server: &ServerKey,
    status: ServerStatus,
    real: Option<&RealServer>,
) -> ServerNumbers {
    let key = (*service, *server);
    let live = |real: &RealServer| {
        let Connections { active, inactive, .. } =
            observed.live.connections.get(&key).copied().unwrap_or_default();
        let counted = statistics(observed).and_then(|of| of.servers.get(&key));
        let connections = counted.map(|of| of.counters.connections);
        LiveNumbers { weight: real.weight, active, inactive, connections }
    };
    let is_checked = !observed.desired.health.checks(service, server).is_empty();
    let is_up = !matches!(status, ServerStatus::Failing | ServerStatus::Waiting);
    ServerNumbers {
        server: server.to_compact_string(),
        is_up: is_checked.then_some(is_up),
        live: real.map(live),
    }
}
