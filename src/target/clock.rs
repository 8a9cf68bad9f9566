//! Measures how long conditions last.
//!
//! Within a boot an end is kept by `CLOCK_BOOTTIME`: it goes on while the machine sleeps, and nobody can set it. The wall clock, which
//! can be set at any time, is for people.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::status::Timestamp;

/// The current time by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Since the boot, in milliseconds
    pub since_boot: u64,
    /// By the wall clock
    pub wall: SystemTime,
}

impl Clock {
    /// Reads the clocks.
    pub fn now() -> Self {
        // Every kernel with IPVS over netlink has this clock.
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
        Self { since_boot: u64::try_from(time.as_millis()).unwrap_or(u64::MAX), wall: SystemTime::now() }
    }
}

/// The time from the beginning to the end of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its beginning by the wall clock
    pub since: Timestamp,
    /// Its end by the wall clock, as it was expected at the beginning
    pub until: Timestamp,
    /// Its end, in milliseconds since the boot
    end: u64,
}

impl Period {
    /// The time that begins now and lasts so long.
    pub fn new(now: Clock, length: Duration) -> Self {
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        Self {
            since: now.wall.into(),
            until: now.wall.checked_add(length).unwrap_or(now.wall).into(),
            end: now.since_boot.saturating_add(milliseconds),
        }
    }

    /// The same period in a new boot, in which only the wall clock says what is left of it: nothing where that is behind its end, and
    /// the whole of it where the clock is before its beginning, since it was set back.
    pub fn in_new_boot(self, now: Clock) -> Self {
        let wall = Timestamp::from(now.wall);
        let length = self.until.since(self.since);
        let left = if wall < self.since { length } else { self.until.since(wall) };
        let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        Self { end: now.since_boot.saturating_add(milliseconds), ..self }
    }

    /// Its beginning, in milliseconds since the boot.
    pub fn begin(&self) -> u64 {
        let length = u64::try_from(self.until.since(self.since).as_millis()).unwrap_or(u64::MAX);
        self.end.saturating_sub(length)
    }

    /// How long it still lasts, in milliseconds; `None` where it is over.
    pub fn left(&self, now: Clock) -> Option<u64> {
        self.end.checked_sub(now.since_boot).filter(|left| *left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_by_the_time_since_the_boot_whatever_the_wall_clock_says() {
        let now = Clock::now();
        let period = Period::new(now, Duration::from_secs(60));
        let after = |milliseconds: u64, wall: SystemTime| {
            period.left(Clock { since_boot: now.since_boot + milliseconds, wall })
        };
        assert_eq!(after(0, now.wall), Some(60_000));
        assert_eq!(after(59_999, SystemTime::UNIX_EPOCH), Some(1));
        assert_eq!(after(60_000, now.wall), None);
        assert_eq!(period.begin(), now.since_boot);
        // A reboot in its middle, one after its end, and one with a clock that was set back.
        let rebooted = |wall: SystemTime| period.in_new_boot(Clock { since_boot: 5_000, wall }).end;
        let second = |seconds: u64| SystemTime::from(period.since) + Duration::from_secs(seconds);
        assert_eq!([second(20), second(70), SystemTime::UNIX_EPOCH].map(rebooted), [45_000, 5_000, 65_000]);
        let later = Clock::now();
        assert!(later.since_boot >= now.since_boot && later.since_boot > 0);
    }
}
