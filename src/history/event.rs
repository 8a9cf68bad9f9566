//! Defines the events of the history: what happened, when, and who did it, each as a line of JSON.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entries::Counts;
use crate::status::Timestamp;

/// The version of a line. Lines of a newer one are not read.
const VERSION: u32 = 1;
/// How long a line is at most, in bytes.
pub const LONGEST_LINE: usize = 32 << 10;
/// How many clusters an event names at most; one that concerns more concerns all.
pub const MOST_CLUSTERS: usize = 50;
/// How many changes an event names at most: however much was changed, its line is short.
pub const MOST_CHANGES: usize = 20;
/// How long a text in it is at most, in characters.
const LONGEST_TEXT: usize = 500;

/// What kind of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A pass has changed the kernel, as the file or a condition asks for.
    Applied,
    /// A pass has repaired what another program changed.
    Drift,
    /// A guard has refused a file, or some deletions of it.
    Refused,
    /// Another program keeps reverting an entry.
    Conflict,
    /// The table was restored, at boot or by hand.
    Restored,
    /// The desired file was edited by `lbd edit`.
    Edited,
    /// A file of the history was made the desired file.
    RolledBack,
    /// An override was set.
    OverrideSet,
    /// An override was undone.
    OverrideUndone,
    /// An override has ended by itself.
    OverrideEnded,
    /// A pause was set.
    PauseSet,
    /// A pause was ended before its time.
    PauseResumed,
    /// A pause has ended by itself.
    PauseEnded,
    /// A server that left the file has ended to drain.
    DrainEnded,
    /// The checks of servers have failed, with a consequence for the table or none.
    CheckFailed,
    /// Servers pass their checks again.
    CheckPassed,
    /// The kernel's counters were set to zero.
    CountersZeroed,
    /// A trial has begun.
    TrialBegun,
    /// A trial was confirmed.
    TrialConfirmed,
    /// A trial was cancelled.
    TrialCancelled,
    /// A trial ended by its deadline.
    TrialTimedOut,
    /// A trial was rolled back, since a service lost its last usable server.
    TrialRolledBack,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::Drift => "drift repaired",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Restored => "restored",
            Self::Edited => "edited",
            Self::RolledBack => "rolled back",
            Self::OverrideSet => "override set",
            Self::OverrideUndone => "override undone",
            Self::OverrideEnded => "override ended",
            Self::PauseSet => "pause set",
            Self::PauseResumed => "pause resumed",
            Self::PauseEnded => "pause ended",
            Self::DrainEnded => "drain ended",
            Self::CheckFailed => "check failed",
            Self::CheckPassed => "check passed",
            Self::CountersZeroed => "counters set to zero",
            Self::TrialBegun => "trial begun",
            Self::TrialConfirmed => "trial confirmed",
            Self::TrialCancelled => "trial cancelled",
            Self::TrialTimedOut => "trial timed out",
            Self::TrialRolledBack => "trial rolled back",
        })
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryEvent {
    /// When
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Its kind
    pub kind: EventKind,
    /// The user who did it, if one did
    pub by: Option<String>,
    /// What it is about, in words
    pub text: String,
    /// The clusters that it concerns; none: all, or none in particular
    #[serde(default)]
    pub clusters: Vec<String>,
    /// The SHA-256 of the file that it made the desired one, if it did
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many objects were added, edited and deleted, where some were
    #[serde(flatten)]
    pub counts: Option<Counts>,
    /// Of how many objects each field was changed, and how many were added and deleted
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, usize>,
    /// The first of the changes, one by one
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// A line on disk.
#[derive(Serialize, Deserialize)]
struct Line<T> {
    version: u32,
    #[serde(flatten)]
    event: T,
}

impl HistoryEvent {
    /// An event that concerns no cluster in particular, and that no user is known for.
    pub fn new(at: impl Into<Timestamp>, kind: EventKind, text: impl fmt::Display) -> Self {
        Self {
            at: at.into(),
            kind,
            by: None,
            text: shortened(&text.to_string()),
            clusters: Vec::new(),
            sha256: None,
            counts: None,
            fields: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// The same, with the user who did it.
    #[must_use]
    pub fn by(self, user: impl Into<String>) -> Self {
        Self { by: Some(user.into()), ..self }
    }

    /// The same, with the cluster that it concerns, if it concerns one in particular.
    #[must_use]
    pub fn of(self, cluster: Option<&str>) -> Self {
        Self { clusters: cluster.map(str::to_owned).into_iter().collect(), ..self }
    }

    /// The same, with the SHA-256 of the file that it made the desired one.
    #[must_use]
    pub fn installs(self, sha256: String) -> Self {
        Self { sha256: Some(sha256), ..self }
    }

    /// Whether it concerns a cluster: it names it, or none in particular.
    pub fn concerns(&self, cluster: &str) -> bool {
        self.clusters.is_empty() || self.clusters.iter().any(|of| of == cluster)
    }

    /// The line on disk, which ends with a line break and is not longer than [`LONGEST_LINE`].
    pub fn line(&self) -> Vec<u8> {
        let written = |event: &Self| {
            let mut line = serde_json::to_vec(&Line { version: VERSION, event }).unwrap_or_default();
            line.push(b'\n');
            line
        };
        let line = written(self);
        if line.len() <= LONGEST_LINE {
            return line;
        }
        // What is left is short, whatever characters it consists of.
        let by = self.by.as_deref().map(shortened);
        let (text, clusters, changes) = (shortened(&self.text), Vec::new(), Vec::new());
        written(&Self { by, text, clusters, changes, fields: BTreeMap::new(), ..self.clone() })
    }

    /// Reads a line; `None` where it is torn, too long, or not from this version of lbd.
    pub fn read(line: &[u8]) -> Option<Self> {
        let Line { version, event } =
            serde_json::from_slice(line.get(..LONGEST_LINE).unwrap_or(line)).ok()?;
        (version == VERSION).then_some(event)
    }
}

/// A text that is cut where it is long.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The events of a file, in its order, and how many of its lines could not be read: a torn one, or one of another version of lbd.
pub fn read_events(text: &[u8]) -> (Vec<HistoryEvent>, usize) {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let (mut events, mut skipped) = (Vec::new(), 0);
    for line in lines {
        match HistoryEvent::read(line) {
            Some(event) => events.push(event),
            None => skipped += 1,
        }
    }
    (events, skipped)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn event(text: &str) -> HistoryEvent {
        HistoryEvent::new(UNIX_EPOCH, EventKind::Drift, text)
    }

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let counts = Counts { added: 1, edited: 2, deleted: 3 };
        let full = HistoryEvent {
            counts: Some(counts),
            fields: [("weight".to_owned(), 2)].into(),
            changes: vec!["edit server".into()],
            ..event("\u{1b}[31m\n\u{202e}").by("alice").of(Some("web"))
        };
        let bare = event("why");
        let line = String::from_utf8(bare.line()).unwrap();
        assert_eq!(
            line,
            "{\"version\":1,\"at\":\"1970-01-01T00:00:00Z\",\"kind\":\"drift\",\"by\":null,\"text\":\"why\",\"clusters\":[]}\n"
        );
        let both = [full.line(), bare.line()].concat();
        assert_eq!(both.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(read_events(&both), (vec![full.clone(), bare.clone()], 0));
        assert_eq!([full.concerns("web"), full.concerns("dns"), bare.concerns("dns")], [true, false, true]);
    }

    #[test]
    fn a_torn_line_and_one_of_another_version_are_skipped() {
        let one = event("one").line();
        let newer = String::from_utf8(one.clone()).unwrap().replace("\"version\":1", "\"version\":2");
        let other = String::from_utf8(one.clone()).unwrap().replace("drift", "unheard_of");
        let torn = &one[..one.len() / 2];
        let text = [torn, b"\n\n\0\xff\n", newer.as_bytes(), other.as_bytes(), &one, torn].concat();
        assert_eq!(read_events(&text), (vec![event("one")], 5));
    }

    #[test]
    fn a_line_is_short_whatever_is_in_it() {
        let long = "\u{0}".repeat(100_000);
        let text = event(&long);
        assert_eq!(text.text.chars().count(), LONGEST_TEXT + 1);
        let changes = vec![long.clone(); MOST_CHANGES];
        let all = HistoryEvent { changes, by: Some(long.clone()), clusters: vec![long; 9], ..text.clone() };
        let line = all.line();
        assert!(line.len() <= LONGEST_LINE, "{}", line.len());
        let read = HistoryEvent::read(&line).unwrap();
        assert_eq!((read.text, read.changes.len(), read.clusters.len()), (text.text, 0, 0));
        // One that another program wrote is not read to its end.
        let spaces = [b"{".as_slice(), &vec![b' '; LONGEST_LINE], &event("x").line()[1..]].concat();
        assert_eq!(read_events(&spaces), (vec![], 1));
    }
}
