//! Defines in which stages a revision goes out to the directors of a fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;

use super::records::are_labels_of;
use crate::model::named;

/// The strategy of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// The directors, each with its labels: who must be heard of
    pub directors: IndexMap<String, BTreeMap<String, String>>,
    /// The stages, one after the other. Each director is in the first one whose labels it has; there is one for each.
    pub stages: Vec<Stage>,
    /// What makes a revision verified at a director
    pub healthy: Healthy,
    /// What follows where it is not
    pub on_failure: OnFailure,
    /// How many directors may be without a report while a revision goes out; those with a slot do not count
    pub max_unavailable: usize,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The labels of its directors; all that are left where there are none
    pub labels: BTreeMap<String, String>,
    /// How long its last director has to be verified before the next stage begins
    pub hold: Duration,
    /// How many of its directors take a revision at the same time
    pub max_parallel: Parallel,
}

/// How many directors of a stage take a revision at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallel {
    /// So many
    Count(usize),
    /// This share of the stage, rounded up
    Percent(usize),
}

impl Parallel {
    /// How many of a stage with so many directors: one at least.
    pub fn of(self, directors: usize) -> usize {
        match self {
            Self::Count(count) => count.max(1),
            Self::Percent(percent) => (directors * percent).div_ceil(100).max(1),
        }
    }
}

/// What makes a revision verified at a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthy {
    /// Within this time the daemon has verified the file
    pub deadline: Duration,
    /// For so long the kernel has been equal to the target since then
    pub in_sync: Duration,
}

impl Default for Healthy {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(120), in_sync: Duration::from_secs(30) }
    }
}

/// What follows where a revision fails at a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnFailure {
    /// Whether no other director takes the revision any more
    pub halt: bool,
    /// Which directors go back to the file before
    pub revert: Revert,
}

impl Default for OnFailure {
    fn default() -> Self {
        Self { halt: true, revert: Revert::Own }
    }
}

named! {
    /// Which directors go back to the file before.
    pub enum Revert {
        /// The one where the revision failed.
        Own = "self",
        /// All of its stage.
        Stage = "stage",
        /// All.
        Fleet = "fleet",
    }
}

impl Strategy {
    /// The stage of a director: its index. `None`: it is not in the inventory.
    pub fn stage_of(&self, director: &str) -> Option<usize> {
        let labels = self.directors.get(director)?;
        self.stages.iter().position(|stage| are_labels_of(&stage.labels, director, labels))
    }

    /// The directors of a stage, in the order of the inventory.
    pub fn directors_of(&self, stage: usize) -> impl Iterator<Item = &str> {
        self.directors.keys().map(String::as_str).filter(move |name| self.stage_of(name) == Some(stage))
    }

    /// The director that makes what it fetched from git the revision of all: the first one of the first stage.
    pub fn first_canary(&self) -> Option<&str> {
        (0..self.stages.len()).find_map(|stage| self.directors_of(stage).next())
    }
}
