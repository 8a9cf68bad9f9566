//! What the kernel for tests has counted: as much as a test has set.

use crate::kernel::{StatisticsScope, TableStatistics};
use crate::model::{ServiceKey, Statistics};

/// As much of it as is wanted.
pub(super) fn within(all: &TableStatistics, scope: &StatisticsScope) -> TableStatistics {
    let is_wanted = |service: &ServiceKey| scope.services.as_ref().is_none_or(|keys| keys.contains(service));
    let mut found = all.clone();
    found.services.retain(|service, _| is_wanted(service));
    found.servers.retain(|(service, _), _| scope.servers && is_wanted(service));
    found.totals = found.totals.filter(|_| scope.totals);
    found
}

/// Sets counters and rates to zero, as the kernel does; gives whether the service was there.
pub(super) fn zero(all: &mut TableStatistics, service: Option<&ServiceKey>) -> bool {
    let is_meant = |key: &ServiceKey| service.is_none_or(|service| service == key);
    let services = all.services.iter_mut().filter(|(key, _)| is_meant(key)).map(|(_, of)| of);
    let servers = all.servers.iter_mut().filter(|((key, _), _)| is_meant(key)).map(|(_, of)| of);
    let totals = all.totals.as_mut().filter(|_| service.is_none());
    services.chain(servers).chain(totals).for_each(|of| *of = Statistics::default());
    service.is_none_or(|service| all.services.contains_key(service))
}
