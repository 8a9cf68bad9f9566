//! One pass of the daemon, as it is ordered and as it ended.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use crate::kernel::{Kernel, KernelError};
use crate::model::{Operation, Subject};
use crate::reconcile::{self, Order, Outcome, Report};
use crate::status::PassReason;
use crate::store::{LoadError, Lock, Record, Store};

use super::goal::Goal;

/// How to get at a kernel.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Kernel>, KernelError> + Send>;

/// What a pass has to do.
#[derive(Debug, Clone)]
pub struct Job {
    /// Why it runs
    pub reason: PassReason,
    /// Whether it may end after a glance that shows no change
    pub glance: bool,
    /// What is kept: the last file that was valid and that no guard refused
    pub goal: Option<Goal>,
    /// Whether the kernel was ever seen equal to that
    pub goal_was_verified: bool,
    /// A file that has not been through a pass, or that a guard refused: it is tried first
    pub pending: Option<Goal>,
    /// The entries that are not to be repaired now
    pub backing_off: HashSet<Subject>,
}

/// How a pass ended.
#[derive(Debug)]
pub enum Pass {
    /// A glance showed no change.
    Unchanged {
        /// How long it took
        cost: Duration,
    },
    /// The kernel was read.
    Full {
        /// The file that was verified last, in the first pass that could find it out
        found: Option<Goal>,
        /// What became of the pending file, if there was one
        pending: Option<Box<Attempt>>,
        /// What became of the goal that is kept, where it was its turn
        goal: Option<Box<Attempt>>,
        /// What went wrong beside the kernel
        warnings: Vec<String>,
        /// What became of the state directory, where somebody had removed it
        directory: StateDirectory,
        /// When it ended, by the wall clock
        at: SystemTime,
        /// How long it took, without the time in which another process had the lock
        cost: Duration,
    },
}

/// Whether the state directory is where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateDirectory {
    /// It is.
    There,
    /// It had been removed, and was made again.
    Renewed,
    /// It was removed, and cannot be made again: why.
    Gone(String),
}

/// How an attempt to bring the kernel to a goal ended.
#[derive(Debug)]
pub struct Attempt {
    /// The goal
    pub goal: Goal,
    /// What the pass did; an error where the kernel could not be asked
    pub result: Result<Report, KernelError>,
}

impl Attempt {
    /// Whether the kernel was read back and is what the goal says, but for services that never were in it.
    pub fn is_verified(&self) -> bool {
        let is_verified =
            |outcome: &Outcome| matches!(outcome, Outcome::Verified | Outcome::PartlyRefused(_));
        self.result.as_ref().is_ok_and(|report| is_verified(&report.outcome))
    }

    /// Whether a guard refused it.
    pub fn is_refused(&self) -> bool {
        self.result.as_ref().is_ok_and(|report| matches!(report.outcome, Outcome::Refused(_)))
    }
}

/// Carries out passes, over one connection to the kernel as long as it works.
pub struct Passes {
    connect: Connect,
    kernel: Option<Box<dyn Kernel>>,
    store: Store,
    /// Held as long as the daemon runs, against a second one
    daemon: Option<Lock>,
    /// The state that was verified last: what the guards compare with
    verified: Option<Goal>,
    /// Whether that was found out
    knows_verified: bool,
}

impl Passes {
    /// Nothing is connected yet.
    pub fn new(connect: Connect, store: Store, daemon: Option<Lock>) -> Self {
        Self { connect, kernel: None, store, daemon, verified: None, knows_verified: false }
    }

    /// Carries out one pass. `waits` is called where another process has the lock, with who that is, and `begins` once it is
    /// had, or cannot be had at all.
    pub fn run(&mut self, job: &Job, waits: impl FnOnce(&str), begins: impl FnOnce()) -> Pass {
        let began = Instant::now();
        if job.glance && self.is_unchanged(job) {
            return Pass::Unchanged { cost: began.elapsed() };
        }
        let mut warnings = Vec::new();
        let directory = self.renew();
        // A disk that takes no lock must not keep a director from being repaired.
        let lock = self.store.lock("run", waits);
        let lock = lock.map_err(|error| warnings.push(format!("{error}; going on without the lock"))).ok();
        begins();
        let began = Instant::now();
        let (found, unknown) = self.find_verified(&mut warnings);
        let kept = job.goal.as_ref().or(found.as_ref());
        let ground = Ground {
            kept,
            was_verified: job.goal_was_verified,
            unknown: unknown.as_deref(),
            job,
            lock: lock.as_ref(),
        };
        let pending = job.pending.as_ref().map(|goal| Box::new(self.attempt(goal, &ground)));
        // What is refused waits; what was good before is kept meanwhile.
        let is_its_turn = pending.as_ref().is_none_or(|attempt| attempt.is_refused());
        let goal = kept.filter(|_| is_its_turn).map(|goal| Box::new(self.attempt(goal, &ground)));
        Pass::Full { found, pending, goal, warnings, directory, at: SystemTime::now(), cost: began.elapsed() }
    }

    /// Finds out which file was verified last, as long as that is not known; or why it cannot be read. One that is spoilt is
    /// none.
    fn find_verified(&mut self, warnings: &mut Vec<String>) -> (Option<Goal>, Option<String>) {
        if self.knows_verified {
            return (None, None);
        }
        let found = match Goal::last_verified(&self.store) {
            Ok(goal) => goal,
            Err(LoadError::Unreadable(reason)) => return (None, Some(reason)),
            Err(LoadError::Spoilt(reason)) => {
                warnings.push(format!(
                    "{reason}; what the file takes away is compared with the record and the kernel instead"
                ));
                None
            }
        };
        self.knows_verified = true;
        self.verified.clone_from(&found);
        (found, None)
    }

    /// Whether the kernel is as the last pass verified it, as far as a glance can tell.
    fn is_unchanged(&mut self, job: &Job) -> bool {
        let (Some(kernel), Some(goal)) = (&mut self.kernel, &job.goal) else { return false };
        // After a verified pass, what lbd has in the packet filter is what the file asks for: no record is needed to know.
        let question = reconcile::question(&goal.desired, &Record::default());
        kernel.has_changed(&question).is_ok_and(|changed| !changed)
    }

    /// Makes the state directory and the daemon's lock again where somebody removed them: a second daemon could start.
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

    /// Brings the kernel to a goal.
    fn attempt(&mut self, goal: &Goal, ground: &Ground<'_>) -> Attempt {
        let result = self.try_attempt(goal, ground);
        if result.is_err() {
            // It may be the connection; the next pass makes a new one.
            self.kernel = None;
        }
        Attempt { goal: goal.clone(), result }
    }

    fn try_attempt(&mut self, goal: &Goal, ground: &Ground<'_>) -> Result<Report, KernelError> {
        let Ground { kept, was_verified, unknown, job, lock } = *ground;
        let kernel = match &mut self.kernel {
            Some(kernel) => kernel,
            None => self.kernel.insert((self.connect)()?),
        };
        // What the kernel was verified to be is where an edit of the file starts from.
        let edited = match kept {
            Some(kept) if kept.revision != goal.revision && was_verified && unknown.is_none() => {
                reconcile::edit(kernel.as_mut(), &kept.desired, &goal.desired, lock)
            }
            _ => Ok(Vec::new()),
        };
        let waits = |operation: &Operation| job.backing_off.contains(&operation.subject());
        let mut pass = |verified: Option<&Goal>| {
            let verified = verified.map(|verified| &*verified.desired);
            let order =
                Order { desired: &goal.desired, verified, text: &goal.text, waits: Some(&waits), unknown };
            reconcile::pass(kernel.as_mut(), &order, &self.store, lock, &mut |_| {})
        };
        let mut report = pass(self.verified.as_ref())?;
        // The operator may have carried it out by `lbd apply`.
        if matches!(report.outcome, Outcome::Refused(_))
            && let Some(elsewhere) = goal.verified_elsewhere(&self.store, self.verified.as_ref())
        {
            report = pass(Some(&elsewhere))?;
            self.verified = Some(elsewhere);
        }
        if matches!(report.outcome, Outcome::Verified | Outcome::PartlyRefused(_)) {
            self.verified = Some(goal.clone());
        }
        // (Where an edit went wrong, the pass has found out what there was to do.)
        report.done.splice(..0, edited.unwrap_or_default());
        Ok(report)
    }
}

/// What the attempts of one pass start from.
struct Ground<'a> {
    /// What is kept, if anything
    kept: Option<&'a Goal>,
    /// Whether the kernel was ever seen equal to that
    was_verified: bool,
    /// Why the file that was verified last cannot be read, if so
    unknown: Option<&'a str>,
    job: &'a Job,
    lock: Option<&'a Lock>,
}
