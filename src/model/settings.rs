//! What a director needs beside its virtual services: marks, timeouts, sync daemons.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::Protocol;

/// Packets that get a firewall mark before IPVS sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The mark; never 0
    pub mark: u32,
    /// Which packets; none where somebody else's firewall sets the mark
    pub matches: Vec<MarkMatch>,
}

/// Packets by what stands in them; what is `None` or empty matches every packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkMatch {
    /// Transport protocol
    pub protocol: Option<Protocol>,
    /// Destination
    pub address: Option<Prefix>,
    /// Destination ports
    pub ports: Vec<RangeInclusive<u16>>,
    /// Source
    pub source: Option<Prefix>,
    /// The interface that the packet comes in by
    pub interface: Option<String>,
}

/// An IP prefix, with no bit set behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// First address
    pub address: IpAddr,
    /// Length in bits: up to 32 for IPv4, up to 128 for IPv6
    pub length: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == whole { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.length) }
    }
}

/// How long idle connections are remembered, in seconds; `None` leaves the kernel's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// Established TCP connections
    pub tcp: Option<u32>,
    /// TCP connections after a FIN
    pub tcp_fin: Option<u32>,
    /// UDP
    pub udp: Option<u32>,
}

/// Whether a sync daemon sends connections or receives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SyncRole {
    /// Sends
    Master,
    /// Receives
    Backup,
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
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
