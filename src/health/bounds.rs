//! Computes how soon a check notices that a server fails, and that it is back: what the numbers of the file mean.

use std::time::Duration;

use crate::model::{CheckKind, Exchange, Timing};

/// By how much each interval varies, in per cent either way.
pub const JITTER: u32 = 10;
/// How long the director's own network is suspected at most.
pub(super) const COMMON_MOST: Duration = Duration::from_secs(60);
/// From so many distinct targets on, more than half of them failing at once may be the director's own network.
pub const COMMON_FROM: usize = 8;

/// The least and the most time that something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The least
    pub least: Duration,
    /// The most
    pub most: Duration,
}

/// How soon a check gives its verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From when each probe fails at once, by a refusal or a wrong answer; `None`: there is neither
    pub refused: Option<Span>,
    /// From when no probe is answered; `None`: no answer is needed
    pub silent: Option<Span>,
    /// From when the server does again what is expected. A probe that waits for its answer at that moment may be the first that passes: then the
    /// least is shorter by the time that it has waited, up to the whole time-out
    pub back: Span,
    /// How much longer both failures take where more than half of all targets fail at once: a second interval of the slowest of their checks, or
    /// [`COMMON_MOST`], says the same
    pub common: Duration,
}

impl Bounds {
    /// Those of a check. `longest` is the longest interval of all checks.
    ///
    /// Intervals count from the beginning of a probe, and no probe begins before the one before it has ended. At worst a probe has just begun, and passes;
    /// after the first failure the interval is `fast`.
    pub fn of(kind: &CheckKind, timing: &Timing, longest: Duration) -> Self {
        let Timing { interval, timeout, fast, fall, rise } = *timing;
        let (fast_least, fast_most) = (less(fast), more(fast));
        let span = |after_first: u32, least: Duration, most: Duration, last: Duration| Span {
            least: least.saturating_mul(after_first).saturating_add(last),
            most: more(interval).saturating_add(most.saturating_mul(after_first)).saturating_add(last),
        };
        let at_once = |count: u32| span(count.saturating_sub(1), fast_least, fast_most, Duration::ZERO);
        let at_timeout = |count: u32| {
            span(count.saturating_sub(1), fast_least.max(timeout), fast_most.max(timeout), timeout)
        };
        let (refused, silent, back) = match kind {
            // That no refusal comes is known when the time is over.
            CheckKind::Udp(Exchange { expect: None, .. }) => (Some(at_once(fall)), None, at_timeout(rise)),
            CheckKind::Ping => (None, Some(at_timeout(fall)), at_once(rise)),
            CheckKind::Tcp(_)
            | CheckKind::Tls(..)
            | CheckKind::Http(_)
            | CheckKind::Https(..)
            | CheckKind::Dns(_)
            | CheckKind::Udp(_)
            | CheckKind::Exec(_) => (Some(at_once(fall)), Some(at_timeout(fall)), at_once(rise)),
        };
        let slowest = if silent.is_some() { fast_most.max(timeout) } else { fast_most };
        Self { refused, silent, back, common: longest.min(COMMON_MOST).saturating_add(slowest) }
    }
}

/// An interval that jitter has made shorter.
fn less(interval: Duration) -> Duration {
    interval.saturating_mul(100 - JITTER) / 100
}

/// An interval that jitter has made longer.
fn more(interval: Duration) -> Duration {
    interval.saturating_mul(100 + JITTER) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(least: u64, most: u64) -> Span {
        Span { least: Duration::from_millis(least), most: Duration::from_millis(most) }
    }

    fn timing([interval, timeout, fast]: [u64; 3], fall: u32, rise: u32) -> Timing {
        let ms = Duration::from_millis;
        Timing { interval: ms(interval), timeout: ms(timeout), fast: ms(fast), fall, rise }
    }

    #[test]
    fn a_check_that_says_nothing_takes_what_the_manual_says() {
        let tcp = CheckKind::Tcp(Exchange::default());
        let bounds = Bounds::of(&tcp, &Timing::DEFAULT, Timing::DEFAULT.interval);
        let expected = Bounds {
            // At once, 0.9 s, 0.9 s; or up to 5.5 s later, 1.1 s, 1.1 s.
            refused: Some(span(1_800, 7_700)),
            // Three time-outs of 2 s, one after the other, since `fast` is shorter.
            silent: Some(span(6_000, 11_500)),
            back: span(900, 6_600),
            common: Duration::from_secs(7),
        };
        assert_eq!(bounds, expected);
    }

    #[test]
    fn one_probe_that_counts_needs_no_fast_interval() {
        let tcp = CheckKind::Tcp(Exchange::default());
        let bounds = Bounds::of(&tcp, &timing([1_000, 300, 500], 1, 1), Duration::from_secs(3_600));
        assert_eq!(bounds.refused, Some(span(0, 1_100)));
        assert_eq!(bounds.silent, Some(span(300, 1_400)));
        assert_eq!((bounds.back, bounds.common), (span(0, 1_100), Duration::from_millis(60_550)));
    }

    #[test]
    fn a_time_out_below_the_fast_interval_only_counts_at_the_end() {
        let tcp = CheckKind::Tcp(Exchange::default());
        let bounds = Bounds::of(&tcp, &timing([10_000, 500, 2_000], 2, 3), Duration::from_secs(10));
        assert_eq!(bounds.refused, Some(span(1_800, 13_200)));
        assert_eq!(bounds.silent, Some(span(2_300, 13_700)));
        assert_eq!(bounds.back, span(3_600, 15_400));
    }

    #[test]
    fn an_echo_is_never_refused_and_a_packet_that_needs_no_answer_never_missed() {
        let kinds = [CheckKind::Ping, CheckKind::Udp(Exchange::default())];
        let [ping, udp] = kinds.map(|kind| Bounds::of(&kind, &Timing::DEFAULT, Timing::DEFAULT.interval));
        assert_eq!((ping.refused, ping.silent), (None, Some(span(6_000, 11_500))));
        assert_eq!((udp.refused, udp.silent), (Some(span(1_800, 7_700)), None));
        assert_eq!((ping.back, udp.back), (span(900, 6_600), span(4_000, 9_500)));
        assert_eq!((ping.common, udp.common), (Duration::from_secs(7), Duration::from_millis(6_100)));
    }
}
