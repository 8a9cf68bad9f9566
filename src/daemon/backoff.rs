//! Computes how long to wait before a failed pass is tried again.

use std::time::Duration;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait, however long the resync interval is.
const LONGEST: Duration = Duration::from_secs(30);

/// The wait after this number of failures in a row (1, 2, …). It doubles up to the resync `interval`, at most half a minute, and is
/// then shortened by up to a fifth, by `chance` (from 0 to 1), so that many directors that failed together do not retry together.
pub(super) fn wait(failures: u32, interval: Duration, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(interval.clamp(FIRST, LONGEST)).mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_resync_interval() {
        let longest = Duration::from_secs(30);
        let waits: Vec<u64> = (1..=8).map(|failures| wait(failures, longest, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(wait(u32::MAX, longest, 0.0), longest);
        assert_eq!(wait(9, Duration::from_secs(3600), 0.0), Duration::from_secs(30));
        assert_eq!(wait(9, Duration::from_secs(5), 0.0), Duration::from_secs(5));
    }

    #[test]
    fn chance_shortens_it_by_a_fifth_at_most() {
        assert_eq!(wait(1, Duration::from_secs(30), 1.0), Duration::from_millis(800));
        assert_eq!(wait(1, Duration::from_secs(30), 0.5), Duration::from_millis(900));
    }
}
