//! Resolves single values: durations, marks, masks and shares.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::format::document::{
    DrainText, DurationText, MarkNumber, Mask, MaxDeleteText, MinServingText, Scalar,
};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::{DRAIN, MARK, MOST_PERCENT};
use crate::config::format::path::KeyPath;
use crate::model::{Family, MaxDelete, MinServing};

/// The units of a duration and how many seconds each has, the longest first.
pub(in crate::config) const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A duration in seconds, if it is one and in the range.
pub fn seconds(
    duration: &DurationText,
    range: RangeInclusive<u32>,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<u32> {
    in_range(&duration.0, range, path, issues)
}

/// How long a server drains, if it is a time in the range.
pub(super) fn drain(
    duration: &DrainText,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<Duration> {
    in_range(&duration.0, DRAIN, path, issues).map(|seconds| Duration::from_secs(seconds.into()))
}

/// A duration in seconds, by whatever type it is written, if it is one and in the range.
pub fn in_range(
    duration: &Scalar,
    range: RangeInclusive<u32>,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<u32> {
    let number = match duration {
        Scalar::Number(number) => u64::try_from(*number).ok(),
        Scalar::Text(text) => parse_seconds(text),
    };
    let wrong = match number {
        Some(number) => match u32::try_from(number) {
            Ok(number) if range.contains(&number) => return Some(number),
            _ if number < u64::from(*range.start()) => "is too short",
            _ => "is too long",
        },
        None => "is not a duration",
    };
    let (least, most) = (range.start(), range.end());
    issues.push(
        Issue::new(path(), format!("`{duration}` {wrong}"))
            .expected(format!("{least} to {most} seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`")),
    );
    None
}

/// The milliseconds of a duration that may be written in them.
pub(super) fn parse_milliseconds(text: &str) -> Option<u64> {
    match text.strip_suffix("ms") {
        Some(digits) if is_digits(digits) => Some(digits.parse::<u64>().unwrap_or(u64::MAX)),
        Some(_) => None,
        None => parse_seconds(text).map(|seconds| seconds.saturating_mul(1_000)),
    }
}

fn parse_seconds(text: &str) -> Option<u64> {
    let with_unit = UNITS.into_iter().find_map(|(letter, unit)| Some((text.strip_suffix(letter)?, unit)));
    let (digits, unit) = with_unit.unwrap_or((text, 1));
    if !is_digits(digits) {
        return None;
    }
    // Too many digits for any number are still a duration, and a long one.
    Some(digits.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(unit.into()))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A firewall mark, if it is one.
pub(super) fn mark(mark: &MarkNumber, path: impl FnOnce() -> KeyPath, issues: &mut Issues) -> Option<u32> {
    let number = match &mark.0 {
        Scalar::Number(number) => u32::try_from(*number).ok(),
        Scalar::Text(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u32::from_str_radix(hex, 16).ok()
            }
            None if is_digits(text) => text.parse().ok(),
            _ => None,
        },
    };
    if let Some(number) = number.filter(|number| MARK.contains(number)) {
        return Some(number);
    }
    let message = match number {
        Some(_) => "mark 0 means a packet without a mark".into(),
        None => format!("`{}` is not a firewall mark", mark.0),
    };
    issues.push(Issue::new(path(), message).expected(mark_number()));
    None
}

/// What is right of a firewall mark.
pub(super) fn mark_number() -> String {
    format!("a number from {} to {}, decimal or `0x…`", MARK.start(), MARK.end())
}

/// A persistence mask: which clients count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientMask {
    /// A netmask of IPv4
    Netmask(Ipv4Addr),
    /// A prefix length, for whichever family the service has
    Length(u8),
}

/// A persistence mask, if it is one.
pub(super) fn mask(mask: &Mask, path: impl FnOnce() -> KeyPath, issues: &mut Issues) -> Option<ClientMask> {
    let parsed = match &mask.0 {
        Scalar::Number(number) => u8::try_from(*number).ok().map(ClientMask::Length),
        Scalar::Text(text) => match text.parse() {
            Ok(netmask) => Some(ClientMask::Netmask(netmask)),
            Err(_) if is_digits(text) => text.parse().ok().map(ClientMask::Length),
            Err(_) => None,
        },
    };
    let message = match parsed {
        Some(ClientMask::Length(length)) if length <= Family::V6.bits() => return parsed,
        // A mask with holes makes clients one that have nothing to do with each other; the kernel takes it.
        Some(ClientMask::Netmask(netmask)) if is_contiguous(netmask) => return parsed,
        Some(ClientMask::Netmask(netmask)) => format!("the bits of the netmask {netmask} are not contiguous"),
        Some(ClientMask::Length(_)) | None => {
            format!("`{}` is neither a netmask nor a prefix length", mask.0)
        }
    };
    issues.push(
        Issue::new(path(), message)
            .expected("a netmask such as 255.255.255.0, or a prefix length such as 24"),
    );
    None
}

fn is_contiguous(netmask: Ipv4Addr) -> bool {
    let bits = u32::from(netmask);
    bits.leading_ones() + bits.trailing_zeros() == 32
}

/// How many services one change may delete, if it says so.
pub(super) fn max_delete(
    limit: &MaxDeleteText,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<MaxDelete> {
    share_or_number(&limit.0, "services", path, issues).map(|found| match found {
        Amount::Percent(share) => MaxDelete::Percent(share),
        Amount::Count(count) => MaxDelete::Count(count),
    })
}

/// How many servers checks leave in service, if it says so.
pub(super) fn min_serving(
    least: &MinServingText,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<MinServing> {
    share_or_number(&least.0, "servers", path, issues).map(|found| match found {
        Amount::Percent(share) => MinServing::Percent(share),
        Amount::Count(count) => MinServing::Count(count),
    })
}

/// A share or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A share, in per cent
    Percent(u8),
    /// A number
    Count(u32),
}

/// A share or a number of what the noun says, if it is one.
pub fn share_or_number(
    text: &Scalar,
    of: &str,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<Amount> {
    let parsed = match text {
        Scalar::Number(number) => u32::try_from(*number).ok().map(Amount::Count),
        Scalar::Text(text) => match text.strip_suffix('%') {
            Some(share) if is_digits(share) => {
                share.parse().ok().filter(|share| *share <= MOST_PERCENT).map(Amount::Percent)
            }
            None if is_digits(text) => text.parse().ok().map(Amount::Count),
            _ => None,
        },
    };
    if parsed.is_none() {
        issues.push(
            Issue::new(path(), format!("`{text}` is neither a share nor a number of {of}")).expected(
                format!("a share from `0%` to `{MOST_PERCENT}%`, or a number from 0 to {}", u32::MAX),
            ),
        );
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_or_without_a_unit() {
        for (text, expected) in [
            ("0", Some(0)),
            ("30", Some(30)),
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("2h", Some(7_200)),
            ("1d", Some(86_400)),
            ("007s", Some(7)),
            ("99999999999999999999", Some(u64::MAX)),
            ("99999999999999999999d", Some(u64::MAX)),
        ] {
            assert_eq!(parse_seconds(text), expected, "{text}");
        }
        for text in ["", "s", "5 m", "-5", "+5", "5M", "5ms", "1h30m", "1.5h", "٣", "5µ"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_netmask_has_its_ones_first() {
        for mask in ["0.0.0.0", "255.255.255.255", "255.255.254.0", "128.0.0.0"] {
            assert!(is_contiguous(mask.parse().unwrap()), "{mask}");
        }
        for mask in ["255.0.255.0", "0.0.0.255", "255.255.255.253"] {
            assert!(!is_contiguous(mask.parse().unwrap()), "{mask}");
        }
    }
}
