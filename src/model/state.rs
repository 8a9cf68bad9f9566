//! The state of a director: the one type that is the desired file, the kernel's answer and the two sides of a plan.

use super::{
    Forwarding, Mark, MarkMatch, RealServer, ServerKey, ServiceKey, SyncDaemon, SyncRole, Sysctls, Table,
    Timeouts, VirtualService,
};

/// The real servers of one virtual service. Equality ignores the order.
pub type Servers = Table<ServerKey, RealServer>;

/// The virtual services of a director. Equality ignores the order.
pub type Services = Table<ServiceKey, VirtualService>;

/// What a director is set to, in the normal form to which both the desired file and the kernel's answer are brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Virtual services
    pub services: Services,
    /// Firewall marks. In the kernel: the rules of lbd's own table in their order, so that a mark may come twice
    pub marks: Vec<Mark>,
    /// Packets that pass connection tracking by, in the order of [`super::untracked::sorted`]. In the kernel: those for which
    /// lbd's own table has a rule
    pub untracked: Vec<MarkMatch>,
    /// What else is in lbd's own nftables table, each as nft would name it. No file has any
    pub strays: Vec<String>,
    /// Kernel settings; in the kernel, those that were read and that it has
    pub sysctls: Sysctls,
    /// Timeouts of connections
    pub timeouts: Timeouts,
    /// Sync daemons
    pub sync: Vec<SyncDaemon>,
    /// How many threads each sync daemon has in the kernel, where that is known and all of them can be restarted. No file has it
    pub sync_threads: Option<u32>,
    /// Sync daemons that the kernel lists, and that neither send nor get anything, since their interface is gone. No file has any
    pub stale_sync: Vec<SyncRole>,
}

impl State {
    /// The marks that lbd itself sets: those with at least one match.
    pub fn mark_rules(&self) -> Vec<Mark> {
        self.marks.iter().filter(|mark| !mark.matches.is_empty()).cloned().collect()
    }

    /// Whether any of it needs nftables.
    pub fn needs_filter(&self) -> bool {
        self.marks.iter().any(|mark| !mark.matches.is_empty())
            || !self.untracked.is_empty()
            || self.has_fullnat()
    }

    /// Whether any server is reached by FULLNAT.
    pub fn has_fullnat(&self) -> bool {
        let mut servers = self.services.values().flat_map(|service| service.servers.values());
        servers.any(|server| server.forwarding == Forwarding::FullNat)
    }
}
