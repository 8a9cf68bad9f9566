//! Says in one word how each real server is: of those in the kernel, and of those that should be there.

use std::collections::{HashMap, HashSet};
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::StateDiff;
use crate::model::{Operation, RealServer, ServerKey, ServerOp, ServiceKey, Services, Subject};
use crate::target::{Effect, Reason, ServerOf, ServerReport, ServerState};

/// How a real server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    /// It gets new connections.
    Serving,
    /// It has weight 0: it keeps its connections, and gets no new ones.
    Quiesced,
    /// Its checks fail; it may serve all the same, where too few would be left.
    Failing,
    /// It has left the file, or an operator drains it: it keeps its connections for a while, and gets no new ones.
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

    /// How a server is; `live` is what it is in the kernel, where it is there.
    pub fn status(
        &self,
        service: &ServiceKey,
        server: &ServerKey,
        live: Option<&RealServer>,
    ) -> ServerStatus {
        let key = (*service, *server);
        if self.drains(&key) {
            return ServerStatus::Draining;
        }
        match (self.of_checks(&key), live) {
            (Some(status), _) => status,
            (None, Some(real)) if real.serves() => ServerStatus::Serving,
            (None, Some(_)) => ServerStatus::Quiesced,
            (None, None) => ServerStatus::Missing,
        }
    }

    fn drains(&self, server: &ServerOf) -> bool {
        let StateDiff { draining, reasons, .. } = self.comparison;
        // Mostly there are no reasons, and nothing is hashed.
        let reason = match reasons.is_empty() {
            true => None,
            false => reasons.get(&Subject::Server(server.0, server.1)),
        };
        let is_drained = |reason: &Reason| {
            reason.overriding().is_some_and(|one| matches!(one.effect, Effect::Drain | Effect::Remove))
        };
        reason.is_some_and(|reason| is_drained(reason)) || draining.get(server).is_some()
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
