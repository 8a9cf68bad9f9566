//! `lbd apply`: makes the kernel equal to the file, and proves it.

use std::io::{self, Write};

use super::{Console, DONE, REFUSED, Stop, TROUBLE, advice, inputs};
use crate::cli::{Apply, Arguments, ReportOutput};
use crate::host::Host;
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::model::Desired;
use crate::reconcile::{self, Comparison, Order, Outcome, Report};
use crate::report;
use crate::store::Store;

pub(super) fn run(arguments: &Arguments, options: &Apply, console: &mut Console<'_>) -> Result<u8, Stop> {
    let (source, mut desired) = inputs::desired(&arguments.file, &console.progress)?;
    desired.policy = inputs::policy(desired.policy, &options.overrides);
    let mut kernel = inputs::kernel(&console.progress)?;
    let store = inputs::store(arguments)?;
    let host = advice::look(&desired.state, console);
    if options.strict
        && let Some(code) = refuse(&mut kernel, &desired, &store, &host, options, console)?
    {
        return Ok(code);
    }
    let lock = inputs::lock(&store, "apply", console);
    // What is printed under the lock may go to a pager that nobody pages.
    console.out.detach();
    let out = &mut *console.out;
    let mut warnings = None;
    let mut shown: io::Result<()> = Ok(());
    let mut show = |comparison: &Comparison| {
        warnings.get_or_insert_with(|| advice::of(&desired.state, &host, comparison));
        if options.output == ReportOutput::Text && shown.is_ok() {
            shown = report::operations_text(out, comparison).and_then(|()| out.flush());
        }
        console.progress.apply(comparison.plan.len());
    };
    let order = Order { desired: &desired, text: &source.text, waits: None, unknown: None };
    let report = reconcile::pass(&mut kernel, &order, &store, lock.as_ref(), &mut show);
    drop(lock);
    console.out.attach()?;
    let report = report.map_err(|error| Stop::Trouble(error.to_string()))?;
    shown?;
    for warning in &report.warnings {
        console.warn(warning);
    }
    // Where there was nothing to do, nothing was announced.
    let warnings = warnings.unwrap_or_else(|| advice::of(&desired.state, &host, &report.last));
    match options.output {
        ReportOutput::Text => {
            advice::tell(&warnings, console);
            report::report_text(console.out, &report)?;
        }
        ReportOutput::Json => report::report_json(console.out, &report, &warnings)?,
    }
    console.out.flush()?;
    let code = match &report.outcome {
        Outcome::Verified => DONE,
        Outcome::Failed | Outcome::Held => {
            console.name_failures(&report.failed);
            TROUBLE
        }
        Outcome::Unverified(reason) => {
            console.not_verified(reason);
            TROUBLE
        }
        Outcome::Refused(objection) => {
            console.error(format_args!("refused, nothing was changed: {objection}"));
            REFUSED
        }
    };
    // The process ends here: a hundred thousand entries need not be given back one by one.
    std::mem::forget((desired, report, warnings));
    Ok(code)
}

/// Refuses to change anything while there are warnings, and gives the exit code for that.
fn refuse(
    kernel: &mut Director,
    desired: &Desired,
    store: &Store,
    host: &Host,
    options: &Apply,
    console: &mut Console<'_>,
) -> Result<Option<u8>, Stop> {
    // What it cannot remember is told by the pass itself.
    let record = store.load().unwrap_or_default();
    let live = kernel
        .read(&reconcile::question(desired, &record))
        .map_err(|error| Stop::Trouble(error.to_string()))?;
    let last = Comparison::new(live, desired, &record);
    let warnings = advice::of(&desired.state, host, &last);
    if warnings.is_empty() {
        return Ok(None);
    }
    if options.output == ReportOutput::Json {
        let outcome = if last.is_in_sync() { Outcome::Verified } else { Outcome::Held };
        let report = Report { outcome, done: Vec::new(), failed: Vec::new(), last, warnings: Vec::new() };
        report::report_json(console.out, &report, &warnings)?;
    } else {
        advice::tell(&warnings, console);
    }
    console.error("nothing was changed: with `--strict` there may be no warnings");
    Ok(Some(TROUBLE))
}
