//! Prints an address with its port: `10.0.0.13:80`, `[fd00::1]:80`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The longest of IPv4: `255.255.255.255:65535`.
const LONGEST: usize = 21;

/// What the standard library prints, which prints each number on its own: a plan can name a hundred thousand addresses.
pub(super) fn fmt(address: IpAddr, port: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match address {
        IpAddr::V4(address) => f.pad(Text::of(address, port).as_str()),
        IpAddr::V6(_) => fmt::Display::fmt(&SocketAddr::new(address, port), f),
    }
}

/// The same at the end of a text, where it needs none of a formatter's options.
pub(super) fn push(address: IpAddr, port: u16, text: &mut String) {
    match address {
        IpAddr::V4(address) => text.push_str(Text::of(address, port).as_str()),
        IpAddr::V6(_) => text.push_str(&SocketAddr::new(address, port).to_string()),
    }
}

/// A text of digits, in the making.
struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    fn of(address: Ipv4Addr, port: u16) -> Self {
        let mut text = Self { bytes: [0; LONGEST], length: 0 };
        for octet in address.octets() {
            if let Some((digits, length)) = OCTETS.get(usize::from(octet)) {
                text.push(digits);
                text.length += length;
            }
        }
        // Over the last dot.
        text.length -= 1;
        text.push(b":");
        text.length += 1;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(port).as_bytes();
        text.push(digits);
        text.length += digits.len();
        text
    }

    /// Puts bytes behind what is there, without counting them yet.
    fn push(&mut self, more: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + more.len()) {
            place.copy_from_slice(more);
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
            let mut pushed = String::from("server ");
            push(socket.ip(), socket.port(), &mut pushed);
            assert_eq!(pushed, format!("server {text}"));
            assert_eq!(
                format!("{:<24}|{:>24}", Shown(socket), Shown(socket)),
                format!("{socket:<24}|{socket:>24}")
            );
        }
    }
}
