//! Writes and reads the two files that the daemon and the checker share, each replaced by its one writer and bound to the boot and the network namespace.
//!
//! `probes.json` in the daemon's directory is what is to be probed. `verdicts.json` in the checker's is what the checker says of it; it
//! contains what servers sent, and is believed within limits only.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::probe::Probes;
use super::run_dirs::RunDirs;
use super::verdict::Verdicts;
use super::verdicts_on_disk::{UnusableFinding, VerdictsOnDisk};
use crate::files::seal::SealError;
use crate::files::{BoundFile, BoundFileError, Directory, FileError, Origin};

/// What is to be probed. 100,000 targets are 2.5 MB, or 5 MB of IPv6; the limit leaves room for a million, and for long headers.
const PROBES: BoundFile = BoundFile { name: "probes.json", version: 2, limit: 128 << 20 };

/// How long the file of the verdicts is at most, in bytes: so much, and so much for each probe. 200 characters of a server are 1,200 in JSON.
const VERDICTS_BASE: u64 = 1 << 20;
const VERDICTS_EACH: u64 = 4 << 10;

/// What the checker says. 100,000 failing targets are 8 MB, and 35 MB where all servers send what JSON has to escape.
const VERDICTS: BoundFile = BoundFile { name: "verdicts.json", version: 2, limit: 128 << 20 };

/// The lock of the checker, so that two do not write the same file.
const LOCK: &str = "checker.lock";

/// The shared files, as a process of this boot and network namespace reads and writes them.
#[derive(Debug, Clone)]
pub struct SharedFiles {
    dirs: RunDirs,
    daemon: Directory,
    checker: Directory,
    origin: Origin,
}

/// The probes on disk, with their hash.
#[derive(Serialize, Deserialize)]
struct ProbesOnDisk<'a> {
    hash: String,
    probes: Cow<'a, Probes>,
}

impl SharedFiles {
    /// For this boot and the network namespace of this thread, which has this cookie. Nothing is read or written yet.
    ///
    /// # Errors
    /// Where `/proc` does not show them.
    pub fn new(dirs: &RunDirs, cookie: Option<u64>) -> io::Result<Self> {
        let origin = Origin::here(cookie)?;
        let (daemon, checker) = (Directory::new(&dirs.daemon), Directory::new(&dirs.checker));
        Ok(Self { dirs: dirs.clone(), daemon, checker, origin })
    }

    /// The directories.
    pub fn dirs(&self) -> &RunDirs {
        &self.dirs
    }

    /// The daemon's directory, for what else it keeps there, and the origin to which that is bound.
    pub fn of_daemon(&self) -> (&Directory, &Origin) {
        (&self.daemon, &self.origin)
    }

    /// The file of the probes, to be watched.
    pub fn probes_path(&self) -> PathBuf {
        self.dirs.daemon.join(PROBES.name)
    }

    /// The file of the verdicts, to be watched. Its directory may be missing.
    pub fn verdicts_path(&self) -> PathBuf {
        self.dirs.checker.join(VERDICTS.name)
    }

    /// Writes what is to be probed; the daemon's directory is made where it is missing. Nothing is written where nothing is probed and
    /// nothing was before.
    ///
    /// # Errors
    /// Where it cannot be written. The old file stays intact then.
    pub fn save_probes(&self, probes: &Probes) -> Result<(), FileError> {
        if probes.is_empty() && self.daemon.identity(PROBES.name)?.is_none() {
            return Ok(());
        }
        self.dirs.make_daemon()?;
        let content = ProbesOnDisk { hash: probes.hash(), probes: Cow::Borrowed(probes) };
        PROBES.write(&self.daemon, &self.origin, &content)
    }

    /// Whether what is to be probed is not on disk.
    pub fn lacks_probes(&self) -> bool {
        self.daemon.identity(PROBES.name).is_ok_and(|identity| identity.is_none())
    }

    /// Reads what is to be probed; `None` where there is no file from here.
    ///
    /// # Errors
    /// Where there is one that cannot be read, cannot be trusted, or is not what was written.
    pub fn load_probes(&self) -> Result<Option<Probes>, BoundFileError> {
        let read: Option<ProbesOnDisk<'_>> = PROBES.read(&self.daemon, &self.origin)?;
        let Some(ProbesOnDisk { hash, probes }) = read else { return Ok(None) };
        let probes = probes.into_owned();
        if probes.hash() == hash {
            Ok(Some(probes))
        } else {
            Err(corrupt(self.probes_path(), &"the hash of its probes is another one"))
        }
    }

    /// Writes what the checker says, into its directory, which is there.
    ///
    /// # Errors
    /// Where it cannot be written. The old file stays intact then.
    pub fn save_verdicts(&self, verdicts: &Verdicts) -> Result<(), FileError> {
        VERDICTS.write(&self.checker, &self.origin, &VerdictsOnDisk::of(verdicts))
    }

    /// Reads what the checker says of so many probes; `None` where there is no file from here. Which probes it is about, and how old it is, is in
    /// it.
    ///
    /// # Errors
    /// Where there is one that cannot be read, cannot be trusted, is not what was written, or is beyond the limits.
    pub fn load_verdicts(&self, probes: usize) -> Result<Option<Verdicts>, BoundFileError> {
        let of_probes = u64::try_from(probes).unwrap_or(u64::MAX).saturating_mul(VERDICTS_EACH);
        let limit = VERDICTS_BASE.saturating_add(of_probes).min(VERDICTS.limit);
        let file = BoundFile { limit, ..VERDICTS };
        let read: Option<VerdictsOnDisk<'_>> = file.read(&self.checker, &self.origin)?;
        let read = read.map(VerdictsOnDisk::read).transpose();
        read.map_err(|error: UnusableFinding| corrupt(self.verdicts_path(), &error))
    }

    /// Takes the lock of the checker until the file is dropped; `None` where another checker has it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn lock_checker(&self) -> Result<Option<std::fs::File>, FileError> {
        let file = self.checker.open_lock(LOCK)?;
        Ok(file.try_lock().is_ok().then_some(file))
    }
}

fn corrupt(path: PathBuf, reason: &dyn fmt::Display) -> BoundFileError {
    BoundFileError::Content(path, SealError::Corrupt(reason.to_string()))
}

#[cfg(test)]
mod tests;
