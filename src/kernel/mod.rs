//! The kernel's interface for the rest of lbd: what can be read, what can be edited, and what its errors mean.

pub mod connections;
pub mod director;
mod error;
mod explain;
#[cfg(feature = "fake")]
pub mod fake;
pub mod interfaces;
pub mod ipvs;
pub mod namespace;
pub mod netlink;
pub mod nftables;
pub mod program;
pub mod statistics;
mod sync_sockets;
pub mod sysctl;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::model::{Connections, Operation, ServerKey, ServiceKey, Services, State};

pub use self::error::{KernelError, Query};
pub use self::statistics::{StatisticsScope, TableStatistics};

/// A director's kernel, in one network namespace.
pub trait Kernel {
    /// Reads all of IPVS, and of what is beside it as much as `question` names.
    ///
    /// # Errors
    /// Where the kernel cannot be read, or a list is not known to be whole.
    fn read(&mut self, question: &ReadScope) -> Result<Live, KernelError> {
        self.read_expecting(question, &Services::default())
    }

    /// The same where the virtual services are likely to be as `expected`: what is the same in both is shared, since a
    /// large table would be in memory twice.
    ///
    /// # Errors
    /// As for [`Kernel::read`].
    fn read_expecting(&mut self, question: &ReadScope, expected: &Services) -> Result<Live, KernelError>;

    /// Whether anything may have changed since the last [`Kernel::read`] of the same scope: for a fraction of its cost.
    /// Also true where nothing was read yet, nothing is remembered, or something was edited since.
    ///
    /// # Errors
    /// Where the kernel cannot be read.
    fn has_changed(&mut self, question: &ReadScope) -> Result<bool, KernelError>;

    /// Whether nothing of `live`, which is the last reading of the same scope, may have changed but numbers: these are replaced then by
    /// what they are now, for a fraction of a reading's cost. The numbers are the connections, where [`Connections::packets`] is no longer
    /// exact, and, where `statistics` says so, what services and the host have counted. False as [`Kernel::has_changed`] is true; also
    /// where the kernel is one that cannot do that.
    ///
    /// # Errors
    /// Where the kernel cannot be read.
    fn refresh(
        &mut self,
        _question: &ReadScope,
        _live: &mut Live,
        _statistics: bool,
    ) -> Result<bool, KernelError> {
        Ok(false)
    }

    /// Whether a virtual service is gone that the last [`Kernel::read_expecting`] expected and found: for so little that it can be done
    /// each second. [`Loss::None`] where nothing was read yet, nothing is remembered, or something was edited since.
    ///
    /// # Errors
    /// Where the kernel cannot be read: nothing is known then.
    fn find_loss(&mut self, look: Look) -> Result<Loss, KernelError>;

    /// Reads some virtual services with their servers and connections, and nothing else; those that are not there are left out.
    ///
    /// # Errors
    /// As for [`Kernel::read`].
    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError>;

    /// Reads what the kernel has counted, of as much as `scope` names; services that are not there are left out.
    ///
    /// # Errors
    /// As for [`Kernel::read`].
    fn read_statistics(&mut self, scope: &StatisticsScope) -> Result<TableStatistics, KernelError>;

    /// Sets the counters and rates of a service and of its servers to zero, or those of all services and of the host; gives
    /// whether the service was there. What passed in the last two seconds before is counted after it.
    ///
    /// # Errors
    /// Where the kernel refuses that, or it is not known what became of it.
    fn zero_counters(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError>;

    /// Carries out the operations in their order, and returns the single edits that the kernel refused. A refused one does
    /// not stop the ones after it.
    ///
    /// # Errors
    /// Where it is not known what became of them: the live state must be read again.
    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError>;

    /// Calls `permit` from now on before each write: for IPVS, before each batch of messages; `None` permits all.
    /// Where it returns false, [`Kernel::execute`] ends with [`KernelError::NotPermitted`].
    fn set_permit(&mut self, permit: Option<Permit>);
}

/// How far [`Kernel::find_loss`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Compares numbers of the kernel, which costs next to nothing, however many services there are
    Numbers,
    /// Lists the services, whose cost grows with their number
    Lists,
}

/// What [`Kernel::find_loss`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// No service is known to be gone.
    None,
    /// A number of the kernel has changed: the lists decide.
    Possible,
    /// A service is gone.
    Certain,
}

/// Whether this process may still write to the kernel.
pub type Permit = Arc<dyn Fn() -> bool + Send + Sync>;

/// An error where the permit forbids to write.
fn permitted(permit: &Option<Permit>) -> Result<(), KernelError> {
    match permit {
        Some(permit) if !permit() => Err(KernelError::NotPermitted),
        _ => Ok(()),
    }
}

/// How far a kernel is with reading or editing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressEvent {
    /// It begins to list the virtual services.
    Listing,
    /// It has read the servers of so many of the virtual services.
    Read {
        /// How many are done
        services: usize,
        /// How many there are
        of: usize,
    },
    /// It has carried out so many single edits more.
    Executed {
        /// How many
        edits: usize,
    },
}

/// Receives each [`ProgressEvent`], of which a large table has thousands: it has to be quick.
pub type ProgressSink = Box<dyn FnMut(ProgressEvent)>;

/// What to read beside IPVS itself, which is always read whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadScope {
    /// The kernel settings to read
    pub sysctls: Vec<String>,
    /// Whether to read lbd's own table of nftables
    pub filter: bool,
    /// The interfaces that something needs
    pub interfaces: Vec<String>,
    /// Whether to read what has been counted, too: the same lists have it
    pub statistics: bool,
}

/// What was read from a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// What can be compared with a desired state
    pub state: State,
    /// The connections of the servers that have any
    pub connections: HashMap<(ServiceKey, ServerKey), Connections>,
    /// `net.ipv4.vs.expire_nodest_conn`: whether the connections of a deleted server end at once (true) or hang
    pub expire_nodest_conn: bool,
    /// `net.ipv4.vs.expire_quiescent_template`: whether clients are no longer tied to a server of weight 0 (true)
    pub expire_quiescent_template: bool,
    /// `net.ipv4.vs.run_estimation` is 0: the kernel takes no packets into its counters any more
    pub counters_rest: bool,
    /// The interfaces of the scope that are not there
    pub absent: HashSet<String>,
    /// Those of the scope that are there and are not up
    pub down: HashSet<String>,
    /// The index of each interface of the scope that is there, where it is known: mostly where it is up
    pub indices: HashMap<String, u32>,
    /// Why lbd's own table of nftables could not be read; it counts as empty then
    pub nftables_error: Option<String>,
    /// What has been counted, where that was to be read: of services and servers and the host; after [`Kernel::refresh`] not of servers
    pub statistics: Option<TableStatistics>,
}

/// What was refused of a list of operations, by its place among their single edits: mostly nothing, of a list that may be
/// long.
pub type Refusals = BTreeMap<usize, Refusal>;

/// The kernel's refusal to carry out one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error number, positive
    pub errno: i32,
    /// The cause and what the operator can do
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
