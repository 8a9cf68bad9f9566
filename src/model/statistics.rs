//! Counts what IPVS has balanced, and how fast: of a virtual service, a real server, or the host.

use serde::Serialize;

/// What has passed, or what passes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Connections that were scheduled
    pub connections: u64,
    /// Packets from clients
    pub incoming_packets: u64,
    /// Packets to clients; none of servers that answer them directly
    pub outgoing_packets: u64,
    /// Bytes from clients
    pub incoming_bytes: u64,
    /// Bytes to clients; none of servers that answer them directly
    pub outgoing_bytes: u64,
}

/// The kernel's statistics of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Since the entry was added, or set to zero; the kernel sums them up every two seconds
    pub counters: Counters,
    /// Per second, as the kernel's estimator has them: an average of the last seconds, new every two
    pub rates: Counters,
}
