//! `lbd restore`: the boot-time pass, from the file or from the last state that was applied and verified.

use std::io::Write;

use super::{Console, DONE, Stop, TROUBLE, inputs};
use crate::cli::Arguments;
use crate::config::Source;
use crate::kernel::director::Director;
use crate::model::Desired;
use crate::progress::Progress;
use crate::reconcile::{self, Comparison, Order, Outcome, Report};
use crate::report;
use crate::store::Store;
use crate::systemd::Notifier;

pub(super) fn run(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, Stop> {
    let store = inputs::store(arguments)?;
    let mut kernel = inputs::kernel(&console.progress)?;
    let lock = store.lock(|holder| console.note(format_args!("waiting for another pass ({holder})")));
    let _lock = lock.map_err(|error| console.warn(format_args!("{error}; going on without the lock")));

    match inputs::desired(&arguments.file, &console.progress) {
        Ok((source, desired)) => {
            let report = pass(&mut kernel, &desired, &source, &store, &console.progress)?;
            match &report.outcome {
                Outcome::Refused(objection) => {
                    console.warn(format_args!("{} is refused: {objection}", source.name))
                }
                Outcome::Verified | Outcome::Failed | Outcome::Held => {
                    return finish(&report, &source.name, console);
                }
            }
        }
        Err(stop) => {
            stop.tell(console);
            console.warn(format_args!("{} does not hold", arguments.file.display()));
        }
    }

    let Some((source, desired)) = inputs::last_verified(&store, &console.progress)? else {
        return Err(Stop::Trouble(
            "no state was ever verified: nothing to restore, nothing was changed".into(),
        ));
    };
    let report = pass(&mut kernel, &desired, &source, &store, &console.progress)?;
    console.warn("restored from the last state that was verified, not from the file");
    finish(&report, &source.name, console)
}

fn pass(
    kernel: &mut Director,
    desired: &Desired,
    source: &Source,
    store: &Store,
    progress: &Progress,
) -> Result<Report, Stop> {
    let mut announce = |comparison: &Comparison| progress.apply(comparison.plan.len());
    let order = Order { desired, text: &source.text, waits: None };
    reconcile::pass(kernel, &order, store, &mut announce).map_err(|error| Stop::Trouble(error.to_string()))
}

fn finish(report: &Report, from: &str, console: &mut Console<'_>) -> Result<u8, Stop> {
    for warning in &report.warnings {
        console.warn(warning);
    }
    let verdict =
        if report.outcome == Outcome::Verified { "restored from" } else { "could not be restored from" };
    Notifier::from_env().status(&format!("{verdict} {from}"));
    writeln!(console.out, "{verdict} {from}")?;
    report::report_text(console.out, report)?;
    if report.outcome == Outcome::Verified {
        return Ok(DONE);
    }
    console.name_failures(&report.failed);
    Ok(TROUBLE)
}
