//! Decides what the kernel should be right now: what the desired file says, modified by the conditions.

use crate::conditions::Conditions;
use crate::model::{Kind, Operation, ServerOp};

/// What the kernel should be right now.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    conditions: &'a Conditions,
}

impl<'a> Target<'a> {
    /// The target under these conditions. Pure.
    pub fn new(conditions: &'a Conditions) -> Self {
        Self { conditions }
    }

    /// Whether the entry of an operation stays as it is for now, though the file wants another. `cluster` is the one that the
    /// operation belongs to.
    pub fn holds(&self, operation: &Operation, cluster: Option<&str>) -> bool {
        let Conditions { pauses, unreadable, changes_in: _ } = self.conditions;
        // The rules are replaced as a whole, and those of a paused cluster are among them.
        let is_rules = matches!(operation.kind(), Kind::Mark | Kind::Untracked) && !pauses.is_empty();
        is_rules || pauses.hold(cluster) || unreadable.is_some() && (operation.deletes() || is_weight(operation))
    }
}

/// Whether an operation changes the weight of a server.
fn is_weight(operation: &Operation) -> bool {
    match operation {
        Operation::Server(ServerOp::Edit { from, to, .. }) => from.weight != to.weight,
        Operation::Server(ServerOp::Add { .. } | ServerOp::Delete { .. })
        | Operation::Service(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => false,
    }
}
