//! Resolves what a check sends and what the answer has to contain, as bytes.

use super::words::{self, Place};
use crate::config::format::document::{CheckEntry, Text};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::KeyPath;
use crate::model::Exchange;

/// What is sent, and what is expected.
pub(super) fn exchange(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Exchange {
    Exchange {
        send: bytes(entry.send.as_ref(), || place.at("send"), issues),
        expect: bytes(entry.expect.as_ref(), || place.at("expect"), issues),
    }
}

fn bytes(text: Option<&Text>, path: impl Fn() -> KeyPath, issues: &mut Issues) -> Option<Vec<u8>> {
    let text = words::text(text, &path, issues)?;
    let Some(digits) = text.strip_prefix("hex:") else { return Some(text.into_bytes()) };
    let bytes = hexadecimal(digits).filter(|bytes| !bytes.is_empty());
    if bytes.is_none() {
        issues.push(
            Issue::new(path(), format!("`{digits}` are no hexadecimal digits, two for each byte"))
                .expected("`hex:` and digits such as `hex:0d0a`, or other text, which is taken as it is"),
        );
    }
    bytes
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits
        .chars()
        .filter(|letter| *letter != ' ')
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high * 16 + low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_bytes() {
        assert_eq!(hexadecimal("0d0A"), Some(vec![13, 10]));
        assert_eq!(hexadecimal("00 ff"), Some(vec![0, 255]));
        for text in ["0", "0g", "0x0a", "\u{663}0"] {
            assert_eq!(hexadecimal(text), None, "{text}");
        }
    }
}
