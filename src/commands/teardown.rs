//! `lbd teardown`: removes what lbd owns, and only that, and puts back the kernel settings that it changed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{Console, DONE, Stop, TROUBLE, inputs};
use crate::cli::Arguments;
use crate::kernel::Kernel;
use crate::reconcile::{self, Comparison, Order, Outcome};
use crate::report;

pub(super) fn run(arguments: &Arguments, yes: bool, console: &mut Console<'_>) -> Result<u8, Stop> {
    let store = inputs::store(arguments)?;
    // Held to the end, so that no daemon starts in the middle and puts everything back.
    let _daemon = store
        .lock_daemon()
        .map_err(|error| Stop::Trouble(format!("{error}; stop it first: systemctl stop lbd.service")))?;
    let _lock = store
        .lock(|holder| console.note(format_args!("waiting for another pass ({holder})")))
        .map_err(Stop::Trouble)?;
    let mut kernel = inputs::kernel(&console.progress)?;
    let record = store.load().map_err(Stop::Trouble)?;
    let nothing = reconcile::nothing(&record);
    let live = kernel
        .read(&reconcile::question(&nothing, &record))
        .map_err(|error| Stop::Trouble(error.to_string()))?;
    let comparison = Comparison::new(live, &nothing, &record);
    if !comparison.plan.is_empty() {
        report::operations_text(console.out, &comparison)?;
        console.out.flush()?;
        if !yes && !is_confirmed(console)? {
            return Err(Stop::Trouble("nothing was changed".into()));
        }
    }
    let order = Order { desired: &nothing, text: "", waits: None };
    let mut announce = |comparison: &Comparison| console.progress.apply(comparison.plan.len());
    let report = reconcile::pass(&mut kernel, &order, &store, &mut announce)
        .map_err(|error| Stop::Trouble(error.to_string()))?;
    for warning in &report.warnings {
        console.warn(warning);
    }
    report::report_text(console.out, &report)?;
    if report.outcome != Outcome::Verified {
        console.name_failures(&report.failed);
        return Ok(TROUBLE);
    }
    // Nothing is there that a boot should bring back.
    store.forget_verified().map_err(Stop::Trouble)?;
    Ok(DONE)
}

/// Asks at the terminal; without one nobody can say yes.
fn is_confirmed(console: &mut Console<'_>) -> Result<bool, Stop> {
    if !io::stdin().is_terminal() {
        return Err(Stop::Trouble("nobody to ask: say --yes to remove this; nothing was changed".into()));
    }
    write!(console.err, "Remove this from the kernel? [y/N] ")?;
    console.err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
