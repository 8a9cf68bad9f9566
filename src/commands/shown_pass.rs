//! Runs a pass and shows what it does as it goes, for commands whose passes need no more.

use std::io::Write;

use super::{CommandError, Console, inputs};
use crate::cli::ReportOutput;
use crate::kernel::director::Director;
use crate::reconcile::{self, PassInput, Report, StateDiff};
use crate::report;
use crate::status::ChangedBy;
use crate::store::{Lock, Store};

/// Runs a pass under the caller's lock; with text as the output, what it does is shown. The output is to be detached meanwhile. What went wrong
/// beside it is in the warnings of the report, to be printed once the lock is free: a terminal can block.
pub(super) fn shown_pass(
    kernel: &mut Director,
    order: &PassInput<'_>,
    store: &Store,
    lock: Option<&Lock>,
    by: ChangedBy,
    output: ReportOutput,
    console: &mut Console<'_>,
) -> Result<Report, CommandError> {
    let mut shown = Ok(());
    let (out, progress) = (&mut *console.out, &console.progress);
    let mut show = |comparison: &StateDiff| {
        if output == ReportOutput::Text && shown.is_ok() {
            shown = report::operations_text(out, comparison).and_then(|()| out.flush());
        }
        progress.apply(comparison.plan.len());
    };
    let mut report = reconcile::pass(kernel, order, store, lock, &mut show)?;
    let recorded = inputs::record_change(store, by, &report);
    report.warnings.extend(recorded.err().map(|error| error.to_string()));
    shown?;
    Ok(report)
}
