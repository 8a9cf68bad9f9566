//! Addresses: which ones a server, a service or a mark can have.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::model::{Family, Prefix};

/// An address with or without a port, as a server has it; else why the text is none.
pub(super) fn server(text: &str) -> Result<(IpAddr, Option<u16>), ServerAddressError> {
    // By far the most are like this.
    match text.parse() {
        Ok(SocketAddr::V6(_)) if text.contains('%') => {}
        Ok(socket) => return Ok((socket.ip(), Some(socket.port()))),
        Err(_) => {}
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    if let Some(bare) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        && let Ok(address @ IpAddr::V6(_)) = bare.parse()
    {
        return Ok((address, None));
    }
    Err(wrong_server(text))
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerAddressError {
    /// The part behind the last colon is no port.
    Port(String),
    /// It has a zone (`%eth0`), which IPVS does not know.
    Zone(String),
    /// It has a slash.
    Prefix(String),
    /// It is the name of a host.
    HostName(String),
    /// It is nothing of the kind.
    NotAddress(String),
}

impl fmt::Display for ServerAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "`{port}` is not a port"),
            Self::Zone(text) => write!(f, "`{text}` has a zone, which IPVS does not support"),
            Self::Prefix(text) => write!(f, "`{text}` is not the address of one server"),
            Self::HostName(name) => write!(f, "`{name}` is a host name, and the kernel knows only addresses"),
            Self::NotAddress(text) => write!(f, "`{text}` is not an IP address"),
        }
    }
}

impl std::error::Error for ServerAddressError {}

fn wrong_server(text: &str) -> ServerAddressError {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match (bare.parse::<IpAddr>(), port) {
        (Ok(_), Some(port)) => ServerAddressError::Port(port.to_owned()),
        _ if text.contains('%') => ServerAddressError::Zone(text.to_owned()),
        _ if text.contains('/') => ServerAddressError::Prefix(text.to_owned()),
        _ if is_host_name(bare) => ServerAddressError::HostName(bare.to_owned()),
        _ => ServerAddressError::NotAddress(text.to_owned()),
    }
}

/// Ports by the names that people write.
const PORT_NAMES: [(&str, u16); 16] = [
    ("http", 80),
    ("https", 443),
    ("http-alt", 8080),
    ("ssh", 22),
    ("smtp", 25),
    ("domain", 53),
    ("dns", 53),
    ("imap", 143),
    ("imaps", 993),
    ("ldap", 389),
    ("ldaps", 636),
    ("mysql", 3306),
    ("ntp", 123),
    ("postgresql", 5432),
    ("redis", 6379),
    ("sip", 5060),
];

/// The same address with the number of its port, where the port is a name that is known.
pub(super) fn with_number(text: &str, error: &ServerAddressError) -> Option<String> {
    let ServerAddressError::Port(name) = error else { return None };
    let (_, number) = PORT_NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(format!("{}{number}", text.strip_suffix(name.as_str())?))
}

/// `fd00::13:80` as an address in brackets with a port, if it can be read so.
pub(super) fn with_brackets(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let port = port.parse().ok().filter(|_| !port.starts_with(['0', '+']))?;
    Some(SocketAddr::new(address.into(), port))
}

/// Whether an address looks like one with a port: `fd00::2:8080`. Groups of up to three digits are common in addresses, and
/// are taken for a port only where it is a well-known one; brackets say that the whole is the address.
pub(in crate::config) fn is_port_like(text: &str) -> bool {
    const KNOWN: [u16; 12] = [25, 53, 80, 110, 143, 389, 443, 465, 587, 636, 993, 995];
    let port = with_brackets(text).map(|socket| socket.port());
    port.is_some_and(|port| port >= 1024 || KNOWN.contains(&port))
}

fn is_host_name(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Why no packet can be sent to or received at this one address, if so.
pub(super) fn unusable(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Some("is the wildcard address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("is the broadcast address"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("is the wildcard address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("is an IPv4 address written as IPv6"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some("is link-local, and IPVS cannot name the interface that such an address needs")
        }
        _ if address.is_multicast() => Some("is a multicast group"),
        _ => None,
    }
}

/// What to write instead of an unusable address, where that is plain.
pub(super) fn instead(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(IpAddr::V4),
        IpAddr::V4(_) => None,
    }
}

/// Why a text is not a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PrefixError {
    /// It is no address with or without a length.
    NotPrefix,
    /// Bits are set behind the length; this would be the network.
    HostBits(Prefix),
}

/// An address or a prefix.
pub(super) fn prefix(text: &str) -> Result<Prefix, PrefixError> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| PrefixError::NotPrefix)?;
    let whole = Family::of(address).bits();
    let length = match length {
        None => whole,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|length| *length <= whole).ok_or(PrefixError::NotPrefix)?
        }
        Some(_) => return Err(PrefixError::NotPrefix),
    };
    let prefix = Prefix::around(address, length);
    if prefix.address == address { Ok(prefix) } else { Err(PrefixError::HostBits(prefix)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_an_address_and_perhaps_a_port() {
        for (text, address, port) in [
            ("192.168.8.14", "192.168.8.14", None),
            ("192.168.8.14:8080", "192.168.8.14", Some(8080)),
            ("192.168.8.14:0", "192.168.8.14", Some(0)),
            ("fd00::1", "fd00::1", None),
            ("[fd00::1]", "fd00::1", None),
            ("[fd00::1]:80", "fd00::1", Some(80)),
        ] {
            assert_eq!(server(text), Ok((address.parse().unwrap(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_server_says_why() {
        for (text, expected) in [
            ("192.168.8.14:70000", "`70000` is not a port"),
            ("192.168.8.14:", "`` is not a port"),
            ("[fd00::1]:http", "`http` is not a port"),
            ("[fe80::1%2]:80", "`[fe80::1%2]:80` has a zone, which IPVS does not support"),
            ("192.168.8.0/24", "`192.168.8.0/24` is not the address of one server"),
            ("web1.example.com:80", "`web1.example.com` is a host name, and the kernel knows only addresses"),
            ("192.168.8.256", "`192.168.8.256` is not an IP address"),
            ("192.168.008.1", "`192.168.008.1` is not an IP address"),
            ("", "`` is not an IP address"),
        ] {
            assert_eq!(server(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn an_address_that_looks_like_one_with_a_port_is_known() {
        for text in ["fd00::2:8080", "::1:80", "fd00:1::7:443", "2001:db8::a:9999"] {
            assert!(is_port_like(text), "{text}");
        }
        for text in [
            "fd00::8080",
            "fd00::2:101",
            "fd00::2:80f0",
            "fd00::2:0080",
            "[fd00::2:8080]",
            "1:2:3:4:5:6:7:8080",
            "10.0.0.1",
        ] {
            assert!(!is_port_like(text), "{text}");
        }
    }

    #[test]
    fn a_prefix_has_no_bit_behind_its_length() {
        for text in ["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "fd00::/64", "fd00::1"] {
            assert_eq!(prefix(text).unwrap().to_string(), text);
        }
        let network = Prefix { address: "10.0.0.0".parse().unwrap(), length: 24 };
        assert_eq!(prefix("10.0.0.7/24"), Err(PrefixError::HostBits(network)));
        for text in ["10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "x", ""] {
            assert_eq!(prefix(text), Err(PrefixError::NotPrefix), "{text}");
        }
    }
}
