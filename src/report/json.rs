//! What a script reads: one object with a version, whose keys stay.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::model::{Action, Change, Operation, ServerKey, ServiceKey, Services, Tunnel, Value};
use crate::reconcile::{Comparison, Failed, Outcome, Report, Summary};

/// The version of the document. It changes only with a key that goes or gets another meaning.
pub(super) const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    in_sync: bool,
    operations: Vec<Row<'a>>,
    foreign: Vec<Foreign<'a>>,
    #[serde(serialize_with = "counts")]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Vec<FailedRow<'a>>>,
    /// Why a guard refuses, or would
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What the operations do to live traffic
    #[serde(skip_serializing_if = "Vec::is_empty")]
    impacts: Vec<Impact>,
}

#[derive(Serialize)]
struct Row<'a> {
    action: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(serialize_with = "text")]
    service: &'a ServiceKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<ChangeRow>>,
}

#[derive(Serialize)]
struct ChangeRow {
    field: &'static str,
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

/// The number of an operation in `operations`, and what it does.
#[derive(Serialize)]
struct Impact {
    operation: usize,
    message: String,
}

/// Writes what `apply` would do now.
///
/// # Errors
/// Those of `out`.
pub fn comparison(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let impact = |(operation, what): (usize, &Operation)| {
        comparison.impact(what).map(|message| Impact { operation, message })
    };
    let document = Document {
        version: VERSION,
        in_sync: comparison.is_in_sync(),
        operations: comparison.plan.operations().map(|operation| row(comparison, operation)).collect(),
        foreign: foreign(&comparison.foreign),
        summary: Summary::of(comparison.plan.operations()),
        failed: None,
        refused: comparison.objection.map(|objection| objection.to_string()),
        impacts: comparison.plan.operations().enumerate().filter_map(impact).collect(),
    };
    write(out, &document)
}

/// Writes what a pass did.
///
/// # Errors
/// Those of `out`.
pub fn report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { outcome, done, failed, last, warnings: _ } = report;
    let document = Document {
        version: VERSION,
        in_sync: *outcome == Outcome::Verified,
        operations: done.iter().map(|operation| row(last, operation)).collect(),
        foreign: foreign(&last.foreign),
        summary: Summary::of(done.iter()),
        failed: Some(failed.iter().map(|failed| failed_row(last, failed)).collect()),
        refused: match outcome {
            Outcome::Refused(objection) => Some(objection.to_string()),
            Outcome::Verified | Outcome::Failed | Outcome::Held => None,
        },
        impacts: Vec::new(),
    };
    write(out, &document)
}

fn write(out: &mut dyn Write, document: &Document<'_>) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

fn row<'a>(comparison: &'a Comparison, operation: &'a Operation) -> Row<'a> {
    let service = operation.service();
    let change =
        |Change { field, from, to }| ChangeRow { field, from: from.map(ValueRow), to: to.map(ValueRow) };
    Row {
        action: operation.action().to_string(),
        kind: if operation.server().is_some() { "server" } else { "service" },
        cluster: comparison.cluster(service),
        service,
        server: operation.server().map(ServerKey::to_string),
        changes: (operation.action() != Action::Delete)
            .then(|| operation.changes().into_iter().map(change).collect()),
    }
}

fn failed_row<'a>(comparison: &'a Comparison, failed: &'a Failed) -> FailedRow<'a> {
    let Failed { operation, refusal } = failed;
    FailedRow {
        operation: row(comparison, operation),
        // What was not even sent has no error number.
        errno: (refusal.errno != 0).then_some(refusal.errno),
        message: &refusal.message,
    }
}

pub(super) fn foreign(foreign: &Services) -> Vec<Foreign<'_>> {
    let mut rows: Vec<_> = foreign
        .iter()
        .map(|(service, contents)| {
            let mut servers: Vec<&ServerKey> = contents.servers.keys().collect();
            servers.sort_unstable();
            Foreign { service, servers: servers.into_iter().map(ServerKey::to_string).collect() }
        })
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

fn text<S: Serializer>(value: &ServiceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Serialize for ValueRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Number(number) => serializer.serialize_u32(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Flag(on) => serializer.serialize_bool(*on),
            Value::List(words) => serializer.collect_seq(words),
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
