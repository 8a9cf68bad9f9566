//! Makes the kernel equal to one goal: an attempt, of which a pass has one or several.

use std::collections::HashSet;

use super::drift::Drift;
use super::goal::Goal;
use crate::history::Trigger;
use crate::kernel::{Kernel, KernelError};
use crate::model::{Operation, Subject};
use crate::reconcile::{self, FileChange, Outcome, PassInput, Reasons, Report, Summary};
use crate::status::{ChangedBy, PassOutcome, PassReason};
use crate::store::{Lock, Store};
use crate::target::{Clock, Conditions, FileServers, InForce, Target};

/// The order for a pass.
#[derive(Debug, Clone)]
pub struct Job {
    /// Why it runs
    pub reason: PassReason,
    /// Whether it may end after a quick check that finds no change
    pub quick: bool,
    /// Whether nothing but verdicts is known to have changed since the kernel was verified, so that only these need to be carried out
    pub only_checks: bool,
    /// The goal that is kept: the last file that was valid and that no guard refused
    pub goal: Option<Goal>,
    /// Whether the kernel was ever equal to it
    pub goal_was_verified: bool,
    /// A valid file that no pass has tried, or that a guard refused; it is tried first
    pub pending: Option<Goal>,
    /// The entries whose repair is deferred
    pub backing_off: HashSet<Subject>,
    /// What waits for its interface
    pub waiting: HashSet<Subject>,
    /// Why servers were not what the file says at the pass before
    pub reasons: Reasons,
}

/// The result of an attempt to make the kernel equal to a goal.
#[derive(Debug)]
pub struct Attempt {
    /// The goal
    pub goal: Goal,
    /// What the pass did; an error where the kernel could not be read or written
    pub result: Result<Report, KernelError>,
    /// Which of the operations repair drift
    pub drift: Drift,
}

impl Attempt {
    /// Whether the kernel was read back and equals the goal, but for services that never were in it.
    pub fn is_verified(&self) -> bool {
        let is_verified =
            |outcome: &Outcome| matches!(outcome, Outcome::Verified | Outcome::PartlyRefused(_));
        self.result.as_ref().is_ok_and(|report| is_verified(&report.outcome))
    }

    /// How it ended, as it is reported.
    pub fn outcome(&self) -> PassOutcome {
        match self.result.as_ref().map(|report| &report.outcome) {
            Ok(Outcome::Verified) => PassOutcome::Verified,
            Ok(Outcome::PartlyRefused(_)) => PassOutcome::PartlyRefused,
            Ok(Outcome::Deferred) => PassOutcome::Deferred,
            Ok(Outcome::Paused) => PassOutcome::Paused,
            Ok(Outcome::Refused(_) | Outcome::Unexpected(_)) => PassOutcome::Refused,
            Ok(Outcome::Unverified(_)) => PassOutcome::Unverified,
            Ok(Outcome::Failed) | Err(_) => PassOutcome::Failed,
        }
    }

    /// Whether the kernel was left as it was, as far as is known.
    pub fn did_nothing(&self) -> bool {
        self.result.as_ref().map_or(true, |report| report.done.is_empty())
    }

    /// The entries that are not as the goal has them at its end; `None` where that is not known.
    pub fn undone(&self) -> Option<HashSet<Subject>> {
        let last = &self.result.as_ref().ok()?.last;
        let left = last.deferred.iter().chain(&last.left_out);
        Some(last.plan.operations().chain(left).map(Operation::subject).collect())
    }

    /// Whether a guard refused it.
    pub fn is_refused(&self) -> bool {
        self.result.as_ref().is_ok_and(|report| matches!(report.outcome, Outcome::Refused(_)))
    }
}

/// What the attempts of one pass have in common.
#[derive(Clone, Copy)]
pub(super) struct Baseline<'a> {
    /// The goal that is kept, if there is one
    pub(super) kept: Option<&'a Goal>,
    /// Whether the kernel was ever equal to it
    pub(super) was_verified: bool,
    /// Whether it is one that another process has verified in this boot and network namespace
    pub(super) was_found_here: bool,
    /// Why the state that was verified last cannot be read, if so
    pub(super) unknown: Option<&'a str>,
    /// The conditions in force
    pub(super) conditions: &'a Conditions,
    /// The verdicts that were in force at the pass before
    pub(super) verdicts_before: &'a InForce,
    pub(super) job: &'a Job,
    pub(super) lock: Option<&'a Lock>,
    pub(super) now: Clock,
}

impl Baseline<'_> {
    /// Makes the kernel equal to a goal. `last_verified` is the state that was verified last, which the guards compare with.
    pub(super) fn attempt(
        &self,
        goal: &Goal,
        kernel: &mut dyn Kernel,
        store: &Store,
        last_verified: &mut Option<Goal>,
    ) -> Result<Report, KernelError> {
        let Self {
            kept,
            was_verified,
            was_found_here: _,
            unknown,
            conditions,
            verdicts_before: _,
            job,
            lock,
            now,
        } = *self;
        // An edit of the file starts from the state that was verified.
        let edited = match kept {
            Some(kept)
                if kept.revision != goal.revision
                    && was_verified
                    && unknown.is_none()
                    && conditions.are_none()
                    // Which of its servers serve is not up to the file alone.
                    && [kept, goal].iter().all(|goal| goal.desired.health.services.is_empty()) =>
            {
                reconcile::edit(kernel, &kept.desired, &goal.desired, lock)
            }
            _ => Ok(Vec::new()),
        };
        let trigger = Trigger {
            command: ChangedBy::Run { reason: job.reason },
            by: None,
            done: Summary::of(edited.iter().flatten()).counts(),
        };
        // What verdicts do is not deferred.
        let by_verdicts =
            if job.backing_off.is_empty() { HashSet::new() } else { self.changed_by_verdicts(goal) };
        let waits = |operation: &Operation| {
            let subject = operation.subject();
            job.backing_off.contains(&subject) && !by_verdicts.contains(&subject)
        };
        let mut pass = |verified: Option<&Goal>| {
            let verified = verified.map(|verified| &*verified.desired);
            let order = PassInput {
                verified,
                trigger: Some(&trigger),
                conditions,
                defers: Some(&waits),
                unknown,
                followed: kept.filter(|kept| kept.revision != goal.revision).map(|kept| &*kept.desired),
                now,
                ..PassInput::new(&goal.desired, &goal.text)
            };
            reconcile::pass(kernel, &order, store, lock, &mut |_| {})
        };
        let mut report = pass(last_verified.as_ref())?;
        // The operator may have applied it with `lbd apply`.
        if matches!(report.outcome, Outcome::Refused(_))
            && let Some(elsewhere) = goal.verified_elsewhere(store, last_verified.as_ref())
        {
            report = pass(Some(&elsewhere))?;
            *last_verified = Some(elsewhere);
        }
        let is_verified = matches!(report.outcome, Outcome::Verified | Outcome::PartlyRefused(_));
        if is_verified && conditions.trial.is_none() {
            *last_verified = Some(goal.clone());
        }
        // (Where an edit failed, the pass has planned it again.)
        report.done.splice(..0, edited.unwrap_or_default());
        Ok(report)
    }

    /// Which operations of an attempt repair drift; none where it has done nothing.
    pub(super) fn drift(&self, goal: &Goal, report: Option<&Report>) -> Drift {
        let Some(report) = report.filter(|report| !report.done.is_empty()) else { return Drift::default() };
        // What takes a trial back is no drift.
        let mut drift = match &self.conditions.ended_trial {
            None => self.unexplained(goal),
            Some(_) => Drift::default(),
        };
        drift.excuse(&self.job.reasons, &report.last.reasons);
        drift.waited.extend(self.changed_by_verdicts(goal));
        // Those that ended while no daemon ran.
        let servers = FileServers::of(&goal.desired.state.services);
        let ended = self.conditions.ended.iter().flat_map(|one| one.servers(&servers));
        drift.waited.extend(ended.map(|(service, server)| Subject::Server(service, server)));
        drift
    }

    /// The servers of a goal that verdicts have changed since the pass before.
    fn changed_by_verdicts(&self, goal: &Goal) -> HashSet<Subject> {
        if *self.verdicts_before == self.conditions.health {
            return HashSet::new();
        }
        let before = Conditions { health: self.verdicts_before.clone(), ..self.conditions.clone() };
        let old = Target::new(&goal.desired, &before);
        let new = Target::new(&goal.desired, self.conditions);
        reconcile::changed_servers(&old.desired.state.services, &new.desired.state.services)
    }

    /// What the file and the interfaces do not explain.
    fn unexplained(&self, goal: &Goal) -> Drift {
        let kept = self.kept.filter(|_| self.was_verified || self.was_found_here);
        Drift {
            file: kept.map(|kept| FileChange::between(&kept.desired, &goal.desired)),
            waited: self.job.waiting.clone(),
            is_first: self.was_found_here,
        }
    }
}
