//! `lbd fleet diff`: what each director would do with a revision, by its own dry run.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::{Fleet, by, whole};
use crate::agent::commands::AgentError;
use crate::agent::controller::shown;
use crate::agent::etcd::Write;
use crate::cli::{FleetOptions, ReportOutput};
use crate::commands::{Console, DIFFERS, DONE, ERROR};
use crate::escape;
use crate::fleet::{CANDIDATE, Candidate, PlanReport, Version, View, written};

/// How long the directors are waited for: they fetch the revision first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether they have answered.
const INTERVAL: Duration = Duration::from_millis(500);

pub(super) fn run(
    options: &FleetOptions,
    revision: &str,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let mut fleet = Fleet::new(options)?;
    let reading = fleet.read()?;
    let revision = whole(&reading.view, revision)?;
    let candidate =
        Candidate { version: Version, revision: revision.clone(), by: by(), at: SystemTime::now().into() };
    let put = Write::Put { key: CANDIDATE.to_owned(), value: written(&candidate), is_leased: false };
    fleet.transact(&[], &[put])?;
    let waited = wait(&mut fleet, &revision, console);
    // Also after an error: a director must not plan it again after each restart.
    fleet.transact(&[], &[Write::Delete(CANDIDATE.to_owned())])?;
    let view = waited?;
    let rows: Vec<(&str, Option<&PlanReport>)> =
        names(&view).into_iter().map(|name| (name, plan_of(&view, name, &revision))).collect();
    match output {
        ReportOutput::Json => {
            let directors: Vec<_> =
                rows.iter().map(|(name, plan)| json!({ "name": name, "plan": plan })).collect();
            escape::json(
                console.out,
                &json!({ "version": 1, "revision": revision, "directors": directors }),
            )?;
            writeln!(console.out)?;
        }
        ReportOutput::Text => {
            writeln!(console.out, "revision {}", escape::text(shown(&revision)))?;
            for (name, plan) in &rows {
                show(name, *plan, console)?;
            }
        }
    }
    let changes = |plan: &PlanReport| plan.refused.is_some() || plan.add + plan.edit + plan.delete > 0;
    Ok(match rows {
        rows if rows.iter().any(|(_, plan)| plan.is_none()) => ERROR,
        rows if rows.iter().any(|(_, plan)| plan.is_some_and(changes)) => DIFFERS,
        _ => DONE,
    })
}

fn names(view: &View) -> Vec<&str> {
    let strategy = view.strategy.as_ref().map(|strategy| &strategy.value);
    match strategy {
        Some(strategy) => strategy.directors.keys().map(String::as_str).collect(),
        None => view.reports.keys().map(String::as_str).collect(),
    }
}

fn plan_of<'a>(view: &'a View, name: &str, revision: &str) -> Option<&'a PlanReport> {
    view.reports.get(name)?.plan.as_ref().filter(|plan| plan.revision == revision)
}

/// Waits until all that report have answered.
fn wait(fleet: &mut Fleet, revision: &str, console: &mut Console<'_>) -> Result<View, AgentError> {
    let begin = Instant::now();
    console.progress.set_task("waiting for the directors");
    loop {
        let view = fleet.read()?.view;
        let missing = names(&view)
            .into_iter()
            .filter(|name| view.reports.contains_key(*name) && plan_of(&view, name, revision).is_none())
            .count();
        if missing == 0 || begin.elapsed() > PATIENCE {
            return Ok(view);
        }
        thread::sleep(INTERVAL);
    }
}

fn show(name: &str, plan: Option<&PlanReport>, console: &mut Console<'_>) -> Result<(), AgentError> {
    let name = escape::text(name).into_owned();
    let Some(plan) = plan else {
        writeln!(console.out, "{name}: does not answer")?;
        return Ok(());
    };
    if let Some(refused) = &plan.refused {
        writeln!(console.out, "{name}: would not take it: {}", escape::text(refused))?;
        return Ok(());
    }
    let PlanReport { add, edit, delete, operations, .. } = plan;
    if add + edit + delete == 0 {
        writeln!(console.out, "{name}: nothing would change")?;
        return Ok(());
    }
    writeln!(console.out, "{name}: {add} to add, {edit} to edit, {delete} to delete")?;
    for operation in operations {
        writeln!(console.out, "  {}", escape::text(operation))?;
    }
    let more = (add + edit + delete).saturating_sub(operations.len() as u64);
    if more > 0 {
        writeln!(console.out, "  and {more} more")?;
    }
    Ok(())
}
