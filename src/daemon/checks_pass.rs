//! Carries out what only verdicts change, without a reading of the whole table.

use tracing::debug;

use super::attempt::Job;
use super::checks::ChecksPass;
use super::health_change::HealthChange;
use super::pass::Passes;
use crate::error_chain::ErrorChain;
use crate::reconcile;
use crate::store::Lock;
use crate::target::{Clock, Conditions};

impl Passes {
    /// Carries out what only verdicts change, without a reading of the whole table: the goal was verified under the conditions of the pass before,
    /// and no other condition has changed since. `None`, and nothing was done, where a whole pass has to do it.
    pub(super) fn pass_of_checks(
        &mut self,
        job: &Job,
        conditions: &mut Conditions,
        lock: Option<&Lock>,
        now: Clock,
        warnings: &mut Vec<String>,
    ) -> Option<ChecksPass> {
        let goal = job.goal.as_ref().filter(|_| job.only_checks)?;
        let are_others_as_before = self.checks.has_overrides(&conditions.overrides)
            && conditions.ended.is_empty()
            && conditions.pauses.is_empty()
            && conditions.trial.is_none()
            && conditions.ended_trial.is_none()
            && conditions.unreadable.is_none();
        if !are_others_as_before {
            return None;
        }
        let mut before = conditions.clone();
        before.health = self.checks.at_last_pass();
        self.checks.take_in(&self.store, goal, None, conditions, now, warnings);
        before.altered.clone_from(&conditions.altered);
        let services = conditions.health.services_other_than(&before.health);
        let kernel = self.kernel.as_mut()?;
        let part =
            reconcile::partial_pass(kernel.as_mut(), &goal.desired, &services, &before, conditions, lock);
        let part = part.unwrap_or_else(|error| {
            debug!("cannot read the services that verdicts change: {}", ErrorChain(&error));
            // The connection may be broken; the whole pass makes a new one.
            self.kernel = None;
            None
        })?;
        // What is not verified a whole pass does, which takes the verdicts in again.
        let health = match part.is_verified {
            true => self.checks.followed(&self.store, goal, conditions, &|_| false, now, warnings),
            false => HealthChange::default(),
        };
        Some(ChecksPass { part, services, health })
    }
}
