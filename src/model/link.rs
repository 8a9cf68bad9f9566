//! Network interfaces: valid names, and what an operation needs of one.

use std::collections::HashSet;
use std::fmt;

/// The longest name of an interface, in bytes (the kernel's IFNAMSIZ is one more, for the NUL).
pub const LONGEST: usize = 15;

/// Whether an interface can have this name, and it means nothing but itself.
///
/// The kernel's rule (`dev_valid_name`: not empty, fewer than 16 bytes, neither `.` nor `..`, without `/`, `:` and spaces),
/// and beyond it only ASCII that can be seen, nothing that is a pattern (`*`, `?`, `[`), and nothing that ends a string in the
/// language of nft (`"`, `\`). A name may have characters that only a shell interprets: what prints commands quotes it.
pub fn is_interface_name(name: &str) -> bool {
    let is_odd = |byte: u8| !byte.is_ascii_graphic() || b"/:*?[\"\\".contains(&byte);
    (1..=LONGEST).contains(&name.len()) && !matches!(name, "." | "..") && !name.bytes().any(is_odd)
}

/// An interface that an operation needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    /// Its name
    pub interface: String,
    /// Whether it has to be up; otherwise it only has to exist
    pub up: bool,
}

impl Link {
    /// Whether it is missing where these interfaces are absent and those are down.
    pub fn is_lacking(&self, absent: &HashSet<String>, down: &HashSet<String>) -> bool {
        absent.contains(&self.interface) || (self.up && down.contains(&self.interface))
    }
}

/// `interface eth1 is there`: what the operation awaits.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} is {}", self.interface, if self.up { "up" } else { "there" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_kernel_takes_and_no_pattern() {
        for name in ["lo", "eth0.100", "eth0@if7", "a-long-name-015", "$(id)", "a;touch$IFS.x", "...", "wg'0"]
        {
            assert!(is_interface_name(name), "{name:?}");
        }
        for name in [
            "",
            ".",
            "..",
            "a-long-name-0016",
            "a/b",
            "a:1",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "a\u{1b}[2J",
            "eth*",
            "eth?",
            "eth[0]",
            "a\"b",
            "a\\b",
            "größe",
            "a\u{202e}b",
            "a\u{7f}",
        ] {
            assert!(!is_interface_name(name), "{name:?}");
        }
    }
}
