//! The kernel behind a door: what there is to read, what can be done to it, and what its refusals mean.

mod explain;
pub mod fake;
pub mod ipvs;
pub mod sysctl;

use std::collections::HashMap;
use std::fmt;

use crate::model::{Connections, Operation, ServerKey, ServiceKey, State};

/// A kernel's load balancer, in one network namespace.
pub trait Kernel {
    /// Reads the whole live state.
    ///
    /// # Errors
    /// Where the kernel cannot be asked, or its answer cannot be trusted.
    fn read(&mut self) -> Result<Live, KernelError>;

    /// Carries out the operations in their order, and gives a result for each. A refused operation does not stop the
    /// ones behind it.
    ///
    /// # Errors
    /// Where it is not known what became of them: the live state must be read again.
    fn execute(&mut self, operations: &[Operation]) -> Result<Vec<Result<(), Refusal>>, KernelError>;
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
}

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

/// That the kernel could not be asked at all: the cause and the way out, in words an operator can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelError {
    /// What happened and what to do
    pub message: String,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KernelError {}
