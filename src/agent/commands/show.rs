//! `lbd agent status`: what the agent wrote last, and whether it runs.

use std::fs::TryLockError;
use std::io::{self, Write};
use std::path::{self, Path};

use serde_json::json;

use super::AgentError;
use crate::agent::controller::shown;
use crate::agent::metrics::AgentMetrics;
use crate::agent::pause;
use crate::agent::place::{AgentDirectory, Desired};
use crate::agent::status::AgentStatus;
use crate::cli::{AgentOptions, Arguments, ReportOutput};
use crate::commands::{Console, DIFFERS, DONE};
use crate::escape;
use crate::files::beside;
use crate::metrics::{Format, write};
use crate::report::Output;

/// What is shown.
struct Shown {
    status: Option<AgentStatus>,
    is_running: bool,
    paused: Option<String>,
}

/// What the agent wrote last, and what is seen beside it.
fn look(arguments: &Arguments, options: &AgentOptions) -> Result<Shown, AgentError> {
    let directory = AgentDirectory::new(&options.files.agent_dir);
    let status = AgentStatus::load(&directory)?;
    let desired = path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let paused = match directory.followed_by(&desired) {
        Desired::Followed => None,
        Desired::Elsewhere | Desired::Missing => Some(pause::reason(&desired)),
    };
    Ok(Shown { status, is_running: is_running(&directory), paused })
}

pub(super) fn metrics(
    arguments: &Arguments,
    options: &AgentOptions,
    output: Option<&Path>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let shown = look(arguments, options)?;
    let is_newest = is_newest(&shown);
    let Shown { status, is_running, paused } = shown;
    let exported = AgentMetrics { status, is_running, is_newest, is_paused: paused.is_some() };
    let mut text = Vec::new();
    write(&mut text, exported, Format::Prometheus)?;
    match output {
        Some(file) => beside::replace(file, &text)?,
        None => console.out.write_all(&text)?,
    }
    Ok(DONE)
}

pub(super) fn status(
    arguments: &Arguments,
    options: &AgentOptions,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let shown = look(arguments, options)?;
    match output {
        ReportOutput::Text => text(console.out, &shown, &options.files.config)?,
        ReportOutput::Json => {
            let document = json!({
                "version": 1,
                "running": shown.is_running,
                "newest_in_force": is_newest(&shown),
                "paused": shown.paused,
                "agent": shown.status,
            });
            escape::json(console.out, &document)?;
            writeln!(console.out)?;
        }
    }
    Ok(if is_newest(&shown) && shown.is_running && shown.paused.is_none() { DONE } else { DIFFERS })
}

/// Whether an agent runs: it has the lock.
fn is_running(directory: &AgentDirectory) -> bool {
    let Ok(file) = directory.files.open_file("lock") else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn is_newest(shown: &Shown) -> bool {
    shown.status.as_ref().is_some_and(|status| {
        let in_force = status.report.revision.as_ref();
        // In a fleet it is the fleet that says what is new.
        in_force.is_some()
            && status.head.as_ref().or(status.newest.as_ref()) == in_force
            && status.source_error.is_none()
            && !status.is_error
    })
}

fn text(out: &mut Output, shown_status: &Shown, config: &Path) -> io::Result<()> {
    let Shown { status, is_running, paused } = shown_status;
    let Some(status) = status else {
        return writeln!(
            out,
            "the agent has not run yet; write {}, and start it: lbd agent enable",
            escape::text(&config.display().to_string())
        );
    };
    let line = |out: &mut Output, name: &str, value: &str| writeln!(out, "{name:<12}{}", escape::text(value));
    let running =
        if *is_running { format!("running, process {}", status.process) } else { "not running".to_owned() };
    line(out, "agent", &format!("{}, {running}", status.name))?;
    let revision = status.report.revision.as_deref().map_or("none yet", shown);
    line(out, "in force", revision)?;
    let newest = status.newest.as_deref().map_or("nothing fetched yet", shown);
    let answered = status.last_success.map(|at| format!(", answered {at}")).unwrap_or_default();
    line(out, "source", &format!("{}: {newest}{answered}", status.source))?;
    if let Some(error) = &status.source_error {
        let since =
            status.report.source_down_since.map(|since| format!("since {since}: ")).unwrap_or_default();
        line(out, "", &format!("{since}{error}"))?;
    }
    if let Some((since, why)) = &status.etcd_down {
        line(out, "etcd", &format!("since {since}: {why}"))?;
    }
    if let Some(stage) = status.stage {
        line(out, "stage", &stage.to_string())?;
    }
    line(out, "doing", &format!("{}, since {}", status.report.doing, status.report.since))?;
    if let Some(paused) = paused {
        line(out, "desired", paused)?;
    }
    Ok(())
}
