//! What the log and the status say of a pass; each thing once, as long as it stays the same.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::field::display;
use tracing::{debug, error, info, warn};

use super::{Controller, PassResult};
use crate::daemon::pass::{Attempt, StateDirectory};
use crate::guard::Objection;
use crate::model::{Action, Change, Operation, Part, ServiceKey, Value};
use crate::reconcile::{Failed, Outcome, Report, Summary};
use crate::status::{LastPass, PassOutcome, PassReason};

/// How many operations of a pass are logged one by one; a table of a hundred thousand servers shall not fill a disk.
const LOGGED: usize = 200;

/// The pass that an attempt belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion {
    /// Why it ran
    pub(super) reason: PassReason,
    /// When it ended, by the wall clock
    pub(super) at: SystemTime,
    /// When it ended
    pub(super) now: Instant,
}

impl Controller {
    /// Notes what an attempt did; what is to be warned of is added to `warnings`.
    pub(super) fn note(
        &mut self,
        attempt: Attempt,
        is_drift: bool,
        occasion: Occasion,
        warnings: &mut Vec<String>,
    ) -> PassResult {
        self.at_rest = attempt.is_verified();
        let Attempt { goal, result } = attempt;
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                self.note_failures(
                    vec![error.to_string()],
                    PassOutcome::Failed,
                    occasion,
                    Summary::default(),
                );
                return PassResult::Unreachable;
            }
        };
        if is_drift {
            self.note_conflicts(&report.done, goal.desired.policy.resync, occasion.now);
        }
        let Report { outcome, done, failed, last, warnings: of_pass } = report;
        for operation in done.iter().take(LOGGED) {
            let cluster = operation.service().and_then(|service| last.cluster(service)).map(display);
            let (service, server) = (operation.service().map(display), operation.server().map(display));
            let (action, changes) = (operation.action(), changes(operation));
            if is_drift {
                warn!(service, server, cluster, operation = %action, changes, "drift repaired: {operation}");
            } else {
                info!(service, server, cluster, operation = %action, changes, "applied: {operation}");
            }
        }
        let summary = Summary::of(done.iter());
        if done.len() > LOGGED {
            let Summary { add, edit, delete } = summary;
            info!("and {} more: {add} added, {edit} edited, {delete} deleted in all", done.len() - LOGGED);
        }
        warnings.extend(of_pass);
        self.note_foreign(last.foreign.keys());
        self.note_waiting(&last.waiting);
        match outcome {
            Outcome::Verified | Outcome::PartlyRefused(_) | Outcome::Held => {
                let is_held = outcome == Outcome::Held;
                self.is_ready |= !is_held;
                self.note_refused_deletions(last.objection.as_ref());
                if !self.status.failed.is_empty() {
                    info!("in sync again");
                    self.status.failed.clear();
                }
                let end = match outcome {
                    Outcome::PartlyRefused(_) => PassOutcome::PartlyRefused,
                    _ if is_held => PassOutcome::Deferred,
                    _ => PassOutcome::Verified,
                };
                self.note_end(end, occasion, summary);
                PassResult::Converged
            }
            Outcome::Unverified(reason) => {
                // All that adds to the table is done, and whoever announces its addresses may start.
                self.is_ready = true;
                let problem = format!("not verified, and nothing is deleted: {reason}");
                self.note_failures(vec![problem], PassOutcome::Unverified, occasion, summary);
                PassResult::Incomplete
            }
            Outcome::Failed => {
                self.note_refused_deletions(last.objection.as_ref());
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
                self.note_end(PassOutcome::Failed, occasion, summary);
                PassResult::Incomplete
            }
            Outcome::Refused(objection) => {
                let text = accepted_by_apply(&objection);
                if self.status.refused.as_ref() != Some(&text) {
                    error!("the file is refused, the last good state is kept: {text}");
                    self.status.refused = Some(text);
                    self.note_end(PassOutcome::Refused, occasion, summary);
                }
                PassResult::Rejected
            }
        }
    }

    /// Notes deletions that a guard refuses while the file is followed otherwise, and logs them once.
    fn note_refused_deletions(&mut self, objection: Option<&Objection>) {
        let text = objection.map(accepted_by_apply);
        if let Some(text) = text.as_ref().filter(|text| self.status.refused_in_part.as_ref() != Some(*text)) {
            error!("the file is followed, but for deletions that are refused: {text}");
        }
        self.status.refused_in_part = text;
    }

    /// Notes that somebody removed the state directory, once as long as it stays so.
    pub(super) fn note_directory(&mut self, directory: StateDirectory) {
        let gone = match directory {
            StateDirectory::There => None,
            StateDirectory::Renewed => {
                warn!("the state directory had been removed; it was made again");
                // What was in it has to be written again.
                self.written = None;
                None
            }
            StateDirectory::Gone(reason) => Some(format!(
                "the state directory was removed, and cannot be made again: {reason}; lbd goes on without it; restart lbd.service"
            )),
        };
        if let Some(text) = gone.as_ref().filter(|text| self.status.no_directory.as_ref() != Some(*text)) {
            error!("{text}");
        }
        self.status.no_directory = gone;
    }

    /// Notes why a pass did not come to its end, each reason once.
    fn note_failures(
        &mut self,
        problems: Vec<String>,
        outcome: PassOutcome,
        occasion: Occasion,
        summary: Summary,
    ) {
        if self.status.failed != problems {
            for problem in &problems {
                error!("{problem}");
            }
            self.status.failed = problems;
        }
        self.note_end(outcome, occasion, summary);
    }

    fn note_end(&mut self, outcome: PassOutcome, occasion: Occasion, summary: Summary) {
        // While a change is refused, keeping the old state is no news.
        let is_as_before = self.status.refused.is_some() && outcome == PassOutcome::Verified
            || self.status.last_pass.as_ref().is_some_and(|last| last.outcome == outcome);
        let is_news = summary != Summary::default() || !is_as_before;
        if is_news {
            let Summary { add, edit, delete } = summary;
            self.status.last_pass = Some(LastPass {
                at: occasion.at.into(),
                reason: occasion.reason,
                outcome,
                added: add,
                edited: edit,
                deleted: delete,
            });
        }
    }

    /// Logs services that lbd leaves alone, once.
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

    /// Logs what waits for an interface, once.
    fn note_waiting(&mut self, waiting: &[Operation]) {
        let mut awaited = BTreeSet::new();
        let mut told = Vec::new();
        for operation in waiting {
            if let Some(link) = operation.link() {
                told.push(format!("{operation} when {link}"));
                awaited.insert(link);
            }
        }
        for text in told.iter().filter(|text| !self.status.waiting.contains(text)) {
            info!("waiting: {text}");
        }
        self.status.waiting = told;
        let awaited: Vec<_> = awaited.into_iter().collect();
        if self.awaited != awaited {
            self.awaited.clone_from(&awaited);
            self.actions.push(super::Action::AwaitLinks(awaited));
        }
    }

    fn note_conflicts(&mut self, repaired: &[Operation], resync: Duration, now: Instant) {
        let mut seen = HashSet::new();
        for operation in repaired {
            // Several rounds of one pass are one repair.
            if seen.insert(operation.subject()) && self.conflicts.repaired(operation, resync, now) {
                error!(
                    service = operation.service().map(display),
                    server = operation.server().map(display),
                    "another program keeps reverting this entry; find out who else manages IPVS here; lbd goes on to repair \
                     it, but less and less often: {operation}"
                );
            }
        }
    }

    /// Logs warnings, each once as long as it stays the same from pass to pass.
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

/// What a guard says, and what becomes of it when the operator does what it advises.
fn accepted_by_apply(objection: &Objection) -> String {
    format!("{objection}; the daemon takes as accepted what `lbd apply` has done")
}

/// The fields that an operation sets, for the log; none for a deletion.
fn changes(operation: &Operation) -> Option<String> {
    let parts = operation.parts();
    let several = parts.len() > 1;
    let change = |part: &Part, Change { field, from, to }: &Change| {
        let text =
            |value: &Option<Value>| value.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let of = part.name.as_ref().filter(|_| several).map(|name| format!("{name} ")).unwrap_or_default();
        match part.action {
            Action::Add => format!("{of}{field}: {}", text(to)),
            Action::Edit | Action::Delete => format!("{of}{field}: {} -> {}", text(from), text(to)),
        }
    };
    let changes: Vec<String> =
        parts.iter().flat_map(|part| part.changes.iter().map(|of| change(part, of))).collect();
    (!changes.is_empty()).then(|| changes.join(", "))
}
