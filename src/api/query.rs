//! Reads the query of a target: its keys and values, and nothing that is misspelt.

use std::collections::BTreeSet;

use super::problem::{Problem, ProblemKind};

/// The query of a target.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    known: BTreeSet<&'static str>,
}

impl Query {
    /// Reads it.
    ///
    /// # Errors
    /// Where it is not encoded as it has to be.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            decoded(key).zip(decoded(value))
        };
        let pairs = text.split('&').filter(|text| !text.is_empty()).map(pair).collect::<Option<Vec<_>>>();
        let pairs = pairs.ok_or_else(|| {
            Problem::new(
                ProblemKind::BadRequest,
                "the query: not UTF-8, or `%` without two hexadecimal digits",
            )
        });
        Ok(Self { pairs: pairs?, known: BTreeSet::new() })
    }

    /// All values of a key, in their order.
    pub(super) fn all(&mut self, key: &'static str) -> Vec<String> {
        self.known.insert(key);
        let values = self.pairs.iter().filter(|(of, _)| of == key);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// The last value of a key.
    pub(super) fn last(&mut self, key: &'static str) -> Option<String> {
        self.all(key).pop()
    }

    /// The value of a key that is `0` or `1`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Problem> {
        match self.last(key).as_deref() {
            None => Ok(default),
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(_) => Err(Problem::new(ProblemKind::BadRequest, format_args!("{key}: 0 or 1"))),
        }
    }

    /// The value of a key that is a number.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u64>, Problem> {
        let Some(value) = self.last(key) else { return Ok(None) };
        let number = value
            .parse()
            .map_err(|_| Problem::new(ProblemKind::BadRequest, format_args!("{key}: not a number")));
        number.map(Some)
    }

    /// Refuses keys that nothing has read: a misspelt one must not pass for none.
    pub(super) fn end(&self) -> Result<(), Problem> {
        let Self { pairs, known } = self;
        match pairs.iter().find(|(key, _)| !known.contains(key.as_str())) {
            None => Ok(()),
            Some((key, _)) => {
                let keys: Vec<&str> = known.iter().copied().collect();
                let has = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
                Err(Problem::new(
                    ProblemKind::BadRequest,
                    format_args!("{key}: not a key of this query, which has {has}"),
                ))
            }
        }
    }
}

/// A word of a query as it was before it was encoded.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?];
                u8::try_from(digits.iter().fold(0, |number, digit| number * 16 + digit)).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A word as it is written in a query.
pub(super) fn encoded(word: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let letter =
        |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    word.bytes().map(letter).collect()
}
