//! `lbd confirm` and `lbd cancel`: the file of a trial becomes the desired file, or the kernel follows the desired file again.

use std::io::Write;
use std::path::Path;

use super::{put_back, refused, roll_back};
use crate::cli::{Arguments, ReportOutput};
use crate::commands::fragment::{self, FragmentError};
use crate::commands::install::{Copy, place};
use crate::commands::other_file::other_file;
use crate::commands::shown_pass::shown_pass;
use crate::commands::tried::{Notes, TrialError, TrialFiles, parse};
use crate::commands::who::who;
use crate::commands::{CommandError, Console, DONE, ERROR, REFUSED, checks, inputs};
use crate::config::{self, ReadCause, Source};
use crate::escape;
use crate::history::{Counts, Trigger};
use crate::kernel::Live;
use crate::model::Desired;
use crate::reconcile::{Outcome, PassInput, StateDiff};
use crate::report;
use crate::status::ChangedBy;
use crate::store::{Record, Store};
use crate::target::{Clock, Trial, TrialEnd};

/// Makes the file of the trial the desired file.
pub(in crate::commands) fn confirm(
    arguments: &Arguments,
    over: bool,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    refused(install_and_pass(arguments, over, console), console)
}

fn install_and_pass(
    arguments: &Arguments,
    over: bool,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let (store, files) = prepare(arguments)?;
    let files = files?;
    let mut kernel = inputs::kernel(&console.progress)?;
    let lock = inputs::lock(&store, "confirm", console);
    let (trial, source, desired) = match install(arguments, &store, &files, over) {
        Ok(installed) => installed,
        Err(NotInstalled::Changed(changed)) => {
            drop(lock);
            show_change(&changed.0, &changed.1, console)?;
            return Err(CommandError::Trial(TrialError::Changed));
        }
        Err(NotInstalled::Error(error)) => return Err(error),
    };
    let end = TrialEnd::Confirmed { by: who() };
    // On a full disk a file can still be removed; the file that is installed names all that the trial has set.
    let ended = store.end_trial(&trial, end.clone()).or_else(|_| store.forget_trial());
    console.out.detach();
    let last_verified = inputs::verified(&store, &source);
    let now = Clock::now();
    let mut conditions = store.load_conditions(now);
    conditions.end_trial(end);
    let kept =
        checks::take_in_for_pass(&store, &mut conditions, &desired, last_verified.state(&desired), now);
    let trigger = Trigger { command: ChangedBy::Confirm, by: Some(who()), done: Counts::default() };
    let order = PassInput {
        conditions: &conditions,
        verified: last_verified.state(&desired),
        unknown: last_verified.unknown(),
        trigger: Some(&trigger),
        ..PassInput::new(&desired, &source.text)
    };
    let (by, output) = (ChangedBy::Confirm, ReportOutput::Text);
    let report = shown_pass(&mut kernel, &order, &store, lock.as_ref(), by, output, console);
    drop(lock);
    console.out.attach()?;
    console.warn_of(ended);
    console.warn_of(kept);
    let report = report?;
    report.warnings.iter().for_each(|warning| console.warn(warning));
    last_verified.warn(console);
    writeln!(console.out, "installed: {}", escape::text(&trial.desired))?;
    report::report_text(console.out, &report)?;
    console.out.flush()?;
    match &report.outcome {
        Outcome::Verified => return Ok(DONE),
        Outcome::Refused(refusal) | Outcome::PartlyRefused(refusal) => {
            console.error(format_args!("the file is installed, and refused: {refusal}"));
            return Ok(REFUSED);
        }
        Outcome::Failed | Outcome::Deferred => console.print_failures(&report.failed),
        Outcome::Unverified(reason) => console.not_verified(reason),
        Outcome::Unexpected(_) | Outcome::Paused => {}
    }
    console.error("the file is installed, and not verified");
    Ok(ERROR)
}

/// Finds the state directory, and the files of a trial of this desired file; the latter are not where others could have put them.
fn prepare(arguments: &Arguments) -> Result<(Store, Result<TrialFiles, CommandError>), CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let store = inputs::store(arguments)?;
    if let Some(daemon) = other_file(&arguments.file, &store) {
        return Err(CommandError::KeepsOtherFile(daemon));
    }
    let place = place(&arguments.file).map_err(CommandError::Install);
    let files = place.and_then(|place| TrialFiles::of(&place).map_err(CommandError::Trial));
    Ok((store, files))
}

/// Why the file of a trial was not installed.
enum NotInstalled {
    /// The desired file has changed since it began: what it was, and what it is now.
    Changed(Box<(Source, Source)>),
    Error(CommandError),
}

impl From<CommandError> for NotInstalled {
    fn from(error: CommandError) -> Self {
        Self::Error(error)
    }
}

impl From<TrialError> for NotInstalled {
    fn from(error: TrialError) -> Self {
        Self::Error(CommandError::Trial(error))
    }
}

/// Renames the copy of the trial's file into place. That a trial is in force, and verified, is in the state directory; what is installed,
/// whether its time is over, and what the desired file was, is what root has noted.
fn install(
    arguments: &Arguments,
    store: &Store,
    files: &TrialFiles,
    over: bool,
) -> Result<(Trial, Source, Desired), NotInstalled> {
    let now = Clock::now();
    let conditions = store.load_conditions(now);
    if let Some(reason) = conditions.unreadable {
        return Err(TrialError::Unreadable(reason).into());
    }
    let Some(trial) = conditions.trial else {
        return Err(TrialError::None(conditions.ended_trial.map(Box::new)).into());
    };
    let Notes { boot, trial: noted, desired: before } = files.notes()?;
    if boot != store.boot() || noted.is_over(now) || !noted.is(&trial) {
        return Err(TrialError::NotIntact(
            "the trial under way is not the one that `lbd try` began".to_owned(),
        )
        .into());
    }
    if !trial.verified {
        return Err(TrialError::NotVerified(Box::new(trial)).into());
    }
    let (copy, source) = files.copy(&noted)?;
    let desired = parse(&source, &noted).map_err(CommandError::from)?;
    // Without waiting: the lock is taken.
    let replaced = match config::read_closed(&arguments.file) {
        Ok(replaced) => Some(replaced),
        Err(error) if !matches!(error.cause, ReadCause::Missing) => {
            return Err(CommandError::from(error).into());
        }
        Err(_) if over => None,
        Err(_) => return Err(TrialError::Removed.into()),
    };
    let is_several = |text: &str| config::is_set(text);
    if source.is_set() || is_several(&before) || replaced.as_ref().is_some_and(Source::is_set) {
        let Some(now) = replaced else { return Err(TrialError::Removed.into()) };
        return install_fragment(
            arguments,
            store,
            files,
            Confirmed { trial, noted, source, desired, before, now },
            over,
        );
    }
    let replaced = match replaced {
        Some(replaced) if replaced.text != before && !over => {
            let before = Source::new(replaced.name.clone(), before);
            return Err(NotInstalled::Changed(Box::new((before, replaced))));
        }
        Some(replaced) => replaced.text,
        None => before,
    };
    // What is replaced is not lost: without the history, nothing is replaced.
    let most = desired.policy.history.max(1) as usize;
    store.note_replaced(&replaced, &who(), most).map_err(CommandError::from)?;
    files.install(&copy)?;
    Ok((trial, source, desired))
}

/// What is confirmed, where the desired state consists of several files.
struct Confirmed {
    trial: Trial,
    /// The same as root has noted it
    noted: Trial,
    source: Source,
    desired: Desired,
    /// What the desired state was when the trial began
    before: String,
    /// What it is now
    now: Source,
}

/// Puts the one file that was tried into its place: several cannot be replaced at once.
fn install_fragment(
    arguments: &Arguments,
    store: &Store,
    files: &TrialFiles,
    confirmed: Confirmed,
    over: bool,
) -> Result<(Trial, Source, Desired), NotInstalled> {
    let Confirmed { trial, noted, source, desired, before, now } = confirmed;
    let several = || CommandError::Fragment(FragmentError::Several(noted.file.clone()));
    let name = noted.fragment.clone().ok_or_else(several)?;
    let parts = source.parts();
    // Without others, it is the main file.
    let part = if source.is_set() { parts.iter().find(|part| part.name == name) } else { parts.first() };
    let part = part.ok_or_else(several)?;
    let is_main = parts.first() == Some(part);
    let of = (!is_main).then_some(name.as_str());
    let with = fragment::replaced(&arguments.file, &now, of, part.text).map_err(CommandError::from)?;
    if now.text != before && !over {
        return Err(NotInstalled::Changed(Box::new((Source::new(now.name.clone(), before), now))));
    }
    // With `--over` as well: what was tried is what all the files say together.
    if with.text != source.text {
        return Err(TrialError::OthersChanged.into());
    }
    let path = match of {
        Some(name) => arguments.file.with_file_name(name),
        None => arguments.file.clone(),
    };
    let place = place(&path).map_err(CommandError::Install)?;
    let most = desired.policy.history.max(1) as usize;
    store.note_replaced(&now.text, &who(), most).map_err(CommandError::from)?;
    let copy = Copy::of(&place, part.text).map_err(CommandError::Install)?;
    copy.install(&place).map_err(CommandError::Install)?;
    files.remove()?;
    Ok((Trial { desired: place.display().to_string(), ..trial }, source, desired))
}

/// Shows what has changed in the desired file since the trial began, where both are valid.
fn show_change(before: &Source, now: &Source, console: &mut Console<'_>) -> Result<(), CommandError> {
    match (config::load(before), config::load(now)) {
        (Ok(before), Ok(now)) => {
            let record = Record::rebuilt(&before);
            let live = Live { state: before.state.clone(), ..Live::default() };
            let change = StateDiff::new(live, &now, Some(&now), &record);
            if change.is_in_sync() {
                console.note("it has changed only in what the kernel does not know, such as comments");
            } else {
                report::comparison_text(console.out, &change, None)?;
                console.out.flush()?;
            }
        }
        (Ok(_), Err(problems)) => CommandError::from(problems).show(console),
        (Err(_), _) => {}
    }
    Ok(())
}

/// Ends the trial, and takes its effects back.
pub(in crate::commands) fn cancel(
    arguments: &Arguments,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let (store, files) = prepare(arguments)?;
    let lock = inputs::lock(&store, "cancel", console);
    let trial = store.load_trial();
    let ended = match &trial {
        Ok(None) => Ok(()),
        Ok(Some(trial)) if trial.is_over(Clock::now()) => Ok(()),
        Ok(Some(trial)) => store.end_trial(trial, TrialEnd::Cancelled { by: who() }),
        // The way out of a file that cannot be read.
        Err(_) => store.forget_trial(),
    };
    drop(lock);
    ended.map_err(CommandError::StateFile)?;
    match trial {
        Ok(None) => {
            console.warn_of(files.map_or(Ok(()), |files| files.remove()));
            console.note("no trial is under way");
            return Ok(DONE);
        }
        Ok(Some(trial)) => console.note(format_args!("the trial has ended: {trial}")),
        Err(problem) => console.warn(format_args!(
            "{problem}; it is removed: settings that the trial has changed stay as they are, and what it has added leaves as by a change of \
             the file"
        )),
    }
    match files {
        Ok(files) => roll_back(arguments, &files, console),
        // The way out of a file of a trial that cannot be read must not depend on them.
        Err(error) => {
            console.warn(format_args!("the copy of the trial's file is left where it is: {}", error.line()));
            put_back(arguments, console)
        }
    }
}
