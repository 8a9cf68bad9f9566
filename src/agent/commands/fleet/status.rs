//! `lbd fleet status`: all directors, with stage, revision, in sync or not, since when, and the last error.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Fleet;
use crate::agent::commands::AgentError;
use crate::agent::controller::{shown, why_it_stays};
use crate::cli::{FleetOptions, ReportOutput};
use crate::commands::{Console, DIFFERS, DONE};
use crate::escape;
use crate::fleet::{Candidate, Decision, Halt, Head, OutcomeKind, View, decide};
use crate::report::Output;
use crate::status::Timestamp;

/// A director, as it is shown.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    /// From 1; nothing where the strategy does not have it
    stage: Option<usize>,
    /// How the newest revision is here
    state: &'static str,
    /// The revision in force
    revision: Option<&'a str>,
    in_sync: Option<bool>,
    /// Since when it does what it does
    since: Option<Timestamp>,
    /// What it does or waits for
    doing: String,
    error: Option<&'a str>,
    paused: Option<&'a str>,
    reports: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    head: Option<&'a Head>,
    halt: Option<&'a Halt>,
    candidate: Option<&'a Candidate>,
    has_strategy: bool,
    unreadable: Vec<String>,
    etcd_problems: &'a [String],
    complete: bool,
    directors: &'a [Row<'a>],
}

pub(super) fn run(
    options: &FleetOptions,
    output: ReportOutput,
    watch: Option<Duration>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    loop {
        let view = fleet.read()?.view;
        // A full etcd is read as well as any other, and takes no report and no result. (Not every user may read its status.)
        let problems = fleet.runtime.block_on(fleet.etcd.problems()).unwrap_or_default();
        let rows = rows(&view, SystemTime::now());
        let is_complete = is_complete(&view, &rows);
        match output {
            ReportOutput::Text => text(console.out, &view, &problems, &rows)?,
            ReportOutput::Json => json(console.out, &view, &problems, &rows, is_complete)?,
        }
        let Some(interval) = watch else { return Ok(if is_complete { DONE } else { DIFFERS }) };
        if output == ReportOutput::Text {
            writeln!(console.out)?;
        }
        console.out.flush()?;
        thread::sleep(interval);
    }
}

fn rows(view: &View, now: SystemTime) -> Vec<Row<'_>> {
    let strategy = view.strategy.as_ref().map(|strategy| &strategy.value);
    let of_strategy = strategy.into_iter().flat_map(|strategy| strategy.directors.keys());
    let is_other = |name: &&String| strategy.is_none_or(|strategy| !strategy.directors.contains_key(*name));
    let mut names: Vec<&String> = of_strategy.collect();
    names.sort_by_key(|name| strategy.and_then(|strategy| strategy.stage_of(name)));
    names.extend(view.reports.keys().filter(is_other));
    names.into_iter().map(|name| row(view, name, now)).collect()
}

fn row<'a>(view: &'a View, name: &'a str, now: SystemTime) -> Row<'a> {
    let strategy = view.strategy.as_ref().map(|strategy| &strategy.value);
    let report = view.reports.get(name);
    let outcome = view.outcome(name);
    let state = match (view.slots.contains_key(name), outcome.map(|outcome| outcome.result)) {
        (true, _) => "in flight",
        (false, Some(OutcomeKind::Verified)) => "verified",
        (false, Some(OutcomeKind::Failed)) => "failed",
        (false, Some(OutcomeKind::Reverted)) => "reverted",
        (false, None) if report.is_none() => "unknown",
        (false, None) => "waiting",
    };
    let stays = match decide(view, name, now) {
        Decision::Stay(stay) => Some(why_it_stays(view, &stay)),
        Decision::Take(revision) => Some(format!("{}: it is its turn", shown(&revision))),
        Decision::Continue(_) | Decision::GoBack { .. } => None,
    };
    let doing = match (report, stays) {
        // What it waits for changes with each other director; it reports that seldom.
        (Some(report), Some(stays))
            if state == "waiting" && report.error.is_none() && report.paused.is_none() =>
        {
            stays
        }
        (Some(report), _) => report.doing.clone(),
        // What a director that does not report would say, the fleet can say.
        (None, Some(stays)) => format!("does not report; {stays}"),
        (None, None) => "does not report".to_owned(),
    };
    Row {
        name,
        stage: strategy.and_then(|strategy| strategy.stage_of(name)).map(|stage| stage + 1),
        state,
        revision: report.and_then(|report| report.revision.as_deref()),
        in_sync: report.and_then(|report| report.in_sync),
        since: report.map(|report| report.since).or(view.slots.get(name).map(|slot| slot.value.since)),
        doing,
        error: outcome
            .and_then(|outcome| outcome.error.as_deref())
            .or(report.and_then(|report| report.error.as_deref())),
        paused: report.and_then(|report| report.paused.as_deref()),
        reports: report.is_some(),
    }
}

/// Whether all directors have verified the newest revision, report, and are in sync.
fn is_complete(view: &View, rows: &[Row<'_>]) -> bool {
    let is_head = |row: &Row<'_>| row.revision == view.head.as_ref().map(|head| head.value.revision.as_str());
    let is_well = |row: &Row<'_>| {
        row.state == "verified"
            && is_head(row)
            && row.reports
            && row.in_sync == Some(true)
            && row.paused.is_none()
    };
    view.head.is_some()
        && view.strategy.is_some()
        && view.unreadable.is_empty()
        && rows.iter().filter(|row| row.stage.is_some()).all(is_well)
}

fn json(
    out: &mut Output,
    view: &View,
    etcd_problems: &[String],
    rows: &[Row<'_>],
    complete: bool,
) -> io::Result<()> {
    let document = Document {
        version: 1,
        head: view.head.as_ref().map(|head| &head.value),
        halt: view.halt.as_ref(),
        candidate: view.candidate.as_ref(),
        has_strategy: view.strategy.is_some(),
        unreadable: view.unreadable.iter().map(ToString::to_string).collect(),
        etcd_problems,
        complete,
        directors: rows,
    };
    escape::json(out, &document)?;
    writeln!(out)
}

fn text(out: &mut Output, view: &View, etcd_problems: &[String], rows: &[Row<'_>]) -> io::Result<()> {
    match view.head.as_ref().map(|head| &head.value) {
        Some(head) => {
            let how = if head.is_rollback { "all at once, a way back" } else { "stage by stage" };
            let reason = head.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let line =
                format!("revision {}, by {} at {}, {how}{reason}", shown(&head.revision), head.by, head.at);
            writeln!(out, "{}", escape::text(&line))?;
        }
        None => writeln!(out, "no revision is promoted yet")?,
    }
    if let Some(halt) = &view.halt {
        let reason = halt.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        writeln!(out, "{}", escape::text(&format!("halted by {} at {}{reason}", halt.by, halt.at)))?;
    }
    if view.strategy.is_none() {
        writeln!(out, "there is no strategy: lbd fleet strategy set FILE")?;
    }
    let unreadable = view.unreadable.iter().map(ToString::to_string);
    for problem in etcd_problems.iter().cloned().chain(unreadable) {
        writeln!(out, "{}", escape::text(&problem))?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let width =
        |least: usize, column: fn(&Row<'_>) -> usize| rows.iter().map(column).max().unwrap_or(0).max(least);
    let name = width("DIRECTOR".len(), |row| escape::text(row.name).chars().count());
    writeln!(out)?;
    writeln!(
        out,
        "{:name$}  STAGE  {:9}  {:12}  {:7}  {:20}  DOING",
        "DIRECTOR", "STATE", "REVISION", "IN SYNC", "SINCE"
    )?;
    for row in rows {
        let stage = row.stage.map_or("-".to_owned(), |stage| stage.to_string());
        let in_sync = row.in_sync.map_or("unknown", |in_sync| if in_sync { "yes" } else { "no" });
        let since = row.since.map_or("-".to_owned(), |since| since.to_string());
        let mut doing = row.doing.clone();
        for more in [row.paused, row.error].into_iter().flatten().filter(|more| !row.doing.contains(*more)) {
            doing = format!("{doing}; {more}");
        }
        let revision = escape::text(row.revision.map_or("-", shown)).into_owned();
        writeln!(
            out,
            "{:name$}  {stage:<5}  {:9}  {revision:12}  {in_sync:7}  {since:20}  {}",
            escape::text(row.name),
            row.state,
            escape::text(&doing)
        )?;
    }
    Ok(())
}
