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
    /// Whether another file was in place before, which comes back where this one fails
    #[serde(default = "usually")]
    pub has_before: bool,
}

/// What an older agent did not write: there is a file before but at the very first revision.
fn usually() -> bool {
    true
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
    /// Whether another file is in its place now, as after `lbd agent enable`: it is taken again then
    pub is_replaced: bool,
    /// What was in force before
    pub before: Option<TakenFile>,
    /// Whether the revision in force came into the place of another file, which is kept and comes back where the revision fails elsewhere
    #[serde(default = "usually")]
    pub has_before: bool,
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
    /// Reads it; the first one where there is none. What was to be put into place when the agent ended, and was not, is not under way: it is taken anew.
    ///
    /// # Errors
    /// Where there is one that cannot be used. It is not an empty one then: what is under way would be forgotten.
    pub fn load(directory: &AgentDirectory) -> Result<Self, StateError> {
        let Some(text) = directory.files.read(FILE, LARGEST).map_err(StateError::File)? else {
            return Ok(Self::default());
        };
        seal::check_json(&text, VERSION).map_err(StateError::Content)?;
        let mut state: Self = serde_json::from_slice(&text).map_err(|error| {
            StateError::Content(SealError::Corrupt(format!("not a state of lbd-agent ({error})")))
        })?;
        let in_place = directory.digest().map_err(StateError::File)?;
        state.in_flight =
            state.in_flight.filter(|in_flight| in_place.as_ref() == Some(&in_flight.file.sha256));
        Ok(state)
    }

    /// What was under way went well: it is in force since this moment.
    pub fn take_over(&mut self, in_flight: InFlight, at: Timestamp) {
        let InFlight { file, has_before, .. } = in_flight;
        let is_again =
            !has_before && self.in_force.as_ref().is_some_and(|before| before.revision == file.revision);
        let before = self.in_force.replace(TakenFile { at, ..file });
        // A second look at the same revision has not changed what was before it.
        if !is_again {
            // A file that an operator had put there is of no revision.
            self.before = before.filter(|_| !self.is_replaced);
            self.has_before = has_before;
        }
        self.is_replaced = false;
        self.failed = None;
    }

    /// What was under way failed, and the file before it is in place again: it is the only one that is kept.
    pub fn forget_before(&mut self) {
        self.before = None;
        self.has_before = false;
    }

    /// The revision before is in force again.
    pub fn go_back(&mut self) {
        if self.has_before || self.before.is_some() {
            self.in_force = self.before.take();
        }
        self.has_before = false;
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::files::sha256;

    #[test]
    fn what_was_not_put_into_place_before_a_crash_is_not_under_way() {
        let directory = tempfile::tempdir().unwrap();
        let agent = AgentDirectory::new(directory.path());
        assert_eq!(State::load(&agent).unwrap(), State::default());
        let file = TakenFile {
            revision: "r2".into(),
            path: "lb1.yaml".into(),
            sha256: sha256("new\n"),
            at: SystemTime::now().into(),
        };
        let in_flight = InFlight { file, down_before: 0, has_before: true };
        let state = State { in_flight: Some(in_flight), ..State::default() };
        agent.put("old\n").unwrap();
        state.save(&agent).unwrap();
        assert_eq!(State::load(&agent).unwrap(), State::default());
        agent.put("new\n").unwrap();
        assert_eq!(State::load(&agent).unwrap(), state);
    }

    #[test]
    fn a_state_that_was_changed_is_no_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let agent = AgentDirectory::new(directory.path());
        State::default().save(&agent).unwrap();
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap().replace("null", "1");
        std::fs::write(&path, text).unwrap();
        let error = State::load(&agent).unwrap_err().to_string();
        assert!(error.contains("its checksum does not match its content; remove it"), "{error}");
    }
}
