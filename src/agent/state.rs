//! Remembers what is in force, what is under way, and what is still to be reported: a file with a version and a checksum.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::place::AgentDirectory;
use crate::files::seal::{self, SealError};
use crate::files::{FileCause, FileError};
use crate::fleet::Outcome;
use crate::status::Timestamp;

/// Its name in the agent's directory.
const FILE: &str = "state.json";
/// The version of the file.
const VERSION: u32 = 2;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// A revision and the file of this director in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFile {
    /// The revision
    pub revision: String,
    /// Where the file is in it
    pub path: String,
    /// The digest of the file
    pub sha256: String,
    /// Since when it is in force, or when it was put into place
    pub at: Timestamp,
}

/// A revision that is under way at this director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The revision and the file
    pub file: TakenFile,
    /// In how many services nothing that passes its check served before
    pub down_before: usize,
}

/// A revision that failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRevision {
    /// The revision
    pub revision: String,
    /// What went wrong
    pub error: String,
    /// When
    pub at: Timestamp,
}

/// What the agent remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What is in force: verified, or there when the agent began
    pub in_force: Option<TakenFile>,
    /// What was in force before
    pub before: Option<TakenFile>,
    /// What is under way: its file is in place, or is being put there
    pub in_flight: Option<InFlight>,
    /// The last revision that failed here
    pub failed: Option<FailedRevision>,
    /// An outcome that etcd does not have yet
    pub to_report: Option<Outcome>,
}

/// Why the state cannot be read.
#[derive(Debug)]
pub enum StateError {
    /// The file cannot be read or trusted
    File(FileError),
    /// Its content cannot be used
    Content(SealError),
}

impl std::fmt::Display for StateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Content(error) => write!(
                f,
                "{FILE}: {error}; remove it where it is corrupt: the file in force stays, and the next revision is taken as the first"
            ),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => std::error::Error::source(error),
            Self::Content(_) => None,
        }
    }
}

impl State {
    /// Reads it; the first one where there is none.
    ///
    /// # Errors
    /// Where there is one that cannot be used. It is not an empty one then: what is under way would be forgotten.
    pub fn load(directory: &AgentDirectory) -> Result<Self, StateError> {
        let Some(text) = directory.files.read(FILE, LARGEST).map_err(StateError::File)? else {
            return Ok(Self::default());
        };
        seal::check_json(&text, VERSION).map_err(StateError::Content)?;
        serde_json::from_slice(&text).map_err(|error| {
            StateError::Content(SealError::Corrupt(format!("not a state of lbd-agent ({error})")))
        })
    }

    /// Writes it: the old content or the new one is there, whatever happens meanwhile.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, directory: &AgentDirectory) -> Result<(), FileError> {
        let text = seal::json(VERSION, self).map_err(|error| FileError {
            path: directory.files.path().join(FILE),
            cause: FileCause::Io(error.into()),
        })?;
        directory.files.replace(FILE, |out| out.write_all(&text))
    }
}
