//! The history: which files were verified, by whom, and what happened. Pure: numbers, limits, and what a file of it may say.

mod entries;
mod event;

pub use self::entries::{Cause, Counts, DIGEST, Entry, History, MOST_BYTES, MOST_ENTRIES, Trigger};
pub use self::event::{
    EventKind, HistoryEvent, LONGEST_LINE, MOST_CHANGES, MOST_CLUSTERS, read_events, shortened,
};
