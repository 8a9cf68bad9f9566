//! The desired file in plain data: a state, the names of its clusters, and the policy.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;

use super::named::named;
use super::{ClusterFiles, DrainTimes, Health, ServiceKey, State, Table};

/// A desired file that is valid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// The desired state of the kernel
    pub state: State,
    /// The cluster that each virtual service comes from
    pub clusters: Arc<Table<ServiceKey, CompactString>>,
    /// The file that each cluster comes from, where there are several
    pub files: Arc<ClusterFiles>,
    /// The virtual services whose cluster may lose its last usable server
    pub allow_empty: HashSet<ServiceKey>,
    /// The addresses of servers whose last group looks like a port, such as `fd00::2:8080`
    pub port_like: Vec<IpAddr>,
    /// The checks under `checks` that nothing names
    pub unused_checks: Vec<CompactString>,
    /// How long servers keep their connections when they leave the file, where the file says it; the kernel knows nothing of it
    pub drains: Arc<DrainTimes>,
    /// The checks of servers, and what failing ones do; the kernel knows nothing of it
    pub health: Arc<Health>,
    /// The limits of what lbd may change
    pub policy: Policy,
}

/// The limits of what lbd may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which virtual services lbd may delete
    pub prune: Prune,
    /// Whether a file with no clusters may empty a table that lbd filled, and a service lose its last usable server
    pub allow_empty: bool,
    /// How many of the services one change of the file may delete; a share holds for the real servers, too, that leave
    /// services that stay
    pub max_delete: MaxDelete,
    /// How often the live state is checked though nothing announced a change
    pub resync: Duration,
    /// How many verified files the history keeps
    pub history: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            prune: Prune::Owned,
            allow_empty: false,
            max_delete: MaxDelete::Percent(50),
            resync: Duration::from_secs(30),
            history: 50,
        }
    }
}

named! {
    /// Which virtual services lbd deletes when they are not in the file.
    pub enum Prune {
        /// Those that lbd itself put there.
        Owned = "owned",
        /// Every one: the file is the whole table.
        All = "all",
        /// None.
        Never = "never",
    }
}

/// How many of the services one change of the file may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxDelete {
    /// A share, 0 to 100
    Percent(u8),
    /// A number
    Count(u32),
}

impl MaxDelete {
    /// Whether deleting `deleted` of `of` entries is within the limit.
    pub fn allows(&self, deleted: usize, of: usize) -> bool {
        match *self {
            Self::Percent(share) => deleted as u128 * 100 <= of as u128 * u128::from(share),
            Self::Count(most) => deleted <= most as usize,
        }
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(share) => write!(f, "{share}%"),
            Self::Count(most) => most.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_compared_without_rounding() {
        assert!(MaxDelete::Percent(50).allows(1, 2));
        assert!(!MaxDelete::Percent(50).allows(2, 3));
        assert!(!MaxDelete::Percent(0).allows(1, 1000));
        assert!(MaxDelete::Percent(100).allows(7, 7));
        assert!(MaxDelete::Count(3).allows(3, 3));
        assert!(!MaxDelete::Count(3).allows(4, 1000));
    }
}
