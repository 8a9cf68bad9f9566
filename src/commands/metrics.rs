//! `lbd metrics`: what monitoring reads, from the daemon's socket, or as kernel and state directory have it.

use std::io::Write;

use super::kernel_reader::KernelReader;
use super::{CommandError, Console, DONE, by_socket, status};
use crate::cli::{Arguments, MetricsOptions, ReportOutput, StatusOptions};
use crate::files::beside;
use crate::metrics::{Format, PassCounts, Snapshot, write};

pub(super) fn run(
    arguments: &Arguments,
    options: &MetricsOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let MetricsOptions { servers, output } = options;
    let mut exported = Vec::new();
    match by_socket::metrics(arguments, *servers, console)? {
        Some(text) => exported = text.into_bytes(),
        None => {
            let (mut kernel, format) = (KernelReader::default(), Format::Prometheus);
            let snapshot = snapshot(arguments, *servers, None, &mut kernel, console)?;
            write(&mut exported, snapshot, format)?;
        }
    }
    match output {
        Some(file) => beside::replace(file, &exported).map_err(CommandError::StateFile)?,
        None => console.out.write_all(&exported)?,
    }
    Ok(DONE)
}

/// What is exported, by the privileges of this process; `passes` is what the daemon has counted, where this is its process.
pub(super) fn snapshot(
    arguments: &Arguments,
    has_servers: bool,
    passes: Option<PassCounts>,
    kernel: &mut KernelReader,
    console: &mut Console<'_>,
) -> Result<Snapshot, CommandError> {
    // (As text, it would be the daemon's last words that are shown where the kernel cannot be read.)
    let options = StatusOptions { stats: true, output: ReportOutput::Json, ..StatusOptions::plain() };
    let (mut passes, mut snapshot) = (passes, Snapshot::default());
    status::observe(arguments, &options, has_servers, kernel, console, &mut |_, observed| {
        snapshot = Snapshot::of(observed, passes.take(), has_servers);
        Ok(())
    })?;
    Ok(snapshot)
}
