//! Reads what is beside the counters of entries: the host's totals, and whether the kernel counts at all.

use std::collections::HashMap;
use std::fs;

use crate::kernel::statistics::{TableStatistics, parse_totals};
use crate::model::{ServerKey, ServiceKey, Statistics};

/// Of this thread's network namespace. Absent in a kernel without, or for a process that may not see it.
const TOTALS: &str = "/proc/thread-self/net/ip_vs_stats";

/// Linux 5.10 has none; its counters always go on.
const RUN_ESTIMATION: &str = "/proc/sys/net/ipv4/vs/run_estimation";

/// Whether the kernel takes nothing more into the counters of services and servers.
pub(super) fn are_counters_stopped() -> bool {
    fs::read_to_string(RUN_ESTIMATION).is_ok_and(|value| value.trim() == "0")
}

/// What has been counted of entries, with what is beside them.
pub(super) fn whole(
    services: HashMap<ServiceKey, Statistics>,
    servers: HashMap<(ServiceKey, ServerKey), Statistics>,
) -> TableStatistics {
    let totals = fs::read_to_string(TOTALS).ok();
    let totals = totals.as_deref().and_then(parse_totals);
    TableStatistics { services, servers, totals, are_stopped: are_counters_stopped() }
}
