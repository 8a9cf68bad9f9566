//! Hears what happens in the watched directories and tells what it means for the file.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RenameMode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::settle::{Event, QUIET, Reason, Settle};
use super::way::{Role, Stamp};

/// What notify's thread and the daemon's task share.
pub(super) struct Ears {
    /// The path as the operator gives it, absolute
    path: PathBuf,
    heard: Mutex<Heard>,
    /// Wakes the task after something was heard
    pub(super) wake: Notify,
    /// Tells that the file is whole, before its look is due
    pub(super) whole: Notify,
}

/// What was heard so far.
pub(super) struct Heard {
    pub(super) settle: Settle,
    /// The names that matter, under the directories that are watched
    pub(super) names: HashMap<PathBuf, Role>,
    /// The directories that are watched
    pub(super) directories: HashSet<PathBuf>,
    /// Of these, those that were deleted or renamed: what is watched is another one, or none
    pub(super) lost: HashSet<PathBuf>,
    /// Whether the way to the file may have changed
    pub(super) way_changed: bool,
    /// How often the file was opened, by whomsoever
    pub(super) openings: u64,
    /// What the file was at the last look, if any later change must show as another stamp
    pub(super) settled: Option<Stamp>,
}

impl Ears {
    /// Nothing heard so far.
    pub(super) fn new(path: PathBuf) -> Self {
        let heard = Heard {
            settle: Settle::new(),
            names: HashMap::new(),
            directories: HashSet::new(),
            lost: HashSet::new(),
            way_changed: true,
            openings: 0,
            settled: None,
        };
        Self { path, heard: Mutex::new(heard), wake: Notify::new(), whole: Notify::new() }
    }

    /// What was heard. Not to be held while notify's thread is asked for something: it may be waiting for it.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        // A panic in between leaves nothing half done that would matter more than going on.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of something that happened to the file.
    pub(super) fn feed(&self, event: Event) {
        self.heard().settle.feed(event, Instant::now());
        self.wake.notify_one();
    }

    /// Takes an event, or an error, from notify.
    pub(super) fn hear(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if !event.need_rescan() => {
                event.paths.iter().for_each(|path| self.hear_of(path, event.kind));
            }
            // The kernel's queue overflowed, or it could not be read.
            _ => {
                let mut heard = self.heard();
                heard.way_changed = true;
                // What is watched may be gone without a word.
                heard.lost = heard.directories.clone();
                heard.settle.feed(Event::Lost, Instant::now());
                self.wake.notify_one();
            }
        }
    }

    fn hear_of(&self, path: &Path, kind: EventKind) {
        let mut heard = self.heard();
        let event = if let Some(role) = heard.names.get(path) {
            self.means(path, kind, *role, &heard)
        } else if heard.directories.contains(path) {
            match kind {
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                    heard.lost.insert(path.to_owned());
                    Some(Event::Changed(Reason::WayChanged))
                }
                EventKind::Modify(ModifyKind::Metadata(_)) => Some(Event::Noticed(Reason::Attributes, QUIET)),
                _ => None,
            }
        } else {
            None
        };
        let Some(event) = event else { return };
        heard.way_changed |= matches!(event, Event::Changed(_));
        heard.openings += u64::from(event == Event::Opened);
        heard.settle.feed(event, Instant::now());
        if heard.settle.tell_whole() {
            self.whole.notify_one();
        }
        self.wake.notify_one();
    }

    /// What something that happened to a name of the way means for the file.
    fn means(&self, name: &Path, kind: EventKind, role: Role, heard: &Heard) -> Option<Event> {
        let is_file = role == Role::File;
        let another = |reason| Some(Event::Changed(if is_file { reason } else { Reason::WayChanged }));
        match kind {
            EventKind::Create(CreateKind::File) if is_file && is_new_file(name) => Some(Event::Created),
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => {
                another(Reason::Replaced)
            }
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
                another(Reason::Removed)
            }
            _ if !is_file => None,
            EventKind::Access(AccessKind::Open(_)) => Some(Event::Opened),
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Event::Closed),
            // Who writes to a file that was deleted or replaced is still heard under its old name. The file that is
            // there now was not touched, or its stamp would be another.
            EventKind::Modify(ModifyKind::Data(_)) => {
                let is_untouched = heard.settled.is_some() && heard.settled == Stamp::of(&self.path);
                (!is_untouched).then_some(Event::Modified)
            }
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Event::Noticed(Reason::Attributes, QUIET)),
            _ => None,
        }
    }
}

/// Whether a name that has just come into being is a file that somebody is about to write. A symlink and a second name
/// of a file are whole at once.
fn is_new_file(name: &Path) -> bool {
    fs::symlink_metadata(name).is_ok_and(|found| found.is_file() && found.nlink() == 1)
}
