//! Reads of a process its owner, its name and its arguments.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open, openat, readlinkat};

use crate::files::read_limited;

/// The most that is read of a process's arguments, in bytes. Nobody needs so many to name a file.
const ARGUMENTS: u64 = 64 << 10;
/// The most that is read of its status, which is the kernel's own text.
const STATUS: u64 = 64 << 10;

/// A process, by its directory, which stays its own: another process that gets the number is not meant.
pub(super) struct Process {
    directory: OwnedFd,
    path: PathBuf,
}

impl Process {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { directory: open(&path, flags, Mode::empty())?, path })
    }

    /// Where the process's directory is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it is called. The kernel keeps 15 bytes of that.
    pub(super) fn name(&self) -> io::Result<[u8; 16]> {
        first_bytes(self.file("comm")?)
    }

    /// Its network namespace, as text that is equal for equal ones.
    pub(super) fn namespace(&self) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.directory, "ns/net", Vec::new())?.into_bytes())
    }

    /// The user that it runs as, by the owner of its directory.
    ///
    /// The kernel gives the directory itself to the effective user, whatever the process did to be hidden from others
    /// (`PR_SET_DUMPABLE` changes only the owner of what is in it).
    pub(super) fn owner(&self) -> io::Result<u32> {
        Ok(fstat(&self.directory)?.st_uid)
    }

    /// Whether all its user numbers are this one. A program that anybody may start with root's rights has the effective one of
    /// root, and name and arguments of whoever started it.
    pub(super) fn is_wholly_of(&self, user: u32) -> bool {
        let status = || {
            let bytes = read_limited(self.file("status").ok()?, 0, STATUS).ok()?;
            String::from_utf8_lossy(&bytes).lines().find_map(|line| {
                // Real, effective, saved, and that of the file system.
                let numbers = line.strip_prefix("Uid:")?.split_whitespace();
                Some(numbers.map(|number| number.parse().ok()).eq([Some(user); 4]))
            })
        };
        self.owner().is_ok_and(|owner| owner == user) && status() == Some(true)
    }

    /// The words that it was started with, as far as they are read. To be asked only of a process that is believed: the kernel
    /// reads them from its memory, which may be a file system of its own that does not answer.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        if let Ok(file) = self.file("cmdline") {
            let _ = file.take(ARGUMENTS).read_to_end(&mut bytes);
        }
        bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(openat(&self.directory, name, flags, Mode::empty())?.into())
    }
}

/// What a process is called, without opening its directory: a host can have thousands of processes.
pub(super) fn name(process: &Path) -> io::Result<[u8; 16]> {
    first_bytes(File::open(process.join("comm"))?)
}

fn first_bytes(mut file: File) -> io::Result<[u8; 16]> {
    let mut name = [0; 16];
    let _ = file.read(&mut name)?;
    Ok(name)
}
