//! Carries out one pass of the daemon: its order, its result, and the connection to the kernel.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::files::Identity;
use crate::kernel::{Kernel, KernelError};
use crate::model::{Operation, Subject};
use crate::reconcile::{self, Summary};
use crate::status::{ChangedBy, LastChange, PassReason};
use crate::store::{LoadError, Lock, Record, Store};
use crate::target::{Clock, Conditions, Drains, NO_CONDITIONS, ServerOf};

use super::attempt::{Attempt, Baseline, Job};
use super::checks::{Checks, ChecksPass};
use super::goal::Goal;
use super::health_change::HealthChange;
use super::tried_file::Tried;

/// Reads the clocks, by which conditions begin and end.
pub type ReadClock = Box<dyn Fn() -> Clock + Send>;

/// Connects to a kernel.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Kernel>, KernelError> + Send>;

/// The result of a pass.
#[derive(Debug)]
pub enum Pass {
    /// A quick check found no change.
    Unchanged {
        /// When it ended, by the wall clock
        at: SystemTime,
        /// How long it took
        cost: Duration,
    },
    /// Nothing was done, since another process has verified another file meanwhile: the desired file is to be read first.
    Superseded {
        /// How long it took
        cost: Duration,
    },
    /// Nothing was done: it was a pass for verdicts, and none is new.
    NoVerdict {
        /// How long it took
        cost: Duration,
        /// When a pass for them is due though none is announced, in milliseconds
        changes_in: Option<u64>,
    },
    /// What verdicts change was done in the services that they concern; nothing else was read.
    Checks {
        /// What was done
        pass: Box<ChecksPass>,
        /// The last change, of this pass or by another command, if one is known
        last_change: Option<LastChange>,
        /// Problems that did not stop the pass
        warnings: Vec<String>,
        /// When it ended, by the wall clock
        at: SystemTime,
        /// How long it took, without the time in which another process had the lock
        cost: Duration,
    },
    /// The kernel was read.
    Full {
        /// The state that was verified last, in the first pass that could read it
        found: Option<Goal>,
        /// The result of the file of a trial, if there is a trial
        trial: Option<Box<Attempt>>,
        /// The result of the pending file, if there was one
        pending: Option<Box<Attempt>>,
        /// The result of the goal that is kept, where it was applied
        goal: Option<Box<Attempt>>,
        /// The conditions that were in force
        conditions: Box<Conditions>,
        /// What verdicts have changed since the pass before
        health: Box<HealthChange>,
        /// The last change, of this pass or by another command, if one is known
        last_change: Option<LastChange>,
        /// Problems that did not stop the pass
        warnings: Vec<String>,
        /// The state directory, which may have been removed
        directory: StateDirectory,
        /// When it ended, by the wall clock
        at: SystemTime,
        /// How long it took, without the time in which another process had the lock
        cost: Duration,
    },
}

/// Whether the state directory still exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateDirectory {
    /// It exists.
    There,
    /// It was removed, and was created again.
    Renewed,
    /// It was removed, and cannot be created again, for this reason.
    Gone(String),
}

/// Carries out passes over one connection to the kernel, which is renewed after an error.
pub struct Passes {
    connect: Connect,
    pub(super) clock: ReadClock,
    pub(super) kernel: Option<Box<dyn Kernel>>,
    pub(super) store: Store,
    /// The desired file: that of a trial lies beside it
    pub(super) file: PathBuf,
    /// The lock against a second daemon
    daemon: Option<Lock>,
    /// The state that was verified last: what the guards compare with
    pub(super) verified: Option<Goal>,
    /// Whether it was read so far
    knows_verified: bool,
    /// What drains, with what the looks have found since the last pass
    pub(super) drains: Drains,
    /// The file of the verified state, where it was found to have this text: it may be megabytes, which a pass does not read again
    verified_file: Option<((Identity, SystemTime), Arc<String>)>,
    /// Whether a pass was left out for another file that was verified, and that is not the desired file
    gave_way: bool,
    /// What is known of trials
    pub(super) tried: Tried,
    /// What is known of checks
    pub(super) checks: Checks,
}

impl Passes {
    /// Does not connect yet.
    pub fn new(connect: Connect, store: Store, daemon: Option<Lock>) -> Self {
        Self {
            connect,
            clock: Box::new(Clock::now),
            kernel: None,
            store,
            file: PathBuf::new(),
            daemon,
            verified: None,
            knows_verified: false,
            drains: Drains::NONE,
            verified_file: None,
            gave_way: false,
            tried: Tried::default(),
            checks: Checks::default(),
        }
    }

    /// The same for the desired file of this name, beside which the file of a trial lies. Without it, no trial can be followed.
    pub fn with_file(self, file: &Path) -> Self {
        Self { file: file.to_owned(), ..self }
    }

    /// The same where the daemon starts the checker itself, or where another one does.
    pub fn with_child_checker(mut self, is_child: bool) -> Self {
        self.checks.is_child = is_child;
        self
    }

    /// The same by other clocks than those of the host.
    pub fn with_clock(self, clock: ReadClock) -> Self {
        Self { clock, ..self }
    }

    /// Carries out one pass. `waits` is called with the holder of the lock where another process has it, `begins` once the lock
    /// was taken or proved to be unavailable.
    pub fn run(&mut self, job: &Job, waits: impl FnOnce(&str), begins: impl FnOnce()) -> Pass {
        let began = Instant::now();
        if job.quick && self.is_unchanged(job) {
            return Pass::Unchanged { at: (self.clock)().wall, cost: began.elapsed() };
        }
        if job.reason == PassReason::Checks
            && let Some(changes_in) = self.checks.no_verdict_is_new(&self.store, (self.clock)())
        {
            return Pass::NoVerdict { cost: began.elapsed(), changes_in };
        }
        let mut warnings = Vec::new();
        let directory = self.renew();
        // A file system without locks must not prevent repairs.
        let lock = self.store.lock("run", waits);
        let lock = lock.map_err(|error| warnings.push(format!("{error}; going on without the lock"))).ok();
        begins();
        let began = Instant::now();
        if directory == StateDirectory::There && self.is_superseded(job) {
            return Pass::Superseded { cost: began.elapsed() };
        }
        let (found, unknown, was_found_here) = self.find_verified(&mut warnings);
        let kept = job.goal.as_ref().or(found.as_ref());
        let now = (self.clock)();
        let mut conditions = self.store.load_all_but_health(now);
        conditions.drains.recall_all(&self.drains);
        if let Some(reason) = self.checks.hear(&self.store, kept, now, &mut warnings) {
            conditions.unreadable.get_or_insert(reason);
        }
        warnings.extend(conditions.unreadable.clone());
        let mut early = Vec::new();
        if let Some(pass) = self.pass_of_checks(job, &mut conditions, lock.as_ref(), now, &mut warnings) {
            if pass.part.is_verified {
                return self.end_pass_of_checks(pass, job, began, warnings);
            }
            early = pass.part.done;
        }
        let verdicts_before = self.checks.at_last_pass();
        let under_none = Baseline {
            kept,
            was_verified: job.goal_was_verified,
            was_found_here,
            unknown: unknown.as_deref(),
            conditions: &NO_CONDITIONS,
            verdicts_before: &verdicts_before,
            job,
            lock: lock.as_ref(),
            now,
        };
        let mut followed = None;
        let mut trial = self.trial_goal(&mut conditions, unknown.as_deref(), &mut warnings).map(|goal| {
            self.checks.take_in(&self.store, &goal, kept, &mut conditions, now, &mut warnings);
            followed = Some(goal.clone());
            Box::new(self.attempt(&goal, &Baseline { conditions: &conditions, ..under_none }))
        });
        let in_trial =
            trial.as_ref().is_some_and(|tried| self.trial_goes_on(tried, &mut conditions, &mut warnings));
        // One that was not even begun is no result.
        trial.take_if(|tried| tried.is_refused());
        // In a trial another file waits.
        let pending = job.pending.as_ref().filter(|_| !in_trial);
        let pending = pending.map(|goal| {
            self.checks.take_in(&self.store, goal, kept, &mut conditions, now, &mut warnings);
            followed = Some(goal.clone());
            Box::new(self.attempt(goal, &Baseline { conditions: &conditions, ..under_none }))
        });
        // While a file is refused, the goal before it is kept.
        let is_its_turn = !in_trial && pending.as_ref().is_none_or(|attempt| attempt.is_refused());
        let mut goal = kept.filter(|_| is_its_turn).map(|goal| {
            self.checks.take_in(&self.store, goal, None, &mut conditions, now, &mut warnings);
            followed = Some(goal.clone());
            Box::new(self.attempt(goal, &Baseline { conditions: &conditions, ..under_none }))
        });
        if let Some(Ok(report)) = goal.as_mut().map(|attempt| &mut attempt.result) {
            // What a pass for verdicts has begun.
            report.done.splice(..0, early);
        }
        let attempted = goal.as_ref().or(pending.as_ref()).or(trial.as_ref());
        let undone = attempted.and_then(|attempt| attempt.undone());
        let is_undone = |of: &ServerOf| {
            undone.as_ref().is_none_or(|undone| undone.contains(&Subject::Server(of.0, of.1)))
        };
        let health = match &followed {
            Some(goal) => {
                self.checks.followed(&self.store, goal, &conditions, &is_undone, now, &mut warnings)
            }
            None => HealthChange::default(),
        };
        let at = (self.clock)().wall;
        if let Some(report) = attempted.and_then(|of| of.result.as_ref().ok()) {
            conditions.drains.clone_from(&report.last.draining);
            conditions.changes_in =
                conditions.changes_in.into_iter().chain(conditions.drains.changes_in(now)).min();
        }
        self.drains.clone_from(&conditions.drains);
        let attempts = trial.iter().chain(&pending).chain(&goal).map(AsRef::as_ref);
        let own_change = self.record_change(attempts, job.reason, at, &mut warnings);
        let last_change = own_change.or_else(|| self.store.load_last_change().ok().flatten());
        Pass::Full {
            found,
            trial,
            pending,
            goal,
            conditions: Box::new(conditions),
            health: Box::new(health),
            last_change,
            warnings,
            directory,
            at,
            cost: began.elapsed(),
        }
    }

    /// Ends a pass for verdicts that was verified.
    fn end_pass_of_checks(
        &mut self,
        pass: ChecksPass,
        job: &Job,
        began: Instant,
        mut warnings: Vec<String>,
    ) -> Pass {
        let at = (self.clock)().wall;
        let done: Vec<&Operation> = pass.part.done.iter().collect();
        let own_change = self.save_change(&done, &[], true, job.reason, at, &mut warnings);
        let last_change = own_change.or_else(|| self.store.load_last_change().ok().flatten());
        Pass::Checks { pass: Box::new(pass), last_change, warnings, at, cost: began.elapsed() }
    }

    /// Records what the attempts of a pass have changed, if anything; returns it.
    fn record_change<'a>(
        &self,
        attempts: impl Iterator<Item = &'a Attempt>,
        reason: PassReason,
        at: SystemTime,
        warnings: &mut Vec<String>,
    ) -> Option<LastChange> {
        let (mut done, mut verified, mut drift) = (Vec::new(), false, Vec::new());
        for attempt in attempts {
            // The last one is what is kept.
            verified = attempt.is_verified();
            let of_attempt = || attempt.result.iter().flat_map(|report| &report.done);
            done.extend(of_attempt());
            drift.extend(of_attempt().filter(|operation| attempt.drift.is_repaired_by(operation)));
        }
        self.save_change(&done, &drift, verified, reason, at, warnings)
    }

    /// Records what a pass has changed, if anything; returns it. `drift` is what repaired changes of another program.
    fn save_change(
        &self,
        done: &[&Operation],
        drift: &[&Operation],
        verified: bool,
        reason: PassReason,
        at: SystemTime,
        warnings: &mut Vec<String>,
    ) -> Option<LastChange> {
        let Summary { add: added, edit: edited, delete: deleted } = Summary::of(done.iter().copied());
        if done.is_empty() {
            return None;
        }
        let by = ChangedBy::Run { reason };
        let drift = Summary::of(drift.iter().copied()).total();
        let change = LastChange { at: at.into(), by, verified, added, edited, deleted, drift };
        if let Err(error) = self.store.save_last_change(&change) {
            warnings.push(format!("{error}; `lbd status` does not show the last change"));
        }
        Some(change)
    }

    /// Reads the state that was verified last, unless that was done before; or tells why it cannot be read. A corrupt one counts
    /// as none. Last comes whether it was verified in this boot and network namespace.
    fn find_verified(&mut self, warnings: &mut Vec<String>) -> (Option<Goal>, Option<String>, bool) {
        if self.knows_verified {
            return (None, None, false);
        }
        let found = match Goal::last_verified(&self.store) {
            Ok(goal) => goal,
            Err(LoadError::Unreadable(reason)) => return (None, Some(reason), false),
            Err(LoadError::Corrupt(reason)) => {
                warnings.push(format!(
                    "{reason}; what the file takes away is compared with the record and the kernel instead"
                ));
                None
            }
        };
        self.knows_verified = true;
        self.verified.clone_from(&found);
        let was_found_here = found.is_some() && self.store.has_record_from_here();
        (found, None, was_found_here)
    }

    /// Whether another process has verified another file since this one was, so that what this one asks for would undo that: `lbd rollback`
    /// renames the file and applies it before the daemon has read it. Once: where the desired file is still this one, it counts.
    fn is_superseded(&mut self, job: &Job) -> bool {
        let goal = job.goal.as_ref().filter(|_| job.pending.is_none() && job.goal_was_verified);
        let is_other = goal.is_some_and(|goal| {
            let is_own = self.verified.as_ref().is_some_and(|verified| verified.text == goal.text);
            is_own && self.finds_another_verified(goal)
        });
        let gave_way = std::mem::replace(&mut self.gave_way, is_other);
        is_other && !gave_way
    }

    /// Whether the file of the verified state has another text than this goal.
    fn finds_another_verified(&mut self, goal: &Goal) -> bool {
        let found = self.store.verified_file().map(|file| (file, Arc::clone(&goal.text)));
        if found.is_some() && found == self.verified_file {
            return false;
        }
        let is_verified = self.store.verified_is(&goal.text);
        self.verified_file = found.filter(|_| is_verified == Some(true));
        is_verified == Some(false)
    }

    /// Whether a quick check finds the kernel unchanged since the last pass verified it.
    fn is_unchanged(&mut self, job: &Job) -> bool {
        let (Some(kernel), Some(goal)) = (&mut self.kernel, &job.goal) else { return false };
        // After a verified pass lbd's own table in nftables is what the file asks for, so the record is not needed.
        let question = reconcile::question(&goal.desired, &Record::default());
        kernel.has_changed(&question).is_ok_and(|changed| !changed)
    }

    /// Creates the state directory and the daemon's lock again where they were removed: a second daemon could start.
    fn renew(&mut self) -> StateDirectory {
        if self.daemon.as_ref().is_none_or(|lock| !lock.is_gone()) {
            return StateDirectory::There;
        }
        match self.store.lock_daemon("run") {
            Ok(lock) => {
                self.daemon = Some(lock);
                StateDirectory::Renewed
            }
            Err(error) => StateDirectory::Gone(error.to_string()),
        }
    }

    /// Makes the kernel equal to a goal.
    fn attempt(&mut self, goal: &Goal, baseline: &Baseline<'_>) -> Attempt {
        let kernel = match &mut self.kernel {
            Some(kernel) => Ok(kernel),
            None => (self.connect)().map(|kernel| self.kernel.insert(kernel)),
        };
        let result = kernel
            .and_then(|kernel| baseline.attempt(goal, kernel.as_mut(), &self.store, &mut self.verified));
        if result.is_err() {
            // The connection may be broken; the next pass makes a new one.
            self.kernel = None;
        }
        Attempt { goal: goal.clone(), drift: baseline.drift(goal, result.as_ref().ok()), result }
    }
}
