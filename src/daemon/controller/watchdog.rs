//! Decides when the watchdog of the service manager is fed: not while a pass hangs.

use std::time::Duration;

use tokio::time::Instant;

/// How long a pass may make no progress before the watchdog is not fed any more. A run of `nft` is stopped after 20 s, which counts
/// as progress.
const STANDSTILL: Duration = Duration::from_secs(30);

/// The watchdog of the service manager.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// How often it is to be fed, if there is one
    interval: Option<Duration>,
    next: Instant,
    /// The last progress of passes, and since when it has not changed
    progress: (u64, Instant),
}

impl Watchdog {
    /// The watchdog is fed at once, and then each `interval`.
    pub(super) fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self { interval, next: now, progress: (0, now) }
    }

    /// When [`Self::is_to_be_fed`] is to be called, if there is a watchdog.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.interval.map(|_| self.next)
    }

    /// Takes in that a pass starts.
    pub(super) fn pass_starts(&mut self, now: Instant) {
        self.progress.1 = now;
        if let Some(interval) = self.interval {
            // Twice as often, so that one omission during a short standstill does not make systemd kill the daemon.
            self.next = self.next.min(now + interval / 2);
        }
    }

    /// Whether the watchdog is to be fed now. `works` is whether a pass runs and has the lock, `progress` how far passes have come.
    pub(super) fn is_to_be_fed(&mut self, works: bool, progress: u64, now: Instant) -> bool {
        if self.progress.0 != progress {
            self.progress = (progress, now);
        }
        let Some(interval) = self.interval.filter(|_| self.next <= now) else { return false };
        self.next = now + if works { interval / 2 } else { interval };
        !works || now < self.progress.1 + STANDSTILL
    }
}
