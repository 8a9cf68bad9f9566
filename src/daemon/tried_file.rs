//! Reads the copy of a trial's file that lies beside the desired file.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::goal::Goal;
use crate::config::Source;
use crate::error_chain::ErrorChain;
use crate::files::{beside, sha256};
use crate::model::Desired;
use crate::target::{Allowed, TRIAL_COPY, Trial};

/// The longest file that is read, in bytes: as long as a desired file may be.
const LARGEST: u64 = 32 << 20;

/// What is known of trials from pass to pass.
#[derive(Default)]
pub(super) struct Tried {
    /// The file of the trial under way
    pub(super) file: Option<TriedFile>,
    /// A trial that must not go on, and why, where that cannot be written down: it must not begin again at each pass
    pub(super) ended: Option<(Trial, String)>,
}

/// The file of a trial that was read last.
pub(super) struct TriedFile {
    /// The SHA-256 of its text
    sha256: String,
    /// The exceptions from its policy
    allowed: Allowed,
    /// The goal, with these exceptions
    pub(super) goal: Goal,
}

impl TriedFile {
    /// Whether it is that of this trial.
    pub(super) fn is_of(&self, trial: &Trial) -> bool {
        (&self.sha256, self.allowed) == (&trial.sha256, trial.allowed)
    }

    /// Reads that of this trial, which lies beside the desired file.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was tried: why.
    pub(super) fn read(file: &Path, trial: &Trial) -> Result<Self, String> {
        let place = fs::canonicalize(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let path = beside::beside(&place, TRIAL_COPY);
        let text = beside::open(&path).and_then(|file| beside::read(&file, &path, LARGEST));
        let text =
            String::from_utf8(text.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        if sha256(&text) != trial.sha256 {
            return Err(format!("{}: is another file than the trial began with", path.display()));
        }
        let goal = Goal::parse(Source::new(trial.file.clone(), text), u64::MAX)
            .map_err(|error| ErrorChain(&error).to_string())?;
        let desired =
            Desired { policy: trial.allowed.policy(goal.desired.policy), ..Desired::clone(&goal.desired) };
        let (sha256, allowed) = (trial.sha256.clone(), trial.allowed);
        Ok(Self { sha256, allowed, goal: Goal { desired: Arc::new(desired), ..goal } })
    }
}
