//! The state of a director: the one type that is the desired file, the kernel's answer and the two sides of a plan.

use indexmap::IndexMap;

use super::{Mark, RealServer, ServerKey, ServiceKey, SyncDaemon, Timeouts, VirtualService};

/// The real servers of one virtual service. Equality ignores the order.
pub type Servers = IndexMap<ServerKey, RealServer>;

/// The virtual services of a director. Equality ignores the order.
pub type Services = IndexMap<ServiceKey, VirtualService>;

/// What a director is set to, in the normal form to which both the desired file and the kernel's answer are brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// Virtual services
    pub services: Services,
    /// Firewall marks
    pub marks: Vec<Mark>,
    /// Kernel settings: value by name, the name with the separators of the file (`net.ipv4.ip_forward`)
    pub sysctls: IndexMap<String, String>,
    /// Timeouts of connections
    pub timeouts: Timeouts,
    /// Sync daemons
    pub sync: Vec<SyncDaemon>,
}
