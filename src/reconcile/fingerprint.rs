//! Identifies a plan by what it does, so that exactly the plan that was shown can be carried out.

use std::fmt;

use super::StateDiff;
use crate::files::sha256;
use crate::model::{Operation, ServerOp, ServiceOp};

/// What identifies a plan: what it does, from what to what. It is the same for another reading of the same state by the same version of
/// lbd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Fingerprint {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

/// How many digits of the hash are shown: no two plans of a director have the same by chance.
const DIGITS: usize = 16;

impl Fingerprint {
    /// That of the plan of a comparison; `None` where it does nothing.
    pub fn of(comparison: &StateDiff) -> Option<Self> {
        let mut lines: Vec<String> =
            comparison.plan.operations().map(|operation| line(comparison, operation)).collect();
        if lines.is_empty() {
            return None;
        }
        // The order of a plan depends on the order in which the kernel lists its entries.
        lines.sort_unstable();
        let mut hash = sha256(&lines.join("\n"));
        hash.truncate(DIGITS);
        Some(Self(hash))
    }
}

/// Everything about an operation, and of what it deletes.
fn line(comparison: &StateDiff, operation: &Operation) -> String {
    let live = |service| comparison.services().get(service);
    let deleted = match operation {
        Operation::Service(ServiceOp::Delete { service }) => live(service).map(|service| {
            let mut servers: Vec<_> = service.servers.iter().collect();
            servers.sort_unstable_by_key(|(server, _)| **server);
            format!("{:?} {servers:?}", service.scheduling)
        }),
        Operation::Server(ServerOp::Delete { service, server }) => {
            live(service).and_then(|service| service.servers.get(server)).map(|real| format!("{real:?}"))
        }
        Operation::Service(_)
        | Operation::Server(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => None,
    };
    format!("{operation} {:?} {}", operation.parts(), deleted.unwrap_or_default())
}
