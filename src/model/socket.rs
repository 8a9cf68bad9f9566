//! Prints and reads addresses: `10.0.0.13:80`, `[fd00::1]:80`, with what stands before them, `tcp://10.0.0.13:80`, or alone.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The longest of IPv4: `sctp://255.255.255.255:65535`.
const LONGEST: usize = 28;

/// What the standard library prints, which prints each number on its own: a plan can name a hundred thousand addresses.
pub(super) fn fmt(before: &str, address: IpAddr, port: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match address {
        IpAddr::V4(address) => f.pad(Text::of(before, address, Some(port)).as_str()),
        IpAddr::V6(_) => f.pad(&format!("{before}{}", SocketAddr::new(address, port))),
    }
}

/// The same at the end of a text, where it needs none of a formatter's options.
pub(super) fn push(address: IpAddr, port: u16, text: &mut String) {
    match address {
        IpAddr::V4(address) => text.push_str(Text::of("", address, Some(port)).as_str()),
        IpAddr::V6(_) => text.push_str(&SocketAddr::new(address, port).to_string()),
    }
}

/// An address alone.
pub(crate) fn address_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => Text::of("", address, None).as_str().to_owned(),
        IpAddr::V6(address) => address.to_string(),
    }
}

/// Reads an address with its port, as the standard library does: a file and lbd's memory name a hundred thousand of
/// them, nearly all in the plainest way.
pub(crate) fn parse(text: &str) -> Option<SocketAddr> {
    plain(text.as_bytes()).or_else(|| text.parse().ok())
}

/// Four numbers, three dots, a colon and a port, none of them with more digits than it needs.
fn plain(text: &[u8]) -> Option<SocketAddr> {
    let (a, rest) = number(text, b'.')?;
    let (b, rest) = number(rest, b'.')?;
    let (c, rest) = number(rest, b'.')?;
    let (d, port) = number(rest, b':')?;
    let port = match port {
        [b'1'..=b'9', more @ ..] if more.len() < 5 => digits(port)?,
        _ => return None,
    };
    let octet = |number: u32| u8::try_from(number).ok();
    let address = Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?);
    Some(SocketAddr::new(address.into(), port.try_into().ok()?))
}

/// The number of up to three digits before `end`, and what is behind that.
fn number(text: &[u8], end: u8) -> Option<(u32, &[u8])> {
    match *text {
        [a, e, ref rest @ ..] if e == end => Some((digits(&[a])?, rest)),
        [a @ b'1'..=b'9', b, e, ref rest @ ..] if e == end => Some((digits(&[a, b])?, rest)),
        [a @ b'1'..=b'9', b, c, e, ref rest @ ..] if e == end => Some((digits(&[a, b, c])?, rest)),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// A text of digits, in the making.
struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    fn of(before: &str, address: Ipv4Addr, port: Option<u16>) -> Self {
        let mut text = Self { bytes: [0; LONGEST], length: 0 };
        text.push(before.as_bytes(), before.len());
        for octet in address.octets() {
            if let Some((digits, length)) = OCTETS.get(usize::from(octet)) {
                text.push(digits, *length);
            }
        }
        // The last dot is none.
        text.length -= 1;
        if let Some(port) = port {
            text.push(b":", 1);
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(port).as_bytes();
            text.push(digits, digits.len());
        }
        text
    }

    /// Puts bytes behind what is there, so many of which count.
    fn push(&mut self, more: &[u8], count: usize) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + more.len()) {
            place.copy_from_slice(more);
            self.length += count;
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(self.bytes.get(..self.length).unwrap_or_default()).unwrap_or_default()
    }
}

/// Each number of an address with the dot behind it, and how many bytes of the four that is.
const OCTETS: [([u8; 4], usize); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut number = 0;
    let mut rest = octets.as_mut_slice();
    while let Some((octet, behind)) = rest.split_first_mut() {
        let [hundreds, tens, ones] = [b'0' + number / 100, b'0' + number / 10 % 10, b'0' + number % 10];
        *octet = match number {
            0..10 => ([ones, b'.', 0, 0], 2),
            10..100 => ([tens, ones, b'.', 0], 3),
            100.. => ([hundreds, tens, ones, b'.'], 4),
        };
        number = number.wrapping_add(1);
        rest = behind;
    }
    octets
};

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(&'static str, SocketAddr);

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            super::fmt(self.0, self.1.ip(), self.1.port(), f)
        }
    }

    #[test]
    fn an_address_is_printed_as_the_standard_library_prints_it() {
        for text in ["0.0.0.0:0", "10.0.0.13:80", "255.255.255.255:65535", "[fd00::1]:80", "[::]:0"] {
            let socket: SocketAddr = text.parse().unwrap();
            let mut pushed = String::from("server ");
            push(socket.ip(), socket.port(), &mut pushed);
            assert_eq!(pushed, format!("server {text}"));
            assert_eq!(address_text(socket.ip()), socket.ip().to_string());
            for before in ["", "sctp://"] {
                let expected = format!("{before}{text}");
                let shown = || Shown(before, socket);
                assert_eq!(shown().to_string(), expected);
                assert_eq!(
                    format!("{:<34}|{:>34}", shown(), shown()),
                    format!("{expected:<34}|{expected:>34}")
                );
            }
        }
    }

    #[test]
    fn an_address_is_read_as_the_standard_library_reads_it() {
        for text in [
            "10.0.0.13:80",
            "0.0.0.0:0",
            "255.255.255.255:65535",
            "1.2.3.4:65536",
            "1.2.3.4:99999",
            "1.2.3.4:100000",
            "256.1.1.1:1",
            "999.1.1.1:1",
            "1.1.1.1:08",
            "1.1.1.1:0",
            "01.1.1.1:1",
            "1.1.1.00:1",
            "1.1.1.1:",
            "1.1.1.1",
            "1.1.1:1",
            "1.1.1.1.1:1",
            ".1.1.1:1",
            "1..1.1:1",
            "1.1.1.1: 1",
            "1.1.1.1:1 ",
            "-1.1.1.1:1",
            "1.1.1.1:+1",
            "a.1.1.1:1",
            "1.b1.1.1:1",
            "1.1.1.1x:1",
            "1.1.1.1:1x",
            "[fd00::1]:80",
            "fd00::1",
            "",
            ":",
            "...:",
            "1234.1.1.1:1",
        ] {
            assert_eq!(parse(text), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn every_number_of_an_address_is_printed_and_read() {
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 255 - octet, octet / 2, octet);
            assert_eq!(address_text(address.into()), address.to_string());
            let port = u16::from(octet) * 257;
            let socket = SocketAddr::new(address.into(), port);
            assert_eq!(parse(&socket.to_string()), Some(socket));
        }
    }
}
