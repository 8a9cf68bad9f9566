//! What the file says of the health of real servers: their checks, and what failing checks do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::named::named;
use super::{Check, RealServer, ServerKey, ServiceKey, Table};

/// The checks of a list: all must pass. Empty: none.
pub type Checks = Arc<[Arc<Check>]>;

/// What the file says of the health of real servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// That of virtual services with a check or a fallback, in the order of the file; the others have no entry
    pub services: Table<ServiceKey, ServiceHealth>,
}

impl Health {
    /// The checks of a real server.
    pub fn checks(&self, service: &ServiceKey, server: &ServerKey) -> &[Arc<Check>] {
        self.services.get(service).map_or(&[], |service| service.checks(server))
    }
}

/// What the file says of the health of the servers of a virtual service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHealth {
    /// The checks of servers that say nothing
    pub checks: Checks,
    /// Those of servers that have some of their own, or none
    pub servers: HashMap<ServerKey, Checks, RandomState>,
    /// What a failing check does to a server; never `auto`, which is resolved
    pub on_failure: OnFailure,
    /// When a server that is still failing is deleted, counted from its verdict
    pub reset_after: Option<Duration>,
    /// How many servers checks leave in service
    pub min_serving: MinServing,
    /// The server that serves when none passes, as it is in the kernel
    pub fallback: Option<(ServerKey, RealServer)>,
    /// How long a server takes to its full weight after a failure
    pub slow_start: Option<Duration>,
}

impl ServiceHealth {
    /// The checks of a real server.
    pub fn checks(&self, server: &ServerKey) -> &[Arc<Check>] {
        // Most have none of their own, and then nothing is hashed.
        let own = (!self.servers.is_empty()).then(|| self.servers.get(server)).flatten();
        own.unwrap_or(&self.checks)
    }
}

named! {
    /// What a failing check does to a real server, where the file leaves no choice open.
    pub enum OnFailure {
        /// Weight 0: its connections go on, and it gets no new ones.
        Quiesce = "quiesce",
        /// It is deleted: clients with a persistence template, too, go to another one at once.
        Remove = "remove",
    }
}

named! {
    /// What the file says about a server whose check fails.
    pub enum FailurePolicy {
        /// `remove` for persistent services, for UDP without `one_packet`, and for `dh`, `sh` and `mh` without fallback, where a server of weight 0 keeps or
        /// refuses clients; else `quiesce`.
        Auto = "auto",
        /// Weight 0: the connections go on, and there are no new ones.
        Quiesce = "quiesce",
        /// The server is deleted, and its clients go to another one at once; lbd sets `net.ipv4.vs.expire_nodest_conn` to 1 for it.
        Remove = "remove",
    }
}

/// How many of the servers that the file and the overrides let serve are left in service by checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinServing {
    /// A share in per cent, rounded up
    Percent(u8),
    /// A number; more than there are means all
    Count(u32),
}

impl MinServing {
    /// Where the file says nothing: half of them.
    pub const DEFAULT: Self = Self::Percent(50);

    /// How many that is of so many.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Percent(share) => all.saturating_mul(share.into()).div_ceil(100),
            Self::Count(count) => all.min(usize::try_from(count).unwrap_or(usize::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_a_number_is_at_most_all() {
        let half = [0, 1, 2, 3, 4].map(|all| MinServing::Percent(50).of(all));
        assert_eq!(half, [0, 1, 1, 2, 2]);
        assert_eq!(
            [MinServing::Count(3).of(2), MinServing::Count(0).of(2), MinServing::Count(1).of(2)],
            [2, 0, 1]
        );
        assert_eq!([MinServing::Percent(100).of(3), MinServing::Percent(0).of(3)], [3, 0]);
    }
}
