//! Watches directories with inotify, through the crate notify, and explains errors to an operator.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use notify::{Config, ErrorKind, INotifyWatcher, RecursiveMode, Watcher};

use super::events::EventSink;
use super::watched_path::Inode;

/// Why a directory cannot be watched.
#[derive(Debug)]
pub(super) enum WatchError {
    /// It does not exist any more.
    Gone,
    /// inotify failed, for this directory if it is about one.
    Inotify(Option<PathBuf>, notify::Error),
    /// notify could not start its thread.
    NoThread,
    /// inotify does not see every change on this file system.
    ChangedElsewhere {
        /// The directory
        directory: PathBuf,
        /// The type of its file system
        file_system: String,
    },
    /// The path to the file keeps changing.
    Unsettled,
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the directory does not exist any more"),
            Self::Inotify(Some(directory), error) => {
                write!(f, "{}: {}", directory.display(), explain(error))
            }
            Self::Inotify(None, error) => f.write_str(&explain(error)),
            Self::NoThread => f.write_str("the thread that reads the events of inotify could not be started"),
            Self::ChangedElsewhere { directory, file_system } => write!(
                f,
                "{} is on {file_system}, where inotify does not see every change",
                directory.display()
            ),
            Self::Unsettled => f.write_str("the symlinks and directories on the path to it keep changing"),
        }
    }
}

impl std::error::Error for WatchError {}

/// Watches directories: inotify, or its replacement in a test.
pub(super) trait DirectoryWatcher: Send {
    /// Watches a directory; it may be watched already.
    fn add(&mut self, directory: &Path) -> Result<(), WatchError>;
    /// Stops watching a directory, if it is watched.
    fn remove(&mut self, directory: &Path);
}

/// Creates a watcher whose events go to this sink.
pub(super) type ConnectWatcher = fn(&Arc<EventSink>) -> Result<Box<dyn DirectoryWatcher>, WatchError>;

/// The directories that are watched.
pub(super) struct WatchedDirectories {
    watcher: Box<dyn DirectoryWatcher>,
    directories: HashMap<PathBuf, Inode>,
}

impl WatchedDirectories {
    /// No directory so far.
    pub(super) fn new(watcher: Box<dyn DirectoryWatcher>) -> Self {
        Self { watcher, directories: HashMap::new() }
    }

    /// Watches these directories and no others. The kernel does not watch the `lost` ones any more. With `again`, each is added
    /// again. Returns whether a directory is watched now that was not watched before.
    pub(super) fn set(
        &mut self,
        wanted: &[(PathBuf, Inode)],
        lost: &HashSet<PathBuf>,
        again: bool,
    ) -> Result<bool, WatchError> {
        // A directory with the same path but another identity must be removed before it is added: notify knows
        // directories by their paths, and would take the end of the old one for the end of the new one.
        let stale = self.directories.extract_if(|path, identity| {
            lost.contains(path) || !wanted.iter().any(|(known, same)| known == path && same == identity)
        });
        for (path, _) in stale {
            self.watcher.remove(&path);
        }
        let mut is_any_new = false;
        for (path, identity) in wanted {
            if again || !self.directories.contains_key(path) {
                self.watcher.add(path)?;
                is_any_new |= self.directories.insert(path.clone(), *identity).is_none();
            }
        }
        Ok(is_any_new)
    }
}

/// inotify, read by notify.
struct Inotify {
    watcher: INotifyWatcher,
    /// Upgrades as long as notify's thread lives
    thread: Weak<()>,
}

/// Connects to inotify.
pub(super) fn connect(sink: &Arc<EventSink>) -> Result<Box<dyn DirectoryWatcher>, WatchError> {
    let (sink, alive) = (Arc::clone(sink), Arc::new(()));
    let thread = Arc::downgrade(&alive);
    let receive = move |event| {
        let _alive = &alive;
        sink.receive(event);
    };
    let watcher =
        INotifyWatcher::new(receive, Config::default()).map_err(|error| WatchError::Inotify(None, error))?;
    Ok(Box::new(Inotify { watcher, thread }))
}

impl DirectoryWatcher for Inotify {
    fn add(&mut self, directory: &Path) -> Result<(), WatchError> {
        // notify panics if it is called though its thread could not be started.
        if self.thread.upgrade().is_none() {
            return Err(WatchError::NoThread);
        }
        self.watcher.watch(directory, RecursiveMode::NonRecursive).map_err(|error| match error.kind {
            ErrorKind::PathNotFound => WatchError::Gone,
            _ => WatchError::Inotify(Some(directory.to_owned()), error),
        })
    }

    fn remove(&mut self, directory: &Path) {
        if self.thread.upgrade().is_some() {
            // notify may have removed a deleted directory by itself.
            let _ = self.watcher.unwatch(directory);
        }
    }
}

/// The cause of an error of inotify, and what an operator can do about it.
fn explain(error: &notify::Error) -> String {
    let io = match &error.kind {
        ErrorKind::MaxFilesWatch => {
            return "no inotify watches are left for this user (ENOSPC); raise the sysctl fs.inotify.max_user_watches"
                .into();
        }
        ErrorKind::Io(io) => io,
        _ => return error.to_string(),
    };
    match io.raw_os_error() {
        Some(libc::EMFILE) => "no inotify instances are left for this user, or no file descriptors for this process \
                               (EMFILE); raise the sysctl fs.inotify.max_user_instances, or LimitNOFILE= of the unit"
            .into(),
        Some(libc::ENFILE) => "no file descriptors are left on this host (ENFILE); raise the sysctl fs.file-max".into(),
        Some(libc::EACCES) => "this process may not read the directory (EACCES), and so not watch it".into(),
        Some(libc::ENOSYS) => "this kernel has no inotify (ENOSYS)".into(),
        _ if io.kind() == io::ErrorKind::OutOfMemory => "no memory is left for inotify (ENOMEM)".into(),
        _ => io.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_limit_names_the_sysctl_that_raises_it() {
        let instances = notify::Error::io(io::Error::from_raw_os_error(libc::EMFILE));
        assert!(explain(&instances).contains("fs.inotify.max_user_instances"), "{}", explain(&instances));
        let watches = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(explain(&watches).contains("fs.inotify.max_user_watches"), "{}", explain(&watches));
    }
}
