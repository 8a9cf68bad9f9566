//! `lbd metrics`: what monitoring reads, from the daemon's socket, or as kernel and state directory have it.

use std::io::Write;

use super::inputs::KernelReader;
use super::{CommandError, Console, DONE, by_socket, status};
use crate::cli::{Arguments, MetricsOptions, ReportOutput, StatusOptions};
use crate::files::beside;
use crate::metrics::{Format, PassCounts, Snapshot, text};

pub(super) fn run(
    arguments: &Arguments,
    options: &MetricsOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let MetricsOptions { servers, output } = options;
    let exported = match by_socket::metrics(arguments, *servers, console)? {
        Some(exported) => exported,
        None => {
            let mut kernel = KernelReader::default();
            exported(arguments, *servers, None, Format::Prometheus, &mut kernel, console)?
        }
    };
    match output {
        Some(file) => beside::replace(file, exported.as_bytes()).map_err(CommandError::StateFile)?,
        None => console.out.write_all(exported.as_bytes())?,
    }
    Ok(DONE)
}

/// What is exported, by the privileges of this process; `passes` is what the daemon has counted, where this is its process.
pub(super) fn exported(
    arguments: &Arguments,
    has_servers: bool,
    passes: Option<PassCounts>,
    format: Format,
    kernel: &mut KernelReader,
    console: &mut Console<'_>,
) -> Result<String, CommandError> {
    // (As text, it would be the daemon's last words that are shown where the kernel cannot be read.)
    let options = StatusOptions { stats: true, output: ReportOutput::Json, ..StatusOptions::plain() };
    let (mut passes, mut exported) = (passes, String::new());
    status::observe(arguments, &options, has_servers, kernel, console, &mut |_, observed| {
        exported = text(Snapshot::of(observed, passes.take(), has_servers), format);
        Ok(())
    })?;
    Ok(exported)
}
