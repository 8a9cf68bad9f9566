//! `lbd try`: the kernel follows another file for a time, and then the desired file again, unless it was confirmed.

mod end;
mod foreground;

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use self::foreground::{Keeper, Signals};
use super::inputs::Input;
use super::install::place;
use super::other_file::other_file;
use super::shown_pass::shown_pass;
use super::tried::{Notes, TrialError, TrialFiles};
use super::who::who;
use super::{CommandError, Console, DONE, ERROR, REFUSED, apply, checks, fragment, inputs};
use crate::cli::{Apply, Arguments, ReportOutput, TryOptions};
use crate::config::{self, Source};
use crate::escape::Escaped;
use crate::files::sha256;
use crate::history::{EventKind, HistoryEvent};
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::model::{Desired, ServiceKey};
use crate::reconcile::{self, Outcome, PassInput, Report};
use crate::report;
use crate::status::ChangedBy;
use crate::store::{Lock, Store};
use crate::target::{Allowed, Clock, Conditions, Period, Settings, Trial, TrialEnd};

pub(super) use self::end::{cancel, confirm};

/// Begins a trial.
pub(super) fn run(
    arguments: &Arguments,
    options: &TryOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let mut terms = Terms {
        fragment: None,
        shown: None,
        length: options.length,
        reason: options.reason.clone(),
        keep_going: options.keep_going,
        allowed: Allowed { empty: options.allow_empty, deletes: options.allow_deletes },
    };
    let source = config::read_alone(&options.tried);
    let mut source = source.map_err(|error| CommandError::NoInput { input: Input::Tried, error })?;
    if let Some(given) = &options.fragment {
        let before = inputs::read(&arguments.file, &console.progress)?;
        let name = fragment::name(&arguments.file, &before, given).map_err(CommandError::Fragment)?;
        source = fragment::replaced(&arguments.file, &before, Some(&name), &source.text)?;
        terms.shown = Some(format!("{} in place of {name}", options.tried.display()));
        terms.fragment = Some(name);
    } else if !config::includes(&source.text).is_empty() {
        // It is tried as what it would become, with what lies beside the desired file.
        let tried = source.name;
        source = Source { name: tried, ..config::with_main(&arguments.file, &source.text)? };
    }
    if terms.fragment.is_none() {
        let main = arguments.file.file_name().map(|name| name.to_string_lossy().into_owned());
        terms.fragment = main;
    }
    try_text(arguments, &source, terms, console)
}

/// The terms of a trial.
pub(super) struct Terms {
    /// Of several files, the one that is tried; nothing where it is all of them
    pub(super) fragment: Option<String>,
    /// What to call it, if not by the name of its text
    pub(super) shown: Option<String>,
    /// How long it lasts
    pub(super) length: Duration,
    /// Why, in the operator's words
    pub(super) reason: Option<String>,
    /// Whether it goes on where something fails
    pub(super) keep_going: bool,
    /// What the guards allow
    pub(super) allowed: Allowed,
}

/// Begins a trial of a text; where no daemon runs, keeps it until it ends. Gives the exit code.
pub(super) fn try_text(
    arguments: &Arguments,
    source: &Source,
    terms: Terms,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    refused(begin_and_keep(arguments, source, terms, console), console)
}

/// Shows a refusal; its exit code is not that of an error.
fn refused(result: Result<u8, CommandError>, console: &mut Console<'_>) -> Result<u8, CommandError> {
    match result {
        Err(CommandError::Trial(error)) if error.is_refusal() => {
            console.error(error);
            Ok(REFUSED)
        }
        other => other,
    }
}

fn begin_and_keep(
    arguments: &Arguments,
    source: &Source,
    terms: Terms,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let mut desired = config::load(source)?;
    desired.policy = terms.allowed.policy(desired.policy);
    let store = inputs::store(arguments)?;
    if let Some(daemon) = other_file(&arguments.file, &store) {
        return Err(CommandError::KeepsOtherFile(daemon));
    }
    let place = place(&arguments.file).map_err(CommandError::Install)?;
    let files = TrialFiles::of(&place).map_err(CommandError::Trial)?;
    // It is what the trial ends with.
    let (before, _) = inputs::desired(&arguments.file, &console.progress)?;
    if before.text == source.text {
        console.note("this is the desired file already");
        return Ok(DONE);
    }
    let mut kernel = inputs::kernel(&console.progress)?;
    let mut signals = Signals::new()?;
    let lock = inputs::lock(&store, "try", console);
    let now = Clock::now();
    let new = NewTrial {
        trial: Trial {
            file: terms.shown.unwrap_or_else(|| source.name.clone()),
            desired: place.display().to_string(),
            by: who(),
            reason: terms.reason,
            // From the moment at which the lock is taken.
            period: Period::new(now, terms.length),
            sha256: sha256(&source.text),
            desired_sha256: sha256(&before.text),
            allowed: terms.allowed,
            fragment: terms.fragment.filter(|_| source.is_set() || before.is_set()),
            keep_going: terms.keep_going,
            verified: false,
            added: Vec::new(),
            settings: Settings::default(),
            ended: None,
        },
        source,
        desired: &desired,
        before: &before,
    };
    let begun = begin(new, &mut kernel, &store, &files, lock.as_ref(), console);
    drop(lock);
    let attached = console.out.attach();
    let (trial, begun) = begun?;
    let warnings = begun.report().into_iter().flat_map(|report| &report.warnings);
    warnings.for_each(|warning| console.warn(warning));
    match begun {
        Begun::Refused(report) => {
            attached?;
            report::report_text(console.out, &report)?;
            if let Some(refusal) = report.last.refusal() {
                console.error(format_args!("refused, nothing was changed: {refusal}"));
            }
            Ok(REFUSED)
        }
        Begun::RolledBack(report, why) => {
            if let Some(report) = report {
                console.print_failures(&report.failed);
            }
            console.error(format_args!("the trial is rolled back: {why}"));
            roll_back(arguments, &files, console)?;
            Ok(ERROR)
        }
        Begun::Verified(report) => {
            let shown = attached.and_then(|()| show_begun(&report, &trial, console));
            let event =
                HistoryEvent::new(SystemTime::now(), EventKind::TrialBegun, &trial).by(trial.by.as_str());
            console.warn_of(store.note_event(&event));
            // Also where nothing can be shown: nobody else would end the trial.
            if is_alone(&store) {
                let (trial, store, files, resync) = (&trial, &store, &files, desired.policy.resync);
                let keeper = Keeper { arguments, trial, store, files, resync };
                return keeper.keep(&mut kernel, &mut signals, console);
            }
            shown?;
            Ok(DONE)
        }
    }
}

/// Whether no daemon runs.
fn is_alone(store: &Store) -> bool {
    store.daemon().is_ok_and(|daemon| daemon.is_none())
}

fn show_begun(report: &Report, trial: &Trial, console: &mut Console<'_>) -> io::Result<()> {
    report::report_text(console.out, report)?;
    writeln!(console.out, "under trial: {}", Escaped(trial))?;
    console.out.flush()?;
    console.note("`lbd confirm` makes it the desired file; `lbd cancel`, or else its time, ends the trial");
    Ok(())
}

/// What is to be tried.
struct NewTrial<'a> {
    trial: Trial,
    source: &'a Source,
    desired: &'a Desired,
    /// The desired file
    before: &'a Source,
}

/// How a trial began.
enum Begun {
    /// A guard refused it, and none is left.
    Refused(Box<Report>),
    /// It must not go on, and has ended: why.
    RolledBack(Option<Box<Report>>, String),
    /// It is under way.
    Verified(Box<Report>),
}

impl Begun {
    /// What its first pass did, where there was one.
    fn report(&self) -> Option<&Report> {
        match self {
            Self::Refused(report) | Self::Verified(report) => Some(report),
            Self::RolledBack(report, _) => report.as_deref(),
        }
    }
}

/// Begins a trial, under the lock: writes it down, and runs its first pass.
fn begin(
    new: NewTrial<'_>,
    kernel: &mut Director,
    store: &Store,
    files: &TrialFiles,
    lock: Option<&Lock>,
    console: &mut Console<'_>,
) -> Result<(Trial, Begun), CommandError> {
    let NewTrial { trial, source, desired, before } = new;
    let now = Clock::now();
    let mut conditions = store.load_conditions(now);
    check_conditions(&conditions).map_err(CommandError::Trial)?;
    let last_verified = inputs::verified(store, source);
    let no_way_back = |reason: &str| CommandError::Trial(TrialError::NoWayBack(reason.to_owned()));
    if let Some(reason) = last_verified.unknown() {
        return Err(no_way_back(reason));
    }
    let verified = last_verified.state(desired).ok_or_else(|| no_way_back("no file was verified so far"))?;
    // The daemon goes back to what it has verified; without one, it is the desired file that is applied.
    if is_alone(store) && store.verified_is(&before.text) != Some(true) {
        return Err(no_way_back("the desired file is not the one that was verified last"));
    }
    let is_new = |key: &&ServiceKey| !verified.state.services.contains_key(*key);
    let record = store.load()?;
    let live = kernel.read(&reconcile::question(desired, &record))?;
    let is_foreign =
        |key: &&ServiceKey| live.state.services.contains_key(*key) && !record.owned.contains_key(*key);
    let foreign = desired.state.services.keys().filter(is_new).filter(is_foreign);
    let foreign: Vec<ServiceKey> = foreign.copied().collect();
    if !foreign.is_empty() {
        return Err(CommandError::Trial(TrialError::Foreign(foreign)));
    }
    let notes = Notes { boot: store.boot().to_owned(), trial: trial.clone(), desired: before.text.clone() };
    files.write(&source.text, &notes).map_err(CommandError::Trial)?;
    store.save_trial(&trial).map_err(CommandError::StateFile)?;
    conditions.trial = Some(trial.clone());
    let kept = checks::take_in_for_pass(store, &mut conditions, desired, Some(verified), now);
    // A pager that is not paged must not block the holder of the lock.
    console.out.detach();
    let order = PassInput {
        conditions: &conditions,
        verified: Some(verified),
        ..PassInput::new(desired, &source.text)
    };
    let mut report = shown_pass(kernel, &order, store, lock, ChangedBy::Try, ReportOutput::Text, console);
    if let (Ok(report), Err(error)) = (&mut report, kept) {
        report.warnings.push(error.to_string());
    }
    let report = match report {
        Ok(report) if report.done.is_empty() && report.last.refusal().is_some() => {
            store.forget_trial().map_err(CommandError::StateFile)?;
            files.remove().map_err(CommandError::Trial)?;
            return Ok((trial, Begun::Refused(Box::new(report))));
        }
        Ok(report) => report,
        Err(error) => {
            store.end_trial(&trial, rolled_back(error.line())).map_err(CommandError::StateFile)?;
            return Ok((trial, Begun::RolledBack(None, error.line())));
        }
    };
    // The pass has written into it.
    let trial = store.load_trial()?.unwrap_or(trial);
    match bad_end(&report, desired, verified, &conditions).filter(|_| !trial.keep_going) {
        Some(why) => {
            store.end_trial(&trial, rolled_back(why.clone())).map_err(CommandError::StateFile)?;
            Ok((trial, Begun::RolledBack(Some(Box::new(report)), why)))
        }
        None => Ok((trial, Begun::Verified(Box::new(report)))),
    }
}

fn rolled_back(why: String) -> TrialEnd {
    TrialEnd::RolledBack { why }
}

/// Checks that the conditions allow a trial.
fn check_conditions(conditions: &Conditions) -> Result<(), TrialError> {
    if let Some(reason) = &conditions.unreadable {
        return Err(TrialError::Unreadable(reason.clone()));
    }
    if let Some(trial) = &conditions.trial {
        return Err(TrialError::UnderWay(Box::new(trial.clone())));
    }
    if let Some(trial) = &conditions.ended_trial {
        return Err(TrialError::NotTakenBack(Box::new(trial.clone())));
    }
    if conditions.pauses.is_empty() {
        return Ok(());
    }
    let pauses: Vec<String> = conditions.pauses.iter().map(ToString::to_string).collect();
    Err(TrialError::Paused(pauses.join("; ")))
}

/// Why a trial must not go on after a pass, if so.
fn bad_end(
    report: &Report,
    desired: &Desired,
    verified: &Desired,
    conditions: &Conditions,
) -> Option<String> {
    let lost = reconcile::lost_services(desired, Some(verified), conditions, report);
    if let Some(service) = lost.first() {
        return Some(format!("no usable server was left in {service}"));
    }
    if let Some(((service, server), failing)) = reconcile::failed_server(desired, conditions) {
        return Some(format!("{server} of {service} fails since it began: {failing}"));
    }
    match &report.outcome {
        Outcome::Verified | Outcome::PartlyRefused(_) => None,
        Outcome::Failed => Some("not all of it could be carried out".to_owned()),
        Outcome::Refused(refusal) => Some(format!("a guard refuses it: {refusal}")),
        Outcome::Unverified(reason) => Some(reason.clone()),
        Outcome::Deferred | Outcome::Unexpected(_) | Outcome::Paused => Some("it is not verified".to_owned()),
    }
}

/// Takes the effects of a trial that has ended back, by an ordinary pass, and removes its files.
fn roll_back(
    arguments: &Arguments,
    files: &TrialFiles,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    console.warn_of(files.remove());
    put_back(arguments, console)
}

/// Takes the effects of a trial that has ended back, by an ordinary pass.
fn put_back(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let result = apply::run(arguments, &Apply::plain(), console);
    if let Err(CommandError::Unreadable(_) | CommandError::Invalid(_)) = &result {
        console.note(
            "without the desired file this command cannot put the state before the trial back: the daemon does, or `lbd apply` when the file \
             is valid again",
        );
    }
    result
}
