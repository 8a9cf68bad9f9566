//! Sync daemons: kernel threads by which two directors share their connections.

use std::net::{IpAddr, Ipv4Addr};

use super::link::Link;
use super::named::named;

named! {
    /// Whether a sync daemon sends connections or receives them.
    pub enum SyncRole {
        /// Sends.
        Master = "master",
        /// Receives.
        Backup = "backup",
    }
}

/// A kernel thread that shares the connection table with another director; `None` leaves the kernel's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDaemon {
    /// Sends or receives; one of each can run
    pub role: SyncRole,
    /// Interface of the multicast packets
    pub interface: String,
    /// Which directors belong together; 8 bits travel
    pub id: u8,
    /// Longest message in bytes
    pub max_length: Option<u16>,
    /// Multicast group
    pub group: Option<IpAddr>,
    /// UDP port
    pub port: Option<u16>,
    /// Multicast time to live
    pub ttl: Option<u8>,
}

/// The interface on which a sync daemon was started: the kernel goes on naming it when there is another one by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncLink {
    /// Its name then
    pub interface: String,
    /// Its index, which no later one gets
    pub index: u32,
}

/// A sync daemon with the defaults of the kernel where the file has no value (seen on 5.10 to 7.2).
#[derive(Debug, PartialEq, Eq)]
struct Whole<'a> {
    role: SyncRole,
    interface: &'a str,
    id: u8,
    max_length: Option<u16>,
    group: IpAddr,
    port: u16,
    ttl: u8,
}

impl SyncDaemon {
    const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
    const PORT: u16 = 8848;
    const TTL: u8 = 1;

    /// The interface that it needs to start.
    pub fn needs(&self) -> Link {
        // The kernel does not start a master on an interface that is down; a backup waits by itself (seen on 5.10 to 7.2).
        Link { interface: self.interface.clone(), up: self.role == SyncRole::Master }
    }

    /// Whether a live daemon equals `wanted`, with the defaults of the kernel where `wanted` has no value.
    pub fn is(&self, wanted: &Self) -> bool {
        let (mut live, wanted) = (self.whole(), wanted.whole());
        // How much a backup takes follows its interface, whose size is not known here.
        live.max_length = live.max_length.filter(|_| wanted.max_length.is_some());
        live == wanted
    }

    /// The same with the defaults of the kernel; the length of messages is that of `live` where the kernel decides it.
    pub(super) fn completed(&self, live: &Self) -> Self {
        let Whole { role, interface, id, max_length, group, port, ttl } = self.whole();
        Self {
            role,
            interface: interface.to_owned(),
            id,
            max_length: max_length.or(live.max_length),
            group: Some(group),
            port: Some(port),
            ttl: Some(ttl),
        }
    }

    fn whole(&self) -> Whole<'_> {
        let Self { role, interface, id, max_length, group, port, ttl } = self;
        let group = group.unwrap_or(Self::GROUP);
        // What is left of 1500 bytes behind the headers of IP and UDP, whatever the interface takes.
        let most = if group.is_ipv4() { 1472 } else { 1452 };
        Whole {
            role: *role,
            interface,
            id: *id,
            max_length: max_length.or((*role == SyncRole::Master).then_some(most)),
            group,
            port: port.unwrap_or(Self::PORT),
            ttl: ttl.unwrap_or(Self::TTL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_gets_the_default_of_the_kernel() {
        let wanted = SyncDaemon {
            role: SyncRole::Master,
            interface: "eth1".into(),
            id: 7,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let live = SyncDaemon {
            max_length: Some(1472),
            group: Some(SyncDaemon::GROUP),
            port: Some(8848),
            ttl: Some(1),
            ..wanted.clone()
        };
        assert!(live.is(&wanted) && wanted.is(&live));
        assert_eq!(wanted.completed(&live), live);
        assert!(!SyncDaemon { ttl: Some(2), ..live.clone() }.is(&wanted));
        assert!(!SyncDaemon { max_length: Some(1000), ..live.clone() }.is(&wanted));
        let backup = SyncDaemon { role: SyncRole::Backup, max_length: Some(8972), ..live };
        assert!(backup.is(&SyncDaemon { role: SyncRole::Backup, ..wanted.clone() }));
        assert!(!backup.is(&SyncDaemon { role: SyncRole::Backup, max_length: Some(1472), ..wanted }));
    }
}
