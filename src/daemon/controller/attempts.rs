//! Takes in the results of a pass's attempts: which goal is kept, and when the next pass is due.

use std::time::Duration;

use tokio::time::Instant;

use super::Controller;
use super::outcome::{PassContext, PassResult};
use crate::daemon::attempt::Attempt;
use crate::daemon::backoff;

impl Controller {
    /// How long to wait for the next pass, by the result of this one: not longer than a repair is deferred.
    pub(super) fn pause(&mut self, ended: Option<PassResult>, now: Instant) -> Duration {
        /// The entries of one table are deferred until almost the same time.
        const TOGETHER: Duration = Duration::from_secs(1);
        let resync = self.policy().resync;
        if matches!(ended, Some(PassResult::Incomplete | PassResult::Unreachable)) {
            self.failures = self.failures.saturating_add(1);
            backoff::wait(self.failures, resync, (self.chance)())
        } else {
            self.failures = 0;
            let due = self.conflicts.first_due(now);
            due.map_or(resync, |due| resync.min((due - now).max(TOGETHER)))
        }
    }

    /// Takes in the result of the pending file, which becomes the goal unless it was rejected.
    pub(super) fn finish_pending(
        &mut self,
        attempt: Attempt,
        context: PassContext,
        warnings: &mut Vec<String>,
    ) -> PassResult {
        let goal = attempt.goal.clone();
        let result = self.note(attempt, context, warnings);
        match result {
            PassResult::Converged | PassResult::Incomplete => {
                self.status.refused = None;
                self.goal_was_verified = result == PassResult::Converged;
                // A newer file that came meanwhile is still to be tried.
                self.pending.take_if(|pending| pending.revision == goal.revision);
                self.goal = Some(goal);
            }
            // A guard rejected it, or it is not known whether one would.
            // Or nothing is tried, since everything is paused.
            PassResult::Rejected | PassResult::Unreachable | PassResult::Paused => {}
        }
        result
    }

    /// Takes in the result of the goal that is kept.
    pub(super) fn finish_goal(
        &mut self,
        attempt: Attempt,
        context: PassContext,
        warnings: &mut Vec<String>,
    ) -> PassResult {
        let is_verified = attempt.is_verified();
        let result = self.note(attempt, context, warnings);
        self.goal_was_verified |= is_verified;
        result
    }
}
