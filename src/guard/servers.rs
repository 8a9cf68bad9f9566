//! Which real servers a change takes out of services that stay, and which services it leaves without a usable one.

use std::collections::HashMap;

use super::refusal::named;
use super::{Before, NamedServices, Violation};
use crate::model::{Desired, MaxDelete, RealServer, ServiceKey, VirtualService};

/// What of the change to the servers is more than the policy allows. `moved` are the new services that take the place of
/// old ones.
pub(super) fn violations(
    before: &Before<'_>,
    desired: &Desired,
    moved: &HashMap<ServiceKey, ServiceKey>,
) -> Vec<Violation> {
    if before.is(desired) {
        return Vec::new();
    }
    let verified = before.verified.map(|verified| &verified.state.services);
    let cluster = |service: &ServiceKey| desired.clusters.get(service).map(AsRef::as_ref);
    let (mut unusable, mut losing, mut deleted) = (NamedServices::default(), NamedServices::default(), 0);
    for (service, wanted) in &desired.state.services {
        let old_key = moved.get(service).unwrap_or(service);
        let old = verified.and_then(|services| services.get(old_key));
        let is_usable = has_usable(wanted);
        if !is_usable {
            // Servers that a verified service has in the kernel only were added by another program, and are not protected.
            let had = old.or_else(|| before.managed.get(old_key).or_else(|| before.foreign.get(old_key)));
            let had_usable = had.is_some_and(has_usable);
            let may_be_empty = desired.policy.allow_empty || desired.allow_empty.contains(service);
            if had_usable && !may_be_empty {
                unusable.push(|| named(service, cluster(service)));
            }
            // What answers for the last usable server answers for the others of its service.
            if had_usable || may_be_empty {
                continue;
            }
        }
        // Those that leave, beyond those that come.
        let fewer = old.map_or(0, |old| old.servers.len().saturating_sub(wanted.servers.len()));
        if fewer > 0 {
            deleted += fewer;
            losing.push(|| format!("{fewer} of {}", named(service, cluster(service))));
        }
    }
    let mut violations = Vec::new();
    let limit = desired.policy.max_delete;
    if deleted > 0 && matches!(limit, MaxDelete::Percent(_)) {
        let services = verified.into_iter().flat_map(|services| services.values());
        let of = services.map(|service| service.servers.len()).sum();
        if !limit.allows(deleted, of) {
            violations.push(Violation::DeletesServers { services: losing, deleted, of, limit });
        }
    }
    if unusable.count > 0 {
        violations.push(Violation::Unusable { services: unusable });
    }
    violations
}

/// Whether a service has a server that takes new connections.
fn has_usable(service: &VirtualService) -> bool {
    service.servers.values().any(RealServer::serves)
}
