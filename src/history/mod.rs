//! The history: which files were verified, by whom, and what happened. Pure: numbers, limits, and what a file of it may say.

mod entries;

pub use self::entries::{Cause, Counts, DIGEST, Entry, History, MOST_BYTES, MOST_ENTRIES, Trigger};
