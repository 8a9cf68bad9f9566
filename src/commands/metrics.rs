//! `lbd metrics`: what monitoring reads, as kernel and state directory have it.

use std::cell::RefCell;
use std::io::Write;

use super::inputs::KernelReader;
use super::{CommandError, Console, DONE, status};
use crate::cli::{Arguments, MetricsOptions, ReportOutput, StatusOptions};
use crate::files::beside;
use crate::metrics::{Format, Snapshot, text};

pub(super) fn run(
    arguments: &Arguments,
    options: &MetricsOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let MetricsOptions { servers, output } = options;
    let everything = StatusOptions {
        clusters: Vec::new(),
        stats: true,
        rates: false,
        exact: false,
        servers: *servers,
        output: ReportOutput::Json,
        require_daemon: false,
        watch: None,
    };
    let exported = RefCell::new(String::new());
    status::direct(arguments, &everything, &mut KernelReader::default(), console, &|_, observed| {
        *exported.borrow_mut() = text(Snapshot::of(observed, None, *servers), Format::Prometheus);
        Ok(())
    })?;
    let exported = exported.into_inner();
    match output {
        Some(file) => beside::replace(file, exported.as_bytes()).map_err(CommandError::StateFile)?,
        None => console.out.write_all(exported.as_bytes())?,
    }
    Ok(DONE)
}
