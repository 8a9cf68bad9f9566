//! `lbd apply`: makes the kernel equal to the file, and proves it.

use std::io;

use super::{Console, DONE, REFUSED, Stop, TROUBLE, inputs};
use crate::cli::{Apply, Arguments, ReportOutput};
use crate::reconcile::{self, Comparison, Order, Outcome};
use crate::report;

pub(super) fn run(arguments: &Arguments, options: &Apply, console: &mut Console<'_>) -> Result<u8, Stop> {
    let (source, mut desired) = inputs::desired(&arguments.file)?;
    desired.policy = inputs::policy(desired.policy, &options.overrides);
    let mut kernel = inputs::kernel()?;
    let store = inputs::store(arguments)?;
    // A disk that takes no lock must not keep a director from being repaired.
    let _lock = store
        .lock(|holder| console.note(format_args!("waiting for another pass ({holder})")))
        .map_err(|error| console.warn(format_args!("{error}; going on without the lock")));

    let mut shown: io::Result<()> = Ok(());
    let mut show = |comparison: &Comparison| {
        if options.output == ReportOutput::Text && shown.is_ok() {
            shown = report::operations_text(console.out, comparison).and_then(|()| console.out.flush());
        }
    };
    let order = Order { desired: &desired, text: &source.text, waits: &|_| false };
    let report = reconcile::pass(&mut kernel, &order, &store, &mut show)
        .map_err(|error| Stop::Trouble(error.to_string()))?;
    shown?;
    for warning in &report.warnings {
        console.warn(warning);
    }
    match options.output {
        ReportOutput::Text => report::report_text(console.out, &report)?,
        ReportOutput::Json => report::report_json(console.out, &report)?,
    }
    console.out.flush()?;
    Ok(match &report.outcome {
        Outcome::Verified => DONE,
        Outcome::Failed | Outcome::Held => {
            console.name_failures(&report.failed);
            TROUBLE
        }
        Outcome::Refused(objection) => {
            console.error(format_args!("refused, nothing was changed: {objection}"));
            REFUSED
        }
    })
}
