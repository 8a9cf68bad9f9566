//! Prints an address with its port: `10.0.0.13:80`, `[fd00::1]:80`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The longest of IPv4: `255.255.255.255:65535`.
const LONGEST: usize = 21;

/// What the standard library prints, which prints each number on its own: a plan can name a hundred thousand addresses.
pub(super) fn fmt(address: IpAddr, port: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let IpAddr::V4(address) = address else { return fmt::Display::fmt(&SocketAddr::new(address, port), f) };
    let [a, b, c, d] = address.octets();
    let mut text = Text { bytes: [0; LONGEST], length: 0 };
    for (octet, behind) in [(a, b"."), (b, b"."), (c, b"."), (d, b":")] {
        text.push(itoa::Buffer::new().format(octet).as_bytes());
        text.push(behind);
    }
    text.push(itoa::Buffer::new().format(port).as_bytes());
    f.pad(text.as_str())
}

/// A text of digits, in the making.
struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    fn push(&mut self, more: &[u8]) {
        for byte in more {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = *byte;
                self.length += 1;
            }
        }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(self.bytes.get(..self.length).unwrap_or_default()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(SocketAddr);

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            super::fmt(self.0.ip(), self.0.port(), f)
        }
    }

    #[test]
    fn an_address_is_printed_as_the_standard_library_prints_it() {
        for text in ["0.0.0.0:0", "10.0.0.13:80", "255.255.255.255:65535", "[fd00::1]:80", "[::]:0"] {
            let socket: SocketAddr = text.parse().unwrap();
            assert_eq!(Shown(socket).to_string(), text);
            assert_eq!(
                format!("{:<24}|{:>24}", Shown(socket), Shown(socket)),
                format!("{socket:<24}|{socket:>24}")
            );
        }
    }
}
