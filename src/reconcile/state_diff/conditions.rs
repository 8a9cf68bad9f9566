//! Takes out of a plan what the conditions leave as it is, and notes why servers are not what the file says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::StateDiff;
use crate::model::{Kind, Operation, RealServer, ServerOp, ServiceKey, Subject};
use crate::target::{Cause, Override, Reason, Target};

impl StateDiff {
    /// Moves out of the plan what the conditions leave as it is.
    pub fn leave_out(&mut self, target: &Target<'_>) {
        let conditions = target.conditions;
        self.explain(target);
        if conditions.are_none() {
            return;
        }
        let clusters = self.clusters.clone();
        let cluster = |service: &ServiceKey| clusters.iter().find_map(|clusters| clusters.get(service));
        let has_serving = |service: &ServiceKey| {
            let live = self.managed.services.get(service);
            live.is_some_and(|live| live.servers.values().any(RealServer::serves))
        };
        // It is not known then which servers checks have taken out of the table.
        let unknown: HashSet<ServiceKey> = match conditions.unreadable {
            Some(_) => target.desired.health.services.keys().filter(|of| has_serving(of)).copied().collect(),
            None => HashSet::new(),
        };
        let leaves_out = |operation: &Operation| {
            let cluster = operation.service().and_then(cluster);
            let may_be_out =
                is_addition(operation) && operation.service().is_some_and(|of| unknown.contains(of));
            may_be_out || target.leaves_out(operation, cluster.map(AsRef::as_ref))
        };
        let mut left_out = self.take_out(&leaves_out);
        // Checks take out of service what others are to replace; while these are left out, they have to wait.
        let short: HashSet<ServiceKey> = left_out
            .iter()
            .filter(|operation| puts_into_service(operation))
            .filter_map(Operation::service)
            .copied()
            .collect();
        if !short.is_empty() {
            let waits = |operation: &Operation| operation.service().is_some_and(|of| short.contains(of));
            left_out.extend(self.take_out(&waits));
        }
        // The rules are replaced as a whole, and those of what is left out are among them.
        if !left_out.is_empty() {
            left_out
                .extend(self.take_out(&|operation| matches!(operation.kind(), Kind::Mark | Kind::Untracked)));
        }
        // What a pause leaves as it is has yet to begin to drain; what was draining before it goes on.
        if !self.draining.is_empty() {
            let subjects: HashSet<Subject> = left_out.iter().map(Operation::subject).collect();
            self.draining.retain(&|of| {
                conditions.drains.get(of).is_some() || !subjects.contains(&Subject::Server(of.0, of.1))
            });
        }
        self.left_out = left_out;
        self.pauses.clone_from(&conditions.pauses);
        self.trial.clone_from(&conditions.trial);
    }

    /// Takes in why servers are not what the file says.
    fn explain(&mut self, target: &Target<'_>) {
        self.health.clone_from(target.health());
        // One override can be about a hundred thousand servers.
        let mut shared: HashMap<*const Override, Arc<Reason>> = HashMap::new();
        for ((service, server), cause) in target.reasons() {
            let reason = match cause {
                Cause::Override(one) => Arc::clone(
                    shared
                        .entry(std::ptr::from_ref(one))
                        .or_insert_with(|| Arc::new(Reason::Override(one.clone()))),
                ),
                Cause::Check(check, one) => {
                    Arc::new(Reason::Check(check.clone(), one.map(|one| Arc::new(one.clone()))))
                }
            };
            self.reasons.insert(Subject::Server(service, server), reason);
        }
    }
}

fn is_addition(operation: &Operation) -> bool {
    matches!(operation, Operation::Server(ServerOp::Add { .. }))
}

/// Whether an operation puts a server into service.
fn puts_into_service(operation: &Operation) -> bool {
    match operation {
        Operation::Server(ServerOp::Add { to, .. }) => to.serves(),
        Operation::Server(ServerOp::Edit { from, to, .. }) => !from.serves() && to.serves(),
        Operation::Server(ServerOp::Delete { .. })
        | Operation::Service(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => false,
    }
}
