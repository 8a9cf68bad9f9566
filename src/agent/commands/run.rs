//! `lbd agent run`: the agent, until a signal.

use std::fs::File;
use std::io;
use std::path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::AgentError;
use crate::agent::daemon::Daemon;
use crate::agent::place::AgentDirectory;
use crate::agent::runner::Agent;
use crate::agent::settings::{Settings, SourceSettings};
use crate::agent::state::State;
use crate::agent::wake::Bell;
use crate::api::Scope;
use crate::cli::{AgentOptions, Arguments};
use crate::commands::{CommandError, DONE};
use crate::files::{FileError, Origin};
use crate::health::RunDirs;
use crate::kernel::namespace;
use crate::logging;
use crate::systemd::Notifier;

/// How often the daemon is looked at while nothing is under way.
const REST: Duration = Duration::from_secs(60);
/// The same while it does not answer, or is not in sync: as after a file that was put back.
const UNWELL: Duration = Duration::from_secs(5);
/// The same while a revision is under way; longer where a look takes long.
const UNDER_WAY: Duration = Duration::from_secs(1);
/// Within which time the directors of a stage wake when a hold is over.
const SPREAD: Duration = Duration::from_millis(300);
/// How often the source is looked at where that is etcd, and no rollout follows it.
const OF_ETCD: Duration = Duration::from_secs(30);

pub(super) fn run(
    arguments: &Arguments,
    options: &AgentOptions,
    log_level: Option<&str>,
) -> Result<u8, AgentError> {
    logging::init("lbd-agent", log_level).map_err(CommandError::Logging)?;
    let settings = super::small::settings(&options.files.config)?;
    let directory = AgentDirectory::new(&options.files.agent_dir);
    let _lock = lock(&directory)?;
    let state = State::load(&directory)?;
    let daemon = daemon(arguments)?;
    let desired = path::absolute(&arguments.file).unwrap_or_else(|_| arguments.file.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| AgentError::System { what: "cannot start".to_owned(), cause })?;
    let interval = interval(&settings);
    let name = settings.name.clone();
    runtime.block_on(async {
        info!("lbd-agent {} started, as {name}", env!("CARGO_PKG_VERSION"));
        let agent = Agent::new(settings, directory.clone(), desired, state, daemon);
        follow(agent, &directory, interval, &Notifier::from_env()).await
    })
}

/// Where the daemon of this director is to be found.
fn daemon(arguments: &Arguments) -> Result<Daemon, AgentError> {
    let origin = Origin::here(namespace::cookie()).map_err(CommandError::Scope)?;
    let state_dir = path::absolute(&arguments.state_dir).unwrap_or_else(|_| arguments.state_dir.clone());
    Ok(Daemon::new(&RunDirs::socket(&arguments.run_dir), Scope::new(&state_dir, None, &origin)))
}

/// Takes the lock against a second agent; it ends with this process.
fn lock(directory: &AgentDirectory) -> Result<File, AgentError> {
    let file = directory.files.open_lock("lock")?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(AgentError::Running(directory.files.path().to_owned())),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(FileError { path: directory.files.path().join("lock"), cause: error.into() }.into())
        }
    }
}

fn interval(settings: &Settings) -> Duration {
    match &settings.source {
        SourceSettings::Git(git) => git.interval,
        SourceSettings::Directory(directory) => directory.interval,
        SourceSettings::Etcd(_) => OF_ETCD,
    }
}

/// With a tenth more or less: many directors must not come at the same moment.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * fastrand::f64())
}

async fn follow(
    mut agent: Agent,
    directory: &AgentDirectory,
    interval: Duration,
    notifier: &Notifier,
) -> Result<u8, AgentError> {
    let start = |cause: io::Error| AgentError::System { what: "cannot receive signals".to_owned(), cause };
    let (mut terminate, mut interrupt, mut hangup) = (
        signal(SignalKind::terminate()).map_err(start)?,
        signal(SignalKind::interrupt()).map_err(start)?,
        signal(SignalKind::hangup()).map_err(start)?,
    );
    let bell = Bell::new(directory).map_err(|cause| AgentError::System {
        what: format!("{}: no socket can be made", directory.files.path().display()),
        cause,
    })?;
    agent.check_place();
    let mut look = Instant::now();
    let mut look_at_daemon = Instant::now();
    notifier.ready("starts");
    let mut shown = String::new();
    loop {
        if Instant::now() >= look_at_daemon {
            let begin = Instant::now();
            agent.look_at_daemon().await;
            let pause = match (agent.is_under_way(), agent.is_daemon_well()) {
                (true, _) => UNDER_WAY.max(begin.elapsed() * 4),
                (false, false) => UNWELL.max(begin.elapsed() * 4),
                (false, true) => REST,
            };
            look_at_daemon = Instant::now() + pause;
        }
        let was_under_way = agent.is_under_way();
        // A server of git may take minutes. Whatever is given up here is decided anew at the next start.
        tokio::select! {
            () = agent.settle() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
        if agent.is_under_way() != was_under_way {
            look_at_daemon =
                Instant::now() + if agent.is_under_way() { UNDER_WAY / 5 } else { Duration::ZERO };
        }
        if shown != agent.doing() {
            shown = agent.doing().to_owned();
            notifier.status(&shown);
        }
        // All of a stage wake at that moment, and one after the other takes its slot.
        let due = agent.due().map(|due| due + SPREAD.mul_f64(fastrand::f64()));
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = sleep(due.unwrap_or_default()), if due.is_some() => {}
            _ = hangup.recv() => {
                agent.forget_failure();
                look = Instant::now();
            }
            () = bell.rung() => {
                agent.check_place();
                agent.forget_failure();
                look = Instant::now();
                look_at_daemon = Instant::now();
            }
            () = sleep_until(look) => {
                agent.look();
                look = Instant::now() + jittered(interval);
            }
            () = sleep_until(look_at_daemon) => {}
            () = agent.changed() => {}
        }
    }
    notifier.stopping();
    // A second signal ends it at once.
    tokio::select! {
        () = agent.end() => {}
        _ = terminate.recv() => warn!("ended before the report was taken away"),
        _ = interrupt.recv() => warn!("ended before the report was taken away"),
    }
    info!("lbd-agent ended; the file in place stays");
    Ok(DONE)
}
