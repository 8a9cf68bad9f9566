//! Says why the desired file is not the agent's for a time: a file of root beside it.

use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::files::{FileError, beside};
use crate::fleet::Version;
use crate::status::Timestamp;

/// The longest one, in bytes.
const LARGEST: u64 = 4096;

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPause {
    /// The version of this document
    pub version: Version,
    /// Who
    pub by: String,
    /// Since when
    pub since: Timestamp,
    /// Until when
    pub until: Timestamp,
    /// Why
    #[serde(default)]
    pub reason: Option<String>,
}

impl fmt::Display for AgentPause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version: _, by, since, until, reason } = self;
        write!(f, "paused by {by} since {since} until {until}")?;
        reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

fn path(desired: &Path) -> PathBuf {
    beside::beside(desired, "agent-pause")
}

impl AgentPause {
    /// Reads the one in force; `None` where there is none. Only root can have written it.
    ///
    /// # Errors
    /// Where it cannot be read or trusted.
    pub fn load(desired: &Path) -> Result<Option<Self>, FileError> {
        let path = path(desired);
        let file = match beside::open(&path) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = beside::read(&file, &path, LARGEST)?;
        // What cannot be read pauses nothing: it is the link that counts.
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Writes it, readable for all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, desired: &Path) -> Result<(), FileError> {
        let path = path(desired);
        beside::replace(&path, &serde_json::to_vec(self).unwrap_or_default())?;
        let readable = fs::set_permissions(&path, Permissions::from_mode(0o644));
        readable.map_err(|error| FileError { path, cause: error.into() })
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(desired: &Path) -> Result<(), FileError> {
        beside::remove(&path(desired))
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        SystemTime::from(self.until) <= now
    }
}

/// Why the desired file is not the agent's.
pub fn reason(desired: &Path) -> String {
    match AgentPause::load(desired) {
        Ok(Some(pause)) => pause.to_string(),
        Ok(None) | Err(_) => "not enabled: `lbd agent enable` makes the desired file the agent's".to_owned(),
    }
}
