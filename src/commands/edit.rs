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
use super::{CommandError, Console, DONE, diff, fragment, inputs};
use crate::cli::{Arguments, Command as Verb, Diff};
use crate::config::{self, Source};
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

pub(super) fn run(
    arguments: &Arguments,
    fragment: Option<&Path>,
    yes: bool,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let original = inputs::read(&arguments.file, &console.progress)?;
    let name = fragment.map(|given| fragment::name(&arguments.file, &original, given));
    let name = name.transpose().map_err(CommandError::Fragment)?;
    let path = match &name {
        Some(name) => arguments.file.with_file_name(name),
        None => arguments.file.clone(),
    };
    let file = install::place(&path).map_err(CommandError::Install)?;
    let part = match &name {
        // What is not there is new.
        Some(name) => {
            original.parts().iter().find(|part| part.name == name).map_or("", |part| part.text).to_owned()
        }
        None => config::main_text(&original.text).to_owned(),
    };
    let mut copy = Copy::of(&file, &part).map_err(CommandError::Install)?;
    let edited = Edited { original: &original, name: name.as_deref(), part: &part };
    let result = edit(arguments, &mut copy, &edited, yes, console);
    let (text, source) = match result {
        Ok(Some(edited)) => edited,
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
    // Of several files, the others are part of what was shown.
    let changed = if !config::is_still(&arguments.file, &original.text) {
        Some(InstallError::Changed)
    } else if !config::is_one(&copy.path, &text) {
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
    let noted = store.note_event(&event.installs(sha256(&source.text)));
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

/// What is edited.
struct Edited<'a> {
    /// The desired file with all that it includes
    original: &'a Source,
    /// Which of the files that it includes, if it is not the desired file itself
    name: Option<&'a str>,
    /// The text of that file
    part: &'a str,
}

/// Has the copy edited until it is valid and confirmed. Gives its text, if that is new, and the desired state with it.
fn edit(
    arguments: &Arguments,
    copy: &mut Copy,
    edited: &Edited<'_>,
    yes: bool,
    console: &mut Console<'_>,
) -> Result<Option<(String, Source)>, CommandError> {
    let (text, source, desired) = loop {
        start_editor(&copy.path)?;
        console.progress.set_task("reading the file");
        let text = config::read_alone(&copy.path)?.text;
        if text == edited.part {
            return Ok(None);
        }
        copy.is_kept = true;
        let mut source = fragment::replaced(&arguments.file, edited.original, edited.name, &text)?;
        if edited.name.is_none() {
            // What is wrong with it is there.
            source.name = copy.path.to_string_lossy().into_owned();
        }
        match config::load(&source) {
            Ok(desired) => break (text, source, desired),
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
    diff::show(&of_copy, &Diff::plain(), &source, desired, diff::Of::Operator, console)?;
    console.out.flush()?;
    if !yes {
        confirm_after_signals("Install this as the desired file?", console)?;
    }
    Ok(Some((text, source)))
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
