//! Decides when a pass runs and what it does: a state machine, with events and the time in, and actions out.
//!
//! It waits for nothing and asks nothing: whoever drives it hands in what happened and when, and carries out what it says. One
//! pass runs at a time. What happens meanwhile is merged into the pass after it: each event only says what there is now.

mod outcome;

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, info_span};

use self::outcome::Occasion;
use super::backoff;
use super::conflicts::Conflicts;
use super::event::{Action, Event, Notice};
use super::goal::{Goal, UnusableFile};
use super::pass::{Attempt, Job, Pass};
use crate::error_chain::ErrorChain;
use crate::model::{Link, Policy, ServiceKey};
use crate::status::{PassReason, Status, Timestamp};

/// No pass may take more than the first of these, however large the table is: so many times as long as one took nothing runs.
const SHARE: u32 = 20;
/// How many times as long as it took the packet filter is left alone after a pass: it may be changed all the time.
const REST: u32 = 4;
/// One look in so many is a full one, whatever a glance would say.
const GLANCES: u32 = 9;
/// How long the first pass waits for the first reading of the file.
const FIRST_READING: Duration = Duration::from_secs(5);
/// How long a pass may make no progress before the service manager is told nothing more. A run of `nft` is ended after 20 s,
/// which is progress.
const STANDSTILL: Duration = Duration::from_secs(30);

/// What the daemon knows.
pub struct Controller {
    /// What is kept: the last file that was valid and that no guard refused
    goal: Option<Goal>,
    /// A valid file that has not been through a pass, or that a guard refuses
    pending: Option<Goal>,
    conflicts: Conflicts,
    /// How many passes in a row have failed
    failures: u32,
    /// Whether a pass came to its end since the daemon started, so that what is ordered after lbd may start
    is_ready: bool,
    /// Whether the kernel was ever seen equal to the goal: what differs after that is drift
    goal_was_verified: bool,
    /// Whether the last pass was verified
    at_rest: bool,
    /// How often the kernel was only glanced at since the last full pass
    glances: u32,
    /// Services that are foreign, as they were logged last
    foreign: Vec<ServiceKey>,
    /// The interfaces that something waits for
    awaited: Vec<Link>,
    /// What was warned of in the last pass
    warned: Vec<String>,
    /// Who else than root may write the file
    writable: Vec<String>,
    status: Status,
    /// The status on disk
    written: Option<Status>,
    /// The pass that runs
    running: Option<Running>,
    /// Why another pass is due as soon as none runs
    wanted: Option<PassReason>,
    /// Whether the service manager was told of a reload that no pass answers yet
    reloading: bool,
    /// When a pass is due though nothing happens
    next: Instant,
    /// Why it is, then
    usual: PassReason,
    /// When a change of the packet filter is looked at, if there was one
    ruleset: Option<Instant>,
    /// Until when the packet filter is left alone
    rested: Instant,
    /// Whether the daemon ends as soon as no pass runs
    is_stopping: bool,
    is_over: bool,
    watchdog: Watchdog,
    /// What the service manager was told last
    told: String,
    has_told_ready: bool,
    /// From 0 to 1, each time another
    chance: fn() -> f64,
    actions: Vec<Action>,
}

/// A pass that runs.
#[derive(Debug)]
struct Running {
    reason: PassReason,
    /// Whether it waits for the lock: that is no standstill, and nothing is lost if it is given up
    waits: bool,
    /// Whether the operator waits for it
    answers_reload: bool,
}

/// When the service manager is told that the daemon is alive.
#[derive(Debug)]
struct Watchdog {
    /// How often, where it wants to know at all
    interval: Option<Duration>,
    next: Instant,
    /// How far passes had come, and since when
    progress: (u64, Instant),
}

impl Controller {
    /// A controller that knows nothing yet. `watchdog` is how often the service manager wants a sign of life.
    pub fn new(file: String, watchdog: Option<Duration>, chance: fn() -> f64, now: Instant) -> Self {
        Self {
            goal: None,
            pending: None,
            conflicts: Conflicts::default(),
            failures: 0,
            is_ready: false,
            goal_was_verified: false,
            at_rest: false,
            glances: 0,
            foreign: Vec::new(),
            awaited: Vec::new(),
            warned: Vec::new(),
            writable: Vec::new(),
            status: Status { file, ..Status::default() },
            written: None,
            running: None,
            wanted: None,
            reloading: false,
            next: now + FIRST_READING,
            usual: PassReason::Start,
            ruleset: None,
            rested: now,
            is_stopping: false,
            is_over: false,
            watchdog: Watchdog { interval: watchdog, next: now, progress: (0, now) },
            told: String::new(),
            has_told_ready: false,
            chance,
            actions: Vec::new(),
        }
    }

    /// What to say about the daemon.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Whether the daemon is to end now. A pass that still runs is given up.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// When [`Self::wake`] is to be called, if nothing happens until then.
    pub fn deadline(&self) -> Instant {
        let pass = self.running.is_none().then(|| self.ruleset.map_or(self.next, |at| at.min(self.next)));
        let beat = self.watchdog.interval.map(|_| self.watchdog.next);
        // A day: somebody has to be woken by something.
        pass.into_iter().chain(beat).min().unwrap_or_else(|| self.next + Duration::from_secs(86_400))
    }

    /// Takes in what happened, and gives what to do, in this order.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::File(reading) => {
                self.take(reading);
                self.want(PassReason::File);
            }
            Event::Watching(how) => {
                if self.status.watching != how {
                    info!("{how}");
                    self.status.watching = how;
                }
            }
            Event::Writable(warnings) => self.writable = warnings,
            Event::Link => {
                // What still waits after the pass is waited for anew.
                self.awaited.clear();
                self.actions.push(Action::AwaitLinks(Vec::new()));
                self.want(PassReason::Link);
            }
            Event::Ruleset => {
                if self.goal.as_ref().is_some_and(|goal| goal.desired.state.needs_filter()) {
                    self.ruleset = Some(now.max(self.rested));
                }
            }
            Event::Reload => {
                self.actions.push(Action::Notify(Notice::Reloading));
                self.actions.push(Action::ReadFile);
                self.reloading = true;
                self.want(PassReason::Requested);
            }
            Event::Stop => self.stop(),
            Event::PassWaits(holder) => self.waits(holder),
            Event::PassBegins => {
                if let Some(running) = &mut self.running {
                    running.waits = false;
                }
                if self.status.lock_holder.take().is_some() {
                    self.write_status();
                }
            }
            Event::PassEnded(pass) => self.ended(*pass, now),
        }
        self.advance(now)
    }

    /// Takes in that the deadline has come, and how far the passes have come since the daemon started; gives what to do.
    pub fn wake(&mut self, progress: u64, now: Instant) -> Vec<Action> {
        if self.watchdog.progress.0 != progress {
            self.watchdog.progress = (progress, now);
        }
        if let Some(interval) = self.watchdog.interval
            && self.watchdog.next <= now
        {
            let works = self.running.as_ref().is_some_and(|running| !running.waits);
            self.watchdog.next = now + if works { interval / 2 } else { interval };
            if !works || now < self.watchdog.progress.1 + STANDSTILL {
                self.actions.push(Action::Notify(Notice::Alive));
            }
        }
        self.advance(now)
    }

    /// Starts what is due, and hands out what there is to do.
    fn advance(&mut self, now: Instant) -> Vec<Action> {
        if self.ruleset.is_some_and(|at| at <= now) && self.running.is_none() {
            self.ruleset = None;
            self.want(PassReason::Ruleset);
        }
        if self.next <= now && self.running.is_none() {
            self.want(self.usual);
        }
        if self.running.is_none() {
            if self.is_stopping {
                self.end();
            } else if let Some(reason) = self.wanted.take() {
                self.start(reason, now);
            }
        }
        std::mem::take(&mut self.actions)
    }

    fn want(&mut self, reason: PassReason) {
        let reason = if self.usual == PassReason::Start { PassReason::Start } else { reason };
        self.wanted = self.wanted.max(Some(reason));
    }

    /// The first signal ends the daemon when the pass that runs is done, the second at once.
    fn stop(&mut self) {
        let is_working = self.running.as_ref().is_some_and(|running| !running.waits);
        if is_working && !self.is_stopping {
            info!("stopping after the pass that runs; a second signal ends lbd at once");
            self.is_stopping = true;
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        if !self.is_over {
            info!("stopped; the table goes on serving");
            self.write_status();
            self.actions.push(Action::Notify(Notice::Stopping));
            self.is_over = true;
        }
    }

    fn waits(&mut self, holder: String) {
        info!("waiting for the lock, which {holder} has");
        if let Some(running) = &mut self.running {
            running.waits = true;
        }
        self.status.lock_holder = Some(holder);
        self.write_status();
        self.say();
        if self.is_stopping {
            self.end();
        }
    }

    /// Takes in the file as it was last completely written: what it asks for, or what is wrong with it.
    fn take(&mut self, reading: Result<Goal, UnusableFile>) {
        match reading {
            Ok(goal) => {
                if self.status.bad_file.take().is_some() {
                    info!("the file holds again");
                }
                // What was refused before is no longer asked for, and what is right may be another thing now.
                if self.pending.as_ref().is_none_or(|pending| pending.text != goal.text) {
                    self.status.refused = None;
                }
                self.conflicts.forget_all();
                self.pending = Some(goal);
            }
            Err(error) => {
                let problem = ErrorChain(&error).to_string();
                let is_new = self.status.bad_file.as_ref() != Some(&problem);
                self.status.bad_file = Some(problem.clone());
                // At once: the pass that follows may have to wait for another one.
                self.write_status();
                if is_new {
                    self.actions.push(Action::LogInvalid(problem));
                }
            }
        }
    }

    fn policy(&self) -> Policy {
        self.goal.as_ref().map_or_else(Policy::default, |goal| goal.desired.policy)
    }

    fn start(&mut self, reason: PassReason, now: Instant) {
        // Nothing is known to have changed.
        let may_glance = matches!(reason, PassReason::Resync | PassReason::Ruleset);
        let glance = may_glance && self.at_rest && self.pending.is_none() && self.glances < GLANCES;
        self.conflicts.forget_old(now);
        let job = Job {
            reason,
            glance,
            goal: self.goal.clone(),
            goal_was_verified: self.goal_was_verified,
            pending: self.pending.clone(),
            backing_off: self.conflicts.backing_off(now),
        };
        let answers_reload = std::mem::take(&mut self.reloading);
        self.running = Some(Running { reason, waits: false, answers_reload });
        self.watchdog.progress.1 = now;
        if let Some(interval) = self.watchdog.interval {
            // More often, so that one that is left out in a standstill does not cost the life of a daemon that goes on.
            self.watchdog.next = self.watchdog.next.min(now + interval / 2);
        }
        self.actions.push(Action::StartPass(Box::new(job)));
    }

    /// Takes in how a pass ended, and says when the next one is due.
    fn ended(&mut self, pass: Pass, now: Instant) {
        let Some(Running { reason, answers_reload, .. }) = self.running.take() else { return };
        self.status.lock_holder = None;
        let wait = match pass {
            Pass::Unchanged { cost } => {
                debug!(reason = reason.to_string(), "nothing has changed");
                self.glances += 1;
                self.rested = now + cost * REST;
                self.policy().resync.max(cost * SHARE)
            }
            Pass::Full { found, pending, goal, mut warnings, directory, at, cost } => {
                let _span = info_span!("pass", reason = reason.to_string()).entered();
                (self.glances, self.at_rest) = (0, false);
                self.goal = self.goal.take().or(found);
                let occasion = Occasion { reason, at, now };
                let ended = pending.map(|attempt| self.changed(*attempt, occasion, &mut warnings));
                let ended = match goal {
                    Some(attempt) => Some(self.kept(*attempt, occasion, &mut warnings)),
                    None => ended,
                };
                warnings.extend(self.writable.iter().cloned());
                self.warn(warnings);
                self.status.fights = self.conflicts.list();
                self.note_directory(directory);
                let wait = self.pause(ended).max(cost * SHARE);
                self.rested = now + cost * REST;
                self.status.retry_at = (self.failures > 0).then(|| Timestamp::from(at + wait));
                self.write_status();
                wait
            }
        };
        // As long as the file says, but no pass may take more than its share of the time, however large the table is.
        self.next = now + wait;
        self.usual = if self.failures > 0 { PassReason::Retry } else { PassReason::Resync };
        self.actions.push(Action::CheckFile);
        if self.is_ready && (!self.has_told_ready || answers_reload) {
            self.told = self.status.line();
            self.actions.push(Action::Notify(Notice::Ready(self.told.clone())));
            self.has_told_ready = true;
        }
        self.say();
    }

    /// How long to wait for the next pass, by how this one ended.
    fn pause(&mut self, ended: Option<PassResult>) -> Duration {
        let resync = self.policy().resync;
        if matches!(ended, Some(PassResult::Incomplete | PassResult::Unreachable)) {
            self.failures = self.failures.saturating_add(1);
            backoff::wait(self.failures, resync, (self.chance)())
        } else {
            self.failures = 0;
            resync
        }
    }

    /// Goes over to the pending file, if nothing speaks against it.
    fn changed(&mut self, attempt: Attempt, occasion: Occasion, warnings: &mut Vec<String>) -> PassResult {
        let goal = attempt.goal.clone();
        let is_drift = self.is_current(&goal) && self.goal_was_verified;
        let result = self.note(attempt, is_drift, occasion, warnings);
        match result {
            PassResult::Converged | PassResult::Incomplete => {
                self.status.refused = None;
                self.goal_was_verified = result == PassResult::Converged;
                // A newer one that came meanwhile is still to be tried.
                self.pending.take_if(|pending| pending.revision == goal.revision);
                self.goal = Some(goal);
            }
            // Whether the guards let it through is not known, or known not to be so.
            PassResult::Rejected | PassResult::Unreachable => {}
        }
        result
    }

    /// Notes what became of the goal that is kept.
    fn kept(&mut self, attempt: Attempt, occasion: Occasion, warnings: &mut Vec<String>) -> PassResult {
        let is_verified = attempt.is_verified();
        let result = self.note(attempt, self.goal_was_verified, occasion, warnings);
        self.goal_was_verified |= is_verified;
        result
    }

    fn is_current(&self, goal: &Goal) -> bool {
        self.goal.as_ref().is_some_and(|kept| kept.revision == goal.revision)
    }

    fn write_status(&mut self) {
        if self.written.as_ref() != Some(&self.status) {
            self.written = Some(self.status.clone());
            self.actions.push(Action::WriteStatus(Box::new(self.status.clone())));
        }
    }

    /// Tells the service manager how things are, where it was told otherwise.
    fn say(&mut self) {
        let line = self.status.line();
        if line != self.told {
            self.told.clone_from(&line);
            self.actions.push(Action::Notify(Notice::Status(line)));
        }
    }
}

/// How an attempt at a goal ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PassResult {
    /// All is as it should be, but for what backs off
    Converged,
    /// The kernel refused something, or it is not known what lbd owns
    Incomplete,
    /// A guard refused it
    Rejected,
    /// The kernel could not be asked
    Unreachable,
}
