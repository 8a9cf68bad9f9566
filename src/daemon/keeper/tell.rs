//! What the daemon tells of a pass, in the log and in its status; each thing once, as long as it stays the same.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant, SystemTime};

use tracing::field::display;
use tracing::{debug, error, info, warn};

use super::{Ended, Keeper, Reason};
use crate::model::{Action, Change, Operation, Part, ServiceKey, Value};
use crate::reconcile::{Failed, Outcome, Report, Summary};
use crate::status::LastPass;

/// How many operations of a pass are logged one by one; a table of a hundred thousand servers shall not fill a disk.
const TOLD: usize = 200;

impl Keeper {
    /// Tells what a pass did.
    pub(super) fn note(&mut self, report: Report, reason: Reason, is_drift: bool) -> Ended {
        let Report { outcome, done, failed, last, warnings } = report;
        for operation in done.iter().flat_map(Operation::singles).take(TOLD) {
            let cluster = operation.service().and_then(|service| last.cluster(service)).map(display);
            let (service, server) = (operation.service().map(display), operation.server().map(display));
            let (action, changes) = (operation.action(), changes(&operation));
            if is_drift {
                warn!(service, server, cluster, operation = %action, changes, "drift repaired: {operation}");
            } else {
                info!(service, server, cluster, operation = %action, changes, "applied: {operation}");
            }
        }
        let summary = Summary::of(done.iter());
        let edits: usize = done.iter().map(Operation::count).sum();
        if edits > TOLD {
            let Summary { add, edit, delete } = summary;
            info!("and {} more: {add} added, {edit} edited, {delete} deleted in all", edits - TOLD);
        }
        self.complain(warnings);
        self.note_foreign(last.foreign.keys());
        self.note_waiting(&last.waiting);
        match outcome {
            Outcome::Verified | Outcome::Held => {
                let is_verified = outcome == Outcome::Verified;
                self.verified_once |= is_verified;
                if !self.status.failed.is_empty() {
                    info!("in sync again");
                    self.status.failed.clear();
                }
                self.ended(if is_verified { "verified" } else { "waiting" }, reason, summary);
                Ended::Well
            }
            Outcome::Failed => {
                for Failed { operation, refusal } in failed.iter().take(TOLD) {
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
                    .take(TOLD)
                    .map(|failed| format!("{}: {}", failed.operation, failed.refusal))
                    .collect();
                self.ended("failed", reason, summary);
                Ended::Badly
            }
            Outcome::Refused(objection) => {
                let text = objection.to_string();
                if self.status.refused.as_ref() != Some(&text) {
                    error!("the file is refused, the last good state is kept: {text}");
                    self.status.refused = Some(text);
                    self.ended("refused", reason, summary);
                }
                Ended::Refused
            }
        }
    }

    pub(super) fn fail(&mut self, problems: Vec<String>, reason: Reason) -> Ended {
        if self.status.failed != problems {
            for problem in &problems {
                error!("{problem}");
            }
            self.status.failed = problems;
        }
        self.ended("failed", reason, Summary::default());
        Ended::Unknown
    }

    fn ended(&mut self, outcome: &str, reason: Reason, summary: Summary) {
        // While a change is refused, keeping the old state is no news.
        let is_as_before = self.status.refused.is_some() && outcome == "verified"
            || self.status.last_pass.as_ref().is_some_and(|last| last.outcome == outcome);
        let is_news = summary != Summary::default() || !is_as_before;
        if is_news {
            let Summary { add, edit, delete } = summary;
            self.status.last_pass = Some(LastPass {
                at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
                reason: reason.as_str().to_owned(),
                outcome: outcome.to_owned(),
                added: add,
                edited: edit,
                deleted: delete,
            });
        }
    }

    /// Tells of services that lbd leaves alone, once.
    fn note_foreign<'a>(&mut self, foreign: impl Iterator<Item = &'a ServiceKey>) {
        let mut foreign: Vec<ServiceKey> = foreign.copied().collect();
        foreign.sort_unstable();
        for service in
            foreign.iter().filter(|service| self.foreign.binary_search(service).is_err()).take(TOLD)
        {
            info!(%service, "foreign, left alone: {service}");
        }
        self.foreign = foreign;
    }

    /// Tells what waits for an interface, once.
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
        self.awaited = awaited.into_iter().collect();
    }

    pub(super) fn note_fights(&mut self, repaired: &[Operation], resync: Duration, now: Instant) {
        let mut seen = HashSet::new();
        for operation in repaired.iter().flat_map(Operation::singles) {
            // Several rounds of one pass are one repair.
            if seen.insert(operation.subject()) && self.fights.repaired(&operation, resync, now) {
                error!(
                    service = operation.service().map(display),
                    server = operation.server().map(display),
                    "somebody else sets this entry back again and again; find out who else manages IPVS here; lbd goes \
                     on to repair it, but less and less often: {operation}"
                );
            }
        }
    }

    /// Warns, once as long as it stays the same from pass to pass.
    pub(super) fn complain(&mut self, warnings: Vec<String>) {
        for warning in warnings {
            if self.complaining.contains(&warning) {
                continue;
            }
            if !self.complaints.contains(&warning) {
                warn!("{warning}");
            }
            self.complaining.push(warning);
        }
    }
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
