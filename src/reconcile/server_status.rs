//! Says in one word how each real server is: of those in the kernel, and of those that should be there.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::StateDiff;
use crate::model::{Operation, RealServer, ServerKey, ServerOp, ServiceKey, Services};
use crate::target::{ServerOf, ServerReport, ServerState};

/// How a real server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerStatus {
    /// It gets new connections.
    Serving,
    /// It has weight 0: by the file, by an operator, or by a trial.
    Quiesced,
    /// Its checks fail; it may serve all the same, where too few would be left.
    Failing,
    /// It has left the file, and keeps its connections for a while.
    Draining,
    /// It is new, and gets no connections before the first success of its checks.
    Waiting,
    /// It should be in the kernel, and is not.
    Missing,
}

impl ServerStatus {
    /// All that there are.
    pub const ALL: [Self; 6] =
        [Self::Serving, Self::Quiesced, Self::Failing, Self::Draining, Self::Waiting, Self::Missing];

    /// Its word, for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Quiesced => "quiesced",
            Self::Failing => "failing",
            Self::Draining => "draining",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
        }
    }
}

impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the real servers of a comparison are.
pub struct ServerStatuses<'a> {
    comparison: &'a StateDiff,
    /// Those that do not just pass their checks
    reports: HashMap<ServerOf, &'a ServerReport>,
}

impl<'a> ServerStatuses<'a> {
    /// Those of a comparison.
    pub fn of(comparison: &'a StateDiff) -> Self {
        let reports = comparison.health.servers.iter().map(|report| (report.server, report)).collect();
        Self { comparison, reports }
    }

    /// How a server is that is in the kernel.
    pub fn status(&self, service: &ServiceKey, server: &ServerKey, real: &RealServer) -> ServerStatus {
        let key = (*service, *server);
        // Mostly nothing drains and all pass.
        if !self.comparison.draining.is_empty() && self.comparison.draining.get(&key).is_some() {
            return ServerStatus::Draining;
        }
        match self.of_checks(&key) {
            Some(status) => status,
            None if real.serves() => ServerStatus::Serving,
            None => ServerStatus::Quiesced,
        }
    }

    /// What its checks say of a server, where that matters more than its weight.
    fn of_checks(&self, server: &ServerOf) -> Option<ServerStatus> {
        let report = if self.reports.is_empty() { None } else { self.reports.get(server) };
        match report?.health.state {
            ServerState::Failing(_) => Some(ServerStatus::Failing),
            ServerState::Waiting => Some(ServerStatus::Waiting),
            ServerState::Passing | ServerState::Unproven => None,
        }
    }

    /// The servers that are not in the kernel: those that should be, and those that their checks have taken out, each once. `live` is what is there.
    pub fn absent(&self, live: &Services) -> Vec<(ServerOf, ServerStatus)> {
        let is_there = |(service, server): &ServerOf| {
            live.get(service).is_some_and(|service| service.servers.contains_key(server))
        };
        let StateDiff { plan, deferred, left_out, awaiting_link, health, .. } = self.comparison;
        let operations = plan.operations().chain(deferred).chain(left_out).chain(awaiting_link);
        let added = operations.filter_map(|operation| match operation {
            Operation::Server(ServerOp::Add { service, server, .. }) => Some((*service, *server)),
            Operation::Server(ServerOp::Edit { .. } | ServerOp::Delete { .. })
            | Operation::Service(_)
            | Operation::Sysctl(_)
            | Operation::Timeouts(_)
            | Operation::Sync(_)
            | Operation::Marks(_)
            | Operation::Untracked(_) => None,
        });
        let reported = health.servers.iter().map(|report| report.server);
        let reported = reported.filter(|server| self.of_checks(server).is_some());
        let mut seen = HashSet::new();
        let absent = added.chain(reported).filter(|server| !is_there(server) && seen.insert(*server));
        absent.map(|server| (server, self.of_checks(&server).unwrap_or(ServerStatus::Missing))).collect()
    }
}
