//! Keeps the kernel equal to the file: one loop, which waits for what happens and lets a state machine decide what to do.
//!
//! The loop waits for nothing else. A pass runs in a thread of its own (`worker`), the file is read in another (`file`).

mod backoff;
mod conflicts;
mod controller;
mod event;
mod file;
mod goal;
mod host;
mod pass;
mod reader;
mod status_file;
mod worker;

use std::fmt;
use std::future::Future;
use std::io;

use tokio::select;
use tokio::time::{Instant, sleep_until};

pub use self::controller::Controller;
pub use self::event::{Action, Event, Notice};
pub use self::goal::{Goal, UnusableFile};
pub use self::host::Host;
pub use self::pass::{Attempt, Connect, Job, Pass, Passes, StateDirectory};

/// What surrounds the daemon: where events come from, and who carries out what it decides.
pub trait Surroundings {
    /// Waits for what happens next. Nothing is lost where this is given up and begun again.
    fn event(&mut self) -> impl Future<Output = Event>;

    /// How far the passes have come since the daemon started: another number says that they are not stuck.
    fn progress(&self) -> u64;

    /// Carries something out, and waits for nothing.
    fn perform(&mut self, action: Action);
}

/// Why there are no surroundings to run in.
#[derive(Debug)]
pub enum SurroundingsError {
    /// Signals cannot be listened for.
    Signals(io::Error),
    /// A thread cannot be started.
    Threads(io::Error),
}

impl fmt::Display for SurroundingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signals(_) => f.write_str("cannot listen for signals"),
            Self::Threads(_) => f.write_str("cannot start a thread"),
        }
    }
}

impl std::error::Error for SurroundingsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Signals(error) | Self::Threads(error) => Some(error),
        }
    }
}

/// Keeps the kernel equal to the file until a signal ends it. The table goes on serving after that.
pub async fn run(mut controller: Controller, surroundings: &mut impl Surroundings) {
    while !controller.is_over() {
        let actions = select! {
            event = surroundings.event() => controller.handle(event, Instant::now()),
            () = sleep_until(controller.deadline()) => controller.wake(surroundings.progress(), Instant::now()),
        };
        actions.into_iter().for_each(|action| surroundings.perform(action));
    }
}
