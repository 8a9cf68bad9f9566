//! Tells which network interfaces there are.

use std::collections::HashSet;
use std::fs;

/// Which of these interfaces are not in the network namespace of this thread.
pub fn absent(interfaces: &[String]) -> HashSet<String> {
    let mut absent: HashSet<String> = interfaces.iter().cloned().collect();
    if absent.is_empty() {
        return absent;
    }
    // Two lines of headings, then `  eth0: counters` for each.
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    for line in table.lines().skip(2) {
        if let Some((name, _)) = line.split_once(':') {
            absent.remove(name.trim());
        }
    }
    absent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_has_lo_and_none_has_everything() {
        let names = ["lo".to_owned(), "no-such-if0".to_owned()];
        assert_eq!(absent(&names), HashSet::from(["no-such-if0".to_owned()]));
    }
}
