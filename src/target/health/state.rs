//! Defines what is in force for a real server that has checks: what they have shown last.

use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::health::{ExecWeight, Failure};

/// The highest weight that the kernel takes.
const MOST: u64 = 2_147_483_647;

/// What is in force for a real server that has checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// What its checks have shown
    pub state: ServerState,
    /// Whether its verdict changed so often that a success has to last before it counts
    pub flapping: bool,
    /// The weight that a program has printed
    pub weight: Option<ExecWeight>,
    /// How far it is on the way back to its whole weight, if it is on it
    pub slow_start: Option<SlowStart>,
}

/// What the checks of a real server have shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// Nothing yet; it serves, as the file says
    Unproven,
    /// Nothing yet; it is new beside servers that pass, and gets no clients before its first success
    Waiting,
    /// All of them pass
    Passing,
    /// One of them fails
    Failing(Arc<Failing>),
}

/// A real server that is failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The name of the check
    pub check: CompactString,
    /// What it saw
    pub failure: Failure,
    /// Since when the server is failing, whichever of its checks, in milliseconds since the boot
    pub since_boot: u64,
    /// When this came into force, in milliseconds since the boot, where the server had passed before
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_until: Option<u64>,
    /// Whether it is failing for so long that it is deleted (`reset_after`)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_reset: bool,
}

/// How far a server is on the way back to its whole weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowStart {
    /// Since when, in milliseconds since the boot
    pub since: u64,
    /// Which step it is at: 1, and up to [`SlowStart::STEPS`], which is the whole weight
    pub step: u32,
}

impl SlowStart {
    /// How many edits it takes to the whole weight, the one that puts the server into service included.
    pub const STEPS: u32 = 10;

    /// One that begins now.
    pub fn new(now: u64) -> Self {
        Self { since: now, step: 1 }
    }

    /// The same at this time, where it takes so long; `None` where it is over.
    pub(super) fn at(self, length: Duration, now: u64) -> Option<Self> {
        let (elapsed, length) = (now.saturating_sub(self.since), milliseconds(length));
        if elapsed >= length {
            return None;
        }
        // The first step is at the beginning, the last one at the end.
        let steps = elapsed.saturating_mul(u64::from(Self::STEPS) - 1).checked_div(length);
        let step = steps.and_then(|steps| u32::try_from(steps).ok()).unwrap_or_default().saturating_add(1);
        Some(Self { step, ..self })
    }

    /// How long it stays at its step, in milliseconds.
    pub(super) fn changes_in(self, length: Duration, now: u64) -> u64 {
        let next = milliseconds(length).saturating_mul(self.step.into()).div_ceil(u64::from(Self::STEPS) - 1);
        next.saturating_sub(now.saturating_sub(self.since))
    }
}

pub(super) fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl ServerHealth {
    /// A server in a state of which nothing more is known.
    pub const fn new(state: ServerState) -> Self {
        Self { state, flapping: false, weight: None, slow_start: None }
    }

    /// Whether it is known to pass, and nothing else.
    pub(super) fn just_passes(&self) -> bool {
        self.state == ServerState::Passing && self.is_plain()
    }

    /// Whether the file's weight is its own, whatever else is known.
    pub fn is_plain(&self) -> bool {
        let Self { state, flapping, weight, slow_start } = self;
        let is_plain = match state {
            ServerState::Unproven | ServerState::Passing => true,
            ServerState::Waiting | ServerState::Failing(_) => false,
        };
        is_plain && !flapping && weight.is_none() && slow_start.is_none()
    }

    /// Its weight where it serves and passes, for this weight in the file; at least 1.
    pub(super) fn weight_of(&self, file: u32) -> u32 {
        let printed = self.weight.map_or(file, |weight| printed(weight, file));
        let Some(SlowStart { step, .. }) = self.slow_start else { return printed };
        let part = (u64::from(printed) * u64::from(step)).div_ceil(SlowStart::STEPS.into());
        u32::try_from(part.clamp(1, u64::from(printed.max(1)))).unwrap_or(printed)
    }
}

/// The weight that a program has printed, for this weight in the file; at least 1, since what means 0 comes as a failure.
pub(super) fn printed(weight: ExecWeight, file: u32) -> u32 {
    let weight = match weight {
        ExecWeight::Percent(share) => u64::from(file) * u64::from(share) / 100,
        ExecWeight::Weight(weight) => weight.into(),
    };
    u32::try_from(weight.clamp(1, MOST)).unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_start_takes_ten_edits_from_its_beginning_to_its_end() {
        let start = SlowStart::new(1_000);
        let length = Duration::from_secs(9);
        let weights = |file| {
            let mut at = Some(start);
            let mut now = 1_000;
            let mut weights = Vec::new();
            while let Some(step) = at {
                let health =
                    ServerHealth { slow_start: Some(step), ..ServerHealth::new(ServerState::Passing) };
                weights.push((now, health.weight_of(file)));
                now += step.changes_in(length, now);
                at = start.at(length, now);
            }
            weights
        };
        let expected: Vec<(u64, u32)> = (1..=9).map(|step| (step * 1_000, step as u32 * 10)).collect();
        assert_eq!(weights(100), expected);
        assert!(weights(1).iter().all(|(_, weight)| *weight == 1));
        assert_eq!((start.at(length, 9_999).map(|at| at.step), start.at(length, 10_000)), (Some(9), None));
    }

    #[test]
    fn a_printed_weight_is_at_least_1_and_no_more_than_the_kernel_takes() {
        let all =
            [ExecWeight::Percent(75), ExecWeight::Percent(1), ExecWeight::Weight(7), ExecWeight::Weight(0)];
        assert_eq!(all.map(|weight| printed(weight, 10)), [7, 1, 7, 1]);
        assert_eq!(printed(ExecWeight::Percent(u32::MAX), u32::MAX), 2_147_483_647);
        let health =
            ServerHealth { weight: Some(ExecWeight::Percent(50)), ..ServerHealth::new(ServerState::Passing) };
        assert_eq!(
            ServerHealth { slow_start: Some(SlowStart { since: 0, step: 3 }), ..health }.weight_of(20),
            3
        );
    }
}
