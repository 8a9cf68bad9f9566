//! Watches the desired file, and those beside it that it includes, and requests a reading when all are completely written.
//!
//! Nothing here reads the file. The caller reads it, and checks afterwards whether the reading counts:
//!
//! ```no_run
//! # async fn run(path: &std::path::Path) {
//! let mut watch = lbd::watch::Watch::new(path);
//! loop {
//!     let request = watch.changed().await; // may be dropped half-way: `select!` beside timers and signals
//!     let text = std::fs::read(path);
//!     if !watch.confirms(&request).await {
//!         continue; // the file was changed meanwhile; the next request comes when its writer is done
//!     }
//!     // reconcile with `text`, because of `request.reason`
//! }
//! # }
//! ```
//!
//! What it cannot detect:
//! - a writer that began before the watch, and pauses;
//! - a second writer that is not done when the first one closes the file: inotify does not tell which of them closed it;
//! - the end of a `truncate` that opens no file, and of a writer that continues with a replaced file, if the new file changes
//!   at that moment: both seem to write until the next close or rename;
//! - changes through a memory mapping, until the file is closed.

mod debounce;
mod events;
mod inotify;
mod mounts;
mod watched_path;
mod watcher;

use std::fmt;

use watched_path::Stamps;

pub use debounce::ReadReason;
pub use watcher::{Completion, Watch};

/// How the file is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// inotify reports changes.
    Inotify,
    /// Its times are compared every two seconds: changes are found later, and a writer that pauses is not noticed.
    Polling {
        /// Why inotify cannot be used, and what would help
        why: String,
    },
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inotify => f.write_str("watching the desired file"),
            Self::Polling { why } => {
                write!(
                    f,
                    "polling the desired file every {} s, because it cannot be watched: {why}",
                    watcher::POLL.as_secs()
                )
            }
        }
    }
}

/// A request to read the file now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// Why
    pub reason: ReadReason,
    /// The number of changes before it
    generation: u64,
    /// The stamps of the files then
    stamps: Stamps,
}

impl ReadRequest {
    /// Whether the file is known to be complete: it was closed by its writer, or renamed into place. Otherwise a writer that
    /// began before the watch may not be done.
    pub fn is_complete_file(&self) -> bool {
        matches!(self.reason, ReadReason::Written | ReadReason::Replaced)
    }
}
