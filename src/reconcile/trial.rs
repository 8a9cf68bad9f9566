//! Finds the services that a trial has left without a usable server.

use super::{Report, StateDiff};
use crate::model::{Desired, RealServer, ServiceKey, Services};
use crate::target::{Conditions, Targets};

/// The services of a trial's file that have no usable server after its pass, though they had one before, or the file wants one. What the
/// file or its policy allows to be empty is not among them, nor what an override has emptied in both files.
pub fn lost_services(
    file: &Desired,
    verified: Option<&Desired>,
    conditions: &Conditions,
    report: &Report,
) -> Vec<ServiceKey> {
    let targets = Targets::new(file, verified, conditions);
    let wanted = &targets.file.desired.state.services;
    let before = targets.verified().map(|verified| &verified.state.services);
    let live = StateDiff::services(&report.last);
    let may_be_empty = |key: &ServiceKey| file.policy.allow_empty || file.allow_empty.contains(key);
    let is_lost = |key: &&ServiceKey| {
        let was_usable = before.is_some_and(|before| has_usable(before, key));
        (was_usable || has_usable(wanted, key)) && !has_usable(live, key) && !may_be_empty(key)
    };
    wanted.keys().filter(is_lost).copied().collect()
}

fn has_usable(services: &Services, key: &ServiceKey) -> bool {
    services.get(key).is_some_and(|service| service.servers.values().any(RealServer::serves))
}
