//! Adds up the results of one probe to its verdict.

use compact_str::CompactString;

use crate::health::verdict::{ExecWeight, Failure, Finding, Verdict};
use crate::model::Timing;

use super::Moment;

/// A server that failed [`FALLS`] times within this many milliseconds is flapping.
const FLAPPING_WITHIN: u64 = 600_000;
/// How often that is.
const FALLS: usize = 3;
/// How many milliseconds a flapping server has to pass until that counts; doubled each time it fails again.
const FIRST_PROOF: u64 = 30_000;
/// The most that this is doubled to.
const LONGEST_PROOF: u64 = 300_000;

/// What is known of a server by one probe.
#[derive(Debug, Clone)]
pub(super) struct History {
    verdict: Verdict,
    /// How many results in a row say other than the verdict
    differing: u32,
    /// When the first of these began
    differing_since: u64,
    /// When the first of the failures in a row up to the last result began; `None`: the last one was none
    pub(super) failing_since: Option<u64>,
    /// When the last probe with a result began
    pub(super) last: Option<u64>,
    weight: Option<ExecWeight>,
    /// The last times that the verdict became "failing", the oldest first
    falls: [Option<u64>; FALLS],
    /// How long it has to pass while it is flapping
    proof: u64,
    is_flapping: bool,
}

impl History {
    pub(super) const NEW: Self = Self {
        verdict: Verdict::Unknown,
        differing: 0,
        differing_since: 0,
        failing_since: None,
        last: None,
        weight: None,
        falls: [None; FALLS],
        proof: FIRST_PROOF,
        is_flapping: false,
    };

    pub(super) fn finding(&self) -> Finding {
        Finding { verdict: self.verdict.clone(), flapping: self.is_flapping, weight: self.weight }
    }

    /// Whether it is just [`Finding::PASSING`].
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.verdict, Verdict::Passing) && !self.is_flapping && self.weight.is_none()
    }

    /// Whether the next results may change the verdict: they are wanted soon.
    pub(super) fn is_about_to_change(&self) -> bool {
        matches!(self.verdict, Verdict::Unknown) || self.differing > 0
    }

    /// A success; gives whether the finding is another one now.
    pub(super) fn pass(&mut self, weight: Option<ExecWeight>, timing: &Timing, began: u64, now: u64) -> bool {
        (self.last, self.failing_since) = (Some(began), None);
        let mut has_changed = self.calm(now) | (self.weight != weight);
        self.weight = weight;
        match self.verdict {
            Verdict::Passing => self.differing = 0,
            Verdict::Unknown => {
                (self.verdict, self.differing) = (Verdict::Passing, 0);
                has_changed = true;
            }
            Verdict::Failing(_) => {
                self.differ(began);
                let has_lasted = !self.is_flapping || now.saturating_sub(self.differing_since) >= self.proof;
                if self.differing >= timing.rise && has_lasted {
                    (self.verdict, self.differing) = (Verdict::Passing, 0);
                    has_changed = true;
                }
            }
        }
        has_changed
    }

    /// A failure; gives whether there were so many in a row that the verdict becomes "failing": [`Self::fall`].
    pub(super) fn fail(&mut self, timing: &Timing, began: u64) -> bool {
        self.last = Some(began);
        self.failing_since = self.failing_since.or(Some(began));
        match self.verdict {
            Verdict::Passing | Verdict::Unknown => {
                self.differ(began);
                self.differing >= timing.fall
            }
            Verdict::Failing(_) => {
                self.differing = 0;
                false
            }
        }
    }

    /// The verdict becomes "failing".
    pub(super) fn fall(&mut self, detail: CompactString, timing: &Timing, now: Moment) {
        self.verdict = Verdict::Failing(Failure {
            detail,
            since: now.wall,
            since_boot: now.since_boot,
            failed: self.differing.min(timing.fall),
            fall: timing.fall,
        });
        (self.differing, self.weight) = (0, None);
        self.falls.rotate_left(1);
        if let Some(last) = self.falls.last_mut() {
            *last = Some(now.since_boot);
        }
        if self.is_flapping {
            self.proof = (self.proof * 2).min(LONGEST_PROOF);
        }
        self.is_flapping = self.has_fallen_often(now.since_boot);
    }

    /// Ends flapping where the falls are long ago; gives whether it was so.
    pub(super) fn calm(&mut self, now: u64) -> bool {
        let ends =
            self.is_flapping && matches!(self.verdict, Verdict::Passing) && !self.has_fallen_often(now);
        if ends {
            (self.is_flapping, self.proof) = (false, FIRST_PROOF);
        }
        ends
    }

    fn has_fallen_often(&self, now: u64) -> bool {
        self.falls.iter().all(|fall| fall.is_some_and(|at| now.saturating_sub(at) < FLAPPING_WITHIN))
    }

    fn differ(&mut self, began: u64) {
        if self.differing == 0 {
            self.differing_since = began;
        }
        self.differing = self.differing.saturating_add(1);
    }
}
