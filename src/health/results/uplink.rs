//! Suspects the director's own network where more than half of all targets begin to fail together.

use std::time::Duration;

use super::milliseconds;
use crate::health::bounds::{COMMON_FROM, COMMON_MOST};

/// How many targets have to have been probed since.
const FEWEST_SEEN: usize = 3;
/// How often the targets are counted at most, in milliseconds: with a hundred thousand, that is a millisecond's work.
const COUNTED_EACH: u64 = 100;

/// What the last results of one probe say: which target it is of, and since when it fails.
pub(super) struct Seen {
    /// The number of the target
    pub(super) target: usize,
    /// How often it is probed
    pub(super) interval: Duration,
    /// When the last probe with a result began
    pub(super) last: Option<u64>,
    /// When the first of the failures in a row began
    pub(super) failing_since: Option<u64>,
}

impl Seen {
    /// Since when it fails, if that began no longer before `begin` than an interval of its own, or [`COMMON_MOST`].
    fn failing_with(&self, begin: u64) -> Option<u64> {
        self.failing_since.filter(|since| since.saturating_add(self.window()) >= begin)
    }

    fn window(&self) -> u64 {
        milliseconds(self.interval.min(COMMON_MOST))
    }
}

/// A suspicion, from the first verdict that it delayed.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    /// When the first failure began
    since: u64,
    /// When a second interval has said the same, and verdicts are given all the same
    until: u64,
}

/// Whether the director's own network is suspected.
#[derive(Debug, Clone, Default)]
pub(super) struct Uplink {
    suspicion: Option<Suspicion>,
    counted_at: Option<u64>,
}

impl Uplink {
    /// Whether a verdict "failing" has to wait, of a server whose first failure began at `since`: for an interval of the checks that fail with it,
    /// the longest of them, and [`COMMON_MOST`] at most.
    ///
    /// The share is that among the targets probed since the first failure, so that the first verdicts are delayed, too: not half of
    /// the targets can have failed where not half have been probed. Once all have, it is that of all.
    pub(super) fn delays(
        &mut self,
        since: u64,
        now: u64,
        targets: usize,
        seen: impl Iterator<Item = Seen> + Clone,
    ) -> bool {
        if targets < COMMON_FROM {
            self.suspicion = None;
            return false;
        }
        if self.counted_at.is_none_or(|at| now.saturating_sub(at) >= COUNTED_EACH) {
            self.counted_at = Some(now);
            let first = seen.clone().filter_map(|seen| seen.failing_with(since)).min().unwrap_or(since);
            let begin = self.suspicion.map_or(first, |suspicion| suspicion.since);
            let failing = seen.clone().filter(|seen| seen.failing_with(begin).is_some());
            let interval = failing.map(|seen| seen.window()).max().unwrap_or_default();
            if is_common(begin, targets, seen) {
                self.suspicion.get_or_insert(Suspicion { since: begin, until: now.saturating_add(interval) });
            } else {
                self.suspicion = None;
            }
        }
        self.suspicion.is_some_and(|suspicion| now < suspicion.until)
    }
}

/// Whether more than half of the targets probed since `begin` fail, and did not long before.
fn is_common(begin: u64, targets: usize, seen: impl Iterator<Item = Seen>) -> bool {
    let mut probed = vec![false; targets];
    let mut failing = vec![false; targets];
    for seen in seen {
        let is_new = seen.failing_with(begin).is_some();
        if seen.last.is_some_and(|last| last >= begin)
            && let (Some(probed), Some(failing)) = (probed.get_mut(seen.target), failing.get_mut(seen.target))
        {
            (*probed, *failing) = (true, *failing || is_new);
        }
    }
    let count = |marks: &[bool]| marks.iter().filter(|mark| **mark).count();
    let probed = count(&probed);
    probed >= FEWEST_SEEN && count(&failing) * 2 > probed
}
