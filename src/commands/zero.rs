//! `lbd zero`: sets the kernel's counters to zero.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::SystemTime;

use super::confirm::confirm;
use super::part::Part;
use super::who::who;
use super::{CommandError, Console, DONE, inputs};
use crate::cli::{Arguments, ZeroOptions};
use crate::history::{EventKind, HistoryEvent, MOST_CLUSTERS};
use crate::kernel::{Kernel, StatisticsScope};
use crate::model::ServiceKey;
use crate::report::count;

/// Not refused during a pause, and without the lock of passes: no entry of the table is changed. Of all that a pass does, only a drain looks at
/// counters: it takes another number of packets for traffic, so that it may last a moment longer.
pub(super) fn run(
    arguments: &Arguments,
    options: &ZeroOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let owned = store.load().map_err(CommandError::State)?.owned;
    Part::new(&options.clusters, [&owned, &owned])?;
    let mut kernel = inputs::kernel(&console.progress)?;
    let there = kernel.read_statistics(&StatisticsScope::default())?.services;
    console.progress.wipe();
    let is_meant = |service: &ServiceKey| match owned.get(service) {
        _ if options.all => true,
        Some(_) if options.clusters.is_empty() => true,
        Some(cluster) => options.clusters.iter().any(|name| name == cluster.as_str()),
        None => false,
    };
    let mut services: Vec<ServiceKey> = there.into_keys().filter(is_meant).collect();
    services.sort_unstable();
    let what = describe(options, services.len());
    if !options.yes && (options.all || !services.is_empty()) {
        confirm(&format!("Set the counters of {what} to zero?"), console)?;
    }
    let mut zeroed = 0;
    if options.all {
        kernel.zero_counters(None)?;
        zeroed = services.len();
    } else {
        for service in &services {
            zeroed += usize::from(kernel.zero_counters(Some(service))?);
        }
    }
    if options.all || zeroed > 0 {
        let clusters = services.iter().filter_map(|service| owned.get(service)).map(ToString::to_string);
        let clusters: BTreeSet<String> = clusters.collect();
        let text = format!("the counters of {}", describe(options, zeroed));
        let mut event = HistoryEvent::new(SystemTime::now(), EventKind::CountersZeroed, text).by(who());
        if !options.all && clusters.len() <= MOST_CLUSTERS {
            event.clusters = clusters.into_iter().collect();
        }
        console.warn_of(store.note_event(&event));
    }
    writeln!(console.out, "set to zero: the counters of {}", describe(options, zeroed))?;
    Ok(DONE)
}

fn describe(options: &ZeroOptions, services: usize) -> String {
    let services = count(services, "virtual service");
    if options.all { format!("all {services}, and of the host") } else { services }
}
