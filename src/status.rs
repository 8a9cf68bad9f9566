//! What the daemon tells about itself: a small document on disk, for `lbd status`.

use serde::{Deserialize, Serialize};

/// What the daemon did last and why, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// The desired file
    pub file: String,
    /// How the file is watched
    pub watching: String,
    /// The last pass that changed something or ended otherwise than the one before
    pub last_pass: Option<LastPass>,
    /// What is wrong with the file as it is now; what was good before is being kept meanwhile
    pub bad_file: Option<String>,
    /// Why a guard refuses the file as it is now; what was good before is being kept meanwhile
    pub refused: Option<String>,
    /// Why a guard refuses some deletions, while the file is followed otherwise
    #[serde(default)]
    pub refused_in_part: Option<String>,
    /// What the kernel refused, and what else stands in the way
    pub failed: Vec<String>,
    /// What waits for an interface that is not there yet
    #[serde(default)]
    pub waiting: Vec<String>,
    /// Why there is no state directory any more, for the service manager: it cannot be written there
    #[serde(default)]
    pub no_directory: Option<String>,
    /// Who has the lock that the daemon waits for
    #[serde(default)]
    pub lock_holder: Option<String>,
    /// Entries that another program keeps reverting
    pub fights: Vec<String>,
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPass {
    /// When, in UTC, as RFC 3339 writes it
    pub at: String,
    /// Why it ran
    pub reason: String,
    /// `verified`, `failed`, `refused`, `refused in part` or `waiting`
    pub outcome: String,
    /// How many additions
    pub added: usize,
    /// How many edits
    pub edited: usize,
    /// How many deletions
    pub deleted: usize,
}

impl Status {
    /// One line for people: the most important thing first.
    pub fn line(&self) -> String {
        let problem = if let Some(bad) = &self.bad_file {
            Some(format!("bad file, keeping the last good state: {bad}"))
        } else if let Some(refused) = &self.refused {
            Some(format!("change refused, keeping the last good state: {refused}"))
        } else if let Some(holder) = &self.lock_holder {
            Some(format!("waiting for the lock, which {holder} has"))
        } else if let Some(gone) = &self.no_directory {
            Some(gone.clone())
        } else if let Some(failed) = self.failed.first() {
            Some(format!("not in sync, trying again: {failed}"))
        } else if let Some(refused) = &self.refused_in_part {
            Some(format!("not in sync, deletions refused: {refused}"))
        } else {
            self.fights.first().map(|entry| format!("somebody else keeps changing {entry}"))
        };
        problem.unwrap_or_else(|| match &self.last_pass {
            Some(pass) => {
                let waiting = match self.waiting.len() {
                    0 => String::new(),
                    _ => format!("; waiting: {}", self.waiting.join(", ")),
                };
                format!("in sync; last change {} ({}){waiting}", pass.at, pass.reason)
            }
            None => "starting".to_owned(),
        })
    }
}
