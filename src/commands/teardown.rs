//! `lbd teardown`: removes what lbd owns, and only that, and puts back the kernel settings that it changed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{Console, DONE, Stop, TROUBLE, inputs};
use crate::cli::Arguments;
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::model::Operation;
use crate::reconcile::{self, Comparison, Order, Outcome};
use crate::report;
use crate::store::{Lock, Store};

pub(super) fn run(arguments: &Arguments, yes: bool, console: &mut Console<'_>) -> Result<u8, Stop> {
    let store = inputs::store(arguments)?;
    // Only to say so before anything is asked: nobody is kept from starting a daemon while the operator thinks.
    drop(no_daemon(&store)?);
    let mut kernel = inputs::kernel(&console.progress)?;
    let shown = compare(&mut kernel, &store)?;
    let is_empty = shown.plan.is_empty();
    if !is_empty {
        report::operations_text(console.out, &shown)?;
        console.out.flush()?;
        if !yes && !is_confirmed(console)? {
            return Err(Stop::Trouble("nothing was changed".into()));
        }
    }

    // Held to the end of the pass, so that no daemon starts in the middle and puts everything back.
    let daemon = no_daemon(&store)?;
    let lock = inputs::lock(&store, "teardown", console);
    let now = compare(&mut kernel, &store)?;
    let operations =
        |comparison: &Comparison| comparison.plan.operations().cloned().collect::<Vec<Operation>>();
    if !yes && operations(&now) != operations(&shown) {
        return Err(Stop::Trouble(
            "something has changed since this was shown; nothing was removed; run `lbd teardown` again"
                .into(),
        ));
    }
    let record = store.load().map_err(|error| Stop::Trouble(error.to_string()))?;
    let nothing = reconcile::nothing(&record);
    let order = Order { desired: &nothing, verified: None, text: "", waits: None, unknown: None };
    let mut announce = |comparison: &Comparison| console.progress.apply(comparison.plan.len());
    let report = reconcile::pass(&mut kernel, &order, &store, lock.as_ref(), &mut announce)
        .map_err(|error| Stop::Trouble(error.to_string()))?;
    if report.outcome == Outcome::Verified {
        // Nothing is there that a boot should bring back.
        store.forget_verified().map_err(|error| Stop::Trouble(error.to_string()))?;
    }
    drop((lock, daemon));
    for warning in &report.warnings {
        console.warn(warning);
    }
    report::report_text(console.out, &report)?;
    if report.outcome == Outcome::Verified {
        return Ok(DONE);
    }
    console.name_failures(&report.failed);
    Ok(TROUBLE)
}

/// The lock against a daemon on this state directory.
fn no_daemon(store: &Store) -> Result<Lock, Stop> {
    store
        .lock_daemon("teardown")
        .map_err(|error| Stop::Trouble(format!("{error}; stop it first: systemctl stop lbd.service")))
}

/// What there is to remove now.
fn compare(kernel: &mut Director, store: &Store) -> Result<Comparison, Stop> {
    let record = store.load().map_err(|error| {
        Stop::Trouble(format!("{error}; without it, it is not known what is lbd's; nothing was removed"))
    })?;
    let nothing = reconcile::nothing(&record);
    let live = kernel
        .read(&reconcile::question(&nothing, &record))
        .map_err(|error| Stop::Trouble(error.to_string()))?;
    Ok(Comparison::new(live, &nothing, None, &record))
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
