//! Resolves the times of a check and how many probes make a verdict.

use std::time::Duration;

use super::words::Place;
use crate::config::format::document::{CheckEntry, CheckTime, Scalar};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::CHECK_TIME;
use crate::config::resolve::value;
use crate::model::Timing;

/// The times of a check.
pub(super) fn timing(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Timing {
    let default = Timing::DEFAULT;
    let mut read = |time: &Option<CheckTime>, key| {
        let time = time.as_ref()?;
        let found = milliseconds(time);
        if found.is_none() {
            issues.push(wrong(time, place, key));
        }
        found
    };
    let interval = read(&entry.interval, "interval").unwrap_or(default.interval);
    let timeout = read(&entry.timeout, "timeout").unwrap_or(default.timeout);
    let fast = read(&entry.fast, "fast").unwrap_or(default.fast.min(interval));
    let shown = |time: &Option<CheckTime>, default: Duration| match time {
        Some(time) => time.0.to_string(),
        None => format!("{}s, the default", default.as_secs()),
    };
    if timeout >= interval {
        let key = if entry.timeout.is_some() { "timeout" } else { "interval" };
        let (of_timeout, of_interval) =
            (shown(&entry.timeout, default.timeout), shown(&entry.interval, default.interval));
        issues.push(
            Issue::new(
                place.at(key),
                format!("the time-out ({of_timeout}) is not below the interval ({of_interval})"),
            )
            .expected("an `interval` above the `timeout`: a probe ends before the next one begins")
            .involving(place.at("interval"))
            .involving(place.at("timeout")),
        );
    }
    if fast > interval {
        let message = "`fast`, the interval while a verdict is about to change, is above the `interval`";
        issues.push(
            Issue::new(place.at("fast"), message)
                .expected(format!("at most {}", shown(&entry.interval, default.interval)))
                .involving(place.at("interval")),
        );
    }
    Timing {
        interval,
        timeout,
        fast,
        fall: entry.fall.map_or(default.fall, |fall| fall.get()),
        rise: entry.rise.map_or(default.rise, |rise| rise.get()),
    }
}

fn milliseconds(time: &CheckTime) -> Option<Duration> {
    let number = match &time.0 {
        Scalar::Number(number) => u64::try_from(*number).ok()?.checked_mul(1_000),
        Scalar::Text(text) => value::parse_milliseconds(text),
    };
    number.filter(|number| CHECK_TIME.contains(number)).map(Duration::from_millis)
}

fn wrong(time: &CheckTime, place: Place<'_>, key: &'static str) -> Issue {
    let number = match &time.0 {
        Scalar::Number(number) => u64::try_from(*number).ok().map(|number| number.saturating_mul(1_000)),
        Scalar::Text(text) => value::parse_milliseconds(text),
    };
    let wrong = match number {
        Some(number) if number < *CHECK_TIME.start() => "is too short",
        Some(_) => "is too long",
        None => "is not a duration",
    };
    Issue::new(place.at(key), format!("`{}` {wrong}", time.0))
        .expected("100 milliseconds to 1 day, as N (seconds), Nms, Ns, Nm, Nh or Nd, such as `5s` or `500ms`")
}
