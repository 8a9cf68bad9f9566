//! Defines conditions: what modifies for a while what the desired file says. Each kind is a file of its own in the state directory.
//!
//! Commands write them under the lock of a pass, and each pass reads them under it, so that a condition is in force as soon as its
//! command has ended. A condition never outlives its end, and one of an earlier boot has ended with that boot.

use super::drains::Drains;
use super::overrides::Overrides;
use super::pause::Pauses;

/// The conditions in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// What is paused
    pub pauses: Pauses,
    /// What operators have taken out of service, or given another weight
    pub overrides: Overrides,
    /// What has left the file and keeps its connections
    pub drains: Drains,
    /// Overrides whose time is over, and which no pass has taken out of their file yet
    pub ended: Overrides,
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
    ended: Overrides::NONE,
    unreadable: None,
    changes_in: None,
};

impl Conditions {
    /// Whether there are none, so that the kernel is to be what the file says.
    pub fn are_none(&self) -> bool {
        let Self { pauses, overrides, drains, ended: _, unreadable, changes_in: _ } = self;
        pauses.is_empty() && overrides.is_empty() && drains.is_empty() && unreadable.is_none()
    }
}
