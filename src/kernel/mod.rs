//! The kernel behind a door: what there is to read, what can be done to it, and what its refusals mean.

pub mod director;
mod error;
mod explain;
#[cfg(feature = "fake")]
pub mod fake;
pub mod interfaces;
pub mod ipvs;
pub mod netlink;
pub mod nftables;
pub mod program;
pub mod sysctl;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::model::{Connections, Operation, ServerKey, ServiceKey, Services, State};

pub use self::error::{KernelError, Query};
pub(crate) use self::explain::with_causes;

/// A director's kernel, in one network namespace.
pub trait Kernel {
    /// Reads the whole live state, and of what lies beside it as much as was asked for.
    ///
    /// # Errors
    /// Where the kernel cannot be asked, or its answer cannot be trusted.
    fn read(&mut self, question: &Question) -> Result<Live, KernelError> {
        self.read_expecting(question, &Services::default())
    }

    /// The same where the virtual services are likely to be as `expected`: what is the same in both is shared, since a
    /// large table would be held twice.
    ///
    /// # Errors
    /// As for [`Kernel::read`].
    fn read_expecting(&mut self, question: &Question, expected: &Services) -> Result<Live, KernelError>;

    /// Whether anything may be other than at the last [`Kernel::read`] with this question: for a fraction of its cost.
    /// Also where nothing was read yet, nothing is remembered, or something was carried out since.
    ///
    /// # Errors
    /// Where the kernel cannot be asked.
    fn has_changed(&mut self, question: &Question) -> Result<bool, KernelError>;

    /// Reads some virtual services with their servers; those that are not there are left out.
    ///
    /// # Errors
    /// As for [`Kernel::read`].
    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Services, KernelError>;

    /// Carries out the operations in their order, and gives the single edits that were refused. One that is refused does
    /// not stop the ones behind it.
    ///
    /// # Errors
    /// Where it is not known what became of them: the live state must be read again.
    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError>;

    /// Asks `permit` from now on before each single write: for IPVS, each batch of messages; or none where it is `None`.
    /// Where it says no, [`Kernel::execute`] ends with [`KernelError::NotPermitted`].
    fn set_permit(&mut self, permit: Option<Permit>);
}

/// Whether this process may still write to the kernel.
pub type Permit = Arc<dyn Fn() -> bool + Send + Sync>;

/// Ends what writes where the permit says so.
fn permitted(permit: &Option<Permit>) -> Result<(), KernelError> {
    match permit {
        Some(permit) if !permit() => Err(KernelError::NotPermitted),
        _ => Ok(()),
    }
}

/// How far a kernel is with what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It lists the virtual services.
    Listing,
    /// It has read the servers of so many of the virtual services.
    Read {
        /// How many are done
        services: usize,
        /// How many there are
        of: usize,
    },
    /// It has gone through so many single edits more.
    Executed {
        /// How many
        edits: usize,
    },
}

/// Who is told of each [`Step`], of which a large table has thousands: it has to be quick.
pub type Listener = Box<dyn FnMut(Step)>;

/// What to look at beside IPVS itself, which is always read whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The kernel settings that matter
    pub sysctls: Vec<String>,
    /// Whether lbd's own table of the packet filter matters
    pub filter: bool,
    /// The interfaces that something is bound to
    pub interfaces: Vec<String>,
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
    /// The interfaces that were asked for and are not there
    pub absent: HashSet<String>,
    /// Those that are there and are not up
    pub down: HashSet<String>,
    /// Why lbd's own table of the packet filter could not be read; it counts as empty then
    pub filter_trouble: Option<String>,
}

/// What was refused of a list of operations, by its place among their single edits: mostly nothing, of a list that may be
/// long.
pub type Refusals = BTreeMap<usize, Refusal>;

/// That the kernel would not carry out one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error number, positive
    pub errno: i32,
    /// The cause and the way out, in words an operator can act on
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
