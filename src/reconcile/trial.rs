//! Finds why a trial must not go on: services without a usable server, and servers that fail their checks.

use super::{Report, StateDiff};
use crate::model::{Desired, RealServer, ServiceKey, Services};
use crate::target::{Conditions, Failing, ServerOf, Targets};

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

/// A server of a trial's file that has failed its checks since the trial began, and had passed before: the first one.
pub fn failed_server<'a>(file: &Desired, conditions: &'a Conditions) -> Option<(ServerOf, &'a Failing)> {
    let begin = conditions.trial.as_ref()?.period.begin();
    let of_file = |(service, server): &ServerOf| {
        let services = &file.state.services;
        services.get(service).is_some_and(|service| service.servers.contains_key(server))
    };
    let failed = conditions.health.failed_since(begin).filter(|(server, _)| of_file(server));
    failed.min_by_key(|(server, _)| *server)
}

fn has_usable(services: &Services, key: &ServiceKey) -> bool {
    services.get(key).is_some_and(|service| service.servers.values().any(RealServer::serves))
}
