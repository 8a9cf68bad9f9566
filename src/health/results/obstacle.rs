//! Counts what keeps probes from having a result, or one in time.

use compact_str::CompactString;

/// Why a probe gives no verdict, or gives it late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The checker could not probe it, and why.
    Own(CompactString),
    /// It was too slow for the answer.
    Lagged,
    /// It began it late.
    BegunLate,
}

/// How many probes have which obstacle.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hindered {
    pub(super) own: usize,
    pub(super) lagged: usize,
    pub(super) late: usize,
}

impl Hindered {
    pub(super) fn of(&mut self, obstacle: &Obstacle) -> &mut usize {
        match obstacle {
            Obstacle::Own(_) => &mut self.own,
            Obstacle::Lagged => &mut self.lagged,
            Obstacle::BegunLate => &mut self.late,
        }
    }
}
