//! `lbd edit`: the desired file in an editor: validated, shown as a diff, confirmed, and renamed into place.

use std::env;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::confirm::confirm_after_signals;
use super::install::{self, Copy, InstallError};
use super::tried::trial_of;
use super::who::who;
use super::{CommandError, Console, DONE, diff, inputs};
use crate::cli::{Arguments, Command as Verb, Diff};
use crate::config;
use crate::daemon::StartError;
use crate::files::sha256;
use crate::history::{EventKind, HistoryEvent};

/// Why the editor did not edit. `Display` says what to do.
#[derive(Debug)]
pub struct EditorError {
    /// Its command
    editor: String,
    /// What it ended with
    status: String,
}

impl fmt::Display for EditorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { editor, status } = self;
        write!(f, "the editor `{editor}` {status}; nothing was changed; $VISUAL or $EDITOR names another one")
    }
}

pub(super) fn run(arguments: &Arguments, yes: bool, console: &mut Console<'_>) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let original = inputs::read(&arguments.file, &console.progress)?;
    let file = install::place(&arguments.file).map_err(CommandError::Install)?;
    let mut copy = Copy::of(&file, &original.text).map_err(CommandError::Install)?;
    let result = edit(arguments, &mut copy, &original.text, yes, console);
    let text = match result {
        Ok(Some(text)) => text,
        Ok(None) => {
            console.note("nothing was changed");
            return Ok(DONE);
        }
        Err(error) => {
            // What was written is not lost.
            if copy.is_kept {
                console.note(format_args!("what you have written is kept in {}", copy.path.display()));
            }
            return Err(error);
        }
    };
    let store = inputs::store(arguments)?;
    // Under it, the daemon does not verify the file before the history has who edited it.
    let lock = inputs::lock(&store, "edit", console);
    let changed = if !config::is_still(&file, &original.text) {
        Some(InstallError::Changed)
    } else if !config::is_still(&copy.path, &text) {
        Some(InstallError::CopyChanged)
    } else {
        None
    };
    if let Some(error) = changed {
        drop(lock);
        console.note(format_args!("what you have written is kept in {}", copy.path.display()));
        return Err(CommandError::Install(error));
    }
    copy.install(&file).map_err(CommandError::Install)?;
    let event = HistoryEvent::new(SystemTime::now(), EventKind::Edited, file.display()).by(who());
    let noted = store.note_event(&event.installs(sha256(&text)));
    drop(lock);
    writeln!(console.out, "installed: {}", crate::escape::text(&file.display().to_string()))?;
    console.warn_of(noted);
    if let Some(trial) = trial_of(&arguments.file, &store) {
        console.note(format_args!("it waits for the end of the trial under way: {trial}"));
        return Ok(DONE);
    }
    let daemon = store.daemon();
    if daemon.is_ok_and(|daemon| daemon.is_none()) {
        console.note("no daemon runs; `lbd apply` makes the kernel equal to it");
    }
    Ok(DONE)
}

/// Has the copy edited until it is valid and confirmed. Gives its text, if that is new.
fn edit(
    arguments: &Arguments,
    copy: &mut Copy,
    original: &str,
    yes: bool,
    console: &mut Console<'_>,
) -> Result<Option<String>, CommandError> {
    let text = loop {
        start_editor(&copy.path)?;
        let source = inputs::read(&copy.path, &console.progress)?;
        if source.text == original {
            return Ok(None);
        }
        copy.is_kept = true;
        match config::load(&source) {
            Ok(_) => break source.text,
            Err(problems) => {
                let error = CommandError::from(problems);
                error.show(console);
                confirm_after_signals("Edit it again?", console)?;
            }
        }
    };
    let of_copy = Arguments {
        file: copy.path.clone(),
        state_dir: arguments.state_dir.clone(),
        run_dir: arguments.run_dir.clone(),
        command: Verb::Diff(Diff::plain()),
    };
    diff::run(&of_copy, &Diff::plain(), console)?;
    console.out.flush()?;
    if !yes {
        confirm_after_signals("Install this as the desired file?", console)?;
    }
    Ok(Some(text))
}

/// Runs the editor until it has ended.
fn start_editor(file: &Path) -> Result<(), CommandError> {
    let editor =
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| env::var(name).ok().filter(|text| !text.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // Ctrl-C is for the editor.
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    let _entered = runtime.enter();
    let _interrupt =
        signal(SignalKind::interrupt()).map_err(|error| CommandError::Start(StartError::Signals(error)))?;
    // It may have options of its own.
    let command = format!("{editor} \"$1\"");
    let status = Command::new("/bin/sh").arg("-c").arg(command).arg("sh").arg(file).status();
    let status = match status {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("ended with {status}"),
        Err(error) => format!("cannot be started: {error}"),
    };
    Err(CommandError::Edit(EditorError { editor, status }))
}
