//! Writes the results of a pass to the log and the status; what stays the same is logged once.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::field::display;
use tracing::{debug, error, info, warn};

use super::{Controller, looks};
use crate::daemon::attempt::Attempt;
use crate::daemon::pass::StateDirectory;
use crate::error_chain::ErrorChain;
use crate::guard::GuardRefusal;
use crate::history::{EventKind, HistoryEvent};
use crate::model::{Operation, ServiceKey};
use crate::reconcile::{Failed, Outcome, Report, StateDiff, Summary, changed_fields};
use crate::status::{LastPass, PassOutcome, PassReason};
use crate::target::{Conditions, Trial};

/// How many operations of a pass are logged one by one: a table of a hundred thousand servers must not fill a disk.
pub(super) const LOGGED: usize = 200;

/// The pass of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassContext {
    /// Why it ran
    pub(super) reason: PassReason,
    /// When it ended, by the wall clock
    pub(super) at: SystemTime,
    /// When it ended
    pub(super) now: Instant,
}

/// The consequence of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassResult {
    /// The kernel equals the goal, but for deferred repairs
    Converged,
    /// The kernel refused an operation, or it is not known what lbd owns
    Incomplete,
    /// Nothing was written, since everything is paused
    Paused,
    /// A guard refused the file
    Rejected,
    /// The kernel could not be read or written
    Unreachable,
}

impl Controller {
    /// Records what an attempt did; adds its warnings to `warnings`.
    pub(super) fn note(
        &mut self,
        attempt: Attempt,
        context: PassContext,
        warnings: &mut Vec<String>,
    ) -> PassResult {
        self.last_pass_verified = attempt.is_verified();
        let Attempt { goal, result, drift } = attempt;
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                self.note_failures(
                    vec![ErrorChain(&error).to_string()],
                    PassOutcome::Failed,
                    context,
                    Summary::default(),
                );
                return PassResult::Unreachable;
            }
        };
        self.reasons.clone_from(&report.last.reasons);
        self.note_changes(&report, &drift, context);
        let repaired = report.done.iter().filter(|operation| drift.is_repaired_by(operation));
        let interval = looks::interval(context.reason, goal.desired.policy.resync);
        self.note_conflicts(repaired, &report.last, interval, context);
        let Report { outcome, done, failed, last, warnings: of_pass } = report;
        let drift_of = |operation: &Operation| {
            let when = if drift.is_first { " (changed while no daemon ran)" } else { "" };
            drift.is_repaired_by(operation).then_some(when)
        };
        log_applied(&done, &last, drift_of);
        let summary = Summary::of(done.iter());
        warnings.extend(of_pass);
        self.note_foreign(last.foreign.keys());
        self.note_waiting(&last.awaiting_link);
        // What is left out is written later, and no other program has changed it then.
        self.waiting.extend(last.left_out.iter().map(Operation::subject));
        match outcome {
            Outcome::Verified | Outcome::PartlyRefused(_) | Outcome::Deferred => {
                let is_held = outcome == Outcome::Deferred;
                self.is_ready |= !is_held;
                self.note_refused_deletions(last.guard_refusal.as_ref(), context);
                if !self.status.failed.is_empty() {
                    info!("in sync again");
                    self.status.failed.clear();
                }
                let end = match outcome {
                    Outcome::PartlyRefused(_) => PassOutcome::PartlyRefused,
                    _ if is_held => PassOutcome::Deferred,
                    _ => PassOutcome::Verified,
                };
                self.note_end(end, context, summary);
                PassResult::Converged
            }
            // Only a command expects a certain plan.
            Outcome::Unexpected(_) => PassResult::Rejected,
            Outcome::Paused => {
                // Programs that announce the table's addresses need not wait for the end of the pause.
                self.is_ready = true;
                self.note_refused_deletions(last.guard_refusal.as_ref(), context);
                self.status.failed.clear();
                self.note_end(PassOutcome::Paused, context, summary);
                if last.pauses.cover_everything() { PassResult::Paused } else { PassResult::Converged }
            }
            Outcome::Unverified(reason) => {
                // Everything was added to the table, so that programs that announce its addresses may start.
                self.is_ready = true;
                let problem = format!("not verified, and nothing is deleted: {reason}");
                self.note_failures(vec![problem], PassOutcome::Unverified, context, summary);
                PassResult::Incomplete
            }
            Outcome::Failed => {
                self.note_refused_deletions(last.guard_refusal.as_ref(), context);
                for Failed { operation, refusal } in failed.iter().take(LOGGED) {
                    let text = format!("{operation}: {refusal}");
                    if self.status.failed.contains(&text) {
                        debug!("still refused: {text}");
                        continue;
                    }
                    let cluster = operation.service().and_then(|service| last.cluster(service)).map(display);
                    let (service, server) =
                        (operation.service().map(display), operation.server().map(display));
                    let errno = refusal.errno;
                    error!(service, server, cluster, operation = %operation.action(), errno, "{text}");
                }
                self.status.failed = failed
                    .iter()
                    .take(LOGGED)
                    .map(|failed| format!("{}: {}", failed.operation, failed.refusal))
                    .collect();
                self.note_end(PassOutcome::Failed, context, summary);
                PassResult::Incomplete
            }
            Outcome::Refused(guard_refusal) => {
                let text = accepted_by_apply(&guard_refusal);
                if self.status.refused.as_ref() != Some(&text) {
                    error!("the file is refused, the last good state is kept: {text}");
                    self.note_event(HistoryEvent::new(context.at, EventKind::Refused, &text));
                    self.status.refused = Some(text);
                    self.note_end(PassOutcome::Refused, context, summary);
                }
                PassResult::Rejected
            }
        }
    }

    /// Records deletions that a guard refuses while the rest of the file is applied, and logs them once.
    fn note_refused_deletions(&mut self, guard_refusal: Option<&GuardRefusal>, context: PassContext) {
        let text = guard_refusal.map(accepted_by_apply);
        if let Some(text) = text.as_ref().filter(|text| self.status.refused_in_part.as_ref() != Some(*text)) {
            error!("the file is applied, but for deletions that are refused: {text}");
            self.note_event(HistoryEvent::new(context.at, EventKind::Refused, text));
        }
        self.status.refused_in_part = text;
    }

    /// Records the conditions in force, logs each once when it begins and when it is over, and when the next one ends.
    pub(super) fn note_conditions(&mut self, conditions: &Conditions, now: Instant) {
        let paused: Vec<String> = conditions.pauses.iter().map(ToString::to_string).collect();
        for pause in paused.iter().filter(|pause| !self.status.paused.contains(pause)) {
            warn!("paused, nothing is written: {pause}");
        }
        for pause in self.status.paused.iter().filter(|pause| !paused.contains(pause)) {
            info!("no longer paused: {pause}");
        }
        self.status.paused = paused;
        let overridden: Vec<String> = conditions.overrides.iter().map(ToString::to_string).collect();
        for one in overridden.iter().filter(|one| !self.status.overridden.contains(one)) {
            info!("override: {one}");
        }
        for one in self.status.overridden.iter().filter(|one| !overridden.contains(one)) {
            info!("override is over: {one}");
        }
        self.status.overridden = overridden;
        self.drains = !conditions.drains.is_empty();
        let trial = conditions.trial.as_ref().map(ToString::to_string);
        if self.status.trial != trial {
            if let Some(over) = &self.status.trial {
                let why = conditions.ended_trial.as_ref().map(Trial::end);
                let why = why.unwrap_or_else(|| "confirmed or cancelled".to_owned());
                info!("the trial is over ({why}): {over}");
            }
            if let Some(begun) = &trial {
                info!("a trial has begun: {begun}");
            }
        }
        self.status.trial = trial;
        self.condition_pass = conditions.changes_in.map(|left| now + Duration::from_millis(left));
    }

    /// Records that the state directory was removed, and logs it once.
    pub(super) fn note_directory(&mut self, directory: StateDirectory) {
        let gone = match directory {
            StateDirectory::There => None,
            StateDirectory::Renewed => {
                warn!("the state directory was removed; lbd has created it again");
                // The status has to be written again.
                self.written = None;
                None
            }
            StateDirectory::Gone(reason) => Some(format!(
                "the state directory was removed, and cannot be created again: {reason}; lbd goes on without it; restart lbd.service"
            )),
        };
        if let Some(text) = gone.as_ref().filter(|text| self.status.no_directory.as_ref() != Some(*text)) {
            error!("{text}");
        }
        self.status.no_directory = gone;
    }

    /// Records why a pass could not run to its end, and logs each problem once.
    fn note_failures(
        &mut self,
        problems: Vec<String>,
        outcome: PassOutcome,
        context: PassContext,
        summary: Summary,
    ) {
        if self.status.failed != problems {
            for problem in &problems {
                error!("{problem}");
            }
            self.status.failed = problems;
        }
        self.note_end(outcome, context, summary);
    }

    pub(super) fn note_end(&mut self, outcome: PassOutcome, context: PassContext, summary: Summary) {
        // While a file is refused, verifying the state before it is no news.
        let is_as_before = self.status.refused.is_some() && outcome == PassOutcome::Verified
            || self.status.last_pass.as_ref().is_some_and(|last| last.outcome == outcome);
        let is_news = summary != Summary::default() || !is_as_before;
        if is_news {
            let Summary { add, edit, delete } = summary;
            self.status.last_pass = Some(LastPass {
                at: context.at.into(),
                reason: context.reason,
                outcome,
                added: add,
                edited: edit,
                deleted: delete,
            });
        }
    }

    /// Logs foreign services, which lbd leaves alone, once.
    fn note_foreign<'a>(&mut self, foreign: impl Iterator<Item = &'a ServiceKey>) {
        let mut foreign: Vec<ServiceKey> = foreign.copied().collect();
        foreign.sort_unstable();
        for service in
            foreign.iter().filter(|service| self.foreign.binary_search(service).is_err()).take(LOGGED)
        {
            info!(%service, "foreign, left alone: {service}");
        }
        self.foreign = foreign;
    }

    /// Records what waits for an interface, and logs it once.
    fn note_waiting(&mut self, waiting: &[Operation]) {
        self.waiting = waiting.iter().map(Operation::subject).collect();
        let mut awaited = BTreeSet::new();
        let mut waiting_texts = Vec::new();
        for operation in waiting {
            if let Some(link) = operation.link() {
                waiting_texts.push(format!("{operation} when {link}"));
                awaited.insert(link);
            }
        }
        for text in waiting_texts.iter().filter(|text| !self.status.waiting.contains(text)) {
            info!("waiting: {text}");
        }
        self.status.waiting = waiting_texts;
        let awaited: Vec<_> = awaited.into_iter().collect();
        if self.awaited != awaited {
            self.awaited.clone_from(&awaited);
            self.actions.push(super::DaemonAction::AwaitLinks(awaited));
        }
    }

    fn note_conflicts<'a>(
        &mut self,
        repaired: impl Iterator<Item = &'a Operation>,
        last: &StateDiff,
        interval: Duration,
        context: PassContext,
    ) {
        let mut seen = HashSet::new();
        let mut reverted = Vec::new();
        for operation in repaired {
            // Several rounds of one pass are one repair.
            if seen.insert(operation.subject()) && self.conflicts.repaired(operation, interval, context.now) {
                reverted.push(operation);
                error!(
                    service = operation.service().map(display),
                    server = operation.server().map(display),
                    "another program keeps reverting this entry; find out which one also manages IPVS on this host; lbd \
                     keeps repairing the entry, at growing intervals: {operation}"
                );
            }
        }
        self.note_event_of_conflicts(&reverted, last, context);
    }

    /// Logs warnings, each once as long as every pass repeats it.
    pub(super) fn warn(&mut self, warnings: Vec<String>) {
        let mut warned: Vec<String> = Vec::new();
        for warning in warnings {
            if warned.contains(&warning) {
                continue;
            }
            if !self.warned.contains(&warning) {
                warn!("{warning}");
            }
            warned.push(warning);
        }
        self.warned = warned;
    }
}

/// Logs operations that were carried out. `drift_of` says of which that they repair drift, and what is to be said of it.
pub(super) fn log_applied(
    done: &[Operation],
    last: &StateDiff,
    drift_of: impl Fn(&Operation) -> Option<&'static str>,
) {
    for operation in done.iter().take(LOGGED) {
        let cluster = operation.service().and_then(|service| last.cluster(service)).map(display);
        let (service, server) = (operation.service().map(display), operation.server().map(display));
        let (action, changes) = (operation.action(), changed_fields(operation));
        if let Some(when) = drift_of(operation) {
            warn!(service, server, cluster, operation = %action, changes, "drift repaired: {operation}{when}");
        } else {
            let reason = last.reason(operation).map(display);
            info!(service, server, cluster, operation = %action, changes, reason, "applied: {operation}");
        }
    }
    if done.len() > LOGGED {
        let Summary { add, edit, delete } = Summary::of(done.iter());
        info!("and {} more: {add} added, {edit} edited, {delete} deleted in all", done.len() - LOGGED);
    }
}

/// The message of a guard, and what the daemon does after the operator has followed its advice.
fn accepted_by_apply(guard_refusal: &GuardRefusal) -> String {
    format!("{guard_refusal}; the daemon accepts what `lbd apply` has applied")
}
