//! Reads which network interfaces exist, and which of them are up.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;

use crate::model::Link;

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

/// Which of these interfaces are not up, if they are there at all.
pub fn down(interfaces: &[String]) -> HashSet<String> {
    let mut down: HashSet<String> = interfaces.iter().cloned().collect();
    if down.is_empty() {
        return down;
    }
    // Whatever is up belongs to the group of all hosts, and whatever is down does not.
    let Ok(table) = fs::read_to_string("/proc/thread-self/net/igmp") else { return HashSet::new() };
    for interface in members(&table, Ipv4Addr::new(224, 0, 0, 1)) {
        down.remove(interface);
    }
    down
}

/// The interfaces that belong to a group, by the kernel's table.
fn members(table: &str, group: Ipv4Addr) -> HashSet<&str> {
    // `2 eth0 : 1 V3` for each interface, and a line for each of its groups, which are written as they lie in memory.
    let group = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    let (mut members, mut interface) = (HashSet::new(), "");
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace();
        match (line.starts_with(char::is_whitespace), words.next(), words.next()) {
            (false, _, Some(name)) => interface = name.trim_end_matches(':'),
            (true, Some(word), _) if word == group => {
                members.insert(interface);
            }
            _ => {}
        }
    }
    members
}

/// Whether any of the interfaces is as it has to be.
pub fn any_ready(links: &[Link]) -> bool {
    let names: Vec<String> = links.iter().map(|link| link.interface.clone()).collect();
    let (absent, down) = (absent(&names), down(&names));
    links.iter().any(|link| !link.is_lacking(&absent, &down))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_namespace_has_lo_and_none_has_everything() {
        let names = ["lo".to_owned(), "no-such-if0".to_owned()];
        assert_eq!(absent(&names), HashSet::from(["no-such-if0".to_owned()]));
    }

    #[test]
    fn what_is_up_is_told_from_what_only_listens() {
        let group = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let (hosts, sync) = (group([224, 0, 0, 1]), group([224, 0, 0, 81]));
        let table = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3\n\t\t\t\t{hosts}     1 0:00000000\t\t0
2\teth1      :     1      V3\n\t\t\t\t{sync}     1 0:00000000\t\t0
3\ta-long-name-15:     2      V3\n\t\t\t\t{sync}     1 0:00000000\t\t0\n\t\t\t\t{hosts}     1 0:00000000\t\t0
"
        );
        assert_eq!(members(&table, Ipv4Addr::new(224, 0, 0, 1)), HashSet::from(["lo", "a-long-name-15"]));
    }
}
