//! The watch as its user holds it: waits for looks, says which readings count, keeps the watching up.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ears::Ears;
use super::inotify::{self, Connect, WatchError, Watched};
use super::mounts::Mounts;
use super::settle::{Event, QUIET, QUIET_UNWATCHED, Reason};
use super::way::{Identity, Stamp, Way};
use super::{Look, Mode};
use crate::error_chain::ErrorChain;

/// How often a file is looked at that inotify does not watch.
pub(super) const POLL: Duration = Duration::from_secs(2);
/// How far apart two readings must be to be two, where nobody would tell of a writer.
const TWO_READINGS: Duration = Duration::from_millis(100);
/// A file that was last changed longer ago is not one that somebody has just begun to write.
const YOUNG: Duration = Duration::from_secs(1);
/// How long to wait for the event of an opening: only a thread that gets no processor takes longer.
const DELIVERY: Duration = Duration::from_millis(200);
/// How often the way to the file may change while it is being followed.
const MOST_TURNS: usize = 8;

/// The watch over one file.
pub struct Watch {
    path: PathBuf,
    /// What notify's thread has heard
    ears: Arc<Ears>,
    /// How to come by inotify; none where only polling is wanted
    connect: Option<Connect>,
    source: Source,
    /// The stamp at the last look, if there was one
    looked_at: Option<Option<Stamp>>,
}

/// Tells at once of a whole file, whose look waits for more to come: who has much to do with a text can begin.
pub struct Ahead(Arc<Ears>);

impl Ahead {
    /// Waits until the file is whole, as far as is known. What is read then does not count: only the look that follows
    /// shows whether it was the last word. Where the file is polled, it never comes.
    pub async fn whole(&self) {
        self.0.whole.notified().await;
    }
}

/// Where the news comes from.
enum Source {
    Inotify(Watched),
    Polling(Polling),
}

/// What polling has to remember.
struct Polling {
    why: String,
    /// When to look at the file's times again
    next: Instant,
    /// What they were the last time
    last: Option<Option<Stamp>>,
}

impl Polling {
    fn because(why: String) -> Source {
        Source::Polling(Self { why, next: Instant::now() + POLL, last: None })
    }
}

impl Watch {
    /// Watches a file, whether or not it is there. The first look is due at once, or soon if the file is very young.
    pub fn new(path: &Path) -> Self {
        Self::build(path, Some(inotify::connect))
    }

    /// Polls a file though inotify could be had.
    pub fn polling(path: &Path) -> Self {
        Self::build(path, None)
    }

    fn build(path: &Path, connect: Option<Connect>) -> Self {
        let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let ears = Arc::new(Ears::new(path.clone()));
        let source = Polling::because("that was asked for".to_owned());
        let mut watch = Self { path, ears, connect, source, looked_at: None };
        let is_young = Stamp::of(&watch.path).is_some_and(|stamp| stamp.is_younger_than(YOUNG));
        let quiet = if is_young { QUIET_UNWATCHED } else { Duration::ZERO };
        watch.ears.feed(Event::Noticed(Reason::Started, quiet));
        watch.listen();
        watch
    }

    /// What tells of a whole file before its look is due.
    pub fn ahead(&self) -> Ahead {
        Ahead(Arc::clone(&self.ears))
    }

    /// How the file is watched. That changes only together with a look, so it is enough to ask after each.
    pub fn mode(&self) -> Mode {
        match &self.source {
            Source::Inotify(_) => Mode::Inotify,
            Source::Polling(polling) => Mode::Polling { why: polling.why.clone() },
        }
    }

    /// Since when a writer has been in the middle of the file, if one is. There will be no look before he is done.
    pub fn written_since(&self) -> Option<Instant> {
        self.ears.heard().settle.written_since()
    }

    /// Waits until the file is to be read. Nothing is lost when the future is dropped before it is ready.
    pub async fn changed(&mut self) -> Look {
        loop {
            self.follow(false);
            self.poll();
            let now = Instant::now();
            let due = {
                let mut heard = self.ears.heard();
                // Taken before the reading: whatever happens from here on must show in a later stamp, or as an event.
                let stamp = Stamp::of(&self.path);
                if let Some(reason) = heard.settle.take(now) {
                    heard.settled = stamp.filter(Stamp::is_settled);
                    self.looked_at = Some(stamp);
                    return Look { reason, generation: heard.settle.generation(), stamp };
                }
                heard.settle.due()
            };
            let next = match &self.source {
                Source::Polling(polling) => Some(due.map_or(polling.next, |due| due.min(polling.next))),
                Source::Inotify(_) => due,
            };
            match next {
                Some(next) => {
                    let _woken = timeout_at(next, self.ears.wake.notified()).await;
                }
                None => self.ears.wake.notified().await,
            }
        }
    }

    /// Whether what was read after this look is the file as it was then, whole. If not, another look follows: at once, or
    /// when the writer who came in between is done.
    ///
    /// A change since the look shows in the file's times, at once. One from before that was still on its way from the
    /// kernel shows when the event of our own opening has come through, which was queued behind it. What is left is a
    /// writer whom the kernel stopped, for longer than the quiet time, between his writing and the event of it.
    pub async fn confirms(&mut self, look: &Look) -> bool {
        if self.is_outdated(look) {
            return false;
        }
        match self.source {
            Source::Inotify(_) => self.hear_everything().await,
            Source::Polling(_) => sleep(TWO_READINGS).await,
        }
        !self.is_outdated(look)
    }

    fn is_outdated(&self, look: &Look) -> bool {
        let mut heard = self.ears.heard();
        if heard.settle.generation() != look.generation {
            return true;
        }
        let is_other = Stamp::of(&self.path) != look.stamp;
        if is_other {
            heard.settle.feed(Event::Noticed(Reason::Found, QUIET), Instant::now());
        }
        is_other
    }

    /// Opens the file, and waits until that is heard.
    async fn hear_everything(&self) {
        let before = self.ears.heard().openings;
        // Not to wait for a writer, should it be a pipe.
        if OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path).is_err() {
            return;
        }
        let heard = async {
            while self.ears.heard().openings == before {
                self.ears.wake.notified().await;
            }
        };
        // Unheard, there is nothing better to go by than the file's times.
        let _ = timeout(DELIVERY, heard).await;
        // What was woken here may have been meant for `changed`.
        self.ears.wake.notify_one();
    }

    /// Asks for a look, unless a writer is in the middle: then it follows when he is done.
    pub fn ask(&mut self) {
        self.ears.feed(Event::Noticed(Reason::Asked, Duration::ZERO));
    }

    /// Makes sure that nothing was missed: to be called now and then. Where the file is not what it was at the last look,
    /// and nobody is known to be writing, a look follows. Where inotify could not be had, it is tried again.
    pub fn recheck(&mut self) {
        if matches!(self.source, Source::Polling(_)) {
            if self.connect.is_none() {
                return;
            }
            self.listen();
        }
        self.follow(true);
        let stamp = Stamp::of(&self.path);
        let is_other = self.looked_at.is_some_and(|looked_at| looked_at != stamp);
        let mut heard = self.ears.heard();
        let settle = &mut heard.settle;
        // Created and opened, never modified, and yet something is in it: it was linked here under its only name, and who
        // opened it was a reader.
        let is_linked = settle.has_only_begun() && stamp.is_some_and(|stamp| !stamp.is_empty());
        if is_linked {
            settle.feed(Event::Changed(Reason::Replaced), Instant::now());
        } else if is_other && settle.written_since().is_none() {
            settle.feed(Event::Noticed(Reason::Found, QUIET), Instant::now());
        }
        drop(heard);
        self.ears.wake.notify_one();
    }

    /// Goes over to inotify, if it can be had.
    fn listen(&mut self) {
        let Some(connect) = self.connect else { return };
        let elsewhere = wanted(&Way::to(&self.path)).err();
        let connected = elsewhere.map_or_else(|| connect(&self.ears), Err);
        match connected {
            Ok(source) => {
                self.source = Source::Inotify(Watched::new(source));
                self.ears.heard().way_changed = true;
                self.follow(false);
                if matches!(self.source, Source::Inotify(_)) && self.looked_at.is_some() {
                    self.ears.feed(Event::Noticed(Reason::Found, QUIET));
                }
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// Polls from now on.
    fn give_up(&mut self, error: &WatchError) {
        let why = ErrorChain(error).to_string();
        if let Source::Polling(polling) = &mut self.source {
            polling.why = why;
            return;
        }
        self.source = Polling::because(why);
        let mut heard = self.ears.heard();
        // What notify's thread has still under way must not count: nobody would tell of the end of what it began.
        heard.names.clear();
        heard.directories.clear();
        drop(heard);
        if self.looked_at.is_some() {
            self.ears.feed(Event::Lost);
        }
    }

    /// Compares the file's times with those before, if it is time to. Two that are alike and new are a change.
    fn poll(&mut self) {
        let Source::Polling(polling) = &mut self.source else { return };
        if Instant::now() < polling.next {
            return;
        }
        let stamp = Stamp::of(&self.path);
        let is_at_rest = polling.last.replace(stamp) == Some(stamp);
        polling.next = Instant::now() + POLL;
        if is_at_rest && self.looked_at != Some(stamp) {
            self.ears.feed(Event::Noticed(Reason::Found, Duration::ZERO));
        }
    }

    /// Watches what lies on the way to the file, if it may have changed.
    fn follow(&mut self, again: bool) {
        let Source::Inotify(watched) = &mut self.source else { return };
        if !again && !self.ears.heard().way_changed {
            return;
        }
        let mut is_any_new = false;
        for turn in 0..MOST_TURNS {
            let way = Way::to(&self.path);
            let directories = match wanted(&way) {
                Ok(directories) => directories,
                Err(error) => return self.give_up(&error),
            };
            let lost = {
                let mut heard = self.ears.heard();
                heard.names.clone_from(&way.names);
                heard.directories = directories.iter().map(|(path, _)| path.clone()).collect();
                heard.way_changed = false;
                std::mem::take(&mut heard.lost)
            };
            match watched.set(&directories, &lost, again && turn == 0) {
                Ok(is_new) => is_any_new |= is_new,
                Err(WatchError::Gone) => continue,
                Err(error) => return self.give_up(&error),
            }
            // What changed before it was watched is seen by going the way again.
            if Way::to(&self.path) == way {
                if is_any_new && Stamp::of(&self.path).is_some_and(|stamp| stamp.is_younger_than(YOUNG)) {
                    self.ears.feed(Event::Noticed(Reason::WayChanged, QUIET_UNWATCHED));
                }
                return;
            }
        }
        // Rather than go round for ever; the next recheck tries again.
        self.give_up(&WatchError::Unsettled);
    }
}

/// The directories to watch, or why watching them would not do.
fn wanted(way: &Way) -> Result<Vec<(PathBuf, Identity)>, WatchError> {
    let mounts = Mounts::read();
    for (directory, (device, _)) in &way.directories {
        if let Some(kind) = mounts.changed_elsewhere(*device) {
            return Err(WatchError::ChangedElsewhere {
                directory: directory.clone(),
                file_system: kind.to_owned(),
            });
        }
    }
    let mut wanted = way.directories.clone();
    // A file that is mounted by itself, as containers do it, lies in another directory than its path says.
    let mounted = way.file.as_deref().filter(|file| mounts.has(file));
    if let Some((file, found)) = mounted.and_then(|file| Some((file, fs::metadata(file).ok()?))) {
        wanted.push((file.to_owned(), (found.dev(), found.ino())));
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests;
