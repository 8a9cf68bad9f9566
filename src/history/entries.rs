//! Defines the list of the files that were verified, and which of them are kept.

use std::collections::HashSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::{ChangedBy, Timestamp};

/// How many files are kept at most, whatever `policy.history` says.
pub const MOST_ENTRIES: usize = 1_000;
/// How long the texts of all of them are together at most, in bytes.
pub const MOST_BYTES: u64 = 64 << 20;
/// How many digits a SHA-256 has.
pub const DIGEST: usize = 64;
/// The greatest number of a file: a greater one is not from lbd, and some readers of JSON round it.
const MOST_NUMBER: u64 = 1 << 53;
/// How long the name of a user is at most, in bytes; a longer one is not from lbd.
const LONGEST_NAME: usize = 256;
/// The same in characters, of up to four bytes each.
const LONGEST_NAME_CHARS: usize = LONGEST_NAME / 4;

/// How many objects were added, edited and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Additions
    pub added: usize,
    /// Edits
    pub edited: usize,
    /// Deletions
    pub deleted: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, edited, deleted } = self;
        write!(f, "{added} added, {edited} edited, {deleted} deleted")
    }
}

/// Who or what had a pass run, for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The command
    pub command: ChangedBy,
    /// The user who typed it, if one did
    pub by: Option<String>,
    /// What was done for it before the pass
    pub done: Counts,
}

/// Why a file is in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A pass has verified it.
    Verified {
        /// The command
        #[serde(flatten)]
        command: ChangedBy,
        /// The user who typed it, or who edited the file with lbd, if one did
        by: Option<String>,
    },
    /// It was verified by an lbd that kept no history.
    Earlier,
    /// It was the desired file when another one took its place; no pass has verified it.
    Replaced {
        /// The user who did it
        by: String,
    },
}

impl Cause {
    /// A pass of a command has verified the file; `by` is the user who is behind it, if one is known.
    pub fn verified(command: ChangedBy, by: Option<&str>) -> Self {
        Self::Verified { command, by: by.map(cut) }
    }

    /// A user has replaced the file, and no pass has verified it.
    pub fn replaced(by: &str) -> Self {
        Self::Replaced { by: cut(by) }
    }

    /// Whether a pass has verified the file.
    pub fn is_verified(&self) -> bool {
        match self {
            Self::Verified { .. } | Self::Earlier => true,
            Self::Replaced { .. } => false,
        }
    }

    /// The user, if one is known.
    pub fn by(&self) -> Option<&str> {
        match self {
            Self::Verified { by, .. } => by.as_deref(),
            Self::Replaced { by } => Some(by),
            Self::Earlier => None,
        }
    }
}

/// The name of a user, cut where it is too long.
fn cut(name: &str) -> String {
    name.chars().take(LONGEST_NAME_CHARS).collect()
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified { command: ChangedBy::Run { reason }, by: None } => {
                write!(f, "lbd run ({reason})")
            }
            Self::Verified { command: ChangedBy::Run { reason }, by: Some(by) } => {
                write!(f, "lbd run ({reason} by {by})")
            }
            Self::Verified { command, by: Some(by) } => write!(f, "{command} by {by}"),
            Self::Verified { command, by: None } => command.fmt(f),
            Self::Earlier => f.write_str("an lbd without a history"),
            Self::Replaced { by } => write!(f, "replaced by {by}, not verified"),
        }
    }
}

/// A file of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, which no other file gets
    pub number: u64,
    /// When it was verified, or replaced
    pub at: Timestamp,
    /// Why it is here
    #[serde(flatten)]
    pub cause: Cause,
    /// What was done to the kernel for it
    #[serde(flatten)]
    pub counts: Counts,
    /// The SHA-256 of its text
    pub sha256: String,
    /// How long its text is, in bytes
    pub bytes: u64,
}

/// The files that are kept, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The number of the next one
    next: u64,
    entries: Vec<Entry>,
}

impl Default for History {
    fn default() -> Self {
        Self::after(0)
    }
}

impl History {
    /// No files; numbers go on after this one, or begin anew where that cannot be the number of a file.
    pub fn after(number: u64) -> Self {
        let last = if number < MOST_NUMBER { number } else { 0 };
        Self { next: last + 1, entries: Vec::new() }
    }

    /// The files, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number that was given last; 0 where none was.
    pub fn last_number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The file of a number.
    pub fn get(&self, number: u64) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.number == number)
    }

    /// The newest file with this SHA-256.
    pub fn with_digest(&self, sha256: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.sha256 == sha256)
    }

    /// Whether this is the text that was verified last, and no other one was replaced since.
    pub fn is_newest(&self, sha256: &str) -> bool {
        self.entries.last().is_some_and(|entry| entry.sha256 == sha256 && entry.cause.is_verified())
    }

    /// Adds a file, and removes the oldest ones beyond the limits: so many files, and [`MOST_BYTES`] of different texts.
    pub fn add(&mut self, at: Timestamp, cause: Cause, counts: Counts, text: (String, u64), most: usize) {
        let (sha256, bytes) = text;
        self.entries.push(Entry { number: self.next, at, cause, counts, sha256, bytes });
        self.next = self.next.saturating_add(1);
        self.limit(most);
    }

    /// Removes the oldest files beyond the limits.
    fn limit(&mut self, most: usize) {
        let mut texts = HashSet::new();
        let mut sum: u64 = 0;
        let mut kept = 0;
        for Entry { sha256, bytes, .. } in self.entries.iter().rev().take(most.min(MOST_ENTRIES)) {
            sum = sum.saturating_add(if texts.insert(sha256.as_str()) { *bytes } else { 0 });
            if sum > MOST_BYTES {
                break;
            }
            kept += 1;
        }
        let beyond = self.entries.len().saturating_sub(kept);
        self.entries.drain(..beyond);
    }

    /// What is wrong with a history that was read, if anything: whoever may write it must not name other files by it, nor let it grow.
    pub fn problem(&self) -> Option<&'static str> {
        let is_digest = |text: &str| {
            text.len() == DIGEST && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if self.entries.len() > MOST_ENTRIES {
            return Some("it has too many entries");
        }
        if !self.entries.iter().all(|entry| is_digest(&entry.sha256)) {
            return Some("an entry has no SHA-256");
        }
        if self.entries.iter().any(|entry| entry.cause.by().is_some_and(|by| by.len() > LONGEST_NAME)) {
            return Some("the name of a user is too long");
        }
        if self.next > MOST_NUMBER {
            return Some("its numbers are too great");
        }
        let numbers = self.entries.iter().map(|entry| entry.number).chain([self.next]);
        (!numbers.is_sorted_by(|one, next| one < next)).then_some("its numbers do not ascend")
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::status::PassReason;

    fn digest(number: u64) -> String {
        format!("{number:064x}")
    }

    fn add(history: &mut History, text: u64, bytes: u64, most: usize) {
        let cause = Cause::Verified { command: ChangedBy::Apply, by: Some("alice".into()) };
        history.add(UNIX_EPOCH.into(), cause, Counts::default(), (digest(text), bytes), most);
    }

    fn numbers(history: &History) -> Vec<u64> {
        history.entries().iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn the_newest_files_are_kept_and_no_number_is_given_again() {
        let mut history = History::default();
        (1..=5).for_each(|text| add(&mut history, text, 1, 3));
        assert_eq!((numbers(&history), history.last_number()), (vec![3, 4, 5], 5));
        add(&mut history, 6, 1, 1);
        assert_eq!(numbers(&history), [6]);
        add(&mut history, 7, 1, 0);
        assert_eq!((numbers(&history), history.last_number()), (vec![], 7));
        add(&mut history, 8, 1, 3);
        assert_eq!((numbers(&history), history.problem()), (vec![8], None));
    }

    #[test]
    fn equal_texts_count_once_against_the_limit_of_all() {
        let mut history = History::default();
        for text in [1, 2, 1, 2, 1] {
            add(&mut history, text, MOST_BYTES / 2, 50);
        }
        assert_eq!(numbers(&history), [1, 2, 3, 4, 5]);
        assert_eq!(history.with_digest(&digest(2)).map(|entry| entry.number), Some(4));
        assert!(history.is_newest(&digest(1)) && !history.is_newest(&digest(2)));
        add(&mut history, 3, 1, 50);
        assert_eq!(numbers(&history), [5, 6]);
        // One alone that is too long is not kept.
        add(&mut history, 4, MOST_BYTES + 1, 50);
        assert_eq!(numbers(&history), Vec::<u64>::new());
    }

    #[test]
    fn a_history_that_lbd_did_not_write_is_rejected() {
        let mut history = History::default();
        add(&mut history, 1, 1, 50);
        add(&mut history, 2, 1, 50);
        let problem = |change: &dyn Fn(&mut History)| {
            let mut other = history.clone();
            change(&mut other);
            other.problem()
        };
        let wrong = Some("its numbers do not ascend");
        assert_eq!(problem(&|_| ()), None);
        assert_eq!(problem(&|history| history.entries.swap(0, 1)), wrong);
        assert_eq!(problem(&|history| history.entries[1].number = 1), wrong);
        assert_eq!(problem(&|history| history.next = 2), wrong);
        assert_eq!(problem(&|history| history.next = u64::MAX), Some("its numbers are too great"));
        assert_eq!([7, u64::MAX].map(|number| History::after(number).last_number()), [7, 0]);
        let no_digest = Some("an entry has no SHA-256");
        for text in ["", "../../../../etc/shadow", &digest(1)[1..], &"A".repeat(64), &"\u{e9}".repeat(32)] {
            assert_eq!(problem(&|history| history.entries[0].sha256 = text.to_owned()), no_digest, "{text}");
        }
        let long = Cause::Replaced { by: "a".repeat(257) };
        assert_eq!(
            problem(&|history| history.entries[0].cause = long.clone()),
            Some("the name of a user is too long")
        );
        let cut = Cause::replaced(&"\u{1f600}".repeat(999));
        assert_eq!(problem(&|history| history.entries[0].cause = cut.clone()), None);
        let many = |history: &mut History| history.entries = vec![history.entries[0].clone(); 1_001];
        assert_eq!(problem(&many), Some("it has too many entries"));
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_says_why_it_is_there() {
        for (cause, says) in [
            (Cause::Verified { command: ChangedBy::Apply, by: Some("alice".into()) }, "lbd apply by alice"),
            (Cause::Verified { command: ChangedBy::Restore, by: None }, "lbd restore"),
            (
                Cause::Verified { command: ChangedBy::Run { reason: PassReason::File }, by: None },
                "lbd run (file changed)",
            ),
            (
                Cause::verified(ChangedBy::Run { reason: PassReason::File }, Some("alice")),
                "lbd run (file changed by alice)",
            ),
            (Cause::Earlier, "an lbd without a history"),
            (Cause::Replaced { by: "bob".into() }, "replaced by bob, not verified"),
        ] {
            let counts = Counts { added: 1, edited: 2, deleted: 3 };
            let entry =
                Entry { number: 7, at: UNIX_EPOCH.into(), cause, counts, sha256: digest(1), bytes: 9 };
            let written = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&written).unwrap(), entry, "{written}");
            assert_eq!(entry.cause.to_string(), says);
        }
    }
}
