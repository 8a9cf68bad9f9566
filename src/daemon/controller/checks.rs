//! Decides when a pass runs because of checks: verdicts have changed, or what they do changes with the time.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time from one such pass to the next: verdicts that change together are carried out together.
const TOGETHER: Duration = Duration::from_millis(100);

/// When a pass because of checks is due.
#[derive(Debug)]
pub(super) struct Checks {
    /// When the next one is due, if verdicts may have changed
    due: Option<Instant>,
    /// When what verdicts do changes by itself
    changes: Option<Instant>,
    /// None runs before
    not_before: Instant,
}

impl Checks {
    /// Nothing is due.
    pub(super) fn new(now: Instant) -> Self {
        Self { due: None, changes: None, not_before: now }
    }

    /// Takes in that verdicts may have changed.
    pub(super) fn verdicts_changed(&mut self, now: Instant) {
        let at = now.max(self.not_before);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Takes in that what verdicts do stays as it is for so many milliseconds; for ever, where there is no such number.
    pub(super) fn change_in(&mut self, left: Option<u64>, now: Instant) {
        self.changes = left.map(|left| (now + Duration::from_millis(left)).max(self.not_before));
    }

    /// When a pass is due.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.due, self.changes].into_iter().flatten().min()
    }

    /// Whether a pass is due now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// Takes in that a pass starts, which takes in all verdicts; gives whether one was due for them.
    pub(super) fn pass_starts(&mut self, now: Instant) -> bool {
        let was_due = self.is_due(now);
        if was_due {
            (self.due, self.changes) = (None, None);
            self.not_before = now + TOGETHER;
        }
        was_due
    }

    /// Takes in that a pass has ended that took so long: such passes take half of the time at most.
    pub(super) fn pass_ended(&mut self, cost: Duration, now: Instant) {
        self.not_before = self.not_before.max(now + cost);
        self.due = self.due.map(|due| due.max(self.not_before));
    }
}
