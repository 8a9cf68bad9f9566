//! `lbd agent validate`, `sync` and `allow-rewind`.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::AgentError;
use crate::agent::controller::shown;
use crate::agent::place::AgentDirectory;
use crate::agent::runner::source_word;
use crate::agent::settings::Settings;
use crate::agent::status::AgentStatus;
use crate::agent::{load, rewind, wake};
use crate::cli::{AgentOptions, ReportOutput};
use crate::commands::{Console, DONE, ERROR};
use crate::config::{Diagnostics, other};
use crate::escape;
use crate::host;
use std::path::Path;

/// How long a fetch is waited for: longer than it may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// The interval of looks.
const INTERVAL: Duration = Duration::from_millis(100);
/// The digits of a commit.
const COMMIT: usize = 40;

/// What the agent's own file says.
pub(super) fn settings(file: &Path) -> Result<Settings, Diagnostics> {
    load(&other::read(file)?, &host::name())
}

pub(super) fn validate(
    options: &AgentOptions,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let loaded = settings(&options.files.config);
    match (output, loaded) {
        (ReportOutput::Text, Ok(settings)) => {
            let (name, source) = (escape::text(&settings.name), source_word(&settings.source));
            let when =
                if settings.rollout.is_some() { "by the rollout in etcd" } else { "each revision at once" };
            writeln!(console.out, "valid: {name}, from {source}, {when}")?;
            Ok(DONE)
        }
        (ReportOutput::Text, Err(problems)) => Err(problems.into()),
        (ReportOutput::Json, Ok(_)) => {
            writeln!(console.out, "{}", json!({ "version": 1, "problems": [] }))?;
            Ok(DONE)
        }
        (ReportOutput::Json, Err(problems)) => {
            escape::json(console.out, &problems.json())?;
            writeln!(console.out)?;
            Ok(ERROR)
        }
    }
}

/// Wakes the agent.
pub(super) fn wake_agent(options: &AgentOptions) -> Result<(), AgentError> {
    let directory = &options.files.agent_dir;
    wake::wake(directory).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AgentError::NotRunning(directory.clone())
        }
        _ => {
            AgentError::System { what: format!("{}: the agent cannot be woken", directory.display()), cause }
        }
    })
}

pub(super) fn sync(options: &AgentOptions, console: &mut Console<'_>) -> Result<u8, AgentError> {
    let directory = AgentDirectory::new(&options.files.agent_dir);
    let looks = |status: &Option<AgentStatus>| status.as_ref().map(|status| (status.process, status.looks));
    let before = looks(&AgentStatus::load(&directory)?);
    wake_agent(options)?;
    console.progress.set_task("fetching");
    let begin = Instant::now();
    loop {
        thread::sleep(INTERVAL);
        let status = AgentStatus::load(&directory)?;
        if looks(&status) != before
            && let Some(status) = status
        {
            return match status.source_error {
                Some(error) => Err(AgentError::Other(error)),
                None => {
                    let newest = status.newest.unwrap_or_default();
                    writeln!(console.out, "fetched: {}", escape::text(shown(&newest)))?;
                    Ok(DONE)
                }
            };
        }
        if begin.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(AgentError::Other(format!(
                "nothing was fetched within {seconds} s; `lbd agent status` says more"
            )));
        }
    }
}

pub(super) fn allow_rewind(
    options: &AgentOptions,
    commit: &str,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let is_commit = commit.len() == COMMIT && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_commit {
        return Err(AgentError::Other(format!(
            "{commit}: not a commit with all {COMMIT} digits, as `git rev-parse` prints it"
        )));
    }
    let directory = AgentDirectory::new(&options.files.agent_dir);
    rewind::allow(&directory, &commit.to_ascii_lowercase())?;
    writeln!(console.out, "allowed once: {commit}")?;
    // It looks by itself, later.
    let _ = wake_agent(options);
    Ok(DONE)
}
