//! `lbd teardown`: removes what lbd owns, and only that, and puts back the kernel settings that it changed.

use std::io::Write;

use super::confirm::confirm;
use super::{CommandError, Console, DONE, ERROR, inputs};
use crate::cli::Arguments;
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::model::Operation;
use crate::reconcile::{self, Outcome, PassInput, StateDiff};
use crate::report;
use crate::status::ChangedBy;
use crate::store::{Lock, Store};

pub(super) fn run(arguments: &Arguments, yes: bool, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    // Checked before the confirmation, but not locked meanwhile: a daemon can start while the operator thinks.
    drop(no_daemon(&store)?);
    let mut kernel = inputs::kernel(&console.progress)?;
    let shown = compare(&mut kernel, &store)?;
    let is_empty = shown.plan.is_empty();
    if !is_empty {
        report::operations_text(console.out, &shown)?;
        console.out.flush()?;
        if !yes {
            confirm("Remove this from the kernel?", console)?;
        }
    }

    // Kept to the end of the pass, so that no daemon starts meanwhile and restores everything.
    let daemon = no_daemon(&store)?;
    let lock = inputs::lock(&store, "teardown", console);
    let now = compare(&mut kernel, &store)?;
    let operations =
        |comparison: &StateDiff| comparison.plan.operations().cloned().collect::<Vec<Operation>>();
    if !yes && operations(&now) != operations(&shown) {
        return Err(CommandError::PlanChanged);
    }
    let record = store.load()?;
    let desired = reconcile::after_teardown(&record);
    let order = PassInput::new(&desired, "");
    let mut announce = |comparison: &StateDiff| console.progress.apply(comparison.plan.len());
    let report = reconcile::pass(&mut kernel, &order, &store, lock.as_ref(), &mut announce)?;
    if report.outcome == Outcome::Verified {
        // A boot must not bring anything back.
        store.forget_verified().map_err(CommandError::StateFile)?;
        store.end_conditions().map_err(CommandError::StateFile)?;
    }
    let recorded = inputs::record_change(&store, ChangedBy::Teardown, &report);
    drop((lock, daemon));
    console.warn_of(recorded);
    for warning in &report.warnings {
        console.warn(warning);
    }
    report::report_text(console.out, &report)?;
    if report.outcome == Outcome::Verified {
        return Ok(DONE);
    }
    console.print_failures(&report.failed);
    Ok(ERROR)
}

/// Takes the daemon's lock of this state directory, so that no daemon runs.
fn no_daemon(store: &Store) -> Result<Lock, CommandError> {
    store.lock_daemon("teardown").map_err(CommandError::NotAlone)
}

/// Plans the removal.
fn compare(kernel: &mut Director, store: &Store) -> Result<StateDiff, CommandError> {
    let record = store.load().map_err(CommandError::OwnerUnknown)?;
    let desired = reconcile::after_teardown(&record);
    let live = kernel.read(&reconcile::question(&desired, &record))?;
    Ok(StateDiff::new(live, &desired, None, &record))
}
