//! Reads the address of a member of etcd.

use std::net::IpAddr;

/// The port of etcd for clients.
const PORT: u16 = 2379;

/// The address of a member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is encrypted
    pub is_tls: bool,
    /// The name or the address of the host; that of IPv6 without brackets
    pub host: String,
    /// The port
    pub port: u16,
}

impl Endpoint {
    /// Reads `https://HOST:PORT` or `http://HOST:PORT`; the port may be left out.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err("expected `https://HOST:PORT` or `http://HOST:PORT`"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("the bracket of the address is not closed")?,
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        let is_right = match rest.starts_with('[') {
            true => host.parse().is_ok_and(|address: IpAddr| address.is_ipv6()),
            false => is_name(host),
        };
        if !is_right {
            return Err("expected a name or an address behind `://`, one of IPv6 in brackets");
        }
        let port = match port.strip_prefix(':') {
            Some(port) => {
                port.parse().ok().filter(|port| *port > 0).ok_or("expected a port of 1 to 65535")?
            }
            None if port.is_empty() => PORT,
            None => return Err("expected nothing behind the port"),
        };
        Ok(Self { is_tls, host: host.to_owned(), port })
    }
}

/// Whether a host can have this name, or this address of IPv4.
fn is_name(host: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    !host.is_empty() && !host.starts_with('-') && host.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_port() {
        let endpoint = |is_tls, host: &str, port| Ok(Endpoint { is_tls, host: host.to_owned(), port });
        for (text, expected) in [
            ("https://e1.example:2380", endpoint(true, "e1.example", 2380)),
            ("http://10.0.0.7", endpoint(false, "10.0.0.7", 2379)),
            ("https://[2001:db8::1]:2379/", endpoint(true, "2001:db8::1", 2379)),
            ("e1:2379", Err("expected `https://HOST:PORT` or `http://HOST:PORT`")),
            ("ftp://e1", Err("expected `https://HOST:PORT` or `http://HOST:PORT`")),
            ("https://", Err("expected a name or an address behind `://`, one of IPv6 in brackets")),
            ("https://-s", Err("expected a name or an address behind `://`, one of IPv6 in brackets")),
            ("https://a@b", Err("expected a name or an address behind `://`, one of IPv6 in brackets")),
            ("https://[e1]:1", Err("expected a name or an address behind `://`, one of IPv6 in brackets")),
            ("https://[::1", Err("the bracket of the address is not closed")),
            ("https://e1:0", Err("expected a port of 1 to 65535")),
            ("https://e1:2379/v3", Err("expected a port of 1 to 65535")),
            ("https://[::1]2379", Err("expected nothing behind the port")),
        ] {
            assert_eq!(Endpoint::parse(text), expected, "{text}");
        }
    }
}
