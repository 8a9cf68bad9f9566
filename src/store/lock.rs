//! A lock that one process at a time has, with its holder's name inside, and that a stopped process loses.
//!
//! The lock is `flock` on a file that only the owner of the directory, and root, can open. Beside that a holder gives a sign of
//! life twice a second: the time of the file's last change. Whoever waits and sees none for [`SILENCE`] puts a new file in the
//! place of the old one. The old holder finds out before its next write to the kernel, by [`Lock::is_held`]: the file that
//! has the lock's name is no longer the one that it has locked.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

use crate::files::{Directory, FileError, Identity};

/// How often a holder gives a sign of life.
const BEAT: Duration = Duration::from_millis(500);
/// A holder that gave no sign for so long is stopped: `kill -STOP`, Ctrl-Z, or a frozen machine.
const SILENCE: Duration = Duration::from_secs(3);
/// How often a waiter looks whether the lock is free.
const LOOK: Duration = Duration::from_millis(20);
/// The longest name of a holder that is shown.
const LONGEST_NAME: u64 = 200;

/// Why there is no lock.
#[derive(Debug)]
pub enum NoLock {
    /// Another process has it: which
    Held(String),
    /// The directory or its disk will not have one
    Impossible(FileError),
}

impl fmt::Display for NoLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(holder) => f.write_str(holder),
            Self::Impossible(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NoLock {}

/// A lock in the state directory; it is released when this goes.
#[derive(Debug)]
pub struct Lock {
    file: File,
    place: Place,
    identity: Option<Identity>,
    /// Ends the signs of life
    _beats: Option<Sender<()>>,
}

/// Tells, from any thread, whether a lock is still held.
#[derive(Debug, Clone)]
pub struct Held {
    place: Place,
    identity: Option<Identity>,
}

/// Where a lock is.
#[derive(Debug, Clone)]
struct Place {
    directory: Directory,
    name: &'static str,
}

impl Held {
    /// Whether no other process has taken the lock meanwhile. Where the file is gone, or cannot be seen for a moment, no other
    /// is known to have.
    pub fn is_held(&self) -> bool {
        let now = self.place.directory.identity(self.place.name).unwrap_or_default();
        now.is_none() || now == self.identity
    }
}

impl Lock {
    /// Takes the lock, unless another process has it.
    ///
    /// # Errors
    /// Who has it; where it cannot be had at all.
    pub(super) fn try_take(directory: &Directory, name: &'static str, command: &str) -> Result<Self, NoLock> {
        Waiter::new(directory, name, command).try_take()
    }

    /// Takes the lock as soon as it is free or its holder is found stopped. `waiting` is called once, with who has it.
    ///
    /// # Errors
    /// Where it cannot be had at all.
    pub(super) fn take(
        directory: &Directory,
        name: &'static str,
        command: &str,
        waiting: impl FnOnce(&str),
    ) -> Result<Self, FileError> {
        let mut waiter = Waiter::new(directory, name, command);
        let mut waiting = Some(waiting);
        loop {
            match waiter.try_take_from_stopped() {
                Ok(mut lock) => {
                    lock.begin_beats();
                    return Ok(lock);
                }
                Err(NoLock::Impossible(error)) => return Err(error),
                Err(NoLock::Held(holder)) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&holder);
                    }
                    thread::sleep(LOOK);
                }
            }
        }
    }

    /// Who else has a lock, if any process does.
    ///
    /// # Errors
    /// Where that cannot be seen.
    pub(super) fn other_holder(directory: &Directory, name: &str) -> Result<Option<String>, FileError> {
        let mut file = match directory.open_file(name) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            _ => Ok(None),
        }
    }

    /// What tells from elsewhere whether the lock is still held.
    pub fn held(&self) -> Held {
        Held { place: self.place.clone(), identity: self.identity }
    }

    /// Whether the lock's file was removed, or another one has its name: as where the state directory was removed.
    pub fn is_gone(&self) -> bool {
        let now = self.place.directory.identity(self.place.name);
        now.is_ok_and(|now| now != self.identity)
    }

    /// Gives signs of life from now on, in a thread of its own, so that a long command to the kernel is no silence.
    fn begin_beats(&mut self) {
        let Ok(file) = self.file.try_clone() else { return };
        let (sender, receiver) = mpsc::channel();
        let beat = move || {
            while receiver.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
            }
        };
        // Without the thread, the lock may be taken from a pass that lasts long.
        if thread::Builder::new().name("lock".to_owned()).spawn(beat).is_ok() {
            self._beats = Some(sender);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not only by closing it: the thread has it open for a moment longer.
        let _ = self.file.unlock();
    }
}

/// A process that wants a lock.
struct Waiter<'a> {
    directory: &'a Directory,
    name: &'static str,
    command: &'a str,
    /// The sign of life that was seen last, and since when there was no other
    sign: Option<(Sign, Instant)>,
}

/// What a living holder changes.
#[derive(Debug, PartialEq, Eq)]
struct Sign {
    identity: Option<Identity>,
    changed: Option<std::time::SystemTime>,
    holder: String,
}

impl<'a> Waiter<'a> {
    fn new(directory: &'a Directory, name: &'static str, command: &'a str) -> Self {
        Self { directory, name, command, sign: None }
    }

    fn try_take(&self) -> Result<Lock, NoLock> {
        match self.open()? {
            Ok(lock) => Ok(lock),
            Err(mut file) => Err(NoLock::Held(holder(&mut file))),
        }
    }

    /// The lock, or the file that another process has locked.
    fn open(&self) -> Result<Result<Lock, File>, NoLock> {
        loop {
            let file = self.directory.open_lock(self.name).map_err(NoLock::Impossible)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Err(file)),
                Err(TryLockError::Error(error)) => return Err(NoLock::Impossible(self.error(error))),
            }
            let mut lock = self.lock(file);
            // Another process may have put a new file in its place between the opening and the locking.
            if !lock.is_gone() {
                sign(&mut lock.file, self.command);
                return Ok(Ok(lock));
            }
        }
    }

    fn try_take_from_stopped(&mut self) -> Result<Lock, NoLock> {
        let mut file = match self.open()? {
            Ok(lock) => return Ok(lock),
            Err(file) => file,
        };
        let sign = Sign {
            identity: Identity::of_file(&file).ok(),
            changed: file.metadata().and_then(|metadata| metadata.modified()).ok(),
            holder: holder(&mut file),
        };
        let holder = sign.holder.clone();
        match &self.sign {
            Some((seen, since)) if *seen == sign => {
                if since.elapsed() >= SILENCE {
                    return self.replace(sign.identity);
                }
            }
            _ => self.sign = Some((sign, Instant::now())),
        }
        Err(NoLock::Held(holder))
    }

    /// Puts a new file in the place of the one that a stopped process has locked.
    fn replace(&mut self, stopped: Option<Identity>) -> Result<Lock, NoLock> {
        self.sign = None;
        let new = format!("{}.{}", self.name, process::id());
        let mut file = self.directory.make(&new).map_err(NoLock::Impossible)?;
        file.try_lock().map_err(|error| NoLock::Impossible(self.error(error.into())))?;
        sign(&mut file, self.command);
        let lock = self.lock(file);
        // Another waiter may have done it, or the old one may have ended, a moment ago.
        let is_still_there = self.directory.identity(self.name).is_ok_and(|now| now == stopped);
        let renamed = if is_still_there { self.directory.rename(&new, self.name) } else { Ok(()) };
        if !is_still_there || renamed.is_err() {
            let _ = self.directory.remove(&new);
        }
        renamed.map_err(NoLock::Impossible)?;
        if lock.is_gone() { Err(NoLock::Held("another waiting process".to_owned())) } else { Ok(lock) }
    }

    fn lock(&self, file: File) -> Lock {
        let identity = Identity::of_file(&file).ok();
        let place = Place { directory: self.directory.clone(), name: self.name };
        Lock { file, place, identity, _beats: None }
    }

    fn error(&self, error: std::io::Error) -> FileError {
        FileError { path: self.directory.path().join(self.name), cause: error.into() }
    }
}

/// Writes the name of this process and its command into the file: only for messages, so that a failure does not matter. A
/// daemon finds its own name there from the pass before, and leaves the disk alone.
fn sign(file: &mut File, command: &str) {
    let name = format!("process {}, lbd {command}", process::id());
    if holder(file) != name {
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "{name}");
    }
}

/// Who has the lock, as far as can be told.
fn holder(file: &mut File) -> String {
    let mut holder = Vec::new();
    let _ = file.rewind().and_then(|()| file.take(LONGEST_NAME).read_to_end(&mut holder));
    match String::from_utf8_lossy(&holder).trim() {
        "" => "an unknown process".to_owned(),
        holder => holder.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::new(root.path());
        (root, directory)
    }

    fn own_name(command: &str) -> String {
        format!("process {}, lbd {command}", process::id())
    }

    #[test]
    fn one_holder_at_a_time_who_is_named_with_his_command() {
        let (_root, directory) = directory();
        assert_eq!(Lock::other_holder(&directory, "lock").unwrap(), None);
        let held = Lock::try_take(&directory, "lock", "apply").unwrap();
        assert_eq!(Lock::other_holder(&directory, "lock").unwrap(), Some(own_name("apply")));
        let refused = Lock::try_take(&directory, "lock", "restore").unwrap_err();
        assert_eq!(refused.to_string(), own_name("apply"));
        let (named, holder) = mpsc::channel();
        let waiter = thread::spawn({
            let directory = directory.clone();
            move || {
                Lock::take(&directory, "lock", "run", |holder| named.send(holder.to_owned()).unwrap())
                    .map(drop)
            }
        });
        assert_eq!(holder.recv().unwrap(), own_name("apply"));
        drop(held);
        waiter.join().unwrap().unwrap();
        assert_eq!(Lock::other_holder(&directory, "lock").unwrap(), None);
    }

    // An `lbd apply` that was stopped by Ctrl-Z kept the daemon from repairing anything.
    #[test]
    fn a_holder_without_a_sign_of_life_loses_the_lock_and_finds_out() {
        let (root, directory) = directory();
        // It gives no signs: as a stopped process, or one that only calls `flock`.
        let stopped = Lock::try_take(&directory, "lock", "apply").unwrap();
        let began = Instant::now();
        let taken = Lock::take(&directory, "lock", "run", |_| ()).unwrap();
        assert!((SILENCE..SILENCE * 3).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(!stopped.held().is_held() && taken.held().is_held());
        drop(stopped);
        assert!(taken.held().is_held());
        assert_eq!(Lock::try_take(&directory, "lock", "restore").unwrap_err().to_string(), own_name("run"));
        let names: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["lock"]);
    }

    #[test]
    fn a_holder_that_gives_signs_of_life_keeps_the_lock_however_long_it_takes() {
        let (_root, directory) = directory();
        let held = Lock::take(&directory, "lock", "apply", |_| ()).unwrap();
        let mut waiter = Waiter::new(&directory, "lock", "run");
        let began = Instant::now();
        while began.elapsed() < SILENCE + BEAT * 2 {
            assert!(matches!(waiter.try_take_from_stopped(), Err(NoLock::Held(_))));
            thread::sleep(LOOK);
        }
        assert!(held.held().is_held());
    }

    #[test]
    fn a_lock_whose_directory_was_removed_is_known_to_be_gone_and_is_nobodys() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::new(&root.path().join("state"));
        let lock = Lock::try_take(&directory, "lock", "run").unwrap();
        assert!(!lock.is_gone());
        fs::remove_dir_all(directory.path()).unwrap();
        assert!(lock.is_gone() && lock.held().is_held());
        let other = Lock::try_take(&directory, "lock", "apply").unwrap();
        assert!(!lock.held().is_held() && other.held().is_held());
    }
}
