//! Counts what only the daemon knows: its passes, how long they take, and what they repair.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::model::Kind;
use crate::status::{PassOutcome, PassReason};

/// The upper bounds of the buckets of [`Durations`], in seconds: four times as much from one to the next.
pub const BOUNDS: [f64; 9] = [0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384, 65.536];

/// What the daemon's loop counts, and others read: shared, and locked for no longer than a copy takes.
#[derive(Debug, Default)]
pub struct PassCounters(Mutex<PassCounts>);

/// What was counted since the daemon started.
#[derive(Debug, Clone, PartialEq, Default)]
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

/// How often something took how long.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Durations {
    /// How many were at most as long as each of [`BOUNDS`], and longer than the one before
    pub buckets: [u64; BOUNDS.len()],
    /// How many there were in all, also longer ones
    pub count: u64,
    /// How long all of them took together, in seconds
    pub sum: f64,
}

impl Durations {
    /// Adds one.
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let buckets = self.buckets.iter_mut().zip(BOUNDS);
        if let Some((bucket, _)) = buckets.into_iter().find(|(_, bound)| seconds <= *bound) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += seconds;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_is_long_enough() {
        let mut durations = Durations::default();
        for micros in [0, 1_000, 1_001, 65_536_000, 65_536_001] {
            durations.add(Duration::from_micros(micros));
        }
        assert_eq!(durations.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((durations.count, (durations.sum * 1e6).round()), (5, 131_074_002.0));
    }
}
