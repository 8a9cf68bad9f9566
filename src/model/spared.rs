//! Virtual services that never were in the file and that a guard keeps from being deleted.

use super::ServiceKey;

/// Virtual services that never were in the file and that a guard keeps from being deleted (`prune: all`).
///
/// It is remembered from pass to pass: what lbd adds to the table meanwhile must not make the share of these services so
/// small that they are deleted without the operator's consent after all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spared {
    /// Those services
    pub services: Vec<ServiceKey>,
    /// How many services there were when their deletion was refused
    pub of: usize,
}
