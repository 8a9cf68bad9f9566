//! Writes a plan and its result as text: the operations in their order, their impact on traffic, and what is foreign.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};

use super::impacts;
use super::output::{COLLECTED, Output};
use super::styled::{PLAIN, line};
use crate::escape::{self, Escaped};
use crate::guard::GuardRefusal;
use crate::model::{Action, Connections, Kind, Operation, Part, ServiceKey, Set, SyncDaemon, Value};
use crate::reconcile::{Fingerprint, Outcome, Report, StateDiff, Summary};

const ADD: Style = AnsiColor::Green.on_default();
pub(super) const EDIT: Style = AnsiColor::Yellow.on_default();
pub(super) const DELETE: Style = AnsiColor::Red.on_default();
pub(super) const HEAD: Style = Style::new().bold();
pub(super) const NOTE: Style = Style::new().dimmed();

/// Below an operation that an export asks for, which knows no conditions.
const PERHAPS_CONDITION: &str = "perhaps a condition: a server that drains or is overridden has weight 0";

/// Writes what `apply` would do now, and what is foreign; `fingerprint` identifies the plan, where it could be carried out.
///
/// # Errors
/// Those of `out`.
pub fn comparison(
    out: &mut Output,
    comparison: &StateDiff,
    fingerprint: Option<&Fingerprint>,
) -> io::Result<()> {
    operations(out, comparison)?;
    left_out(out, comparison)?;
    waiting(out, comparison)?;
    foreign(out, comparison)?;
    if let Some(guard_refusal) = &comparison.guard_refusal {
        let refuses = format_args!("apply would refuse{}:", in_part(guard_refusal));
        line(out, &[(DELETE, &refuses), (PLAIN, &format_args!(" {guard_refusal}"))])?;
    }
    overrides(out, comparison)?;
    if let Some(last) = comparison.draining.iter().map(|(_, drain)| drain.period.until).max() {
        let drain = count(comparison.draining.iter().count(), "server");
        let text = format_args!(" {drain}, until {last} at the latest (`lbd status` lists them)");
        line(out, &[(EDIT, &"draining:"), (PLAIN, &text)])?;
    }
    if comparison.is_in_sync() {
        line(out, &[(HEAD, &"in sync:"), (PLAIN, &format_args!(" {}", size(comparison)))])
    } else {
        let Summary { add, edit, delete } = Summary::of(comparison.plan.operations());
        let left_out = match comparison.left_out.len() {
            0 => String::new(),
            count => format!(", {count} left out"),
        };
        if let Some(fingerprint) = fingerprint {
            line(out, &[(NOTE, &format_args!("fingerprint: {fingerprint}"))])?;
        }
        line(out, &[(HEAD, &format_args!("{add} to add, {edit} to edit, {delete} to delete{left_out}"))])
    }
}

/// Writes the operations of a plan, in order, under the services that they concern.
///
/// # Errors
/// Those of `out`.
pub fn operations(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    let notes = impacts::notes(impacts::of(comparison));
    list(out, comparison, comparison.plan.operations(), &notes)
}

/// Writes operations, in order, under the services that they concern, each with the note for its row.
fn list<'a>(
    out: &mut Output,
    comparison: &StateDiff,
    operations: impl Iterator<Item = &'a Operation>,
    notes: &HashMap<usize, String>,
) -> io::Result<()> {
    let starts = LineStarts::of(out);
    let mut heading: Option<Heading> = None;
    let mut lines = String::new();
    let mut row = 0;
    for operation in operations {
        let under = Heading::of(operation);
        if heading.replace(under) != Some(under) {
            under.write(&mut lines, &starts, comparison).map_err(io::Error::other)?;
        }
        of_operation(&mut lines, &starts, operation, notes.get(&row)).map_err(io::Error::other)?;
        if let Some(reason) = comparison.reason(operation) {
            note(&mut lines, &starts, reason).map_err(io::Error::other)?;
        }
        if comparison.is_perhaps_of_condition(operation) {
            note(&mut lines, &starts, PERHAPS_CONDITION).map_err(io::Error::other)?;
        }
        row += impacts::height(operation);
        // A plan can have a hundred thousand of these, and each line by itself is dear to the stream.
        if lines.len() >= COLLECTED {
            out.write_all(lines.as_bytes())?;
            lines.clear();
        }
    }
    out.write_all(lines.as_bytes())
}

/// Writes the pauses in force, and what they leave out.
fn left_out(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    pauses(out, comparison)?;
    if comparison.left_out.is_empty() {
        return Ok(());
    }
    line(out, &[(HEAD, &"left out for now:")])?;
    list(out, comparison, comparison.left_out.iter(), &HashMap::new())
}

/// Writes the pauses in force.
pub(super) fn pauses(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    for pause in comparison.pauses.iter() {
        line(out, &[(EDIT, &"paused:"), (PLAIN, &format_args!(" {pause}"))])?;
    }
    Ok(())
}

/// Writes the trial under way, if there is one.
pub(super) fn trial(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    let trial = comparison.trial.as_ref();
    trial.map_or(Ok(()), |trial| line(out, &[(EDIT, &"trial:"), (PLAIN, &format_args!(" {trial}"))]))
}

/// Writes the overrides that concern the servers shown, each once.
pub(super) fn overrides(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    for one in comparison.overrides() {
        line(out, &[(EDIT, &"override:"), (PLAIN, &format_args!(" {one}"))])?;
    }
    Ok(())
}

/// Writes what has left the file and keeps its connections.
pub(super) fn draining(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    for ((service, server), drain) in comparison.draining.iter() {
        let Connections { active, inactive, persistent, packets: _ } =
            comparison.connections(service, server);
        let tied = match persistent {
            0 => String::new(),
            persistent => format!(", {} tied to it still come", count(persistent as usize, "client")),
        };
        let until = drain.period.until;
        let text = format_args!(
            " {server} of {service} until {until}, {active} active and {inactive} inactive connections{tied}"
        );
        line(out, &[(EDIT, &"draining:"), (PLAIN, &text)])?;
    }
    Ok(())
}

/// The lines of an operation, with a note of what it does to live traffic.
fn of_operation(
    lines: &mut String,
    starts: &LineStarts,
    operation: &Operation,
    impact: Option<&String>,
) -> fmt::Result {
    if operation.has_parts() {
        for Part { action, kind, name, changes } in operation.parts() {
            starts.begin(lines, action, |lines| named(lines, kind, name.as_deref()))?;
            let start = lines.len();
            let mut writer = FieldWriter::of(lines, kind);
            changes.iter().for_each(|change| writer.write(change.into()));
            escape::tail(lines, start);
            lines.push('\n');
        }
    } else {
        let kind = operation.kind();
        starts.begin(lines, operation.action(), |lines| match operation.server() {
            Some(server) => write!(lines, "server {server}"),
            None => named(lines, kind, operation.name().as_deref()),
        })?;
        let start = lines.len();
        let mut writer = FieldWriter::of(lines, kind);
        operation.each_change(|change| writer.write(change));
        escape::tail(lines, start);
        lines.push('\n');
    }
    impact.map_or(Ok(()), |impact| note(lines, starts, impact))
}

/// A line below an operation.
fn note(lines: &mut String, starts: &LineStarts, text: impl fmt::Display) -> fmt::Result {
    let note = starts.note;
    writeln!(lines, "      {note}{}{note:#}", Escaped(text))
}

/// The heading of operations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heading {
    Service(ServiceKey),
    Other(&'static str),
}

impl Heading {
    fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Service(edit) => Self::Service(*edit.service()),
            Operation::Server(edit) => Self::Service(*edit.service()),
            Operation::Sysctl(_) => Self::Other("kernel settings"),
            Operation::Marks(_) => Self::Other("firewall marks"),
            Operation::Untracked(_) => Self::Other("untracked packets"),
            Operation::Timeouts(_) | Operation::Sync(_) => Self::Other("director"),
        }
    }

    fn write(self, lines: &mut String, starts: &LineStarts, comparison: &StateDiff) -> fmt::Result {
        lines.push_str(&starts.head);
        let cluster = match self {
            Self::Service(service) => {
                write!(lines, "{service}")?;
                comparison.cluster(&service)
            }
            Self::Other(name) => {
                lines.push_str(name);
                None
            }
        };
        lines.push_str(&starts.end);
        match cluster {
            Some(cluster) => match comparison.file_of(cluster) {
                Some(file) => writeln!(lines, " ({}, {})", escape::text(cluster), escape::text(file)),
                None => writeln!(lines, " ({})", escape::text(cluster)),
            },
            None => writeln!(lines),
        }
    }
}

/// What lines start with, in the styles of the output, and what ends a style.
struct LineStarts {
    head: String,
    add: String,
    edit: String,
    delete: String,
    end: String,
    note: Style,
}

impl LineStarts {
    fn of(out: &Output) -> Self {
        let delete = out.style(DELETE);
        Self {
            head: out.style(HEAD).to_string(),
            add: format!("  {}+ ", out.style(ADD)),
            edit: format!("  {}~ ", out.style(EDIT)),
            delete: format!("  {delete}- "),
            end: format!("{delete:#}"),
            note: out.style(NOTE),
        }
    }

    /// Begins a line with what happens, and to what, whose name is escaped.
    fn begin(
        &self,
        lines: &mut String,
        action: Action,
        what: impl FnOnce(&mut String) -> fmt::Result,
    ) -> fmt::Result {
        lines.push_str(match action {
            Action::Add => &self.add,
            Action::Edit => &self.edit,
            Action::Delete => &self.delete,
        });
        let start = lines.len();
        what(lines)?;
        escape::tail(lines, start);
        lines.push_str(&self.end);
        Ok(())
    }
}

/// What it is, and what it is called.
fn named(lines: &mut String, kind: Kind, name: Option<&str>) -> fmt::Result {
    match (kind, name) {
        (Kind::Sysctl | Kind::Timeouts, Some(name)) => lines.push_str(name),
        (kind, Some(name)) => write!(lines, "{kind} {name}")?,
        (kind, None) => write!(lines, "{kind}")?,
    }
    Ok(())
}

/// The rest of a line: what is set.
struct FieldWriter<'a> {
    lines: &'a mut String,
    /// Whether the fields are named
    names: bool,
    is_first: bool,
}

impl<'a> FieldWriter<'a> {
    fn of(lines: &'a mut String, kind: Kind) -> Self {
        Self { lines, names: kind != Kind::Sysctl, is_first: true }
    }

    fn write(&mut self, Set { field, from, to }: Set<'_>) {
        // Of a new object, only what differs from the default.
        if from.is_none() && to.is_some_and(is_off) {
            return;
        }
        self.lines.push_str(if self.is_first { "  " } else { ", " });
        self.is_first = false;
        if self.names {
            self.lines.push_str(field);
            self.lines.push_str(": ");
        }
        if let Some(from) = from {
            from.push_to(self.lines);
            self.lines.push_str(" -> ");
        }
        match to {
            Some(to) => to.push_to(self.lines),
            None => self.lines.push_str("none"),
        }
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Flag(on) => !on,
        Value::List(words) => words.is_empty(),
        Value::Number(_) | Value::Text(_) | Value::Tunnel(_) | Value::Setting(_) | Value::Match(_) => false,
    }
}

/// Writes what awaits an interface.
pub(super) fn waiting(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    if comparison.awaiting_link.is_empty() {
        return Ok(());
    }
    line(out, &[(HEAD, &"waiting:")])?;
    for operation in &comparison.awaiting_link {
        match operation.link() {
            Some(link) => {
                let until = format_args!("until {link}");
                line(out, &[(PLAIN, &format_args!("  {operation}  ")), (NOTE, &until)])?;
            }
            None => line(out, &[(PLAIN, &format_args!("  {operation}"))])?,
        }
    }
    Ok(())
}

pub(super) fn foreign(out: &mut Output, comparison: &StateDiff) -> io::Result<()> {
    let StateDiff { foreign, foreign_sync, .. } = comparison;
    if foreign.is_empty() && foreign_sync.is_empty() {
        return Ok(());
    }
    line(out, &[(HEAD, &"foreign, left alone:")])?;
    let mut keys: Vec<_> = foreign.iter().collect();
    keys.sort_unstable_by_key(|(service, _)| **service);
    for (service, contents) in keys {
        let servers = count(contents.servers.len(), "server");
        line(out, &[(PLAIN, &format_args!("  {service}  {servers}"))])?;
    }
    for SyncDaemon { role, interface, id, .. } in foreign_sync {
        line(out, &[(PLAIN, &format_args!("  sync {role}  interface: {interface}, id: {id}"))])?;
    }
    Ok(())
}

/// Writes how a pass ended; its operations were shown before they were carried out, and what failed is for standard
/// error.
///
/// # Errors
/// Those of `out`.
pub fn report(out: &mut Output, report: &Report) -> io::Result<()> {
    let Report { outcome, done, failed, last, warnings: _ } = report;
    let Summary { add, edit, delete } = Summary::of(done.iter());
    let counts = format!("{add} added, {edit} edited, {delete} deleted");
    match outcome {
        Outcome::Refused(_) | Outcome::Unexpected(_) => operations(out, last),
        Outcome::Paused => {
            left_out(out, last)?;
            line(
                out,
                &[
                    (DELETE, &"not in sync:"),
                    (PLAIN, &format_args!(" {counts}, {} left out", last.left_out.len())),
                ],
            )
        }
        Outcome::PartlyRefused(_) => {
            waiting(out, last)?;
            foreign(out, last)?;
            let counts = if done.is_empty() { "nothing else to do" } else { &counts };
            let rest = format_args!(" {counts}; {}", size(last));
            line(out, &[(HEAD, &"verified, but for what is refused:"), (PLAIN, &rest)])
        }
        Outcome::Failed | Outcome::Deferred => line(
            out,
            &[(DELETE, &"not in sync:"), (PLAIN, &format_args!(" {counts}, {} failed", failed.len()))],
        ),
        Outcome::Unverified(_) => {
            waiting(out, last)?;
            foreign(out, last)?;
            line(out, &[(DELETE, &"not verified:"), (PLAIN, &format_args!(" {counts}; {}", size(last)))])
        }
        Outcome::Verified => {
            waiting(out, last)?;
            foreign(out, last)?;
            let counts = if done.is_empty() { "nothing to do" } else { &counts };
            line(out, &[(HEAD, &"verified:"), (PLAIN, &format_args!(" {counts}; {}", size(last)))])
        }
    }
}

/// Whether a guard refuses all or part of a change.
pub(super) fn in_part(guard_refusal: &GuardRefusal) -> &'static str {
    if guard_refusal.is_partial() { " in part" } else { "" }
}

pub(super) fn size(comparison: &StateDiff) -> String {
    let (services, servers) = comparison.size();
    format!("{}, {}", count(services, "virtual service"), count(servers, "real server"))
}

/// A number with its noun: `1 server`, `2 servers`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
