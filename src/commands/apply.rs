//! `lbd apply`: makes the kernel equal to the file, and proves it.

use std::io::{self, Write};
use std::time::Duration;

use super::advice::Detail;
use super::inputs::StoredState;
use super::other_file::other_file;
use super::tried::{Followed, TrialError, followed};
use super::who::who;
use super::{CommandError, Console, DONE, ERROR, REFUSED, advice, checks, draining, inputs};
use crate::cli::{Apply, Arguments, ReportOutput};
use crate::config::Source;
use crate::escape;
use crate::history::{Counts, Trigger};
use crate::host::Host;
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::model::Desired;
use crate::reconcile::{self, Outcome, PassInput, Report, StateDiff};
use crate::report::{self, DeletedServers};
use crate::status::ChangedBy;
use crate::store::Store;
use crate::target::{Clock, Departure, Drains, Pauses, Trial};

/// What prints the warnings in full, and changes nothing.
const IN_FULL: &str = "lbd diff --verbose";

pub(super) fn run(
    arguments: &Arguments,
    options: &Apply,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let Followed { source, mut desired, trial } = followed(&arguments.file, Some(&store), console)?;
    desired.policy = inputs::policy(desired.policy, &options.overrides);
    if let Some(trial) = &trial {
        console.note(format_args!("a trial is under way, and this applies its file: {trial}"));
    }
    match other_file(&arguments.file, &store) {
        Some(daemon) if options.force => console.warn(daemon),
        Some(daemon) => return Err(CommandError::OtherFile(daemon)),
        None => {}
    }
    let order = Order {
        source: &source,
        desired: &desired,
        trial: trial.as_ref(),
        command: ChangedBy::Apply,
        install: None,
    };
    carry_out(arguments, options, order, &store, console)
}

/// What to apply.
pub(super) struct Order<'a> {
    /// The text of the file
    pub(super) source: &'a Source,
    /// The state that it describes, with the exceptions of the command line
    pub(super) desired: &'a Desired,
    /// The trial that it belongs to, if it is the file of one
    pub(super) trial: Option<&'a Trial>,
    /// The command
    pub(super) command: ChangedBy,
    /// How it becomes the desired file; nothing where it is that already
    pub(super) install: Option<Install<'a>>,
}

/// How a file becomes the desired one.
pub(super) struct Install<'a> {
    /// What is done under the lock, before the pass
    pub(super) run: &'a mut dyn FnMut() -> Result<(), CommandError>,
    /// What to say when it is done
    pub(super) says: String,
}

/// Makes the kernel equal to a file by one pass.
pub(super) fn carry_out(
    arguments: &Arguments,
    options: &Apply,
    order: Order<'_>,
    store: &Store,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let Order { source, desired, trial, command, install } = order;
    let mut kernel = inputs::kernel(&console.progress)?;
    let host = advice::look(&desired.state, &arguments.file, console);
    if options.strict {
        let verified = inputs::verified(store, source);
        let stored = StoredState::read(store, verified, desired, console).in_trial(trial.cloned());
        if let Some(code) = refuse(&mut kernel, desired, &stored, &host, options, console)? {
            return Ok(code);
        }
    }
    let lock = inputs::lock(store, command.command(), console);
    let departure = options.drain.map_or(Departure::Drain, Departure::DrainFor);
    if departure == Departure::DrainFor(Duration::ZERO) && store.load_drains().is_err() {
        // The way out of a file that cannot be read.
        store.save_drains(&Drains::NONE).map_err(CommandError::StateFile)?;
    }
    let now = Clock::now();
    let mut conditions = store.load_conditions(now);
    if let Some(other) = conditions.trial.as_ref().filter(|now| !trial.is_some_and(|trial| trial.is(now))) {
        console.error(TrialError::UnderWay(Box::new(other.clone())));
        return Ok(REFUSED);
    }
    // A pager that is not paged must not block the holder of the lock.
    console.out.detach();
    let unchanged = if install.is_some() { ", the kernel was not changed" } else { ", nothing was changed" };
    if let Some(Install { run, says }) = install {
        let installed = run();
        if let Err(error) = installed {
            drop(lock);
            console.out.attach()?;
            return Err(error);
        }
        writeln!(console.out, "{}", escape::text(&says))?;
    }
    // Another command may have changed it before the lock was taken.
    let last_verified = inputs::verified(store, source);
    let verified = last_verified.state(desired);
    let kept = checks::take_in_for_pass(store, &mut conditions, desired, verified, now);
    let out = &mut *console.out;
    let mut warnings = None;
    let mut shown: io::Result<()> = Ok(());
    let mut deleted = DeletedServers::new();
    let mut show = |comparison: &StateDiff| {
        warnings.get_or_insert_with(|| advice::of(desired, &host, comparison));
        if options.output == ReportOutput::Json {
            deleted.extend(report::deleted_servers(comparison));
        }
        if options.output == ReportOutput::Text && shown.is_ok() {
            shown = report::operations_text(out, comparison).and_then(|()| out.flush());
        }
        console.progress.apply(comparison.plan.len());
    };
    if options.force {
        conditions.pauses = Pauses::NONE;
    }
    let trigger = Trigger { command, by: Some(who()), done: Counts::default() };
    let order = PassInput {
        conditions: &conditions,
        verified,
        trigger: Some(&trigger),
        unknown: last_verified.unknown(),
        expected: options.expect.as_deref(),
        departure,
        now,
        ..PassInput::new(desired, &source.text)
    };
    let report = reconcile::pass(&mut kernel, &order, store, lock.as_ref(), &mut show);
    let recorded = report.as_ref().map_or(Ok(()), |report| inputs::record_change(store, command, report));
    drop(lock);
    console.out.attach()?;
    last_verified.warn(console);
    console.warn_of(recorded);
    console.warn_of(kept);
    let report = report?;
    shown?;
    for warning in &report.warnings {
        console.warn(warning);
    }
    // Without operations, nothing was announced.
    let warnings = warnings.unwrap_or_else(|| advice::of(desired, &host, &report.last));
    match options.output {
        ReportOutput::Text => {
            advice::print(&warnings, Detail::of(options.verbose, IN_FULL), console);
            report::report_text(console.out, &report)?;
        }
        ReportOutput::Json => report::report_json(console.out, &report, &deleted, &warnings)?,
    }
    console.out.flush()?;
    let drains = &report.last.draining;
    if options.wait && !drains.is_empty() && report.outcome == Outcome::Verified {
        return draining::wait(source, desired, options, store, &mut kernel, console);
    }
    draining::note_who_ends(drains, store, console);
    Ok(match &report.outcome {
        Outcome::Verified => DONE,
        Outcome::Failed | Outcome::Deferred => {
            console.print_failures(&report.failed);
            if let Some(guard_refusal) = &report.last.guard_refusal {
                console.error(format_args!("refused in part: {guard_refusal}"));
            }
            ERROR
        }
        Outcome::Unexpected(found) => {
            match found {
                Some(found) => console.error(format_args!(
                    "refused{unchanged}: the plan is not the expected one any more; this is {found}"
                )),
                None => console.error(format_args!("refused{unchanged}: nothing is to be done any more")),
            }
            REFUSED
        }
        Outcome::Paused => {
            let pauses = report.last.pauses.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let done = if report.last.pauses.cover_everything() {
                format!("refused{unchanged}")
            } else {
                "refused in part, the rest is done".to_owned()
            };
            console.error(format_args!(
                "{done}: paused: {pauses}; `lbd resume` ends that, and `--force` applies the file in spite of it"
            ));
            REFUSED
        }
        Outcome::Unverified(reason) => {
            console.not_verified(reason);
            ERROR
        }
        Outcome::Refused(guard_refusal) => {
            let changed = if report.done.is_empty() { unchanged } else { "" };
            console.error(format_args!("refused{changed}: {guard_refusal}"));
            // It may be one of them that leaves no other usable server.
            report.last.overrides().into_iter().for_each(|one| console.note(format_args!("in force: {one}")));
            REFUSED
        }
        Outcome::PartlyRefused(guard_refusal) => {
            console.error(format_args!("refused in part, the rest is done: {guard_refusal}"));
            REFUSED
        }
    })
}

/// With `--strict`: where there are warnings, prints them and gives the exit code.
fn refuse(
    kernel: &mut Director,
    desired: &Desired,
    stored: &StoredState,
    host: &Host,
    options: &Apply,
    console: &mut Console<'_>,
) -> Result<Option<u8>, CommandError> {
    let live = kernel.read(&reconcile::question(desired, &stored.record))?;
    let last = stored.compare(live, desired);
    let warnings = advice::of(desired, host, &last);
    if warnings.is_empty() {
        return Ok(None);
    }
    if options.output == ReportOutput::Json {
        let outcome = if last.is_in_sync() { Outcome::Verified } else { Outcome::Deferred };
        let report = Report { outcome, done: Vec::new(), failed: Vec::new(), last, warnings: Vec::new() };
        report::report_json(console.out, &report, &DeletedServers::new(), &warnings)?;
    } else {
        advice::print(&warnings, Detail::of(options.verbose, IN_FULL), console);
    }
    console.error("nothing was changed: `--strict` treats warnings as errors");
    Ok(Some(ERROR))
}
