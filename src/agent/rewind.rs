//! Remembers which commit an operator lets the agent take though it does not descend from the one in force: once.

use std::io::Write;

use super::place::AgentDirectory;
use crate::files::FileError;

/// Its name in the agent's directory.
const FILE: &str = "allow-rewind";
/// The longest one, in bytes.
const LARGEST: u64 = 256;

/// Allows it.
///
/// # Errors
/// Where it cannot be written.
pub fn allow(directory: &AgentDirectory, commit: &str) -> Result<(), FileError> {
    directory.files.replace(FILE, |out| writeln!(out, "{commit}"))
}

/// The commit, if one is allowed.
pub fn allowed(directory: &AgentDirectory) -> Option<String> {
    let text = directory.files.read(FILE, LARGEST).ok()??;
    Some(String::from_utf8(text).ok()?.trim().to_owned()).filter(|commit| !commit.is_empty())
}

/// Forgets it once it is in force.
pub fn forget(directory: &AgentDirectory, commit: &str) {
    if allowed(directory).as_deref() == Some(commit) {
        // Where it stays, the same commit could be taken again, which changes nothing.
        let _ = directory.files.remove(FILE);
    }
}
