//! Tells when to look at the desired file again: when it was completely written, however that was done.
//!
//! Nothing here reads the file. The one who reads it asks afterwards whether the reading counts:
//!
//! ```no_run
//! # async fn run(path: &std::path::Path) {
//! let mut watch = lbd::watch::Watch::new(path);
//! loop {
//!     let look = watch.changed().await; // may be dropped half-way: `select!` beside timers and signals
//!     let text = std::fs::read(path);
//!     if !watch.confirms(&look).await {
//!         continue; // a writer came in between; the next look comes when he is done
//!     }
//!     // reconcile with `text`, because of `look.reason`
//! }
//! # }
//! ```
//!
//! What cannot be seen:
//! - a writer that began before the watching did, and pauses;
//! - a second writer in the middle when a first one closes the file: inotify does not say whose close it was;
//! - the end of a `truncate` that opens no file, and of a writer who goes on with a file that was replaced, if in that
//!   moment the new one changes too: both seem to write until the next close or rename;
//! - changes through a memory mapping, until the file is closed.

mod ears;
mod inotify;
mod mounts;
mod settle;
mod watcher;
mod way;

use std::fmt;

use way::Stamp;

pub use settle::Reason;
pub use watcher::{Ahead, Watch};

/// How the file is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The kernel tells of changes.
    Inotify,
    /// It is looked at every two seconds: changes are seen later, and a slow writer only by his not pausing.
    Polling {
        /// Why inotify cannot be had, and what would help
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
                    "looking at the desired file every {} s, because it cannot be watched: {why}",
                    watcher::POLL.as_secs()
                )
            }
        }
    }
}

/// That the file is to be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Why
    pub reason: Reason,
    /// Which of the changes it belongs to
    generation: u64,
    /// What the file was then, if it was there
    stamp: Option<Stamp>,
}

impl Look {
    /// Whether the file was seen to be written completely, or put in its place as it is. Otherwise somebody may be in the
    /// middle of it who began before the watching did.
    pub fn is_of_a_whole_file(&self) -> bool {
        matches!(self.reason, Reason::Written | Reason::Replaced)
    }
}
