//! Keeps a trial where no daemon does: passes until its time is over, or another command ends it.

use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::{bad_end, roll_back, rolled_back};
use crate::cli::{Arguments, ReportOutput};
use crate::commands::shown_pass::shown_pass;
use crate::commands::tried::{TrialFiles, tried};
use crate::commands::{CommandError, Console, DONE, ERROR, checks, inputs};
use crate::daemon::StartError;
use crate::files::sha256;
use crate::kernel::director::Director;
use crate::progress::Progress;
use crate::reconcile::PassInput;
use crate::status::ChangedBy;
use crate::store::Store;
use crate::target::{Clock, Trial};

/// How often the condition is read: another command may have ended the trial.
const INTERVAL: Duration = Duration::from_millis(200);

/// The signals: SIGHUP, of a lost session, is received and ignored; the others end the trial. They are received from before it begins:
/// SIGHUP would kill the process in the middle of its first pass.
pub(super) struct Signals {
    runtime: Runtime,
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self, CommandError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
        let entered = runtime.enter();
        let listen = |kind| signal(kind).map_err(|error| CommandError::Start(StartError::Signals(error)));
        let (hangup, interrupt, terminate) = (
            listen(SignalKind::hangup())?,
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        );
        drop(entered);
        Ok(Self { runtime, hangup, interrupt, terminate })
    }

    /// Waits for so long; gives whether a signal has come that ends the trial.
    fn come_within(&mut self, time: Duration) -> bool {
        let Self { runtime, hangup, interrupt, terminate } = self;
        runtime.block_on(async {
            let end = sleep(time);
            tokio::pin!(end);
            loop {
                select! {
                    () = &mut end => return false,
                    _ = hangup.recv() => {}
                    _ = interrupt.recv() => return true,
                    _ = terminate.recv() => return true,
                }
            }
        })
    }
}

/// How a trial has ended.
enum End {
    /// It must not go on: why; nothing where its time is over.
    Over(Option<String>),
    /// Another command has ended it.
    Elsewhere,
}

/// What keeps a trial that has begun.
pub(super) struct Keeper<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) trial: &'a Trial,
    pub(super) store: &'a Store,
    pub(super) files: &'a TrialFiles,
    /// How often a pass runs, by the file of the trial
    pub(super) resync: Duration,
}

impl Keeper<'_> {
    /// Keeps the trial until it ends; gives the exit code.
    pub(super) fn keep(
        &self,
        kernel: &mut Director,
        signals: &mut Signals,
        console: &mut Console<'_>,
    ) -> Result<u8, CommandError> {
        console.note(
            "no daemon runs: this command keeps the trial, ignores SIGHUP, and takes the trial back at its end, or at Ctrl-C; where it is \
             killed, the next pass after the end does (`lbd apply`, or a daemon)",
        );
        let mut last_pass = Instant::now();
        let end = loop {
            if signals.come_within(INTERVAL) {
                break End::Over(Some("a signal has ended it".to_owned()));
            }
            match self.look(&mut last_pass, kernel, console) {
                Ok(Some(end)) => break end,
                Ok(None) => {}
                // Nobody else would end the trial.
                Err(error) => break End::Over(Some(error.line())),
            }
        };
        match end {
            End::Elsewhere if self.is_confirmed() => Ok(confirmed(console)),
            End::Elsewhere => {
                console.error("another command has ended the trial");
                Ok(ERROR)
            }
            End::Over(why) => self.end(why, console),
        }
    }

    /// Ends the trial; gives the exit code.
    fn end(&self, why: Option<String>, console: &mut Console<'_>) -> Result<u8, CommandError> {
        let lock = inputs::lock(self.store, "try", console);
        // Another command may have ended it meanwhile; a pass has written into it. What cannot be read is named by the pass.
        let now = self.under_way().ok().flatten();
        // Its last moment was not too late.
        if now.is_none() && self.is_confirmed() {
            return Ok(confirmed(console));
        }
        let end = why.clone().map(rolled_back);
        let ended = now.zip(end).map_or(Ok(()), |(now, end)| self.store.end_trial(&now, end));
        drop(lock);
        ended.map_err(CommandError::StateFile)?;
        let why = why.as_deref().unwrap_or("its time is over");
        console.error(format_args!("the trial is rolled back: {why}"));
        roll_back(self.arguments, self.files, console)?;
        Ok(ERROR)
    }

    /// The trial as it is on disk, if no command has ended it.
    fn under_way(&self) -> Result<Option<Trial>, CommandError> {
        let now = self.store.load_trial()?;
        Ok(now.filter(|now| now.is(self.trial) && now.ended.is_none()))
    }

    /// Whether the file of the trial is the desired file now.
    fn is_confirmed(&self) -> bool {
        let desired = inputs::read(&self.arguments.file, &Progress::default());
        desired.is_ok_and(|source| sha256(&source.text) == self.trial.sha256)
    }

    /// Looks whether the trial has ended, and runs a pass where one is due.
    fn look(
        &self,
        last_pass: &mut Instant,
        kernel: &mut Director,
        console: &mut Console<'_>,
    ) -> Result<Option<End>, CommandError> {
        let Some(now) = self.under_way()? else { return Ok(Some(End::Elsewhere)) };
        if now.is_over(Clock::now()) {
            return Ok(Some(End::Over(None)));
        }
        if last_pass.elapsed() < self.resync {
            return Ok(None);
        }
        *last_pass = Instant::now();
        let lock = inputs::lock(self.store, "try", console);
        let clock = Clock::now();
        let mut conditions = self.store.load_conditions(clock);
        let Some(now) = conditions.trial.as_ref().filter(|now| now.is(self.trial)) else { return Ok(None) };
        // Under the lock: `confirm` renames the copy.
        let (source, desired) = tried(now)?;
        let verified = inputs::verified(self.store, &source);
        let Some(before) = verified.state(&desired) else { return Ok(None) };
        let kept = checks::take_in_for_pass(self.store, &mut conditions, &desired, Some(before), clock);
        let order = PassInput {
            conditions: &conditions,
            verified: Some(before),
            unknown: verified.unknown(),
            ..PassInput::new(&desired, &source.text)
        };
        let (by, output) = (ChangedBy::Try, ReportOutput::Text);
        let report = shown_pass(kernel, &order, self.store, lock.as_ref(), by, output, console)?;
        drop(lock);
        console.warn_of(kept);
        report.warnings.iter().for_each(|warning| console.warn(warning));
        let bad = bad_end(&report, &desired, before, &conditions).filter(|_| !self.trial.keep_going);
        Ok(bad.map(|why| End::Over(Some(why))))
    }
}

fn confirmed(console: &mut Console<'_>) -> u8 {
    console.note("the trial was confirmed");
    DONE
}
