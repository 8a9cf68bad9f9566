//! `lbd rollback`: makes a file of the history the desired file again, and the kernel equal to it, at once or as a trial.

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use super::apply::{self, Install, Order};
use super::confirm::confirm;
use super::fragment::FragmentError;
use super::install::{self, Copy, InstallError};
use super::other_file::other_file;
use super::trial::{self, Terms};
use super::tried::TrialError;
use super::who::who;
use super::{CommandError, Console, DONE, ERROR, REFUSED, diff, history, inputs};
use crate::cli::{Apply, Arguments, Diff, Overrides, RollbackOptions};
use crate::config::{self, ReadCause};
use crate::files::sha256;
use crate::history::{EventKind, HistoryEvent};
use crate::status::ChangedBy;
use crate::store::Store;
use crate::target::{Allowed, Clock};

pub(super) fn run(
    arguments: &Arguments,
    options: &RollbackOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let file = install::place(&arguments.file).map_err(CommandError::Install)?;
    let store = inputs::store(arguments)?;
    if let Some(daemon) = other_file(&arguments.file, &store) {
        return Err(CommandError::KeepsOtherFile(daemon));
    }
    // User lbd may write the history: what is shown is what is installed, so it is read once.
    let source = history::text(&store, options.number)?;
    let desired = config::load(&source)?;
    let replaced = current(&arguments.file)?;
    if replaced.as_deref() == Some(&*source.text) {
        console.note(format_args!(
            "{} is the desired file already; nothing was changed; `lbd apply` makes the kernel equal to it",
            source.name
        ));
        return Ok(DONE);
    }
    let several = |text: &String| config::is_set(text);
    if options.length.is_none() && (source.is_set() || replaced.as_ref().is_some_and(several)) {
        return Err(CommandError::Fragment(FragmentError::Several(source.name)));
    }
    if let Some(pauses) = paused(&store) {
        console.error(format_args!("refused, nothing was changed: paused: {pauses}; `lbd resume` ends that"));
        return Ok(REFUSED);
    }
    if let Some(trial) = store.load_conditions(Clock::now()).trial {
        console.error(TrialError::UnderWay(Box::new(trial)));
        return Ok(REFUSED);
    }
    let overrides =
        || Overrides { prune: None, allow_empty: options.allow_empty, allow_deletes: options.allow_deletes };
    let shown = Diff { overrides: overrides(), against: Some(options.number), ..Diff::plain() };
    let (code, comparison) =
        diff::show(arguments, &shown, &source, desired.clone(), diff::Of::Operator, console)?;
    console.out.flush()?;
    if code == ERROR {
        console.error("nothing was changed");
        return Ok(ERROR);
    }
    if let Some(guard_refusal) = comparison.refusal() {
        console.error(format_args!("refused, nothing was changed: {guard_refusal}"));
        console.note("`lbd rollback` takes the options `--allow-empty` and `--allow-deletes`, too");
        return Ok(REFUSED);
    }
    drop(comparison);
    if !options.yes {
        let question = match options.length {
            Some(_) => "Try this file?",
            None => "Make this the desired file, and apply it?",
        };
        confirm(question, console)?;
    }
    if let Some(length) = options.length {
        let allowed = Allowed { empty: options.allow_empty, deletes: options.allow_deletes };
        let terms = Terms { length, reason: None, keep_going: false, allowed, fragment: None, shown: None };
        return trial::try_text(arguments, &source, terms, console);
    }
    let most = desired.policy.history.max(1) as usize;
    let mut desired = desired;
    desired.policy = inputs::policy(desired.policy, &overrides());
    let mut unnoted = None;
    let mut install = || {
        let is_still = match &replaced {
            Some(text) => config::is_still(&arguments.file, text),
            None => !file.exists(),
        };
        if !is_still {
            return Err(CommandError::Install(InstallError::Changed));
        }
        // What is replaced is not lost: without the history, nothing is replaced.
        if let Some(text) = &replaced {
            store.note_replaced(text, &who(), most)?;
        }
        let copy = Copy::of(&file, &source.text).map_err(CommandError::Install)?;
        copy.install(&file).map_err(CommandError::Install)?;
        let event = HistoryEvent::new(SystemTime::now(), EventKind::RolledBack, &source.name).by(who());
        let event = event.installs(sha256(&source.text));
        // What is done already is not undone for it.
        unnoted = store.note_event(&event).err();
        Ok(())
    };
    let order = Order {
        source: &source,
        desired: &desired,
        trial: None,
        command: ChangedBy::Rollback,
        install: Some(Install { run: &mut install, says: format!("installed: {}", file.display()) }),
    };
    let code = apply::carry_out(arguments, &Apply::plain(), order, &store, console);
    console.warn_of(unnoted.map_or(Ok(()), Err));
    code
}

/// The text of the desired file, if there is one.
fn current(file: &Path) -> Result<Option<String>, CommandError> {
    match config::read(file) {
        Ok(source) => Ok(Some(source.text)),
        Err(error) if matches!(error.cause, ReadCause::Missing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The pauses in force, if there are some.
fn paused(store: &Store) -> Option<String> {
    let pauses = store.load_conditions(Clock::now()).pauses;
    let texts: Vec<String> = pauses.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}
