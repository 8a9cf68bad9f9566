//! Defines what the agent writes about itself, for `lbd agent status` and for its metrics.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::place::AgentDirectory;
use crate::files::{FileCause, FileError};
use crate::fleet::{Report, Version};
use crate::status::Timestamp;

/// Its name in the agent's directory.
pub const FILE: &str = "status.json";
/// The largest one that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// What the agent does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The version of this document
    pub version: Version,
    /// The process that wrote it
    pub process: u32,
    /// The name of this director in the fleet
    pub name: String,
    /// Where the desired file comes from, as one word: `git`, `etcd` or `directory`
    pub source: String,
    /// The newest revision that was fetched
    pub newest: Option<String>,
    /// How often the source was looked at, also in vain
    pub looks: u64,
    /// When the source answered last
    pub last_success: Option<Timestamp>,
    /// Why it does not answer, or what it answers cannot be taken
    pub source_error: Option<String>,
    /// Since when etcd does not answer, and why
    pub etcd_down: Option<(Timestamp, String)>,
    /// The stage of this director, from 1
    pub stage: Option<usize>,
    /// The revision that all directors are to take, where there is a rollout
    #[serde(default)]
    pub head: Option<String>,
    /// Whether an operator has to do something
    pub is_error: bool,
    /// What is reported to the fleet, also where it is not
    pub report: Report,
    /// How many revisions were verified here since the agent began
    pub verified: u64,
    /// How many failed
    pub failed: u64,
}

impl AgentStatus {
    /// Reads what the agent wrote last; `None` where there is nothing.
    ///
    /// # Errors
    /// Where it cannot be read or trusted, or is no status.
    pub fn load(directory: &AgentDirectory) -> Result<Option<Self>, FileError> {
        let Some(text) = directory.files.read(FILE, LARGEST)? else { return Ok(None) };
        let error = |error: serde_json::Error| FileError {
            path: directory.files.path().join(FILE),
            cause: FileCause::Io(error.into()),
        };
        serde_json::from_slice(&text).map(Some).map_err(error)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, directory: &AgentDirectory) -> Result<(), FileError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        directory.files.replace(FILE, |out| out.write_all(&text))
    }
}
