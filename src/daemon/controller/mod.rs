//! Decides when a pass runs and what it does: a state machine, with events and the time in, and actions out.
//!
//! It never blocks and does no IO: its caller passes in what happened and when, and carries out the actions. One pass runs at a
//! time. Events that arrive meanwhile are merged into the next pass, since no event says what changed.

mod account;
mod attempts;
mod checks;
mod counted;
mod examination;
mod file;
mod health;
mod looks;
mod noted;
mod outcome;
mod watchdog;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, info_span};

use self::checks::Checks;
use self::examination::Schedule;
use self::looks::Looks;
use self::outcome::PassContext;
use self::watchdog::Watchdog;
use super::attempt::Job;
use super::conflicts::Conflicts;
use super::event::{DaemonAction, Event, Notice};
use super::goal::Goal;
use super::pass::Pass;
use crate::metrics::PassCounters;
use crate::model::{Link, Policy, ServiceKey, Subject};
use crate::reconcile::Reasons;
use crate::status::{LastChange, PassReason, Status, Timestamp};
use crate::target::ServicePlace;

/// After a pass, no pass runs for this many times its duration, so that passes take a twentieth of the time, however large the table is.
const IDLE_RATIO: u32 = 20;
/// After a pass, changes of nftables and services that are gone are ignored for this many times its duration: they may never stop.
const EVENT_IDLE_RATIO: u32 = 4;
/// After this many quick checks, the next resync reads the whole table.
const QUICK_CHECKS: u32 = 9;
/// How long a pass waits for the file to be read: the first one, and one that another file has superseded.
const FIRST_READING: Duration = Duration::from_secs(5);

/// The state of the daemon.
pub struct Controller {
    /// The goal that is kept: the last file that was valid and that no guard refused
    goal: Option<Goal>,
    /// A valid file that no pass has tried, or that a guard refuses
    pending: Option<Goal>,
    conflicts: Conflicts,
    /// How many passes in a row have failed
    failures: u32,
    /// Whether a pass has added all that the file wants, so that units ordered after lbd may start
    is_ready: bool,
    /// Whether the kernel was ever equal to the goal: later differences are drift
    goal_was_verified: bool,
    /// Whether the last pass was verified
    last_pass_verified: bool,
    /// The number of quick checks since the last full pass
    quick_checks: u32,
    /// The foreign services that were logged
    foreign: Vec<ServiceKey>,
    /// The interfaces that something waits for
    awaited: Vec<Link>,
    /// What waits for them
    waiting: HashSet<Subject>,
    /// The warnings of the last pass
    warned: Vec<String>,
    examination: Schedule,
    looks: Looks,
    checks: Checks,
    /// The services in which not just those servers serve that pass their checks
    places: BTreeMap<ServiceKey, ServicePlace>,
    status: Status,
    /// The last change, by whichever command
    last_change: Option<LastChange>,
    /// The status on disk
    written: Option<Status>,
    /// The pass that runs
    running: Option<Running>,
    /// Why another pass starts as soon as none runs, if one is requested
    requested: Option<PassReason>,
    /// Whether the service manager knows of a reload for which no pass has started yet
    reloading: bool,
    /// When the next pass is due without an event
    next: Instant,
    /// Why it runs then
    next_reason: PassReason,
    /// Why servers were not what the file says at the last pass
    reasons: Reasons,
    /// Whether anything drains
    drains: bool,
    /// When conditions end by themselves, and a pass is due for that
    condition_pass: Option<Instant>,
    /// When a pass is due for a change of nftables, if there was one
    ruleset_pass: Option<Instant>,
    /// Until when changes of nftables are ignored
    ruleset_quiet_until: Instant,
    /// Whether the daemon stops as soon as no pass runs
    is_stopping: bool,
    is_over: bool,
    watchdog: Watchdog,
    /// The line that was sent to the service manager last
    sent_line: String,
    has_sent_ready: bool,
    /// What is counted for metrics
    counters: Arc<PassCounters>,
    /// Gives random numbers from 0 to 1
    chance: fn() -> f64,
    actions: Vec<DaemonAction>,
}

/// The running pass.
#[derive(Debug)]
struct Running {
    reason: PassReason,
    /// Whether it waits for the lock: it does not hang then, and can be abandoned without loss
    waits_for_lock: bool,
    /// Whether the operator requested it by SIGHUP
    answers_reload: bool,
}

impl Controller {
    /// Creates the initial state. `watchdog` is how often the watchdog is to be fed.
    pub fn new(file: String, watchdog: Option<Duration>, chance: fn() -> f64, now: Instant) -> Self {
        Self {
            goal: None,
            pending: None,
            conflicts: Conflicts::default(),
            failures: 0,
            is_ready: false,
            goal_was_verified: false,
            last_pass_verified: false,
            quick_checks: 0,
            foreign: Vec::new(),
            awaited: Vec::new(),
            waiting: HashSet::new(),
            warned: Vec::new(),
            examination: Schedule::new(now),
            looks: Looks::new(now),
            checks: Checks::new(now),
            places: BTreeMap::new(),
            status: Status { file, ..Status::default() },
            last_change: None,
            written: None,
            running: None,
            requested: None,
            reloading: false,
            next: now + FIRST_READING,
            next_reason: PassReason::Start,
            reasons: Reasons::default(),
            drains: false,
            condition_pass: None,
            ruleset_pass: None,
            ruleset_quiet_until: now,
            is_stopping: false,
            is_over: false,
            watchdog: Watchdog::new(watchdog, now),
            sent_line: String::new(),
            has_sent_ready: false,
            counters: Arc::default(),
            chance,
            actions: Vec::new(),
        }
    }

    /// What the daemon reports about itself.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What the daemon counts of its passes, to be read at any time from any thread.
    pub fn counters(&self) -> Arc<PassCounters> {
        Arc::clone(&self.counters)
    }

    /// Whether the daemon is to stop now. A pass that still runs is abandoned.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// When [`Self::wake`] is to be called, if no event comes before.
    pub fn deadline(&self) -> Instant {
        let next = [self.next_pass(), self.next_look(), self.examination.deadline()];
        let idle = next.into_iter().flatten().filter(|_| self.running.is_none());
        // A day: the caller needs some deadline.
        idle.chain(self.watchdog.deadline()).min().unwrap_or_else(|| self.next + Duration::from_secs(86_400))
    }

    /// When the next pass starts if no event comes before; `None` while one runs.
    pub fn next_pass(&self) -> Option<Instant> {
        let dues = [self.ruleset_pass, self.condition_pass, self.checks.next()].into_iter().flatten();
        self.running.is_none().then(|| dues.fold(self.next, Instant::min))
    }

    /// Takes in an event; returns the actions in their order.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<DaemonAction> {
        match event {
            Event::File(reading) => {
                self.take_file(reading);
                self.request_pass(PassReason::File);
            }
            Event::Watching(how) => {
                if self.status.watching != how {
                    info!("{how}");
                    self.status.watching = how;
                }
            }
            Event::Looked(looked) => self.finish_look(looked, now),
            Event::Examined(examination) => self.finish_examination(*examination, now),
            Event::Link => {
                // The pass finds out what still waits.
                self.awaited.clear();
                self.actions.push(DaemonAction::AwaitLinks(Vec::new()));
                self.request_pass(PassReason::Link);
            }
            Event::Conditions => self.request_pass(PassReason::Condition),
            Event::Verdicts => {
                // The first pass takes them in, and waits for the file; once it runs, it may have read those before.
                if self.next_reason != PassReason::Start || self.running.is_some() {
                    self.checks.verdicts_changed(now);
                }
            }
            Event::Ruleset => {
                if self.goal.as_ref().is_some_and(|goal| goal.desired.state.needs_filter()) {
                    self.ruleset_pass = Some(now.max(self.ruleset_quiet_until));
                }
            }
            Event::Reload => {
                self.actions.push(DaemonAction::Notify(Notice::Reloading));
                self.actions.push(DaemonAction::ReadFile);
                self.reloading = true;
                self.request_pass(PassReason::Requested);
            }
            Event::Stop => self.stop(),
            Event::PassWaitsForLock(holder) => self.wait_for_lock(holder),
            Event::PassStarted => {
                if let Some(running) = &mut self.running {
                    running.waits_for_lock = false;
                }
                if self.status.lock_holder.take().is_some() {
                    self.write_status();
                }
            }
            Event::PassEnded(pass) => self.finish_pass(*pass, now),
        }
        self.advance(now)
    }

    /// Takes in that the deadline has come, and the progress of passes; returns the actions in their order.
    pub fn wake(&mut self, progress: u64, now: Instant) -> Vec<DaemonAction> {
        let works = self.running.as_ref().is_some_and(|running| !running.waits_for_lock);
        if self.watchdog.is_to_be_fed(works, progress, now) {
            self.actions.push(DaemonAction::Notify(Notice::Alive));
        }
        self.advance(now)
    }

    /// Starts the pass that is due, and returns the collected actions.
    fn advance(&mut self, now: Instant) -> Vec<DaemonAction> {
        if self.ruleset_pass.is_some_and(|at| at <= now) && self.running.is_none() {
            self.ruleset_pass = None;
            self.request_pass(PassReason::Ruleset);
        }
        if self.condition_pass.is_some_and(|at| at <= now) && self.running.is_none() {
            self.condition_pass = None;
            self.request_pass(PassReason::Condition);
        }
        if self.checks.is_due(now) && self.running.is_none() {
            self.request_pass(PassReason::Checks);
        }
        if self.next <= now && self.running.is_none() {
            self.request_pass(self.next_reason);
        }
        if self.running.is_none() {
            if self.is_stopping {
                self.end();
            } else if let Some(reason) = self.requested.take() {
                self.start(reason, now);
            } else {
                self.look(now);
                self.examine_host(now);
            }
        }
        std::mem::take(&mut self.actions)
    }

    fn request_pass(&mut self, reason: PassReason) {
        let reason = if self.next_reason == PassReason::Start { PassReason::Start } else { reason };
        self.requested = self.requested.max(Some(reason));
    }

    /// The first signal stops the daemon after the running pass, the second at once.
    fn stop(&mut self) {
        let is_working = self.running.as_ref().is_some_and(|running| !running.waits_for_lock);
        if is_working && !self.is_stopping {
            info!("stopping after the running pass; a second signal stops lbd at once");
            self.is_stopping = true;
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        if !self.is_over {
            info!("stopped; the table stays in the kernel and keeps serving");
            self.status.stopped = true;
            self.write_status();
            self.actions.push(DaemonAction::Notify(Notice::Stopping));
            self.is_over = true;
        }
    }

    fn wait_for_lock(&mut self, holder: String) {
        info!("waiting for the lock, which {holder} has");
        if let Some(running) = &mut self.running {
            running.waits_for_lock = true;
        }
        self.status.lock_holder = Some(holder);
        self.write_status();
        self.notify_status();
        if self.is_stopping {
            self.end();
        }
    }

    fn policy(&self) -> Policy {
        self.goal.as_ref().map_or_else(Policy::default, |goal| goal.desired.policy)
    }

    fn start(&mut self, reason: PassReason, now: Instant) {
        // Nothing is known to have changed.
        let may_be_quick = matches!(reason, PassReason::Resync | PassReason::Ruleset);
        let is_for_checks = self.checks.pass_starts(now);
        let is_at_rest = self.last_pass_verified && self.pending.is_none() && self.status.trial.is_none();
        let quick = may_be_quick && !is_for_checks && is_at_rest && self.quick_checks < QUICK_CHECKS;
        self.conflicts.forget_old(now);
        let job = Job {
            reason,
            quick,
            only_checks: is_at_rest && reason == PassReason::Checks,
            goal: self.goal.clone(),
            goal_was_verified: self.goal_was_verified,
            pending: self.pending.clone(),
            backing_off: self.conflicts.backing_off(now),
            waiting: self.waiting.clone(),
            reasons: self.reasons.clone(),
        };
        let answers_reload = std::mem::take(&mut self.reloading);
        self.running = Some(Running { reason, waits_for_lock: false, answers_reload });
        self.watchdog.pass_starts(now);
        self.actions.push(DaemonAction::StartPass(Box::new(job)));
    }

    /// Takes in the result of a pass, and schedules the next one.
    fn finish_pass(&mut self, pass: Pass, now: Instant) {
        let Some(Running { reason, answers_reload, .. }) = self.running.take() else { return };
        self.status.lock_holder = None;
        self.count(&pass, reason);
        let wait = match pass {
            Pass::Unchanged { at: _, cost } => {
                debug!(reason = reason.to_string(), "nothing has changed");
                self.quick_checks += 1;
                self.ruleset_quiet_until = now + cost * EVENT_IDLE_RATIO;
                self.policy().resync.max(cost * IDLE_RATIO)
            }
            // Neither of them puts off the next reading of the whole table.
            Pass::NoVerdict { cost, changes_in } => {
                self.checks.pass_ended(cost, now);
                self.checks.change_in(changes_in, now);
                return;
            }
            Pass::Checks { pass, last_change, warnings, at, cost } => {
                let _span = info_span!("pass", reason = reason.to_string()).entered();
                self.last_change = last_change.or(self.last_change);
                self.checks.pass_ended(cost, now);
                self.finish_checks(*pass, PassContext { reason, at, now }, warnings);
                return self.notify_status();
            }
            Pass::Superseded { cost } => {
                debug!(
                    reason = reason.to_string(),
                    "another file was applied; reading the desired file first"
                );
                self.last_pass_verified = false;
                self.actions.push(DaemonAction::ReadFile);
                FIRST_READING.max(cost * IDLE_RATIO)
            }
            Pass::Full {
                found,
                trial,
                pending,
                goal,
                conditions,
                health,
                last_change,
                mut warnings,
                directory,
                at,
                cost,
            } => {
                let _span = info_span!("pass", reason = reason.to_string()).entered();
                (self.quick_checks, self.last_pass_verified) = (0, false);
                self.goal = self.goal.take().or(found);
                self.last_change = last_change.or(self.last_change);
                let context = PassContext { reason, at, now };
                let mut attempts = trial.iter().chain(&pending).chain(&goal);
                let did_nothing = attempts.all(|attempt| attempt.did_nothing());
                let ended = trial.map(|attempt| self.note(*attempt, context, &mut warnings));
                let ended = match pending {
                    Some(attempt) => Some(self.finish_pending(*attempt, context, &mut warnings)),
                    None => ended,
                };
                let ended = match goal {
                    Some(attempt) => Some(self.finish_goal(*attempt, context, &mut warnings)),
                    None => ended,
                };
                self.note_conditions(&conditions, now);
                self.checks.pass_ended(if reason == PassReason::Checks { cost } else { Duration::ZERO }, now);
                self.note_health(*health, context);
                self.warn(warnings);
                self.status.conflicts = self.conflicts.list();
                self.note_directory(directory);
                self.host_may_differ(answers_reload, now);
                let was_in_vain = reason == PassReason::Services && did_nothing;
                self.looks.full_pass_ended(cost, was_in_vain, self.policy().resync, now);
                let wait = self.pause(ended, now).max(cost * IDLE_RATIO);
                self.ruleset_quiet_until = now + cost * EVENT_IDLE_RATIO;
                self.status.retry_at = (self.failures > 0).then(|| Timestamp::from(at + wait));
                self.write_status();
                wait
            }
        };
        self.next = now + wait;
        self.next_reason = if self.failures > 0 { PassReason::Retry } else { PassReason::Resync };
        self.actions.push(DaemonAction::CheckFile);
        if self.is_ready && (!self.has_sent_ready || answers_reload) {
            self.notify_ready();
        }
        self.notify_status();
    }
}
