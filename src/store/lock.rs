//! A lock that one process at a time holds, with its holder's name inside.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why there is no lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoLock {
    /// Somebody else has it
    Held(String),
    /// The directory or its disk will not have one
    Impossible(String),
}

impl fmt::Display for NoLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Held(message) | Self::Impossible(message)) = self;
        f.write_str(message)
    }
}

/// A lock in the state directory; it is released when this goes.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Opens the file of a lock, which is made where it is missing.
    ///
    /// # Errors
    /// Where the disk has no such file and takes none.
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o644).open(&path);
        // Reading is enough to take a lock, only our name is not written into it then: on a disk that has become
        // read-only, and where root made the lock in the directory of the daemon's user.
        match file.or_else(|error| File::open(&path).map_err(|_| error)) {
            Ok(file) => Ok(Self { file, path }),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Who else has a lock, if anybody does.
    pub(super) fn other_holder(path: &Path) -> Option<String> {
        let mut lock = Self { file: File::open(path).ok()?, path: path.to_owned() };
        match lock.file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(lock.holder()),
            _ => None,
        }
    }

    /// Takes the lock, unless somebody else has it.
    pub(super) fn try_take(&mut self) -> Result<bool, String> {
        match self.file.try_lock() {
            Ok(()) => self.sign(),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(format!("{}: {error}", self.path.display())),
        }
        Ok(true)
    }

    /// Takes the lock when nobody else has it any more.
    pub(super) fn take(&mut self) -> Result<(), String> {
        self.file.lock().map_err(|error| format!("{}: {error}", self.path.display()))?;
        self.sign();
        Ok(())
    }

    /// Writes our name into the file: only for messages, so that a failure does not matter. A daemon finds its own name
    /// there from the pass before, and leaves the disk alone.
    fn sign(&mut self) {
        let name = format!("process {}", std::process::id());
        if self.holder() != name {
            let _ = self.file.set_len(0).and_then(|()| self.file.rewind());
            let _ = writeln!(self.file, "{name}");
        }
    }

    /// Who has the lock, as far as can be told.
    pub(super) fn holder(&mut self) -> String {
        let mut holder = String::new();
        let _ = self.file.read_to_string(&mut holder);
        match holder.trim() {
            "" => "unknown".to_owned(),
            holder => holder.to_owned(),
        }
    }
}
