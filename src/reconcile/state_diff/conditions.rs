//! Takes out of a plan what the conditions leave as it is, and notes why servers are not what the file says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::StateDiff;
use crate::model::{Desired, Kind, Operation, RealServer, ServerOp, ServiceKey, Subject};
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
        let short = short(&left_out, target);
        if !short.is_empty() {
            let waits = |operation: &Operation| {
                !makes_serve(operation) && operation.service().is_some_and(|of| short.contains(of))
            };
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

/// The services that have too few serving servers while these operations are left out: what checks take out of service there has to wait for
/// what is to replace it.
fn short(left_out: &[Operation], target: &Target<'_>) -> HashSet<ServiceKey> {
    let mut missing: HashMap<ServiceKey, usize> = HashMap::new();
    for service in
        left_out.iter().filter(|operation| puts_into_service(operation)).filter_map(Operation::service)
    {
        *missing.entry(*service).or_default() += 1;
    }
    let serving = |file: &Desired, service: &ServiceKey| {
        let servers = file.state.services.get(service).map(|service| &service.servers);
        servers.map_or(0, |servers| servers.values().filter(|real| real.serves()).count())
    };
    let is_short = |(service, missing): &(ServiceKey, usize)| {
        target.desired.health.services.get(service).is_none_or(|health| {
            let least = health.min_serving.of(serving(target.without_verdicts(), service)).max(1);
            serving(&target.desired, service).saturating_sub(*missing) < least
        })
    };
    missing.into_iter().filter(is_short).map(|(service, _)| service).collect()
}

/// Whether a server serves after an operation.
fn makes_serve(operation: &Operation) -> bool {
    match operation {
        Operation::Server(ServerOp::Add { to, .. }) => to.serves(),
        Operation::Server(ServerOp::Edit { to, .. }) => to.serves(),
        Operation::Server(ServerOp::Delete { .. })
        | Operation::Service(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => false,
    }
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
