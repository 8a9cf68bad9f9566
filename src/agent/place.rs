//! Puts a file into place, by a rename, and keeps the one before; and looks whether the desired file leads there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::files::{Directory, FileError, sha256};

/// The file that the desired file is a link to.
pub const DESIRED: &str = "desired.yaml";
/// The file that was in force before.
const BEFORE: &str = "before.yaml";
/// The file that is planned before it is put into place.
const CANDIDATE: &str = "candidate.yaml";
/// The largest file, in bytes: that of a desired file.
pub const LARGEST: u64 = 32 << 20;

/// The directory of the agent.
#[derive(Debug, Clone)]
pub struct AgentDirectory {
    /// Its files
    pub files: Directory,
}

/// Where the desired file leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desired {
    /// To the file that the agent puts into place
    Followed,
    /// It is a plain file, or leads elsewhere
    Elsewhere,
    /// There is none
    Missing,
}

impl AgentDirectory {
    /// Does not open it yet.
    pub fn new(path: &Path) -> Self {
        Self { files: Directory::new(path) }
    }

    /// The path of the file in place.
    pub fn desired(&self) -> PathBuf {
        self.files.path().join(DESIRED)
    }

    /// The path of the file to be planned.
    pub fn candidate(&self) -> PathBuf {
        self.files.path().join(CANDIDATE)
    }

    /// Writes the file to be planned.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_candidate(&self, text: &str) -> Result<(), FileError> {
        self.files.replace(CANDIDATE, |out| out.write_all(text.as_bytes()))
    }

    /// Puts a text into place, complete on disk before it has its name. What was in place is there as the file before.
    ///
    /// # Errors
    /// Where it cannot be written. What was in place stays then.
    pub fn put(&self, text: &str) -> Result<(), FileError> {
        if let Some(old) = self.files.read(DESIRED, LARGEST)? {
            self.files.replace(BEFORE, |out| out.write_all(&old))?;
        }
        self.files.replace(DESIRED, |out| out.write_all(text.as_bytes()))
    }

    /// Puts the file before into place again, byte for byte; whether there was one.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn put_back(&self) -> Result<bool, FileError> {
        let Some(old) = self.files.read(BEFORE, LARGEST)? else { return Ok(false) };
        self.files.replace(DESIRED, |out| out.write_all(&old))?;
        Ok(true)
    }

    /// The digest of the file in place; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn digest(&self) -> Result<Option<String>, FileError> {
        let bytes = self.files.read(DESIRED, LARGEST)?;
        Ok(bytes.map(|bytes| sha256(&String::from_utf8_lossy(&bytes))))
    }

    /// Where the desired file of the director leads.
    pub fn followed_by(&self, desired: &Path) -> Desired {
        match fs::read_link(desired) {
            Ok(target) if target == self.desired() => Desired::Followed,
            Ok(_) => Desired::Elsewhere,
            Err(_) if desired.exists() => Desired::Elsewhere,
            Err(_) => Desired::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_file_before_comes_back_byte_for_byte() {
        let directory = tempfile::tempdir().unwrap();
        let agent = AgentDirectory::new(directory.path());
        assert!(!agent.put_back().unwrap());
        assert_eq!(agent.digest().unwrap(), None);
        agent.put("one\r\n").unwrap();
        agent.put("two\n").unwrap();
        assert_eq!(agent.digest().unwrap(), Some(sha256("two\n")));
        assert!(agent.put_back().unwrap());
        assert_eq!(fs::read(agent.desired()).unwrap(), b"one\r\n");
    }

    #[test]
    fn only_a_link_to_the_file_in_place_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let agent = AgentDirectory::new(&directory.path().join("agent"));
        let desired = directory.path().join("desired.yaml");
        assert_eq!(agent.followed_by(&desired), Desired::Missing);
        fs::write(&desired, "").unwrap();
        assert_eq!(agent.followed_by(&desired), Desired::Elsewhere);
        fs::remove_file(&desired).unwrap();
        symlink(agent.desired(), &desired).unwrap();
        assert_eq!(agent.followed_by(&desired), Desired::Followed);
        fs::remove_file(&desired).unwrap();
        symlink("elsewhere", &desired).unwrap();
        assert_eq!(agent.followed_by(&desired), Desired::Elsewhere);
    }
}
