//! What is known while rules are read: where names are looked up, who wrote the rules, and what has to be said of a line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::error::ValueError;
use super::names::Lookup;
use crate::model::Protocol;

/// The longest persistence in seconds that ipvsadm takes: 31 days.
const LONGEST_PERSISTENCE: u32 = 86_400 * 31;

/// Who wrote the rules, which decides what is taken.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// ipvsadm printed them of a table: whatever a kernel can hold.
    Table,
    /// They are for ipvsadm to run: what it refuses is refused.
    Commands {
        /// Finds the name of Linux that is near to that of a scheduler which Linux does not have
        nearest: fn(&str) -> Option<&'static str>,
    },
}

/// What is known while rules are read.
pub(super) struct Reading<'a> {
    names: &'a dyn Lookup,
    origin: Origin,
    /// What has to be said of the line, in sentences
    pub(super) notes: Vec<String>,
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(names: &'a dyn Lookup, origin: Origin) -> Self {
        Self { names, origin, notes: Vec::new() }
    }

    /// Notes something about the line, where an operator reads that.
    pub(super) fn note(&mut self, sentence: impl FnOnce() -> String) {
        match self.origin {
            Origin::Table => {}
            Origin::Commands { .. } => self.notes.push(sentence()),
        }
    }

    /// Whether the rules are for ipvsadm to run.
    pub(super) fn is_for_ipvsadm(&self) -> bool {
        match self.origin {
            Origin::Table => false,
            Origin::Commands { .. } => true,
        }
    }

    /// The scheduler that was meant, where Linux has none of this name.
    pub(super) fn nearest_scheduler(&self, name: &str) -> Option<&'static str> {
        match self.origin {
            Origin::Table => None,
            Origin::Commands { nearest } => nearest(name),
        }
    }

    /// The seconds that `-p` takes.
    pub(super) fn persistence_times(&self) -> (u32, u32) {
        match self.origin {
            Origin::Table => (0, u32::MAX),
            Origin::Commands { .. } => (1, LONGEST_PERSISTENCE),
        }
    }

    /// The address that a text stands for which is none by itself: one in fewer or other numbers, or the name of a host.
    pub(super) fn host(
        &mut self,
        text: &str,
        error: impl FnOnce() -> ValueError,
    ) -> Result<IpAddr, ValueError> {
        match self.origin {
            Origin::Table => return Err(error()),
            Origin::Commands { .. } => {}
        }
        if let Some(address) = loose_address(text) {
            self.note(|| format!("ipvsadm reads `{text}` as {address}"));
            return Ok(address.into());
        }
        let error = error();
        if !matches!(error, ValueError::HostName(_)) || !is_host_name(text) {
            return Err(error);
        }
        let Some(found) = self.names.host(text) else { return Err(error) };
        let unresolved = |reason: String| ValueError::Unresolved { name: text.to_owned(), reason };
        let addresses = found.map_err(unresolved)?;
        let first = addresses.first().ok_or_else(|| unresolved("none was found".to_owned()))?;
        self.note(|| match addresses.len() {
            1 => format!("the host `{text}` is {first} now, which is written"),
            count => {
                let all: Vec<_> = addresses.iter().map(Ipv4Addr::to_string).collect();
                format!(
                    "the host `{text}` has {count} addresses ({}); as ipvsadm does, the first is used: {first}",
                    all.join(", ")
                )
            }
        });
        Ok(IpAddr::V4(*first))
    }

    /// The port that a name stands for.
    pub(super) fn port(&self, name: &str, protocol: Protocol) -> Result<u16, ValueError> {
        let error = |reason| ValueError::PortName { name: name.to_owned(), protocol, reason };
        self.names.port(name, protocol).map_err(error)
    }
}

/// Whether a text can be the name of a host.
fn is_host_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.len() <= 253
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(is_letter)
}

/// An IPv4 address as the C library reads it: fewer numbers, of which the last fills the rest, in octal behind a 0 and in hexadecimal
/// behind `0x`.
fn loose_address(text: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let lower = part.to_ascii_lowercase();
        match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
            (Some(digits), _) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
            (Some(_), _) => None,
            (None, Some("")) => Some(0),
            (None, Some(digits)) if !digits.starts_with('+') => u32::from_str_radix(digits, 8).ok(),
            (None, Some(_)) => None,
            (None, None) => lower.parse().ok().filter(|_| !lower.starts_with('+')),
        }
    };
    let parts: Vec<u32> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    // (ipvsadm takes a number alone for no address.)
    if first.is_empty() || first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let left = 4 - first.len();
    let most = u64::MAX >> (64 - 8 * left);
    let last = u64::from(*last);
    if last > most {
        return None;
    }
    let high = first.iter().fold(0_u64, |sum, part| (sum << 8) | u64::from(*part)) << (8 * left);
    u32::try_from(high | last).ok().map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each was tried with ipvsadm 1.31.
    #[test]
    fn an_address_is_read_as_the_c_library_does() {
        let read = |text| loose_address(text).map(|address| address.to_string());
        assert_eq!(read("10.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(read("0xa.010.3.4").as_deref(), Some("10.8.3.4"));
        assert_eq!(read("10.0.83").as_deref(), Some("10.0.0.83"));
        for none in
            ["80", "10.0.0.256", "1.2.3.4.5", "10.09.1.1", "web.example.com", "10..1", "+1.2", "256.1", ""]
        {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
