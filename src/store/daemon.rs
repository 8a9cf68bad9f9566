//! Stores what the daemon reports, what the last change was, and the lock against a second daemon.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use super::lock::{Lock, NoLock};
use super::{LARGEST, LoadError, Store};
use crate::files::FileError;
use crate::files::seal::{self, SealError};
use crate::status::{LastChange, Status, Timestamp, Writer};

/// The lock of the daemon.
const DAEMON: &str = "daemon.lock";
/// The end of a daemon's name in it.
const RUNS: &str = ", lbd run";
/// What is in the name of each holder that is known, before its command.
const COMMAND: &str = ", lbd ";
/// The file of the [`Status`].
const STATUS: &str = "status.json";

/// The file of the [`LastChange`].
const LAST_CHANGE: &str = "last_change.json";

/// The version of the status file. Version 1 had neither version nor checksum; version 3 knows pauses, version 4 passes for checks.
const STATUS_VERSION: u32 = 4;
/// The version of the record of the last change. Version 2 was the first that has a checksum; version 3 knows conditions, version 4
/// rollbacks, version 5 passes for checks.
const CHANGE_VERSION: u32 = 5;

/// Why the lock against a second daemon cannot be taken. `Display` names the state directory.
#[derive(Debug)]
pub enum DaemonLockError {
    /// The daemon has it.
    Daemon {
        /// The state directory
        directory: PathBuf,
        /// Which process it is
        process: String,
        /// Whether this process was to become a daemon, too
        is_second: bool,
    },
    /// A command has it that must not run beside a daemon.
    Command {
        /// The state directory
        directory: PathBuf,
        /// Which process it is, with its command
        holder: String,
    },
    /// The directory or its file system does not allow it.
    Impossible(FileError),
}

impl fmt::Display for DaemonLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon { directory, process, is_second } => {
                let what = if *is_second { "another daemon runs already" } else { "the daemon runs" };
                write!(f, "{}: {what} ({process})", directory.display())
            }
            Self::Command { directory, holder } => {
                write!(f, "{}: in use by another command ({holder})", directory.display())
            }
            Self::Impossible(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DaemonLockError {}

impl Store {
    /// Writes the daemon's status, with the boot, this process and the time.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save_status(&self, status: &Status) -> Result<(), FileError> {
        let writer = Writer {
            boot: self.origin.boot.clone(),
            process: process::id(),
            at: Timestamp::from(SystemTime::now()),
        };
        let status = Status { writer: Some(writer), ..status.clone() };
        self.directory.replace(STATUS, |file| file.write_all(&seal::json(STATUS_VERSION, &status)?))
    }

    /// Identifies this boot.
    pub fn boot(&self) -> &str {
        &self.origin.boot
    }

    /// Reads the daemon's status; `None` where there is none.
    ///
    /// # Errors
    /// Where it exists and cannot be read, or is corrupt.
    pub fn load_status(&self) -> Result<Option<Status>, LoadError> {
        self.load_json(STATUS, STATUS_VERSION)
    }

    /// Writes what the last change was.
    ///
    /// # Errors
    /// Where it cannot be written. The old one stays intact then.
    pub fn save_last_change(&self, change: &LastChange) -> Result<(), FileError> {
        self.directory.replace(LAST_CHANGE, |file| file.write_all(&seal::json(CHANGE_VERSION, change)?))
    }

    /// Reads what the last change was; `None` where none was recorded.
    ///
    /// # Errors
    /// Where it exists and cannot be read, or is corrupt.
    pub fn load_last_change(&self) -> Result<Option<LastChange>, LoadError> {
        self.load_json(LAST_CHANGE, CHANGE_VERSION)
    }

    pub(super) fn load_json<T: DeserializeOwned>(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<T>, LoadError> {
        let Some(text) = self.directory.read(name, LARGEST)? else { return Ok(None) };
        let content = seal::check_json(&text, version).and_then(|()| {
            serde_json::from_slice(&text).map_err(|error| SealError::Corrupt(error.to_string()))
        });
        content.map(Some).map_err(|error| self.load_error(name, &error))
    }

    /// Takes the lock against a second daemon, for a daemon or a command that must not run beside one.
    ///
    /// # Errors
    /// Where another process has it, or the directory or the lock cannot be created.
    pub fn lock_daemon(&self, command: &str) -> Result<Lock, DaemonLockError> {
        /// `status` locks the file for a moment to test it, so that several attempts are needed, this far apart.
        const ATTEMPTS: u32 = 5;
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
        let mut last = Lock::try_take(&self.directory, DAEMON, command);
        for _ in 1..ATTEMPTS {
            if !matches!(last, Err(NoLock::Held(_))) {
                break;
            }
            std::thread::sleep(PAUSE);
            last = Lock::try_take(&self.directory, DAEMON, command);
        }
        last.map_err(|error| match error {
            NoLock::Held(holder) => {
                let directory = self.directory.path().to_owned();
                match holder.strip_suffix(RUNS) {
                    Some(process) => {
                        let (process, is_second) = (process.to_owned(), command == "run");
                        DaemonLockError::Daemon { directory, process, is_second }
                    }
                    None => DaemonLockError::Command { directory, holder },
                }
            }
            NoLock::Impossible(error) => DaemonLockError::Impossible(error),
        })
    }

    /// The process that runs as the daemon of this directory, if one does.
    ///
    /// # Errors
    /// Where the lock cannot be examined.
    pub fn daemon(&self) -> Result<Option<String>, FileError> {
        let Some(holder) = Lock::other_holder(&self.directory, DAEMON)? else { return Ok(None) };
        Ok(match holder.strip_suffix(RUNS) {
            Some(process) => Some(process.to_owned()),
            // A command that must not run beside a daemon has the lock.
            None if holder.contains(COMMAND) => None,
            None => Some(holder),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;
    use crate::status::ChangedBy;

    #[test]
    fn what_the_daemon_reports_and_the_last_change_are_read_as_they_were_written_unless_they_are_corrupt() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        assert_eq!((store.load_status(), store.load_last_change()), (Ok(None), Ok(None)));
        store.save_status(&Status::default()).unwrap();
        let status = store.load_status().unwrap().unwrap();
        let Writer { boot, process, at } = status.writer.clone().unwrap();
        assert_eq!((boot.as_str(), process), (store.boot(), std::process::id()));
        assert_eq!(Status { writer: None, ..status }, Status::default());
        let by = ChangedBy::Apply;
        let change = LastChange { at, by, verified: true, added: 1, edited: 2, deleted: 3, drift: 0 };
        store.save_last_change(&change).unwrap();
        assert_eq!(store.load_last_change(), Ok(Some(change)));
        for name in [STATUS, LAST_CHANGE] {
            let path = directory.path().join(name);
            let mut bytes = fs::read(&path).unwrap();
            let last = bytes.len() - 5;
            bytes[last] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        assert!(matches!(store.load_status(), Err(LoadError::Corrupt(_))));
        assert!(matches!(store.load_last_change(), Err(LoadError::Corrupt(_))));
    }

    // `status` locks the daemon's file for a moment to test it: a daemon that starts then is not refused.
    #[test]
    fn one_daemon_runs_at_a_time_and_status_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        assert_eq!(store.daemon().unwrap(), None);
        let daemon = store.lock_daemon("run").unwrap();
        let name = format!("process {}", std::process::id());
        let directory_name = directory.path().display();
        assert_eq!(store.daemon().unwrap(), Some(name.clone()));
        let second = store.lock_daemon("teardown").unwrap_err().to_string();
        assert_eq!(second, format!("{directory_name}: the daemon runs ({name})"));
        let second = store.lock_daemon("run").unwrap_err().to_string();
        assert_eq!(second, format!("{directory_name}: another daemon runs already ({name})"));
        drop(daemon);
        let teardown = store.lock_daemon("teardown").unwrap();
        assert_eq!(store.daemon().unwrap(), None);
        let refused = store.lock_daemon("run").unwrap_err().to_string();
        assert_eq!(refused, format!("{directory_name}: in use by another command ({name}, lbd teardown)"));
        drop(teardown);
        let looked = directory.path().join(DAEMON);
        let look = File::open(looked).unwrap();
        look.lock_shared().unwrap();
        let ended = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(30));
            drop(look);
        });
        store.lock_daemon("run").unwrap();
        ended.join().unwrap();
    }
}
