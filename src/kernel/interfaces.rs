//! Reads which network interfaces exist, and which of them are up.

use std::collections::{HashMap, HashSet};
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

/// The groups of IPv4 to which the interfaces of this thread's network namespace belong.
#[derive(Debug, Clone)]
pub(super) struct Groups(Option<String>);

/// That an interface belongs to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member<'a> {
    index: u32,
    interface: &'a str,
    /// The group as the kernel prints it
    group: &'a str,
}

impl Groups {
    pub(super) fn read() -> Self {
        Self(fs::read_to_string("/proc/thread-self/net/igmp").ok())
    }

    /// Those that nobody needs to know.
    pub(super) fn unread() -> Self {
        Self(None)
    }

    /// Which of these interfaces are not up, if they are there at all.
    pub(super) fn down(&self, interfaces: &[String]) -> HashSet<String> {
        let Some(table) = &self.0 else { return HashSet::new() };
        let mut down: HashSet<String> = interfaces.iter().cloned().collect();
        // Whatever is up belongs to the group of all hosts, and whatever is down does not.
        let hosts = printed(Ipv4Addr::new(224, 0, 0, 1));
        for member in members(table).filter(|member| member.group == hosts) {
            down.remove(member.interface);
        }
        down
    }

    /// The indices of these interfaces, where they are up, or belong to another group.
    pub(super) fn indices(&self, interfaces: &[String]) -> HashMap<String, u32> {
        let all = self.0.iter().flat_map(|table| members(table));
        all.filter_map(|member| {
            let name = interfaces.iter().find(|name| *name == member.interface)?;
            Some((name.clone(), member.index))
        })
        .collect()
    }

    /// Whether an interface belongs to a group; `None` where that cannot be seen.
    pub(super) fn contains(&self, interface: &str, group: Ipv4Addr) -> Option<bool> {
        let (table, group) = (self.0.as_ref()?, printed(group));
        Some(members(table).any(|member| (member.interface, member.group) == (interface, group.as_str())))
    }
}

/// An address as the kernel prints it: as it lies in memory.
fn printed(address: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(address.octets()))
}

/// Each interface with each of its groups, by the kernel's table.
fn members(table: &str) -> impl Iterator<Item = Member<'_>> {
    // `2 eth0 : 1 V3` for each interface, and a line for each of its groups.
    let (mut index, mut interface) = (0, "");
    table.lines().skip(1).filter_map(move |line| {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        if line.starts_with(char::is_whitespace) {
            return Some(Member { index, interface, group: first });
        }
        index = first.parse().ok()?;
        interface = words.next()?.trim_end_matches(':');
        None
    })
}

/// Whether any of the interfaces is as it has to be.
pub fn any_ready(links: &[Link]) -> bool {
    let names: Vec<String> = links.iter().map(|link| link.interface.clone()).collect();
    let (absent, down) = (absent(&names), Groups::read().down(&names));
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
        let (hosts, sync) = (Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 81));
        let (all, one) = (printed(hosts), printed(sync));
        let table = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3\n\t\t\t\t{all}     1 0:00000000\t\t0
2\teth1      :     1      V3\n\t\t\t\t{one}     1 0:00000000\t\t0
3\ta-long-name-15:     2      V3\n\t\t\t\t{one}     1 0:00000000\t\t0\n\t\t\t\t{all}     1 0:00000000\t\t0
"
        );
        let groups = Groups(Some(table));
        let names = ["lo", "eth1", "a-long-name-15", "eth9"].map(str::to_owned);
        assert_eq!(groups.down(&names), HashSet::from(["eth1", "eth9"].map(str::to_owned)));
        let indices = [("lo", 1), ("eth1", 2), ("a-long-name-15", 3)];
        assert_eq!(groups.indices(&names), indices.map(|(name, index)| (name.to_owned(), index)).into());
        let belongs = ["lo", "eth1", "a-long-name-15", "eth9"].map(|name| groups.contains(name, sync));
        assert_eq!(belongs, [Some(false), Some(true), Some(true), Some(false)]);
        assert_eq!(Groups(None).contains("lo", hosts), None);
    }
}
