//! Receives the events of the watched directories and finds out what they mean for the file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::debounce::{Debouncer, FileEvent, QUIET, ReadReason};
use super::watched_path::{FileStamp, NamesBeside, Role, WatchedPath};

/// Receives events in notify's thread; shared with the task that waits for them.
pub(super) struct EventSink {
    /// The path as the operator gives it, absolute
    path: PathBuf,
    state: Mutex<WatchState>,
    /// Wakes the task after an event
    pub(super) wake: Notify,
    /// Wakes the task that prepares a complete file before its reading is due
    pub(super) complete: Notify,
}

/// What the events so far amount to.
pub(super) struct WatchState {
    pub(super) debouncer: Debouncer,
    /// The names that matter, under the directories that are watched
    pub(super) names: HashMap<PathBuf, Role>,
    /// Further names
    pub(super) beside: Vec<NamesBeside>,
    /// The directories that are watched
    pub(super) directories: HashSet<PathBuf>,
    /// Those of them that were deleted or renamed, and are not watched any more
    pub(super) lost: HashSet<PathBuf>,
    /// Whether the path to the file may have changed
    pub(super) path_changed: bool,
    /// How often the file was opened, by any process
    pub(super) openings: u64,
    /// The stamp of the file at its last reading, if every later change must lead to another stamp
    pub(super) settled: Option<FileStamp>,
}

impl EventSink {
    /// No event so far.
    pub(super) fn new(path: PathBuf) -> Self {
        let state = WatchState {
            debouncer: Debouncer::new(),
            names: HashMap::new(),
            beside: Vec::new(),
            directories: HashSet::new(),
            lost: HashSet::new(),
            path_changed: true,
            openings: 0,
            settled: None,
        };
        Self { path, state: Mutex::new(state), wake: Notify::new(), complete: Notify::new() }
    }

    /// Locks the state. It must not stay locked during a call to notify, whose thread may be waiting for it.
    pub(super) fn state(&self) -> MutexGuard<'_, WatchState> {
        // A panic in another thread leaves the state usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event of the file.
    pub(super) fn feed(&self, event: FileEvent) {
        self.state().debouncer.feed(event, Instant::now());
        self.wake.notify_one();
    }

    /// Takes an event, or an error, from notify.
    pub(super) fn receive(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if !event.need_rescan() => {
                event.paths.iter().for_each(|path| self.receive_path(path, event.kind));
            }
            // The kernel's queue overflowed, or it could not be read.
            _ => {
                let mut state = self.state();
                state.path_changed = true;
                // A watched directory may be gone without an event.
                state.lost = state.directories.clone();
                state.debouncer.feed(FileEvent::Lost, Instant::now());
                self.wake.notify_one();
            }
        }
    }

    fn receive_path(&self, path: &Path, kind: EventKind) {
        let mut state = self.state();
        let role = WatchedPath::role(&state.names, &state.beside, path);
        let event = if let Some(role) = role {
            self.interpret(path, kind, role, &state)
        } else if state.directories.contains(path) {
            match kind {
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                    state.lost.insert(path.to_owned());
                    Some(FileEvent::Changed(ReadReason::PathChanged))
                }
                EventKind::Modify(ModifyKind::Metadata(_)) => {
                    Some(FileEvent::Noticed(ReadReason::Attributes, QUIET))
                }
                _ => None,
            }
        } else {
            None
        };
        let Some(event) = event else { return };
        state.path_changed |= matches!(event, FileEvent::Changed(_));
        state.openings += u64::from(event == FileEvent::Opened && role == Some(Role::File));
        let is_beside = match role {
            Some(role) => role.is_beside(),
            // A directory: whether the path to the file itself leads through it.
            None => !state.names.iter().any(|(name, role)| !role.is_beside() && name.parent() == Some(path)),
        };
        state.debouncer.feed_of(is_beside.then_some(path), event, Instant::now());
        if state.debouncer.take_complete() {
            self.complete.notify_one();
        }
        self.wake.notify_one();
    }

    /// What an event of a name on the path means for the file.
    fn interpret(&self, name: &Path, kind: EventKind, role: Role, state: &WatchState) -> Option<FileEvent> {
        let is_file = role.is_file();
        let another =
            |reason| Some(FileEvent::Changed(if is_file { reason } else { ReadReason::PathChanged }));
        match kind {
            EventKind::Create(CreateKind::File) if is_file && is_new_file(name) => Some(FileEvent::Created),
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                another(ReadReason::Replaced)
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                another(ReadReason::Removed)
            }
            _ if !is_file => None,
            EventKind::Access(AccessKind::Open(_)) => Some(FileEvent::Opened),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(FileEvent::Closed),
            // Writes to a file that was deleted or replaced still come under its old name. The current file was not
            // touched, or its stamp would be another.
            EventKind::Modify(ModifyKind::Data(_)) => {
                let is_untouched = role == Role::File
                    && state.settled.is_some()
                    && state.settled == FileStamp::of(&self.path);
                (!is_untouched).then_some(FileEvent::Modified)
            }
            EventKind::Modify(ModifyKind::Metadata(_)) => {
                Some(FileEvent::Noticed(ReadReason::Attributes, QUIET))
            }
            _ => None,
        }
    }
}

/// Whether a name that was just created is a file that a process is about to write. A symlink and a second name of a
/// file are complete at once.
fn is_new_file(name: &Path) -> bool {
    fs::symlink_metadata(name).is_ok_and(|found| found.is_file() && found.nlink() == 1)
}
