//! Writes what `lbd status` shows as JSON, row by row, so that a large table is never in memory as a document.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::health;
use super::json::{VERSION, draining, foreign, overrides, pauses, text, trial};
use super::observed::{DaemonReport, Observed};
use super::output::Output;
use super::statistics::{CountedRow, ShownStatistics};
use super::warnings;
use crate::escape;
use crate::model::{
    Connections, Forwarding, Operation, RealServer, SchedulerName, ServerKey, ServiceKey, Statistics,
    VirtualService,
};
use crate::reconcile::Summary;
use crate::status::{Presence, Status};

/// Writes it; the services with their servers only where they are wanted.
///
/// # Errors
/// Those of `out`.
pub fn json(out: &mut Output, observed: &Observed<'_>, has_services: bool) -> io::Result<()> {
    escape::json(out, &StatusDocument { observed, has_services })?;
    writeln!(out)
}

struct StatusDocument<'a> {
    observed: &'a Observed<'a>,
    has_services: bool,
}

impl Serialize for StatusDocument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let observed = self.observed;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in head(observed) {
            map.serialize_entry(&key, &value)?;
        }
        if self.has_services {
            map.serialize_entry("services", &ServiceRows(observed))?;
        }
        if let Some(shown) = &observed.statistics {
            let sums = shown.sums(|service| observed.comparison.cluster(service));
            map.serialize_entry("counters", sums.counters)?;
            map.serialize_entry("totals", &sums.totals)?;
            map.serialize_entry("clusters", &sums.clusters)?;
        }
        map.end()
    }
}

/// What is above the rows.
fn head(observed: &Observed<'_>) -> Map<String, Value> {
    let comparison = observed.comparison;
    let Summary { add, edit, delete } = Summary::of(comparison.plan.operations());
    let waits = |operation: &Operation| -> Value {
        json!({ "operation": operation.to_string(), "interface": operation.link().map(|link| link.interface) })
    };
    let DaemonReport { presence, status, last_change: _ } = &observed.daemon;
    let findings = observed.daemon.findings();
    // What was found on the host is beside the daemon, as `diff` has it.
    let status = status.clone().map(|status| Status { host: None, ..status });
    let document = json!({
        "version": VERSION,
        "in_sync": observed.is_in_sync(),
        "file": { "path": observed.file, "problem": observed.file_problem, "sha256": observed.file_sha256 },
        "verified": { "sha256": observed.verified_sha256 },
        "daemon": {
            "running": presence.holder().is_some(),
            "holder": presence.holder(),
            "died": matches!(presence, Presence::Died { .. }),
            "not_running_since": presence.ended(),
            "status": status,
        },
        "last_change": observed.daemon.last_change(),
        "refused": comparison.guard_refusal.as_ref().map(ToString::to_string),
        "warnings": warnings::json(findings),
        "not_examined": findings.map(|findings| &findings.not_examined),
        "unverified": observed.unknown,
        "summary": { "add": add, "edit": edit, "delete": delete },
        "paused": pauses(&comparison.pauses),
        "trial": comparison.trial.as_ref().map(trial),
        "overridden": overrides(&comparison.overrides()),
        "draining": draining(comparison),
        "health": health::json(&observed.health, comparison),
        "left_out": comparison.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "waiting": comparison.awaiting_link.iter().map(waits).collect::<Vec<_>>(),
        "foreign": foreign(&comparison.foreign),
    });
    match document {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The services of the kernel.
struct ServiceRows<'a>(&'a Observed<'a>);

#[derive(Serialize)]
struct ServiceRow<'a> {
    #[serde(serialize_with = "text")]
    service: &'a ServiceKey,
    cluster: Option<&'a str>,
    #[serde(serialize_with = "text")]
    scheduler: &'a SchedulerName,
    servers: ServerRows<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(flatten)]
    counted: Option<CountedRow>,
}

impl Serialize for ServiceRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(observed) = *self;
        serializer
            .collect_seq(observed.services().into_iter().map(|(key, of)| service_row(observed, key, of)))
    }
}

fn service_row<'a>(
    observed: &'a Observed<'a>,
    service: &'a ServiceKey,
    of: &'a VirtualService,
) -> ServiceRow<'a> {
    let cluster = observed.comparison.cluster(service);
    ServiceRow {
        service,
        cluster,
        scheduler: &of.scheduling.scheduler,
        servers: ServerRows { observed, service, of },
        file: cluster.and_then(|cluster| observed.comparison.file_of(cluster)),
        counted: counted(observed, |shown| shown.of_service(service)),
    }
}

/// The servers of a service.
struct ServerRows<'a> {
    observed: &'a Observed<'a>,
    service: &'a ServiceKey,
    of: &'a VirtualService,
}

#[derive(Serialize)]
struct ServerRow<'a> {
    #[serde(serialize_with = "text")]
    server: &'a ServerKey,
    #[serde(serialize_with = "text")]
    forward: Forwarding,
    weight: u32,
    active: u32,
    inactive: u32,
    persistent: u32,
    #[serde(flatten)]
    counted: Option<CountedRow>,
}

impl Serialize for ServerRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.of.servers.iter().map(|(key, real)| self.row(key, real)))
    }
}

impl<'a> ServerRows<'a> {
    fn row(&self, server: &'a ServerKey, real: &RealServer) -> ServerRow<'a> {
        let Self { observed, service, of: _ } = *self;
        let RealServer { weight, forwarding: forward, .. } = *real;
        let Connections { active, inactive, persistent, packets: _ } = observed.connections(service, server);
        let counted = counted(observed, |shown| shown.of_server(service, server));
        ServerRow { server, forward, weight, active, inactive, persistent, counted }
    }
}

fn counted(
    observed: &Observed<'_>,
    of: impl FnOnce(&ShownStatistics) -> Option<Statistics>,
) -> Option<CountedRow> {
    let shown = observed.statistics.as_ref()?;
    Some(shown.row(of(shown)))
}
