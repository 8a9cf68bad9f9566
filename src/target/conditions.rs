//! Defines conditions: what modifies for a while what the desired file says. Each kind is a file of its own in the state directory.
//!
//! Commands write them under the lock of a pass, and each pass reads them under it, so that a condition is in force as soon as its
//! command has ended. A condition never outlives its end, and one of an earlier boot has ended with that boot.

use super::drains::Drains;
use super::health::{Altered, InForce};
use super::overrides::Overrides;
use super::pause::Pauses;
use super::trial::{Trial, TrialEnd};

/// The conditions in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// What is paused
    pub pauses: Pauses,
    /// What operators have taken out of service, or given another weight
    pub overrides: Overrides,
    /// What has left the file and keeps its connections
    pub drains: Drains,
    /// What checks have shown of the servers
    pub health: InForce,
    /// What checks have altered before, where a pause lets them go on
    pub altered: Altered,
    /// Overrides whose time is over, and which no pass has taken out of their file yet
    pub ended: Overrides,
    /// The trial under way, if there is one: the kernel follows its file in place of the desired one
    pub trial: Option<Trial>,
    /// A trial that is over, and whose effects no pass has taken back yet
    pub ended_trial: Option<Trial>,
    /// Why a file of conditions cannot be read, if so: weights and deletions stay as they are then
    pub unreadable: Option<String>,
    /// How long they stay as they are, in milliseconds; for ever where none ends by itself
    pub changes_in: Option<u64>,
}

/// None: the kernel is to be what the file says.
pub static NO_CONDITIONS: Conditions = Conditions {
    pauses: Pauses::NONE,
    overrides: Overrides::NONE,
    drains: Drains::NONE,
    health: InForce::NONE,
    altered: Altered::NONE,
    ended: Overrides::NONE,
    trial: None,
    ended_trial: None,
    unreadable: None,
    changes_in: None,
};

impl Conditions {
    /// Ends the trial under way, if there is one: its effects are to be taken back.
    pub fn end_trial(&mut self, end: TrialEnd) {
        if let Some(trial) = self.trial.take() {
            self.ended_trial = Some(Trial { ended: Some(end), ..trial });
        }
    }

    /// Whether there are none, so that the kernel is to be what the file says.
    pub fn are_none(&self) -> bool {
        let Self {
            pauses,
            overrides,
            drains,
            health,
            altered: _,
            ended: _,
            trial,
            ended_trial,
            unreadable,
            changes_in: _,
        } = self;
        let is_tried = trial.is_some() || ended_trial.is_some();
        pauses.is_empty()
            && overrides.is_empty()
            && drains.is_empty()
            && health.is_empty()
            && !is_tried
            && unreadable.is_none()
    }
}
