//! Notes in the history what the passes of the daemon did: one event of each kind for a pass, however much it changed.

use super::Controller;
use super::outcome::PassContext;
use crate::daemon::drift::Drift;
use crate::daemon::event::DaemonAction;
use crate::history::{EventKind, HistoryEvent};
use crate::model::Operation;
use crate::reconcile::{Outcome, Report, StateDiff, noted};

impl Controller {
    /// Notes an event.
    pub(super) fn note_event(&mut self, event: HistoryEvent) {
        self.actions.push(DaemonAction::NoteEvent(Box::new(event)));
    }

    /// Notes what a pass changed, and apart from it what it repaired.
    pub(super) fn note_changes(&mut self, report: &Report, drift: &Drift, context: PassContext) {
        let (repaired, applied): (Vec<&Operation>, Vec<&Operation>) =
            report.done.iter().partition(|operation| drift.is_repaired_by(operation));
        repaired.iter().for_each(|operation| self.counters.repaired(operation.kind()));
        let end = match &report.outcome {
            Outcome::Failed | Outcome::Unverified(_) | Outcome::Refused(_) => ", not verified",
            Outcome::Verified
            | Outcome::PartlyRefused(_)
            | Outcome::Deferred
            | Outcome::Unexpected(_)
            | Outcome::Paused => "",
        };
        let when = if drift.is_first { ", changed while no daemon ran" } else { "" };
        for (kind, operations, when) in
            [(EventKind::Applied, applied, ""), (EventKind::Drift, repaired, when)]
        {
            if !operations.is_empty() {
                let event =
                    HistoryEvent::new(context.at, kind, format_args!("{}{when}{end}", context.reason));
                self.note_event(noted(event, &operations, &report.last));
            }
        }
    }

    /// Notes which entries another program keeps reverting, of those that have just become a conflict.
    pub(super) fn note_event_of_conflicts(
        &mut self,
        reverted: &[&Operation],
        last: &StateDiff,
        context: PassContext,
    ) {
        if !reverted.is_empty() {
            let text = "another program keeps reverting what lbd repairs";
            let event = HistoryEvent::new(context.at, EventKind::Conflict, text);
            self.note_event(noted(event, reverted, last));
        }
    }
}
