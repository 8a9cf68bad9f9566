//! Keeps what is tried beside the desired file: a copy, which `confirm` renames into place, and what `confirm` has to know of it.
//!
//! The file of the condition lies in the state directory, which belongs to the user that the daemon runs as. Nothing in it decides what
//! root installs: these two files do, which nobody but root can have written or replaced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::TrialError;
use crate::config::{self, Source};
use crate::files::{FileError, beside, seal, sha256};
use crate::model::Desired;
use crate::target::{TRIAL_COPY, Trial};

/// How the name of the notes ends.
const NOTES: &str = "trial.json";
/// Their version.
const VERSION: u32 = 2;
/// The longest copy that is read, in bytes: as long as a desired file may be.
const LARGEST: u64 = 32 << 20;
/// The longest notes: they contain a desired file, in which each character may be escaped.
const LARGEST_NOTES: u64 = 6 * LARGEST;

/// What root has noted when the trial began.
#[derive(Serialize, Deserialize)]
pub(in crate::commands) struct Notes {
    /// The boot in which it began
    pub(in crate::commands) boot: String,
    /// The trial as it was then
    pub(in crate::commands) trial: Trial,
    /// The text of the desired file then
    pub(in crate::commands) desired: String,
}

/// The two files of a trial.
pub(in crate::commands) struct TrialFiles {
    desired: PathBuf,
    copy: PathBuf,
    notes: PathBuf,
}

impl TrialFiles {
    /// Those beside a desired file, whose path has no links.
    ///
    /// # Errors
    /// Where others could replace files there.
    pub(in crate::commands) fn of(desired: &Path) -> Result<Self, TrialError> {
        beside::check_place(desired).map_err(TrialError::File)?;
        Ok(Self {
            desired: desired.to_owned(),
            copy: beside::beside(desired, TRIAL_COPY),
            notes: beside::beside(desired, NOTES),
        })
    }

    /// Writes both.
    pub(in crate::commands) fn write(&self, text: &str, notes: &Notes) -> Result<(), TrialError> {
        let write = || -> Result<(), FileError> {
            let failed = |error| FileError { path: self.desired.clone(), cause: error };
            let like = fs::metadata(&self.desired).map_err(|error| failed(error.into()))?;
            let sealed =
                seal::json(VERSION, notes).map_err(|error| failed(std::io::Error::from(error).into()))?;
            beside::create(&self.copy, &like, text.as_bytes())?;
            beside::create(&self.notes, &like, &sealed)
        };
        write().map_err(TrialError::File)
    }

    /// Reads the notes.
    pub(in crate::commands) fn notes(&self) -> Result<Notes, TrialError> {
        let (_, bytes) = read(&self.notes, LARGEST_NOTES)?;
        seal::check_json(&bytes, VERSION).map_err(|error| self.spoilt(error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.spoilt(error))
    }

    fn spoilt(&self, reason: impl std::fmt::Display) -> TrialError {
        TrialError::NotIntact(format!("{}: {reason}", self.notes.display()))
    }

    /// Opens the copy, and reads it. It must be the file that was tried.
    pub(in crate::commands) fn copy(&self, trial: &Trial) -> Result<(File, Source), TrialError> {
        let (file, bytes) = read(&self.copy, LARGEST)?;
        let spoilt = |reason: &str| TrialError::NotIntact(format!("{}: {reason}", self.copy.display()));
        let text = String::from_utf8(bytes).map_err(|_| spoilt("is not UTF-8"))?;
        if sha256(&text) != trial.sha256 {
            return Err(spoilt("is another file than the trial began with"));
        }
        Ok((file, Source::new(trial.file.clone(), text)))
    }

    /// Renames the copy, which is open, into the place of the desired file, with its owner and mode.
    pub(in crate::commands) fn install(&self, copy: &File) -> Result<(), TrialError> {
        let error = |cause: std::io::Error| FileError { path: self.desired.clone(), cause: cause.into() };
        beside::install(copy, &self.copy, &self.desired).map_err(|cause| TrialError::File(error(cause)))?;
        beside::remove(&self.notes).map_err(TrialError::File)
    }

    /// Removes both.
    pub(in crate::commands) fn remove(&self) -> Result<(), TrialError> {
        beside::remove(&self.copy).and_then(|()| beside::remove(&self.notes)).map_err(TrialError::File)
    }
}

fn read(path: &Path, limit: u64) -> Result<(File, Vec<u8>), TrialError> {
    let read = || {
        let file = beside::open(path)?;
        let bytes = beside::read(&file, path, limit)?;
        Ok((file, bytes))
    };
    read().map_err(|error: FileError| TrialError::NotIntact(error.to_string()))
}

/// The file of a trial with the policy that it was given.
pub(in crate::commands) fn parse(
    source: &Source,
    trial: &Trial,
) -> Result<Desired, crate::config::Diagnostics> {
    let mut desired = config::load(source)?;
    desired.policy = trial.allowed.policy(desired.policy);
    Ok(desired)
}
