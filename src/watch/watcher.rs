//! Waits until the file is to be read, decides which readings count, and keeps inotify on the right directories.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::debounce::{FileEvent, QUIET, QUIET_UNWATCHED, ReadReason};
use super::events::EventSink;
use super::inotify::{self, ConnectWatcher, WatchError, WatchedDirectories};
use super::mounts::Mounts;
use super::watched_path::{FileStamp, Inode, Stamps, WatchedPath};
use super::{Mode, ReadRequest};
use crate::error_chain::ErrorChain;
use crate::files::Pattern;

/// The interval of polling.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// The time between two comparisons that find out whether a process is writing, where the file is polled.
const TWO_READINGS: Duration = Duration::from_millis(100);
/// A file whose last change is younger may still be written.
const YOUNG: Duration = Duration::from_secs(1);
/// How long to wait for the event of an opening; only on an overloaded host does it take longer.
const DELIVERY: Duration = Duration::from_millis(200);
/// How often the path to the file may change while it is being followed.
const MOST_TURNS: usize = 8;

/// The watch over one file.
pub struct Watch {
    path: PathBuf,
    /// Which files beside it belong to it
    beside: Vec<Pattern>,
    /// Receives events in notify's thread
    sink: Arc<EventSink>,
    /// Creates the inotify watcher; none where only polling is wanted
    connect: Option<ConnectWatcher>,
    backend: Backend,
    /// The stamps at the last reading, if there was one
    last_read: Option<Stamps>,
}

/// Announces a complete file at once, before its reading is due, so that a long text can be parsed meanwhile.
pub struct Completion(Arc<EventSink>);

impl Completion {
    /// Waits until the file is complete, as far as is known. Such a reading does not count: more changes may follow before
    /// [`Watch::changed`] returns. Where the file is polled, this waits for ever.
    pub async fn wait(&self) {
        self.0.complete.notified().await;
    }
}

/// How changes are found.
enum Backend {
    Inotify(WatchedDirectories),
    Polling(Polling),
}

/// The state of polling.
struct Polling {
    why: String,
    /// When to compare the file's times again
    next: Instant,
    /// What they were the last time
    last: Option<Stamps>,
}

impl Polling {
    fn because(why: String) -> Backend {
        Backend::Polling(Self { why, next: Instant::now() + POLL, last: None })
    }
}

impl Watch {
    /// Watches a file, which need not exist. The first reading is due at once, or soon if the file is very young.
    pub fn new(path: &Path) -> Self {
        Self::build(path, Some(inotify::connect))
    }

    /// Polls a file, though inotify could be used.
    pub fn polling(path: &Path) -> Self {
        Self::build(path, None)
    }

    fn build(path: &Path, connect: Option<ConnectWatcher>) -> Self {
        let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let sink = Arc::new(EventSink::new(path.clone()));
        let backend = Polling::because("polling was requested".to_owned());
        let mut watch = Self { path, beside: Vec::new(), sink, connect, backend, last_read: None };
        let is_young = FileStamp::of(&watch.path).is_some_and(|stamp| stamp.is_younger_than(YOUNG));
        let quiet = if is_young { QUIET_UNWATCHED } else { Duration::ZERO };
        watch.sink.feed(FileEvent::Noticed(ReadReason::Started, quiet));
        watch.try_inotify();
        watch
    }

    /// Announces a complete file before its reading is due.
    pub fn completion(&self) -> Completion {
        Completion(Arc::clone(&self.sink))
    }

    /// How the file is watched. It changes only together with a request to read, so a check after each is enough.
    pub fn mode(&self) -> Mode {
        match &self.backend {
            Backend::Inotify(_) => Mode::Inotify,
            Backend::Polling(polling) => Mode::Polling { why: polling.why.clone() },
        }
    }

    /// Since when a process has been writing the file, if one is. The file is not to be read before it is done.
    pub fn written_since(&self) -> Option<Instant> {
        self.sink.state().debouncer.written_since()
    }

    /// Waits until the file is to be read. Nothing is lost when the future is dropped before it is ready.
    pub async fn changed(&mut self) -> ReadRequest {
        loop {
            self.update_watches(false);
            self.poll();
            let now = Instant::now();
            let due = {
                let mut state = self.sink.state();
                if state.debouncer.due().is_some_and(|due| due <= now) {
                    // Taken before the reading: every later change leads to another stamp, or to an event.
                    let stamps = Stamps::of(&self.path, &self.beside);
                    if let Some(reason) = state.debouncer.take(now) {
                        state.settled = stamps.file.filter(FileStamp::is_settled);
                        self.last_read = Some(stamps);
                        return ReadRequest { reason, generation: state.debouncer.generation(), stamps };
                    }
                }
                state.debouncer.due()
            };
            let next = match &self.backend {
                Backend::Polling(polling) => Some(due.map_or(polling.next, |due| due.min(polling.next))),
                Backend::Inotify(_) => due,
            };
            match next {
                Some(next) => {
                    let _woken = timeout_at(next, self.sink.wake.notified()).await;
                }
                None => self.sink.wake.notified().await,
            }
        }
    }

    /// Whether a reading after this request got the complete file as it was then. If not, another request follows: at once, or
    /// when the writer that came in between is done.
    ///
    /// A later change shows in the file's times at once. An earlier change whose event was still queued in the kernel shows
    /// once the event of an opening of our own has arrived, which was queued behind it. What remains is a writer that the kernel
    /// stopped, for longer than the quiet time, between its write and the event of it.
    pub async fn confirms(&mut self, request: &ReadRequest) -> bool {
        if self.is_outdated(request) {
            return false;
        }
        match self.backend {
            Backend::Inotify(_) => self.drain_events().await,
            Backend::Polling(_) => sleep(TWO_READINGS).await,
        }
        !self.is_outdated(request)
    }

    fn is_outdated(&self, request: &ReadRequest) -> bool {
        let mut state = self.sink.state();
        if state.debouncer.generation() != request.generation {
            return true;
        }
        let is_other = Stamps::of(&self.path, &self.beside) != request.stamps;
        if is_other {
            state.debouncer.feed(FileEvent::Noticed(ReadReason::Found, QUIET), Instant::now());
        }
        is_other
    }

    /// Opens the file, and waits for the event of that: all earlier events have arrived then.
    async fn drain_events(&self) {
        let before = self.sink.state().openings;
        // A pipe must not make this wait for its writer.
        if OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path).is_err() {
            return;
        }
        let opening = async {
            while self.sink.state().openings == before {
                self.sink.wake.notified().await;
            }
        };
        // Without the event, only the file's times are left to compare.
        let _ = timeout(DELIVERY, opening).await;
        // The wake-up may have been meant for `changed`.
        self.sink.wake.notify_one();
    }

    /// Watches the files that match these patterns, too. Where they are others than before, a reading follows, and none before it counts.
    pub fn set_beside(&mut self, patterns: Vec<Pattern>) {
        if self.beside == patterns {
            return;
        }
        self.beside = patterns;
        let is_young = Stamps::of(&self.path, &self.beside).are_younger_than(YOUNG);
        self.sink.state().path_changed = true;
        self.sink.feed(FileEvent::Noticed(ReadReason::Found, if is_young { QUIET_UNWATCHED } else { QUIET }));
        self.update_watches(false);
    }

    /// Requests a reading: at once, or when the writer is done.
    pub fn request_read(&mut self) {
        self.sink.feed(FileEvent::Noticed(ReadReason::Requested, Duration::ZERO));
    }

    /// Checks that no change was missed; to be called regularly. A reading follows where the file has changed since the last
    /// one and no process is known to be writing. Where the file is polled, inotify is tried again.
    pub fn recheck(&mut self) {
        if matches!(self.backend, Backend::Polling(_)) {
            if self.connect.is_none() {
                return;
            }
            self.try_inotify();
        }
        self.update_watches(true);
        let stamps = Stamps::of(&self.path, &self.beside);
        let is_other = self.last_read.is_some_and(|last_read| last_read != stamps);
        let mut state = self.sink.state();
        let debouncer = &mut state.debouncer;
        // Created and opened, never modified, and yet not empty: it was linked here under its only name, and a reader
        // opened it.
        let is_full = |which: &Option<PathBuf>| {
            FileStamp::of(which.as_deref().unwrap_or(&self.path)).is_some_and(|stamp| !stamp.is_empty())
        };
        let linked: Vec<Option<PathBuf>> = debouncer.only_begun().into_iter().filter(is_full).collect();
        if !linked.is_empty() {
            for which in linked {
                debouncer.feed_of(which.as_deref(), FileEvent::Changed(ReadReason::Replaced), Instant::now());
            }
        } else if is_other && debouncer.written_since().is_none() {
            debouncer.feed(FileEvent::Noticed(ReadReason::Found, QUIET), Instant::now());
        }
        drop(state);
        self.sink.wake.notify_one();
    }

    /// Switches to inotify, if it can be used.
    fn try_inotify(&mut self) {
        let Some(connect) = self.connect else { return };
        let elsewhere = wanted(&WatchedPath::with_beside(&self.path, &self.beside)).err();
        let connected = elsewhere.map_or_else(|| connect(&self.sink), Err);
        match connected {
            Ok(watcher) => {
                self.backend = Backend::Inotify(WatchedDirectories::new(watcher));
                self.sink.state().path_changed = true;
                self.update_watches(false);
                if matches!(self.backend, Backend::Inotify(_)) && self.last_read.is_some() {
                    self.sink.feed(FileEvent::Noticed(ReadReason::Found, QUIET));
                }
            }
            Err(error) => self.poll_instead(&error),
        }
    }

    /// Switches to polling.
    fn poll_instead(&mut self, error: &WatchError) {
        let why = ErrorChain(error).to_string();
        if let Backend::Polling(polling) = &mut self.backend {
            polling.why = why;
            return;
        }
        self.backend = Polling::because(why);
        let mut state = self.sink.state();
        // Events that notify's thread still delivers must not count: the end of a write would never be reported.
        state.names.clear();
        state.beside.clear();
        state.directories.clear();
        drop(state);
        if self.last_read.is_some() {
            self.sink.feed(FileEvent::Lost);
        }
    }

    /// Compares the file's times with those before, once the interval is over. Two equal comparisons that differ from the last
    /// reading are a change.
    fn poll(&mut self) {
        let Backend::Polling(polling) = &mut self.backend else { return };
        if Instant::now() < polling.next {
            return;
        }
        let stamps = Stamps::of(&self.path, &self.beside);
        let is_at_rest = polling.last.replace(stamps) == Some(stamps);
        polling.next = Instant::now() + POLL;
        if is_at_rest && self.last_read != Some(stamps) {
            self.sink.feed(FileEvent::Noticed(ReadReason::Found, Duration::ZERO));
        }
    }

    /// Watches the directories on the path to the file, if the path may have changed.
    fn update_watches(&mut self, again: bool) {
        let Backend::Inotify(watched) = &mut self.backend else { return };
        if !again && !self.sink.state().path_changed {
            return;
        }
        let mut is_any_new = false;
        for turn in 0..MOST_TURNS {
            let path = WatchedPath::with_beside(&self.path, &self.beside);
            let directories = match wanted(&path) {
                Ok(directories) => directories,
                Err(error) => return self.poll_instead(&error),
            };
            let lost = {
                let mut state = self.sink.state();
                state.names.clone_from(&path.names);
                state.beside.clone_from(&path.beside);
                let is_beside = |name: &Path| WatchedPath::role(&path.names, &path.beside, name).is_some();
                state.debouncer.retain_beside(is_beside);
                state.directories = directories.iter().map(|(path, _)| path.clone()).collect();
                state.path_changed = false;
                std::mem::take(&mut state.lost)
            };
            match watched.set(&directories, &lost, again && turn == 0) {
                Ok(is_new) => is_any_new |= is_new,
                Err(WatchError::Gone) => continue,
                Err(error) => return self.poll_instead(&error),
            }
            // A change before the directory was watched is found by following the path again.
            if WatchedPath::with_beside(&self.path, &self.beside) == path {
                if is_any_new && Stamps::of(&self.path, &self.beside).are_younger_than(YOUNG) {
                    self.sink.feed(FileEvent::Noticed(ReadReason::PathChanged, QUIET_UNWATCHED));
                }
                return;
            }
        }
        // The next recheck tries inotify again.
        self.poll_instead(&WatchError::Unsettled);
    }
}

/// The directories to watch, or why inotify would miss changes there.
fn wanted(path: &WatchedPath) -> Result<Vec<(PathBuf, Inode)>, WatchError> {
    let mounts = Mounts::read();
    for (directory, (device, _)) in &path.directories {
        if let Some(kind) = mounts.changed_elsewhere(*device) {
            return Err(WatchError::ChangedElsewhere {
                directory: directory.clone(),
                file_system: kind.to_owned(),
            });
        }
    }
    let mut wanted = path.directories.clone();
    // A file that is a mount point itself, as in containers, is in another directory than its path names.
    let mounted = path.file.as_deref().filter(|file| mounts.has(file));
    if let Some((file, found)) = mounted.and_then(|file| Some((file, fs::metadata(file).ok()?))) {
        wanted.push((file.to_owned(), (found.dev(), found.ino())));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;
