//! Counts passes for metrics: why they ran, how they ended, and how long they took.

use super::Controller;
use crate::daemon::pass::Pass;
use crate::metrics::PassEnd;
use crate::status::{PassOutcome, PassReason};

impl Controller {
    /// Counts a pass that has ended. Of several attempts the last one counts, since it is what is kept, but for a refusal: an operator has to know it.
    pub(super) fn count(&self, pass: &Pass, reason: PassReason) {
        let counters = &self.counters;
        match pass {
            Pass::Unchanged { at, cost: _ } => {
                counters.pass_ended(reason, PassEnd::Unchanged, None);
                counters.verified(*at);
            }
            // A heartbeat of the checker, each few seconds.
            Pass::NoVerdict { .. } => {}
            Pass::Superseded { .. } => counters.pass_ended(reason, PassEnd::Superseded, None),
            Pass::Checks { at, cost, .. } => {
                counters.pass_ended(reason, PassEnd::Full(PassOutcome::Verified), Some(*cost));
                counters.verified(*at);
            }
            Pass::Full { trial, pending, goal, at, cost, .. } => {
                let attempts = [trial, pending, goal].into_iter().flatten();
                let last = attempts.clone().next_back();
                let is_refused = attempts.clone().any(|attempt| attempt.is_refused());
                let end = match last {
                    None => PassEnd::NoFile,
                    Some(_) if is_refused => PassEnd::Full(PassOutcome::Refused),
                    Some(attempt) => PassEnd::Full(attempt.outcome()),
                };
                counters.pass_ended(reason, end, last.map(|_| *cost));
                if last.is_some_and(|attempt| attempt.is_verified()) {
                    counters.verified(*at);
                }
            }
        }
    }
}
