//! Decides which differences from an export may be the work of conditions, which no export contains.

use super::StateDiff;
use crate::model::{Operation, RealServer, ServerOp, ServiceOp};

impl StateDiff {
    /// Whether a condition that is not known may be the reason for an operation: weight 0 is how each of them takes servers out of service.
    pub fn is_perhaps_of_condition(&self, operation: &Operation) -> bool {
        if !self.is_of_export {
            return false;
        }
        let services = &self.managed.services;
        match operation {
            Operation::Server(ServerOp::Edit { from, to, .. }) => !from.serves() && to.serves(),
            Operation::Server(ServerOp::Delete { service, server }) => {
                let live = services.get(service).and_then(|service| service.servers.get(server));
                live.is_some_and(|live| !live.serves())
            }
            Operation::Service(ServiceOp::Delete { service }) => {
                services.get(service).is_some_and(|service| {
                    !service.servers.is_empty() && !service.servers.values().any(RealServer::serves)
                })
            }
            Operation::Server(ServerOp::Add { .. })
            | Operation::Service(ServiceOp::Add { .. } | ServiceOp::Edit { .. })
            | Operation::Sysctl(_)
            | Operation::Timeouts(_)
            | Operation::Sync(_)
            | Operation::Marks(_)
            | Operation::Untracked(_) => false,
        }
    }
}
