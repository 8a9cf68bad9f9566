//! `lbd connections`: the kernel's connections, one by one or counted, with the names of clusters beside their addresses.

use std::io::Write;

use compact_str::CompactString;

use super::collected::collected;
use super::part::Part;
use super::{CommandError, Console, DONE, inputs};
use crate::cli::{Arguments, ConnectionsOptions, ReportOutput};
use crate::connections::{ConnectionCounts, ConnectionFilter, ServiceNames};
use crate::kernel::connections::ConnectionList;
use crate::kernel::director::Director;
use crate::kernel::{Kernel, StatisticsScope};
use crate::model::{Desired, ServiceKey, Table};
use crate::report;

pub(super) fn run(
    arguments: &Arguments,
    options: &ConnectionsOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let names = names(arguments, options, console)?;
    let ConnectionsOptions { clusters, client, server, state, .. } = options;
    let filter = ConnectionFilter {
        clusters: clusters.clone(),
        client: *client,
        server: *server,
        state: state.clone(),
    };
    console.progress.wipe();
    let mut counts = ConnectionCounts::default();
    for entry in ConnectionList::open()? {
        let entry = entry?;
        let belonging = names.of(&entry);
        if !filter.has(&entry, &belonging) {
            continue;
        }
        match options.output {
            _ if options.count => counts.add(&entry, &belonging),
            ReportOutput::Text => report::connection_text(console.out, &entry, &belonging)?,
            ReportOutput::Json => report::connection_json(console.out, &entry, &belonging)?,
        }
        // The rest of a long list is for nobody.
        if console.out.is_closed() {
            return Ok(DONE);
        }
    }
    if options.count {
        let counted = counts.sorted();
        match options.output {
            ReportOutput::Text => report::connection_counts_text(console.out, &counted)?,
            ReportOutput::Json => report::connection_counts_json(console.out, &counted)?,
        }
    }
    Ok(DONE)
}

/// The first connections to this server, whichever service it is of, each as a line; with the names of these clusters.
///
/// # Errors
/// Where the kernel's list cannot be read.
pub(super) fn first(
    server: &str,
    most: usize,
    clusters: &Table<ServiceKey, CompactString>,
) -> Result<Vec<String>, CommandError> {
    let filter = ConnectionFilter { server: server.parse().ok(), ..ConnectionFilter::default() };
    let names = ServiceNames::new(&Desired::default(), clusters, Vec::new());
    let listed = collected(false, false, |console| {
        let mut left = most;
        for entry in ConnectionList::open()? {
            let entry = entry?;
            let belonging = names.of(&entry);
            if filter.has(&entry, &belonging) {
                left = left.saturating_sub(1);
                report::connection_text(console.out, &entry, &belonging)?;
            }
            if left == 0 {
                break;
            }
        }
        console.out.flush()?;
        Ok(DONE)
    });
    listed.result?;
    Ok(String::from_utf8_lossy(&listed.text).lines().map(str::to_owned).collect())
}

/// What is known of services: from the file, or where that is not valid from the last verified state, and from the record and the kernel as
/// far as this user may read them.
fn names(
    arguments: &Arguments,
    options: &ConnectionsOptions,
    console: &mut Console<'_>,
) -> Result<ServiceNames, CommandError> {
    let store = inputs::store(arguments)?;
    let desired = match inputs::desired(&arguments.file, &console.progress) {
        Ok((_, desired)) => desired,
        Err(error) => match inputs::last_verified(&store, &console.progress) {
            Ok(Some((_, desired))) => desired,
            Ok(None) | Err(_) => {
                console.warn(format_args!("{error}; the connections have no names of clusters"));
                Desired::default()
            }
        },
    };
    let owned = store.load().unwrap_or_default().owned;
    Part::new(&options.clusters, [&desired.clusters, &owned])?;
    Ok(ServiceNames::new(&desired, &owned, live_services()))
}

/// The virtual services that there are; none where this process may not list them.
fn live_services() -> Vec<ServiceKey> {
    let listed =
        Director::connect().and_then(|mut kernel| kernel.read_statistics(&StatisticsScope::default()));
    listed.map(|table| table.services.into_keys().collect()).unwrap_or_default()
}
