//! What an operation needs of a network interface.

use std::collections::HashSet;
use std::fmt;

/// An interface without which something cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    /// Its name
    pub interface: String,
    /// Whether it has to be up; otherwise it is enough that it is there
    pub up: bool,
}

impl Link {
    /// Whether it is lacking where these interfaces are absent and those are down.
    pub fn is_lacking(&self, absent: &HashSet<String>, down: &HashSet<String>) -> bool {
        absent.contains(&self.interface) || (self.up && down.contains(&self.interface))
    }
}

/// `interface eth1 is there`: what is waited for.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interface {} is {}", self.interface, if self.up { "up" } else { "there" })
    }
}
