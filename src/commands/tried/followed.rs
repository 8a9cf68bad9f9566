//! Finds out which file the kernel is to follow: the desired file, or that of a trial.

use std::fs;
use std::path::Path;

use super::files::{TrialFiles, parse};
use crate::commands::{CommandError, Console, inputs};
use crate::config::Source;
use crate::model::Desired;
use crate::store::Store;
use crate::target::{Clock, Trial};

/// The file that the kernel is to follow.
pub(in crate::commands) struct Followed {
    /// Its text
    pub(in crate::commands) source: Source,
    /// The state that it describes
    pub(in crate::commands) desired: Desired,
    /// The trial that it belongs to, if it is not the desired file
    pub(in crate::commands) trial: Option<Trial>,
}

/// Reads the file that the kernel is to follow: that of the trial of this desired file, if there is one in the state directory, else
/// the desired file.
pub(in crate::commands) fn followed(
    file: &Path,
    store: Option<&Store>,
    console: &Console<'_>,
) -> Result<Followed, CommandError> {
    match store.and_then(|store| trial_of(file, store)) {
        Some(trial) => {
            let (source, desired) = tried(&trial)?;
            Ok(Followed { source, desired, trial: Some(trial) })
        }
        None => {
            let (source, desired) = inputs::desired(file, &console.progress)?;
            Ok(Followed { source, desired, trial: None })
        }
    }
}

/// The trial of this desired file, if there is one.
pub(in crate::commands) fn trial_of(file: &Path, store: &Store) -> Option<Trial> {
    let trial = store.load_conditions(Clock::now()).trial?;
    let is_of = fs::canonicalize(file).is_ok_and(|file| file == Path::new(&trial.desired));
    is_of.then_some(trial)
}

/// The file of a trial of a desired file, and the state that it describes.
pub(in crate::commands) fn tried(trial: &Trial) -> Result<(Source, Desired), CommandError> {
    let files = TrialFiles::of(Path::new(&trial.desired)).map_err(CommandError::Trial)?;
    let (_, source) = files.copy(trial).map_err(CommandError::Trial)?;
    let desired = parse(&source, trial)?;
    Ok((source, desired))
}
