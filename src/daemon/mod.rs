//! Keeps the kernel equal to the file: one loop that waits for events and carries out what a state machine decides.
//!
//! The loop never blocks. A pass runs in a thread of its own (`worker`), the file is read in another (`file`).

mod attempt;
mod backoff;
mod checker_process;
mod checks;
mod checks_pass;
mod conflicts;
mod controller;
mod drift;
mod environment;
mod event;
mod examiner;
mod file;
mod findings;
mod goal;
mod health_change;
mod look;
mod pass;
mod reader;
mod status_file;
mod trial;
mod tried_file;
mod worker;

use std::fmt;
use std::future::Future;
use std::io;

use tokio::select;
use tokio::time::{Instant, sleep_until};

pub use self::attempt::{Attempt, Job};
pub use self::checker_process::CheckerProcess;
pub use self::checks::ChecksPass;
pub use self::controller::Controller;
pub use self::drift::Drift;
pub use self::environment::HostEnvironment;
pub use self::event::{DaemonAction, Event, Notice};
pub use self::findings::Examination;
pub use self::goal::{Goal, UnusableFile};
pub use self::health_change::HealthChange;
pub use self::look::Looked;
pub use self::pass::{Connect, Pass, Passes, ReadClock, StateDirectory};

/// The environment of the daemon: the source of its events, and the executor of its actions.
pub trait Environment {
    /// Waits for the next event. No event is lost where the future is dropped.
    fn event(&mut self) -> impl Future<Output = Event>;

    /// A counter that grows with the progress of passes, so that a pass that hangs can be detected.
    fn progress(&self) -> u64;

    /// Carries out an action without blocking.
    fn perform(&mut self, action: DaemonAction);
}

/// Why the daemon cannot start.
#[derive(Debug)]
pub enum StartError {
    /// Signals cannot be received.
    Signals(io::Error),
    /// A thread cannot be started.
    Threads(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signals(_) => f.write_str("cannot receive signals"),
            Self::Threads(_) => f.write_str("cannot start a thread"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Signals(error) | Self::Threads(error) => Some(error),
        }
    }
}

/// Keeps the kernel equal to the file until a signal stops the daemon. The table stays in the kernel and keeps serving.
pub async fn run(mut controller: Controller, environment: &mut impl Environment) {
    while !controller.is_over() {
        let actions = select! {
            event = environment.event() => controller.handle(event, Instant::now()),
            () = sleep_until(controller.deadline()) => controller.wake(environment.progress(), Instant::now()),
        };
        actions.into_iter().for_each(|action| environment.perform(action));
    }
}
