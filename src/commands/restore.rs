//! `lbd restore`: the boot-time pass, from the file or from the last state that was applied and verified.

use std::io::Write;
use std::time::SystemTime;

use super::inputs::LastVerified;
use super::other_file::other_file;
use super::{CommandError, Console, DONE, ERROR, advice, inputs};
use crate::cli::Arguments;
use crate::config::Source;
use crate::escape;
use crate::history::{Counts, EventKind, HistoryEvent, Trigger};
use crate::kernel::director::Director;
use crate::model::Desired;
use crate::reconcile::{self, Outcome, PassInput, Report, StateDiff};
use crate::report;
use crate::status::ChangedBy;
use crate::store::Store;
use crate::systemd::Notifier;
use crate::target::{Clock, Conditions, Pauses, TrialEnd};

pub(super) fn run(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, CommandError> {
    advice::warn_of_file(&arguments.file, console);
    let store = inputs::store(arguments)?;
    if let Some(daemon) = other_file(&arguments.file, &store) {
        console.warn(daemon);
    }
    match store.end_conditions_of_another_boot() {
        Ok((pauses, drains)) => {
            for pause in pauses.iter() {
                console.note(format_args!("this pause ended with the boot: {pause}"));
            }
            if !drains.is_empty() {
                let count = report::count(drains.iter().count(), "drain");
                console.note(format_args!("{count} ended with the boot"));
            }
        }
        Err(error) => console.warn(error),
    }
    end_trial(&store, console);
    let mut kernel = inputs::kernel(&console.progress)?;
    match inputs::desired(&arguments.file, &console.progress) {
        Ok((source, desired)) => {
            let report = pass(&mut kernel, &desired, &source, None, &store, console)?;
            match &report.outcome {
                Outcome::Refused(guard_refusal) => {
                    console.warn(format_args!("{} is refused: {guard_refusal}", source.name))
                }
                Outcome::Verified
                | Outcome::PartlyRefused(_)
                | Outcome::Failed
                | Outcome::Deferred
                | Outcome::Paused
                | Outcome::Unexpected(_)
                | Outcome::Unverified(_) => {
                    return finish(&report, &source.name, &store, console);
                }
            }
        }
        Err(error) => {
            error.show(console);
            console.warn(format_args!("{} is not valid", arguments.file.display()));
        }
    }

    let Some((source, desired)) = inputs::last_verified(&store, &console.progress)? else {
        return Err(CommandError::NothingVerified);
    };
    let report = pass(&mut kernel, &desired, &source, Some(LastVerified::same()), &store, console)?;
    console.warn("restored from the last state that was verified, not from the file");
    finish(&report, &source.name, &store, console)
}

/// Ends a trial: that of an earlier boot has ended with it, and the file is what is restored.
fn end_trial(store: &Store, console: &mut Console<'_>) {
    let ended = store.end_trial_of_another_boot().map(|ended| {
        if let Some(trial) = ended {
            console.note(format_args!("this trial ended with the boot: {trial}"));
        }
    });
    console.warn_of(ended);
    if let Some(trial) = store.load_conditions(Clock::now()).trial {
        console.note(format_args!("this trial is ended: {trial}"));
        console.warn_of(store.end_trial(&trial, TrialEnd::RolledBack { why: "`lbd restore`".to_owned() }));
    }
}

/// Runs one pass under the lock. `verified` is the state that was verified last, where it is known already.
fn pass(
    kernel: &mut Director,
    desired: &Desired,
    source: &Source,
    verified: Option<LastVerified>,
    store: &Store,
    console: &mut Console<'_>,
) -> Result<Report, CommandError> {
    let lock = inputs::lock(store, "restore", console);
    // Not even a pause keeps the table from being there.
    let now = Clock::now();
    let conditions = Conditions { pauses: Pauses::NONE, trial: None, ..store.load_conditions(now) };
    let verified = verified.unwrap_or_else(|| inputs::verified(store, source));
    let mut announce = |comparison: &StateDiff| console.progress.apply(comparison.plan.len());
    let trigger = Trigger { command: ChangedBy::Restore, by: None, done: Counts::default() };
    let order = PassInput {
        conditions: &conditions,
        verified: verified.state(desired),
        trigger: Some(&trigger),
        unknown: verified.unknown(),
        now,
        ..PassInput::new(desired, &source.text)
    };
    let report = reconcile::pass(kernel, &order, store, lock.as_ref(), &mut announce);
    let recorded =
        report.as_ref().map_or(Ok(()), |report| inputs::record_change(store, ChangedBy::Restore, report));
    drop(lock);
    verified.warn(console);
    console.warn_of(recorded);
    Ok(report?)
}

fn finish(report: &Report, from: &str, store: &Store, console: &mut Console<'_>) -> Result<u8, CommandError> {
    for warning in &report.warnings {
        console.warn(warning);
    }
    let verdict = match report.outcome {
        Outcome::Verified | Outcome::PartlyRefused(_) => "restored from",
        Outcome::Unverified(_) => "restored, but not verified, from",
        _ => "could not be restored from",
    };
    let event = HistoryEvent::new(SystemTime::now(), EventKind::Restored, format_args!("{verdict} {from}"));
    console.warn_of(store.note_event(&event));
    Notifier::from_env().status(&format!("{verdict} {from}"));
    writeln!(console.out, "{verdict} {}", escape::text(from))?;
    report::report_text(console.out, report)?;
    console.out.flush()?;
    match &report.outcome {
        Outcome::Verified => return Ok(DONE),
        // The file's own services are there, and no other is missing.
        Outcome::PartlyRefused(guard_refusal) => {
            console.warn(format_args!("refused in part, the rest is done: {guard_refusal}"));
            return Ok(DONE);
        }
        Outcome::Unverified(reason) => console.not_verified(reason),
        _ => console.print_failures(&report.failed),
    }
    Ok(ERROR)
}
