//! Reads the addresses of an ldirectord.cf: of virtual services, of real servers with ranges, and of fallbacks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ipvsadm::Lookup;
use crate::model::Protocol;

/// The most servers of one range.
const LONGEST_RANGE: u32 = 4_096;

/// What a virtual service listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A firewall mark
    Mark(String),
    /// A host and a port, which may be names
    Address(String, String),
}

/// Takes what stands behind `virtual =` apart.
///
/// # Errors
/// Why ldirectord refuses it.
pub(super) fn target(text: &str, is_v6: bool) -> Result<Target, String> {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = rest.strip_prefix(':').map(word_of_port).filter(|port| !port.is_empty());
        return match (port, is_v6) {
            (Some(_), false) => Err("it wants `virtual6` for an IPv6 address".to_owned()),
            (Some(port), true) => Ok(Target::Address(host.to_owned(), port.to_owned())),
            (None, _) => Err("the address has no port".to_owned()),
        };
    }
    if let Some((host, rest)) = text.split_once(':') {
        let port = word_of_port(rest);
        let is_host = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if !host.is_empty() && host.chars().all(is_host) && !port.is_empty() {
            return Ok(Target::Address(host.to_owned(), port.to_owned()));
        }
    }
    match text.split(|c: char| !c.is_ascii_digit()).next() {
        Some(digits) if !digits.is_empty() => Ok(Target::Mark(digits.to_owned())),
        Some(_) | None => Err(format!("`{text}` is neither an address with a port nor a firewall mark")),
    }
}

fn word_of_port(text: &str) -> &str {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).next().unwrap_or_default()
}

/// A `real =` in its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Real {
    pub(super) first: String,
    pub(super) last: Option<String>,
    pub(super) port: Option<String>,
    /// `gate`, `masq` or `ipip`
    pub(super) method: Method,
    pub(super) weight: String,
    /// What is sent, and what is expected, where the server has its own
    pub(super) own: Option<(String, String)>,
    pub(super) lower: String,
    pub(super) upper: String,
}

/// A forwarding method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Gate,
    Masq,
    Ipip,
}

impl Method {
    /// The option of ipvsadm.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Gate => "-g",
            Self::Masq => "-m",
            Self::Ipip => "-i",
        }
    }

    fn read(word: &str) -> Result<Self, String> {
        match word {
            "gate" => Ok(Self::Gate),
            "masq" => Ok(Self::Masq),
            "ipip" => Ok(Self::Ipip),
            "" => Err("it wants `gate`, `masq` or `ipip`".to_owned()),
            word => Err(format!("`{word}` is neither `gate` nor `masq` nor `ipip`")),
        }
    }
}

/// Takes what stands behind `real =` apart, as ldirectord's patterns do: numbers and quoted texts are looked for one after the other.
///
/// # Errors
/// Why ldirectord refuses it.
pub(super) fn real(text: &str) -> Result<Real, String> {
    let (address, flags) = text
        .split_once(char::is_whitespace)
        .ok_or_else(|| "it wants an address and `gate`, `masq` or `ipip`".to_owned())?;
    let (first, rest) = match address.split_once("->") {
        Some((first, rest)) => (first, Some(rest)),
        None => (address, None),
    };
    let (end, port) = host_and_port(rest.unwrap_or(first));
    let (first, last) = match rest {
        Some(_) => (host_and_port(first).0, Some(end)),
        None => (end, None),
    };
    let flags = flags.trim_start();
    let word_end = flags.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(flags.len());
    let (word, flags) = flags.split_at_checked(word_end).unwrap_or((flags, ""));
    let method = Method::read(word)?;
    let (weight, flags) = number_behind(flags, "").unwrap_or(("1", flags));
    let (own, flags) = match quoted_pair(flags) {
        Some((request, receive, rest)) => (Some((request.to_owned(), receive.to_owned())), rest),
        None => (None, flags),
    };
    let (lower, flags) = number_behind(flags, "l:").unwrap_or(("0", flags));
    let (upper, flags) = number_behind(flags, "u:").unwrap_or(("0", flags));
    if !flags.trim().is_empty() {
        return Err(format!("`{}` is not understood", flags.trim()));
    }
    Ok(Real {
        first: first.to_owned(),
        last: last.map(str::to_owned),
        port: port.map(str::to_owned),
        method,
        weight: weight.to_owned(),
        own,
        lower: lower.to_owned(),
        upper: upper.to_owned(),
    })
}

/// A host with or without a port; an IPv6 address is in brackets.
fn host_and_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    }
}

/// The first number behind a space and a prefix, and what follows it.
fn number_behind<'a>(flags: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    for (index, _) in flags.match_indices(char::is_whitespace) {
        let rest = flags.get(index..)?.trim_start();
        let Some(rest) = rest.strip_prefix(prefix) else { continue };
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if end > 0 {
            return rest.split_at_checked(end);
        }
    }
    None
}

/// `"request", "receive"`, and what follows.
fn quoted_pair(flags: &str) -> Option<(&str, &str, &str)> {
    let (before, inside) = flags.split_once('"')?;
    if !before.ends_with(char::is_whitespace) {
        return None;
    }
    let (inside, rest) = inside.rsplit_once('"')?;
    // The last place where one text ends and the other begins.
    for (index, _) in inside.rmatch_indices('"') {
        let (request, receive) = (inside.get(..index)?, inside.get(index + 1..)?);
        let Some(receive) = receive.strip_prefix([',', ' ']) else { continue };
        if let Some(receive) = receive.trim_start().strip_prefix('"') {
            return Some((request, receive, rest));
        }
    }
    None
}

/// A `fallback =` in its pieces: host, port, forwarding method.
///
/// # Errors
/// Why ldirectord refuses it.
pub(super) fn fallback(text: &str) -> Result<(&str, Option<&str>, Method), String> {
    let mut words = text.split_whitespace();
    let address = words.next().ok_or_else(|| "it wants an address".to_owned())?;
    let method = words.next().map_or(Ok(Method::Gate), Method::read)?;
    let (host, port) = host_and_port(address);
    Ok((host, port, method))
}

/// Finds addresses and ports, and remembers what has to be said of them.
pub(super) struct Finder<'a> {
    pub(super) names: &'a dyn Lookup,
    pub(super) notes: Vec<String>,
}

impl Finder<'_> {
    /// The address of a host.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn host(&mut self, text: &str, is_v6: bool) -> Result<IpAddr, String> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if is_v6 {
            return bare
                .parse::<Ipv6Addr>()
                .map(IpAddr::V6)
                .map_err(|_| format!("`{text}` is not an IPv6 address"));
        }
        if let Ok(address) = bare.parse::<Ipv4Addr>() {
            return Ok(address.into());
        }
        let is_name = bare.starts_with(|c: char| c.is_ascii_alphanumeric())
            && bare.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !is_name || bare.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(format!("`{text}` is not an IPv4 address"));
        }
        match self.names.host(bare) {
            None => Err(format!("`{bare}` is a host name; `--resolve` looks it up, as ldirectord does")),
            Some(Err(reason)) => Err(format!("the host `{bare}` has no IPv4 address: {reason}")),
            Some(Ok(addresses)) => {
                let first =
                    *addresses.first().ok_or_else(|| format!("the host `{bare}` has no IPv4 address"))?;
                let which = if addresses.len() > 1 {
                    format!(", the first of {}", addresses.len())
                } else {
                    String::new()
                };
                self.notes.push(format!("the host `{bare}` is {first} now{which}, which is written"));
                Ok(first.into())
            }
        }
    }

    /// A port by its number or its name.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn port(&self, text: &str, protocols: &[Protocol]) -> Result<u16, String> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map_err(|_| format!("`{text}` is not a port"));
        }
        let mut why = format!("`{text}` is not a port");
        for protocol in protocols {
            match self.names.port(text, *protocol) {
                Ok(port) => return Ok(port),
                Err(reason) => why = format!("no {protocol} port is called `{text}` {reason}"),
            }
        }
        Err(why)
    }

    /// The addresses of a `real =`.
    ///
    /// # Errors
    /// Where one is none, or the range is no range.
    pub(super) fn range(&mut self, real: &Real, is_v6: bool) -> Result<Vec<IpAddr>, String> {
        let first = self.host(&real.first, is_v6)?;
        let Some(last) = &real.last else { return Ok(vec![first]) };
        let last = self.host(last, is_v6)?;
        let (IpAddr::V4(low), IpAddr::V4(high)) = (first, last) else {
            return Err("ldirectord has no ranges of IPv6 addresses".to_owned());
        };
        let (low, high) = (u32::from(low), u32::from(high));
        if low > high {
            return Err(format!("the range from {first} to {last} is empty"));
        }
        if high - low >= LONGEST_RANGE {
            return Err(format!("the range has more than {LONGEST_RANGE} addresses"));
        }
        Ok((low..=high).map(|address| IpAddr::V4(address.into())).collect())
    }
}

/// An address with a port, as ipvsadm takes it.
pub(super) fn with_port(address: IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_server_is_taken_apart_as_ldirectord_does() {
        let plain = Real {
            first: "10.0.0.1".into(),
            last: None,
            port: None,
            method: Method::Gate,
            weight: "1".into(),
            own: None,
            lower: "0".into(),
            upper: "0".into(),
        };
        assert_eq!(real("10.0.0.1 gate"), Ok(plain.clone()));
        let range = Real {
            last: Some("10.0.0.5".into()),
            port: Some("3306".into()),
            method: Method::Masq,
            weight: "6".into(),
            own: Some(("select 1".into(), "1".into())),
            ..plain.clone()
        };
        assert_eq!(real("10.0.0.1->10.0.0.5:3306 masq 6 \"select 1\", \"1\""), Ok(range));
        let limits = Real {
            method: Method::Ipip,
            weight: "2".into(),
            lower: "5".into(),
            upper: "9".into(),
            ..plain.clone()
        };
        assert_eq!(real("10.0.0.1\tipip 2 l:5 u:9"), Ok(limits));
        let v6 = Real { first: "[fd00::1]".into(), port: Some("80".into()), ..plain };
        assert_eq!(real("[fd00::1]:80  gate"), Ok(v6));
        for wrong in
            ["10.0.0.1", "10.0.0.1 ", "10.0.0.1 nat", "10.0.0.1 gate weight 3 x", "10.0.0.1 gate \"a\""]
        {
            assert!(real(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_virtual_service_is_an_address_or_a_mark() {
        assert_eq!(target("10.0.0.1:http", false), Ok(Target::Address("10.0.0.1".into(), "http".into())));
        assert_eq!(target("[fd00::1]:80", true), Ok(Target::Address("fd00::1".into(), "80".into())));
        assert_eq!(target("7", false), Ok(Target::Mark("7".into())));
        // Without a port the first number is a mark.
        assert_eq!(target("10.0.0.1", false), Ok(Target::Mark("10".into())));
        for (wrong, is_v6) in [("[fd00::1]:80", false), ("[fd00::1]", true), ("web", false), ("", false)] {
            assert!(target(wrong, is_v6).is_err(), "{wrong}");
        }
    }
}
