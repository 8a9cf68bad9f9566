//! Counts what IPVS has balanced, and how fast: of a virtual service, a real server, or the host.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What has passed, or what passes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes } = other;
        for (sum, number) in [
            (&mut self.connections, connections),
            (&mut self.incoming_packets, incoming_packets),
            (&mut self.outgoing_packets, outgoing_packets),
            (&mut self.incoming_bytes, incoming_bytes),
            (&mut self.outgoing_bytes, outgoing_bytes),
        ] {
            *sum = sum.saturating_add(number);
        }
    }
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.counters += other.counters;
        self.rates += other.rates;
    }
}
