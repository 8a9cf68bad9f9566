//! Counts how often something took how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How often something took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Durations {
    /// How many were at most as long as each of [`Self::BOUNDS`], and longer than the one before
    pub buckets: [u64; Durations::BOUNDS.len()],
    /// How many were longer than all of these
    pub longer: u64,
    /// How long all took together, in microseconds
    pub micros: u64,
}

impl Durations {
    /// The upper bounds of the buckets, in milliseconds: four times as much from one to the next.
    pub const BOUNDS: [u32; 9] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536];

    /// Adds one.
    pub fn add(&mut self, duration: Duration) {
        let bounds = Self::BOUNDS.map(|bound| Duration::from_millis(bound.into()));
        let bucket = self.buckets.iter_mut().zip(bounds).find(|(_, bound)| duration <= *bound);
        *bucket.map_or(&mut self.longer, |(bucket, _)| bucket) += 1;
        self.micros = self.micros.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(self.longer, |sum, bucket| sum.saturating_add(*bucket))
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
        let expected = Durations { buckets: [2, 1, 0, 0, 0, 0, 0, 0, 1], longer: 1, micros: 131_074_002 };
        assert_eq!((durations, durations.count()), (expected, 5));
    }
}
