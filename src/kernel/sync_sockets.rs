//! Reads how sync daemons really run, which IPVS does not list: by their sockets, and by the groups that these belong to.
//!
//! A daemon has a UDP socket for each of its threads, on consecutive ports: a master sends from it to the group, a backup
//! receives on the group's address. The kernel shows both like any other (seen on 6.1).

use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;

use super::interfaces::Groups;
use crate::model::{SyncDaemon, SyncRole};

/// The most threads that a daemon has.
const MOST: u16 = 64;

/// How many threads each of these daemons has; `None` where none runs, or that cannot be seen. All have the same number.
pub(super) fn threads(daemons: &[SyncDaemon]) -> Option<u32> {
    daemons.iter().find_map(|daemon| {
        let SyncDaemon { role, group, port, .. } = daemon;
        let table = match (*group)? {
            IpAddr::V4(_) => "/proc/thread-self/net/udp",
            IpAddr::V6(_) => "/proc/thread-self/net/udp6",
        };
        count(&fs::read_to_string(table).ok()?, *role, (*group)?, (*port)?)
    })
}

/// How many sockets a daemon has, by the kernel's table.
fn count(table: &str, role: SyncRole, group: IpAddr, port: u16) -> Option<u32> {
    let group = printed(group);
    // A heading, then `12: LOCAL:PORT REMOTE:PORT ...` for each socket.
    let ports: HashSet<u16> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (_, local, remote) = (words.next()?, words.next()?, words.next()?);
            let (address, port) = match role {
                SyncRole::Master => remote,
                SyncRole::Backup => local,
            }
            .split_once(':')?;
            (address == group).then(|| u16::from_str_radix(port, 16).ok()).flatten()
        })
        .collect();
    let threads =
        (0..MOST).take_while(|number| port.checked_add(*number).is_some_and(|port| ports.contains(&port)));
    u32::try_from(threads.count()).ok().filter(|threads| *threads > 0)
}

/// An address as the kernel prints that of a socket: its words of four bytes as they lie in memory.
fn printed(address: IpAddr) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    match address {
        IpAddr::V4(address) => word(address.octets()),
        IpAddr::V6(address) => address.octets().as_chunks().0.iter().map(|bytes| word(*bytes)).collect(),
    }
}

/// The daemons that cannot get anything: the backup, where its interface does not belong to its group. It is one that was made
/// or renamed after the daemon had started.
pub(super) fn deaf(daemons: &[SyncDaemon], groups: &Groups) -> Vec<SyncRole> {
    let is_deaf = |daemon: &&SyncDaemon| {
        let belongs = match daemon.group {
            Some(IpAddr::V4(group)) => groups.contains(&daemon.interface, group),
            Some(IpAddr::V6(group)) => fs::read_to_string("/proc/thread-self/net/igmp6")
                .ok()
                .map(|table| is_member(&table, &daemon.interface, &group.octets())),
            None => None,
        };
        daemon.role == SyncRole::Backup && belongs == Some(false)
    };
    daemons.iter().filter(is_deaf).map(|daemon| daemon.role).collect()
}

/// Whether an interface belongs to a group of IPv6, by the kernel's table.
fn is_member(table: &str, interface: &str, group: &[u8]) -> bool {
    // `2 eth0 ff020000000000000000000000000081 1 00000004 0` for each.
    let group: String = group.iter().map(|byte| format!("{byte:02x}")).collect();
    table.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(interface) && words.next() == Some(&group)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_of_a_daemon_are_counted_by_their_sockets() {
        let group: IpAddr = "224.0.0.81".parse().unwrap();
        let (ours, lan) = (printed(group), printed("10.3.3.3".parse().unwrap()));
        let table = format!(
            "  sl  local_address rem_address   st
  1: {lan}:A000 {ours}:2290 01 0\n  2: {lan}:A001 {ours}:2291 01 0\n  3: {lan}:A002 {lan}:2292 01 0
  4: {lan}:A003 {ours}:2293 01 0\n  5: {ours}:2290 00000000:0000 07 0\n"
        );
        assert_eq!(count(&table, SyncRole::Master, group, 8848), Some(2));
        assert_eq!(count(&table, SyncRole::Backup, group, 8848), Some(1));
        assert_eq!(count(&table, SyncRole::Master, group, 9000), None);
    }

    #[test]
    fn addresses_are_printed_as_they_lie_in_memory() {
        let expected = if cfg!(target_endian = "little") { "510000E0" } else { "E0000051" };
        assert_eq!(printed("224.0.0.81".parse().unwrap()), expected);
        let group = "ff02::81".parse().unwrap();
        let expected = if cfg!(target_endian = "little") {
            "000002FF000000000000000081000000"
        } else {
            "FF020000000000000000000000000081"
        };
        assert_eq!(printed(group), expected);
        let IpAddr::V6(group) = group else { return };
        let table = "1    lo              ff020000000000000000000000000001     1 0000000C 0
2    eth1            ff020000000000000000000000000081     1 00000004 0\n";
        let belongs = ["lo", "eth1", "eth2"].map(|name| is_member(table, name, &group.octets()));
        assert_eq!(belongs, [false, true, false]);
    }
}
