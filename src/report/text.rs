//! What a person reads: the operations in their order, what they do to live traffic, and what is left alone.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::model::{Action, Change, Operation, ServiceKey, Services, Value};
use crate::reconcile::{Comparison, Outcome, Report, Summary};

const ADD: Style = AnsiColor::Green.on_default();
const EDIT: Style = AnsiColor::Yellow.on_default();
pub(super) const DELETE: Style = AnsiColor::Red.on_default();
pub(super) const HEAD: Style = Style::new().bold();
pub(super) const NOTE: Style = Style::new().dimmed();

/// Writes what `apply` would do now, and what is foreign.
///
/// # Errors
/// Those of `out`.
pub fn comparison(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    operations(out, comparison)?;
    foreign(out, &comparison.foreign)?;
    if let Some(objection) = &comparison.objection {
        writeln!(out, "{DELETE}apply would refuse:{DELETE:#} {objection}")?;
    }
    if comparison.plan.is_empty() {
        writeln!(out, "{HEAD}in sync:{HEAD:#} {}", size(comparison))
    } else {
        let Summary { add, edit, delete } = Summary::of(comparison.plan.operations());
        writeln!(out, "{HEAD}{add} to add, {edit} to edit, {delete} to delete{HEAD:#}")
    }
}

/// Writes the operations of a plan, in order, under the services that they concern.
///
/// # Errors
/// Those of `out`.
pub fn operations(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let mut heading: Option<&ServiceKey> = None;
    for operation in comparison.plan.operations() {
        let service = operation.service();
        if heading != Some(service) {
            heading = Some(service);
            let cluster = comparison.cluster(service).map(|name| format!(" ({name})")).unwrap_or_default();
            writeln!(out, "{HEAD}{service}{HEAD:#}{cluster}")?;
        }
        line(out, operation)?;
        if let Some(impact) = comparison.impact(operation) {
            writeln!(out, "      {NOTE}{impact}{NOTE:#}")?;
        }
    }
    Ok(())
}

fn line(out: &mut dyn Write, operation: &Operation) -> io::Result<()> {
    let (sign, style) = match operation.action() {
        Action::Add => ('+', ADD),
        Action::Edit => ('~', EDIT),
        Action::Delete => ('-', DELETE),
    };
    let object = operation.server().map_or_else(|| "service".to_owned(), |server| format!("server {server}"));
    let changes = operation.changes();
    // Of what is new, only what somebody chose.
    let is_said = |change: &&Change| {
        change.from.is_some()
            || !matches!(&change.to, Some(Value::Flag(false))) && change.to != Some(Value::List(vec![]))
    };
    let changes: Vec<String> = changes.iter().filter(is_said).map(change).collect();
    let separator = if changes.is_empty() { "" } else { "  " };
    writeln!(out, "  {style}{sign} {object}{style:#}{separator}{}", changes.join(", "))
}

fn change(Change { field, from, to }: &Change) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("{field}: {from} -> {to}"),
        (None, Some(to)) => format!("{field}: {to}"),
        (Some(from), None) => format!("{field}: {from} -> none"),
        (None, None) => (*field).to_owned(),
    }
}

pub(super) fn foreign(out: &mut dyn Write, foreign: &Services) -> io::Result<()> {
    if foreign.is_empty() {
        return Ok(());
    }
    writeln!(out, "{HEAD}foreign, left alone:{HEAD:#}")?;
    let mut keys: Vec<_> = foreign.iter().collect();
    keys.sort_unstable_by_key(|(service, _)| **service);
    for (service, contents) in keys {
        writeln!(out, "  {service}  {}", count(contents.servers.len(), "server"))?;
    }
    Ok(())
}

/// Writes how a pass ended; its operations were shown before they were carried out, and what failed is for standard
/// error.
///
/// # Errors
/// Those of `out`.
pub fn report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { outcome, done, failed, last, warnings: _ } = report;
    let Summary { add, edit, delete } = Summary::of(done.iter());
    let counts = format!("{add} added, {edit} edited, {delete} deleted");
    match outcome {
        Outcome::Refused(_) => operations(out, last),
        Outcome::Failed | Outcome::Held => {
            writeln!(out, "{DELETE}not in sync:{DELETE:#} {counts}, {} failed", failed.len())
        }
        Outcome::Verified => {
            foreign(out, &last.foreign)?;
            let counts = if done.is_empty() { "nothing to do" } else { &counts };
            writeln!(out, "{HEAD}verified:{HEAD:#} {counts}; {}", size(last))
        }
    }
}

pub(super) fn size(comparison: &Comparison) -> String {
    let (services, servers) = comparison.size();
    format!("{}, {}", count(services, "virtual service"), count(servers, "real server"))
}

/// A number with its noun: `1 server`, `2 servers`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
