//! Counts what only the daemon knows: its passes, how long they take, and what they repair.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::model::{Durations, Kind};
use crate::status::{PassOutcome, PassReason};

/// What the daemon's loop counts, and others read: shared, and locked for no longer than a copy takes.
#[derive(Debug, Default)]
pub struct PassCounters(Mutex<PassCounts>);

/// What was counted since the daemon started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PassCounts {
    /// How many passes have ended so, by their reason
    pub passes: BTreeMap<(PassReason, PassEnd), u64>,
    /// How long those took that have read the table, or a part of it
    pub durations: Durations,
    /// When a pass last found the kernel equal to what it should be
    pub last_verified: Option<SystemTime>,
    /// How many operations have repaired what another program changed, by the kind of object
    pub drift_repairs: BTreeMap<Kind, u64>,
}

/// How a pass ended, also one that has left the table unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassEnd {
    /// A quick check has found no change.
    Unchanged,
    /// Another file was applied meanwhile; that one is read first.
    Superseded,
    /// There is no file that was ever valid, so that nothing was done.
    NoFile,
    /// The table was read.
    Full(PassOutcome),
}

/// One word, for a label.
impl fmt::Display for PassEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::Superseded => f.write_str("superseded"),
            Self::NoFile => f.write_str("no file"),
            Self::Full(outcome) => outcome.fmt(f),
        }
    }
}

impl PassCounters {
    /// Counts a pass; `duration` is given where it has read the table, or a part of it.
    pub fn pass_ended(&self, reason: PassReason, end: PassEnd, duration: Option<Duration>) {
        let mut counts = self.lock();
        *counts.passes.entry((reason, end)).or_default() += 1;
        if let Some(duration) = duration {
            counts.durations.add(duration);
        }
    }

    /// Notes when the kernel was found equal to what it should be.
    pub fn verified(&self, at: SystemTime) {
        self.lock().last_verified = Some(at);
    }

    /// Counts an operation that has repaired what another program changed.
    pub fn repaired(&self, kind: Kind) {
        *self.lock().drift_repairs.entry(kind).or_default() += 1;
    }

    /// What was counted so far.
    pub fn counts(&self) -> PassCounts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, PassCounts> {
        // Numbers cannot be half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
