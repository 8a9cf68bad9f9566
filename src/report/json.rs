//! Writes a plan and its result as JSON: one object with a version, whose keys stay.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::ops::RangeInclusive;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;

use super::impacts::{self, Impact};
use crate::advice::Advice;
use crate::escape;
use crate::model::{
    Action, Change, Connections, Kind, MarkMatch, Operation, Part, ServerKey, ServiceKey, ServiceOp,
    Services, Tunnel, Value,
};
use crate::reconcile::{Failed, Fingerprint, Outcome, Report, StateDiff, Summary};
use crate::target::{CheckReason, Drain, Effect, Override, Pause, Pauses, Period, Reason, ServerOf, Trial};

/// The version of the document. It changes only with a key that goes or gets another meaning.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct JsonDocument<'a> {
    version: u32,
    /// The file that was planned, where it is not the desired one
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PlannedFile<'a>>,
    in_sync: bool,
    operations: Vec<Row<'a>>,
    foreign: Vec<Foreign<'a>>,
    /// The pauses in force
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paused: Vec<serde_json::Value>,
    /// The trial under way
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<serde_json::Value>,
    /// The overrides in force
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overridden: Vec<serde_json::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    draining: Vec<serde_json::Value>,
    /// What is left out because of conditions
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<Row<'a>>,
    /// What awaits an interface
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Row<'a>>,
    #[serde(serialize_with = "counts")]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Vec<FailedRow<'a>>>,
    /// What identifies the plan, if there is one to carry out
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Why a guard refuses, or would
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What the operations do to live traffic
    #[serde(skip_serializing_if = "Vec::is_empty")]
    impacts: Vec<ImpactRow>,
    /// What the director needs of the host and the file lacks
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<serde_json::Value>,
}

/// A file that was planned in place of the desired one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFile<'a> {
    /// Its path, as it was given
    pub path: &'a str,
    /// The SHA-256 of its text, as `lbd status` has it of the desired file
    pub sha256: String,
}

#[derive(Serialize)]
struct Row<'a> {
    action: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    /// The file that the cluster comes from, where there are several
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeRow>>,
    /// Why the file alone does not ask for it
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<serde_json::Value>,
    /// Whether a condition of the director that was exported may be the reason
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    perhaps_condition: bool,
    /// The servers that go with a deleted service
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<&'a [String]>,
}

#[derive(Serialize)]
struct ChangeRow {
    field: Cow<'static, str>,
    from: Option<ValueRow>,
    to: Option<ValueRow>,
}

struct ValueRow(Value);

#[derive(Serialize)]
pub(super) struct Foreign<'a> {
    #[serde(serialize_with = "text")]
    service: &'a ServiceKey,
    servers: Vec<String>,
}

#[derive(Serialize)]
struct FailedRow<'a> {
    operation: Row<'a>,
    errno: Option<i32>,
    message: &'a str,
}

/// The numbers of operations in `operations`, and what they do.
#[derive(Serialize)]
struct ImpactRow {
    /// The first of them
    operation: usize,
    operations: Vec<usize>,
    message: String,
}

/// The servers of the services that a plan deletes. After the plan was carried out they are in no reading of the kernel.
pub type DeletedServers = HashMap<ServiceKey, Vec<String>>;

/// The servers of the services that the plan of `comparison` deletes.
pub fn deleted_servers(comparison: &StateDiff) -> DeletedServers {
    let of = |operation: &Operation| match operation {
        Operation::Service(ServiceOp::Delete { service }) => {
            let contents = comparison.services().get(service)?;
            Some((*service, sorted(contents.servers.keys())))
        }
        Operation::Service(_)
        | Operation::Server(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => None,
    };
    comparison.plan.operations().filter_map(of).collect()
}

fn sorted<'a>(servers: impl Iterator<Item = &'a ServerKey>) -> Vec<String> {
    let mut servers: Vec<&ServerKey> = servers.collect();
    servers.sort_unstable();
    servers.into_iter().map(ServerKey::to_string).collect()
}

/// Writes what `apply` would do now, with the desired file or with another one; `fingerprint` identifies the plan, where it could be carried out.
///
/// # Errors
/// Those of `out`.
pub fn comparison(
    out: &mut dyn Write,
    file: Option<PlannedFile<'_>>,
    comparison: &StateDiff,
    fingerprint: Option<&Fingerprint>,
    advice: &[Advice],
) -> io::Result<()> {
    let deleted = deleted_servers(comparison);
    let impact = |Impact { message, rows }: Impact| {
        Some(ImpactRow { operation: *rows.first()?, operations: rows, message })
    };
    let document = JsonDocument {
        version: VERSION,
        file,
        in_sync: comparison.is_in_sync(),
        operations: all_rows(comparison, &deleted, comparison.plan.operations()),
        foreign: foreign(&comparison.foreign),
        paused: pauses(&comparison.pauses),
        trial: comparison.trial.as_ref().map(trial),
        overridden: overrides(&comparison.overrides()),
        draining: draining(comparison),
        left_out: all_rows(comparison, &deleted, comparison.left_out.iter()),
        waiting: all_rows(comparison, &deleted, comparison.awaiting_link.iter()),
        summary: Summary::of(comparison.plan.operations()),
        failed: None,
        fingerprint: fingerprint.map(ToString::to_string),
        refused: comparison.guard_refusal.as_ref().map(ToString::to_string),
        impacts: impacts::of(comparison).into_iter().filter_map(impact).collect(),
        warnings: warnings(advice),
    };
    write(out, &document)
}

/// Writes what a pass did; `deleted` are the servers of the services that it deleted.
///
/// # Errors
/// Those of `out`.
pub fn report(
    out: &mut dyn Write,
    report: &Report,
    deleted: &DeletedServers,
    advice: &[Advice],
) -> io::Result<()> {
    let Report { outcome, done, failed, last, warnings: _ } = report;
    let other_plan = if let Outcome::Unexpected(found) = outcome { found.as_ref() } else { None };
    let document = JsonDocument {
        version: VERSION,
        file: None,
        in_sync: *outcome == Outcome::Verified,
        operations: all_rows(last, deleted, done.iter()),
        foreign: foreign(&last.foreign),
        paused: pauses(&last.pauses),
        trial: last.trial.as_ref().map(trial),
        overridden: overrides(&last.overrides()),
        draining: draining(last),
        left_out: all_rows(last, deleted, last.left_out.iter()),
        waiting: all_rows(last, deleted, last.awaiting_link.iter()),
        summary: Summary::of(done.iter()),
        failed: Some(failed.iter().flat_map(|failed| failed_rows(last, deleted, failed)).collect()),
        fingerprint: other_plan.map(ToString::to_string),
        refused: last.guard_refusal.as_ref().map(ToString::to_string),
        impacts: Vec::new(),
        warnings: warnings(advice),
    };
    write(out, &document)
}

/// The pauses in force; null as the cluster: everything is paused.
pub(super) fn pauses(pauses: &Pauses) -> Vec<serde_json::Value> {
    let pause = |pause: &Pause| {
        let Pause { cluster, by, reason, keep_checks, period: Period { since, until, .. } } = pause;
        json!({
            "cluster": cluster, "by": by, "reason": reason, "keep_checks": keep_checks, "since": since, "until": until
        })
    };
    pauses.iter().map(pause).collect()
}

/// A trial.
pub(super) fn trial(of: &Trial) -> serde_json::Value {
    let Trial { file, by, reason, period: Period { since, until, .. }, verified, .. } = of;
    json!({ "file": file, "by": by, "reason": reason, "since": since, "until": until, "verified": verified })
}

/// The reason why a server is not what the file says.
fn reason(of: &Reason) -> serde_json::Value {
    let mut reason =
        json!({ "kind": of.kind(), "text": of.to_string(), "since": of.since(), "until": of.until() });
    if let (Reason::Check(CheckReason::Failing(failing), _), Some(reason)) = (of, reason.as_object_mut()) {
        reason.insert("check".to_owned(), json!(failing.check));
        reason.insert("detail".to_owned(), json!(failing.failure.detail));
    }
    reason
}

/// What has left the file and keeps its connections, server by server.
pub(super) fn draining(comparison: &StateDiff) -> Vec<serde_json::Value> {
    let row = |((service, server), drain): (&ServerOf, &Drain)| {
        let Connections { active, inactive, persistent, packets: _ } =
            comparison.connections(service, server);
        json!({
            "cluster": drain.cluster,
            "service": service.to_string(),
            "server": server.to_string(),
            "since": drain.period.since,
            "until": drain.period.until,
            "active": active,
            "inactive": inactive,
            "persistent": persistent,
        })
    };
    comparison.draining.iter().map(row).collect()
}

/// The overrides that concern the servers shown, one by one; null as the end: for ever.
pub(super) fn overrides(overrides: &[&Override]) -> Vec<serde_json::Value> {
    let row = |one: &&Override| {
        let Override { name, scope: _, effect, by, reason, since, period: _ } = one;
        let (effect, weight, despite_checks) = match effect {
            Effect::Drain => ("drain", None, false),
            Effect::Remove => ("remove", None, false),
            Effect::Weight { to, from: _, despite_checks } => ("weight", Some(to), *despite_checks),
        };
        json!({
            "name": name, "effect": effect, "weight": weight, "despite_checks": despite_checks, "by": by, "reason": reason, "since": since, "until": one.until()
        })
    };
    overrides.iter().map(row).collect()
}

/// Writes the overrides that there are.
///
/// # Errors
/// Those of `out`.
pub fn override_list(out: &mut dyn Write, all: &[&Override]) -> io::Result<()> {
    escape::json(out, &json!({ "version": VERSION, "overridden": overrides(all) }))?;
    writeln!(out)
}

/// What the director needs of the host and the file lacks, one by one.
pub fn warnings(advice: &[Advice]) -> Vec<serde_json::Value> {
    let warning = |one: &Advice| json!({ "code": one.finding.code, "subject": one.subject.as_str(), "message": one.message(), "advice": one.finding.advice });
    advice.iter().map(warning).collect()
}

fn write(out: &mut dyn Write, document: &JsonDocument<'_>) -> io::Result<()> {
    escape::json(out, document)?;
    writeln!(out)
}

/// The objects that an operation adds, edits or deletes, each as a row.
fn rows<'a>(comparison: &'a StateDiff, deleted: &'a DeletedServers, operation: &Operation) -> Vec<Row<'a>> {
    let servers = operation.service().and_then(|service| deleted.get(service)).map(Vec::as_slice);
    let servers =
        servers.filter(|_| operation.kind() == Kind::Service && operation.action() == Action::Delete);
    let change =
        |Change { field, from, to }| ChangeRow { field, from: from.map(ValueRow), to: to.map(ValueRow) };
    let cluster_of =
        |operation: &Operation| operation.service().and_then(|service| comparison.cluster(service));
    let row = |Part { action, kind, name, changes }: Part| Row {
        action: action.to_string(),
        kind: kind.to_string(),
        cluster: cluster_of(operation),
        file: cluster_of(operation).and_then(|cluster| comparison.file_of(cluster)),
        service: operation.service().map(ToString::to_string),
        server: operation.server().map(ToString::to_string),
        name,
        // A deleted mark lists its matches; another deleted object has no changes.
        changes: (action != Action::Delete || !changes.is_empty())
            .then(|| changes.into_iter().map(change).collect()),
        reason: comparison.reason(operation).map(reason),
        perhaps_condition: comparison.is_perhaps_of_condition(operation),
        servers,
    };
    operation.parts().into_iter().map(row).collect()
}

fn all_rows<'a>(
    comparison: &'a StateDiff,
    deleted: &'a DeletedServers,
    operations: impl Iterator<Item = &'a Operation>,
) -> Vec<Row<'a>> {
    operations.flat_map(|operation| rows(comparison, deleted, operation)).collect()
}

fn failed_rows<'a>(
    comparison: &'a StateDiff,
    deleted: &'a DeletedServers,
    failed: &'a Failed,
) -> impl Iterator<Item = FailedRow<'a>> {
    let Failed { operation, refusal } = failed;
    rows(comparison, deleted, operation).into_iter().map(|operation| FailedRow {
        operation,
        // What was not even sent has no error number.
        errno: (refusal.errno != 0).then_some(refusal.errno),
        message: &refusal.message,
    })
}

pub(super) fn foreign(foreign: &Services) -> Vec<Foreign<'_>> {
    let mut rows: Vec<_> = foreign
        .iter()
        .map(|(service, contents)| Foreign { service, servers: sorted(contents.servers.keys()) })
        .collect();
    rows.sort_unstable_by_key(|row| row.service);
    rows
}

fn counts<S: Serializer>(summary: &Summary, serializer: S) -> Result<S::Ok, S::Error> {
    let Summary { add, edit, delete } = summary;
    let mut map = serializer.serialize_map(Some(3))?;
    map.serialize_entry("add", add)?;
    map.serialize_entry("edit", edit)?;
    map.serialize_entry("delete", delete)?;
    map.end()
}

/// What shows itself, as a string.
pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Serialize for ValueRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Number(number) => serializer.serialize_u32(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Flag(on) => serializer.serialize_bool(*on),
            Value::List(words) => serializer.collect_seq(words),
            Value::Setting(value) => match value.parse::<i64>() {
                // As the file has it: a number without quotes.
                Ok(number) if number.to_string() == *value => serializer.serialize_i64(number),
                _ => serializer.serialize_str(value),
            },
            Value::Match(packets) => serialize_match(packets, serializer),
            Value::Tunnel(Tunnel { kind, port, checksum }) => {
                let mut map = serializer.serialize_map(Some(3))?;
                map.serialize_entry("type", &kind.to_string())?;
                map.serialize_entry("port", port)?;
                map.serialize_entry("checksum", &checksum.to_string())?;
                map.end()
            }
        }
    }
}

/// As the file has it.
fn serialize_match<S: Serializer>(packets: &MarkMatch, serializer: S) -> Result<S::Ok, S::Error> {
    let MarkMatch { protocol, address, ports, source, interface } = packets;
    let mut map = serializer.serialize_map(None)?;
    if let Some(protocol) = protocol {
        map.serialize_entry("protocol", &protocol.to_string())?;
    }
    if let Some(address) = address {
        map.serialize_entry("address", &address.to_string())?;
    }
    if !ports.is_empty() {
        let port = |range: &RangeInclusive<u16>| match (*range.start(), *range.end()) {
            (first, last) if first == last => json!(first),
            (first, last) => json!(format!("{first}-{last}")),
        };
        map.serialize_entry("ports", &ports.iter().map(port).collect::<Vec<_>>())?;
    }
    if let Some(source) = source {
        map.serialize_entry("source", &source.to_string())?;
    }
    if let Some(interface) = interface {
        map.serialize_entry("interface", interface)?;
    }
    map.end()
}
