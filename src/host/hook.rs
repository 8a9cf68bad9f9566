//! The places in the path of packets where firewall rules are.

/// A place in the path of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookPoint {
    /// Which hook
    pub hook: Hook,
    /// Its order among others at the same hook: the lowest is first
    pub priority: i32,
}

/// The hooks of netfilter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Before everything else, per interface
    Ingress,
    /// Before routing
    Prerouting,
    /// To the host itself; IPVS takes its packets here, at priority 99
    Input,
    /// Through the host
    Forward,
    /// From the host itself
    Output,
    /// After routing
    Postrouting,
}
