//! Reads numbers and times as keepalived does: what is behind a number is ignored, with a message.

use std::time::Duration;

/// A number that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read<T> {
    pub(super) value: T,
    /// Whether the text is this number and nothing else
    pub(super) is_exact: bool,
}

/// A number between two others. Where the text is not quite a number it has the value of its digits; `strict` refuses that.
pub(super) fn unsigned(text: &str, least: u32, most: u32, strict: bool) -> Option<Read<u32>> {
    let (value, rest) = digits(text.trim_start())?;
    let value = u32::try_from(value?).ok().filter(|value| (least..=most).contains(value))?;
    let is_exact = rest.is_empty();
    (is_exact || !strict).then_some(Read { value, is_exact })
}

/// A time in seconds, with up to six places behind the point, between two others.
pub(super) fn time(text: &str, least: Duration) -> Option<Read<Duration>> {
    let (whole, rest) = digits(text)?;
    let (micros, rest) = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            let (digits, rest) = fraction.split_at(end);
            let digits: String = digits.chars().chain("000000".chars()).take(6).collect();
            (digits.parse().unwrap_or(0_u64), rest)
        }
        None => (0, rest),
    };
    let value = Duration::from_secs(whole?) + Duration::from_micros(micros);
    (value >= least).then_some(Read { value, is_exact: rest.is_empty() })
}

/// The digits at the beginning of a text as a number, none where it is beyond all, and the rest; none where the number is negative.
fn digits(text: &str) -> Option<(Option<u64>, &str)> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.starts_with('-') {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    // No digit at all is 0.
    Some((if digits.is_empty() { Some(0) } else { digits.parse().ok() }, rest))
}

/// A word for yes or no.
pub(super) fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_its_digits_say() {
        let read = |text, strict| unsigned(text, 0, 100, strict).map(|read| (read.value, read.is_exact));
        assert_eq!(
            (read("12", true), read("12x", false), read("12x", true)),
            (Some((12, true)), Some((12, false)), None)
        );
        assert_eq!((read("x", false), read("-1", false), read("101", false)), (Some((0, false)), None, None));
        assert_eq!(read("99999999999999999999", false), None);
        let time =
            |text| time(text, Duration::from_millis(1)).map(|read| (read.value.as_micros(), read.is_exact));
        assert_eq!(
            (time("1.5"), time("0.25s"), time("0")),
            (Some((1_500_000, true)), Some((250_000, false)), None)
        );
    }
}
