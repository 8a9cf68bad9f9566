//! Plans the virtual services.

use std::sync::Arc;

use super::near::find;
use super::{Plan, server};
use crate::model::{Scheduling, Servers, ServiceKey, ServiceOp, Services, VirtualService};

/// Plans the virtual services and, by [`server::plan`], the real servers of those that stay.
pub(super) fn plan(plan: &mut Plan, live: &Services, desired: &Services) {
    // At least the difference is added. A list that grows by itself is copied several times: 8 MB at 10,000 x 10.
    if desired.len() > live.len() {
        plan.grow.reserve(entries(desired).saturating_sub(entries(live)));
    }
    let (mut found, mut near) = (0, None);
    for (service, wanted) in desired {
        let to = &wanted.scheduling;
        let Some(VirtualService { scheduling: from, servers }) = find(live, &mut near, service) else {
            plan.grow.push(ServiceOp::Add { service: *service, to: Arc::clone(to) }.into());
            server::plan(plan, *service, &Servers::default(), &wanted.servers);
            continue;
        };
        found += 1;
        // A service that was read as expected shares its parts with the desired one; there is nothing to compare.
        if Arc::ptr_eq(from, to) && Arc::ptr_eq(servers, &wanted.servers) {
            continue;
        }
        let edit = (from != to).then(|| {
            ServiceOp::Edit { service: *service, from: Arc::clone(from), to: Arc::clone(to) }.into()
        });
        if needs_fewer_servers(from, to, servers) {
            server::plan(plan, *service, servers, &wanted.servers);
            plan.shrink.extend(edit);
        } else {
            plan.grow.extend(edit);
            server::plan(plan, *service, servers, &wanted.servers);
        }
    }
    if found < live.len() {
        let gone = |service: &&ServiceKey| !desired.contains_key(*service);
        let mut gone: Vec<ServiceKey> = live.keys().filter(gone).copied().collect();
        // The kernel's order means nothing and differs from boot to boot; the plan is to be the same each time.
        gone.sort_unstable();
        plan.shrink.extend(gone.into_iter().map(|service| ServiceOp::Delete { service }.into()));
    }
}

/// How many services and servers there are.
fn entries(services: &Services) -> usize {
    services.len() + services.values().map(|service| service.servers.len()).sum::<usize>()
}

/// The most servers that the scheduler `mh` starts with: its lookup table has 4093 places unless the kernel was built
/// with another size.
const MH_SERVERS: usize = 4093;

/// Whether the new scheduler does not start with the live servers, so that the edit has to come after the deletions. (The
/// kernel would leave the service without any scheduler: seen on 5.10 to 7.2.)
fn needs_fewer_servers(from: &Scheduling, to: &Scheduling, present: &Servers) -> bool {
    from.scheduler != to.scheduler && to.scheduler.as_str() == "mh" && present.len() > MH_SERVERS
}
