//! What a person reads: the operations in their order, what they do to live traffic, and what is left alone.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::model::{Action, Change, Kind, Operation, Part, ServiceKey, SyncDaemon, Value};
use crate::reconcile::{Comparison, Outcome, Report, Summary};

const ADD: Style = AnsiColor::Green.on_default();
const EDIT: Style = AnsiColor::Yellow.on_default();
pub(super) const DELETE: Style = AnsiColor::Red.on_default();
pub(super) const HEAD: Style = Style::new().bold();
pub(super) const NOTE: Style = Style::new().dimmed();

/// So many bytes are written together.
const TOGETHER: usize = 16 * 1024;

/// Writes what `apply` would do now, and what is foreign.
///
/// # Errors
/// Those of `out`.
pub fn comparison(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    operations(out, comparison)?;
    waiting(out, comparison)?;
    foreign(out, comparison)?;
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
    let signs = Signs::new();
    let mut heading: Option<Heading<'_>> = None;
    let mut lines = String::new();
    for operation in comparison.plan.operations() {
        let under = Heading::of(operation);
        let is_new = heading != Some(under);
        heading = Some(under);
        of_operation(&mut lines, &signs, operation, is_new.then_some(under), comparison)
            .map_err(io::Error::other)?;
        // A plan can have a hundred thousand of these, and each line by itself is dear to the stream.
        if lines.len() >= TOGETHER {
            out.write_all(lines.as_bytes())?;
            lines.clear();
        }
    }
    out.write_all(lines.as_bytes())
}

/// The lines of one operation, below its heading if that is another one than before.
fn of_operation(
    lines: &mut String,
    signs: &Signs,
    operation: &Operation,
    heading: Option<Heading<'_>>,
    comparison: &Comparison,
) -> fmt::Result {
    if let Some(heading) = heading {
        heading.write(lines, comparison)?;
    }
    for part in operation.parts() {
        line(lines, signs, operation, &part)?;
    }
    match comparison.impact(operation) {
        Some(impact) => writeln!(lines, "      {NOTE}{impact}{NOTE:#}"),
        None => Ok(()),
    }
}

/// What operations stand under.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heading<'a> {
    Service(&'a ServiceKey),
    Other(&'static str),
}

impl<'a> Heading<'a> {
    fn of(operation: &'a Operation) -> Self {
        match operation.service() {
            Some(service) => Self::Service(service),
            None => Self::Other(match operation.kind() {
                Kind::Sysctl => "kernel settings",
                Kind::Mark => "firewall marks",
                _ => "director",
            }),
        }
    }

    fn write(self, out: &mut String, comparison: &Comparison) -> fmt::Result {
        match self {
            Self::Service(service) => match comparison.cluster(service) {
                Some(cluster) => writeln!(out, "{HEAD}{service}{HEAD:#} ({cluster})"),
                None => writeln!(out, "{HEAD}{service}{HEAD:#}"),
            },
            Self::Other(name) => writeln!(out, "{HEAD}{name}{HEAD:#}"),
        }
    }
}

/// What lines begin with, in their colours, and what ends the colour.
struct Signs {
    add: String,
    edit: String,
    delete: String,
    end: String,
}

impl Signs {
    fn new() -> Self {
        Self {
            add: format!("  {ADD}+ "),
            edit: format!("  {EDIT}~ "),
            delete: format!("  {DELETE}- "),
            end: format!("{DELETE:#}"),
        }
    }
}

fn line(out: &mut String, signs: &Signs, operation: &Operation, part: &Part) -> fmt::Result {
    out.push_str(match part.action {
        Action::Add => &signs.add,
        Action::Edit => &signs.edit,
        Action::Delete => &signs.delete,
    });
    match (operation.server(), part.kind, &part.name) {
        (Some(server), _, _) => {
            out.push_str("server ");
            server.push_to(out);
        }
        (None, Kind::Sysctl | Kind::Timeouts, Some(name)) => out.push_str(name),
        (None, kind, Some(name)) => write!(out, "{kind} {name}")?,
        (None, kind, None) => write!(out, "{kind}")?,
    }
    out.push_str(&signs.end);
    // Of what is new, only what somebody chose.
    let is_said = |change: &&Change| {
        change.from.is_some()
            || !matches!(&change.to, Some(Value::Flag(false))) && change.to != Some(Value::List(vec![]))
    };
    let mut separator = "  ";
    for said in part.changes.iter().filter(is_said) {
        out.push_str(separator);
        if part.kind != Kind::Sysctl {
            out.push_str(&said.field);
            out.push_str(": ");
        }
        if let Some(from) = &said.from {
            from.push_to(out);
            out.push_str(" -> ");
        }
        match &said.to {
            Some(to) => to.push_to(out),
            None => out.push_str("none"),
        }
        separator = ", ";
    }
    out.push('\n');
    Ok(())
}

/// Writes what waits for an interface.
pub(super) fn waiting(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    if comparison.waiting.is_empty() {
        return Ok(());
    }
    writeln!(out, "{HEAD}waiting:{HEAD:#}")?;
    for operation in &comparison.waiting {
        match operation.link() {
            Some(link) => writeln!(out, "  {operation}  {NOTE}until {link}{NOTE:#}")?,
            None => writeln!(out, "  {operation}")?,
        }
    }
    Ok(())
}

pub(super) fn foreign(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let Comparison { foreign, foreign_sync, .. } = comparison;
    if foreign.is_empty() && foreign_sync.is_empty() {
        return Ok(());
    }
    writeln!(out, "{HEAD}foreign, left alone:{HEAD:#}")?;
    let mut keys: Vec<_> = foreign.iter().collect();
    keys.sort_unstable_by_key(|(service, _)| **service);
    for (service, contents) in keys {
        writeln!(out, "  {service}  {}", count(contents.servers.len(), "server"))?;
    }
    for SyncDaemon { role, interface, id, .. } in foreign_sync {
        writeln!(out, "  sync {role}  interface: {interface}, id: {id}")?;
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
            waiting(out, last)?;
            foreign(out, last)?;
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
