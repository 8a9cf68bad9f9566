//! Implements a lock that one process at a time has, that names its holder, and that a stopped process loses.
//!
//! The lock is `flock` on a file that only the owner of the directory, and root, can open. Besides, its holder sends a heartbeat
//! twice a second: it sets the file's time of modification. A waiter that sees no heartbeat for [`SILENCE`] replaces the file by a
//! new one. The old holder detects that before its next write to the kernel, by [`LockMonitor::is_held`]: the lock's name no longer
//! leads to the file that it has locked.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

use crate::files::{Directory, FileError, Identity};

/// The interval of heartbeats.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// A holder without a heartbeat for this time is stopped: by `kill -STOP`, by Ctrl-Z, or on a frozen machine.
const SILENCE: Duration = Duration::from_secs(3);
/// The interval in which a waiter tries to take the lock.
const RETRY: Duration = Duration::from_millis(20);
/// The length to which the name of a holder is shown, in bytes.
const LONGEST_NAME: u64 = 200;

/// Why a lock cannot be taken.
#[derive(Debug)]
pub(super) enum NoLock {
    /// This process has it
    Held(String),
    /// The directory or its file system does not allow it
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

/// A lock in the state directory; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    file: File,
    lock_file: LockFile,
    identity: Option<Identity>,
    /// Dropping it ends the heartbeats
    _heartbeats: Option<Sender<()>>,
}

/// Checks, in any thread, whether a lock is still held.
#[derive(Debug, Clone)]
pub struct LockMonitor {
    lock_file: LockFile,
    identity: Option<Identity>,
}

/// The file of a lock.
#[derive(Debug, Clone)]
struct LockFile {
    directory: Directory,
    name: &'static str,
}

impl LockMonitor {
    /// Whether no other process has taken the lock meanwhile. A file that is gone, or cannot be examined at the moment, counts as
    /// held.
    pub fn is_held(&self) -> bool {
        let now = self.lock_file.directory.identity(self.lock_file.name).unwrap_or_default();
        now.is_none() || now == self.identity
    }
}

impl Lock {
    /// Takes the lock, unless another process has it.
    ///
    /// # Errors
    /// Where another process has it, or it cannot be taken at all.
    pub(super) fn try_take(directory: &Directory, name: &'static str, command: &str) -> Result<Self, NoLock> {
        Waiter::new(directory, name, command).try_take()
    }

    /// Takes the lock as soon as it is free or its holder proves to be stopped. `waiting` is called once, with the holder.
    ///
    /// # Errors
    /// Where it cannot be taken at all.
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
                    lock.begin_heartbeats();
                    return Ok(lock);
                }
                Err(NoLock::Impossible(error)) => return Err(error),
                Err(NoLock::Held(holder)) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&holder);
                    }
                    thread::sleep(RETRY);
                }
            }
        }
    }

    /// The other process that has a lock, if one does.
    ///
    /// # Errors
    /// Where the file cannot be examined.
    pub(super) fn other_holder(directory: &Directory, name: &str) -> Result<Option<String>, FileError> {
        let mut file = match directory.open_file(name) {
            Ok(file) => file,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            Err(TryLockError::Error(error)) => {
                Err(FileError { path: directory.path().join(name), cause: error.into() })
            }
        }
    }

    /// Checks in other threads whether the lock is still held.
    pub fn monitor(&self) -> LockMonitor {
        LockMonitor { lock_file: self.lock_file.clone(), identity: self.identity }
    }

    /// Whether the lock's file was removed or replaced, for instance with the whole state directory.
    pub fn is_gone(&self) -> bool {
        let now = self.lock_file.directory.identity(self.lock_file.name);
        now.is_ok_and(|now| now != self.identity)
    }

    /// Starts the heartbeats, in a thread of their own, so that a long call to the kernel does not interrupt them.
    fn begin_heartbeats(&mut self) {
        let Ok(file) = self.file.try_clone() else { return };
        let (sender, receiver) = mpsc::channel();
        let send = move || {
            while receiver.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
                let _ = futimens(&file, &Timestamps { last_access: now, last_modification: now });
            }
        };
        // Without the thread, a long pass may lose the lock.
        if thread::Builder::new().name("lock".to_owned()).spawn(send).is_ok() {
            self._heartbeats = Some(sender);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: the thread has the file open for a moment longer.
        let _ = self.file.unlock();
    }
}

/// A process that waits for a lock.
struct Waiter<'a> {
    directory: &'a Directory,
    name: &'static str,
    command: &'a str,
    /// The last heartbeat, and when it was seen first
    heartbeat: Option<(Heartbeat, Instant)>,
}

/// What a running holder changes.
#[derive(Debug, PartialEq, Eq)]
struct Heartbeat {
    identity: Option<Identity>,
    changed: Option<std::time::SystemTime>,
    holder: String,
}

impl<'a> Waiter<'a> {
    fn new(directory: &'a Directory, name: &'static str, command: &'a str) -> Self {
        Self { directory, name, command, heartbeat: None }
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
            // Another process may have replaced the file between the opening and the locking.
            if !lock.is_gone() {
                write_holder(&mut lock.file, self.command);
                return Ok(Ok(lock));
            }
        }
    }

    fn try_take_from_stopped(&mut self) -> Result<Lock, NoLock> {
        let mut file = match self.open()? {
            Ok(lock) => return Ok(lock),
            Err(file) => file,
        };
        let heartbeat = Heartbeat {
            identity: Identity::of_file(&file).ok(),
            changed: file.metadata().and_then(|metadata| metadata.modified()).ok(),
            holder: holder(&mut file),
        };
        let holder = heartbeat.holder.clone();
        match &self.heartbeat {
            Some((seen, since)) if *seen == heartbeat => {
                if since.elapsed() >= SILENCE {
                    return self.replace(heartbeat.identity);
                }
            }
            _ => self.heartbeat = Some((heartbeat, Instant::now())),
        }
        Err(NoLock::Held(holder))
    }

    /// Replaces the file that a stopped process has locked by a new one.
    fn replace(&mut self, stopped: Option<Identity>) -> Result<Lock, NoLock> {
        self.heartbeat = None;
        let new = format!("{}.{}", self.name, process::id());
        let mut file = self.directory.make(&new).map_err(NoLock::Impossible)?;
        file.try_lock().map_err(|error| NoLock::Impossible(self.error(error.into())))?;
        write_holder(&mut file, self.command);
        let lock = self.lock(file);
        // Another waiter may have replaced it, or the old holder may have ended, a moment ago.
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
        let lock_file = LockFile { directory: self.directory.clone(), name: self.name };
        Lock { file, lock_file, identity, _heartbeats: None }
    }

    fn error(&self, error: std::io::Error) -> FileError {
        FileError { path: self.directory.path().join(self.name), cause: error.into() }
    }
}

/// Writes the name of this process and its command into the file. It is used only in messages, so that a failure does not matter.
/// A daemon finds its own name there from the pass before, and does not write again.
fn write_holder(file: &mut File, command: &str) {
    let name = format!("process {}, lbd {command}", process::id());
    if holder(file) != name {
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "{name}");
    }
}

/// The name of the process that has the lock, as far as it is known.
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
    fn one_process_at_a_time_has_the_lock_and_is_named_with_its_command() {
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
    fn a_holder_without_heartbeats_loses_the_lock_and_detects_it() {
        let (root, directory) = directory();
        // It sends no heartbeats, like a stopped process, or one that only calls `flock`.
        let stopped = Lock::try_take(&directory, "lock", "apply").unwrap();
        let began = Instant::now();
        let taken = Lock::take(&directory, "lock", "run", |_| ()).unwrap();
        assert!((SILENCE..SILENCE * 3).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert!(!stopped.monitor().is_held() && taken.monitor().is_held());
        drop(stopped);
        assert!(taken.monitor().is_held());
        assert_eq!(Lock::try_take(&directory, "lock", "restore").unwrap_err().to_string(), own_name("run"));
        let names: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["lock"]);
    }

    #[test]
    fn a_holder_with_heartbeats_keeps_the_lock_however_long_it_takes() {
        let (_root, directory) = directory();
        let held = Lock::take(&directory, "lock", "apply", |_| ()).unwrap();
        let mut waiter = Waiter::new(&directory, "lock", "run");
        let began = Instant::now();
        while began.elapsed() < SILENCE + HEARTBEAT * 2 {
            assert!(matches!(waiter.try_take_from_stopped(), Err(NoLock::Held(_))));
            thread::sleep(RETRY);
        }
        assert!(held.monitor().is_held());
    }

    #[test]
    fn a_lock_whose_directory_was_removed_is_gone_and_free() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::new(&root.path().join("state"));
        let lock = Lock::try_take(&directory, "lock", "run").unwrap();
        assert!(!lock.is_gone());
        fs::remove_dir_all(directory.path()).unwrap();
        assert!(lock.is_gone() && lock.monitor().is_held());
        let other = Lock::try_take(&directory, "lock", "apply").unwrap();
        assert!(!lock.monitor().is_held() && other.monitor().is_held());
    }
}
