//! `lbd edit`: the desired file in an editor: validated, shown as a diff, confirmed, and renamed into place.

use std::env;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::confirm::confirm;
use super::{CommandError, Console, DONE, diff, inputs};
use crate::cli::{Arguments, Command as Verb, Diff};
use crate::config::{self, Source};
use crate::daemon::StartError;

/// Why the desired file cannot be edited, or was not installed. `Display` says what to do.
#[derive(Debug)]
pub enum EditError {
    /// It is a link to a file in another directory, where another program may write it.
    Elsewhere(PathBuf),
    /// The copy cannot be made or put into place.
    Copy {
        /// The copy
        copy: PathBuf,
        /// The cause
        cause: io::Error,
    },
    /// The editor cannot be started, or says that it failed.
    Editor {
        /// Its command
        editor: String,
        /// What it ended with
        status: String,
    },
    /// Another program has changed the desired file meanwhile.
    Changed,
}

impl std::fmt::Display for EditError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Elsewhere(target) => write!(
                f,
                "the desired file is a link to {}, in another directory; edit it where it comes from, or with `-f {}`",
                target.display(),
                target.display()
            ),
            Self::Copy { copy, cause: _ } => write!(f, "{}", copy.display()),
            Self::Editor { editor, status } => {
                write!(f, "the editor `{editor}` {status}; nothing was changed; $VISUAL or $EDITOR names another one")
            }
            Self::Changed => f.write_str(
                "another program has changed the desired file meanwhile; nothing was changed; compare both, and edit it again",
            ),
        }
    }
}

impl std::error::Error for EditError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Copy { cause, .. } => Some(cause),
            Self::Elsewhere(_) | Self::Editor { .. } | Self::Changed => None,
        }
    }
}

/// A copy of the desired file, in its directory, so that it can be renamed into place. It is removed again where it says nothing new.
struct Copy {
    path: PathBuf,
    /// The text of the desired file
    original: Source,
    is_kept: bool,
}

impl Copy {
    /// Makes the copy, with the owner and the mode of the file.
    fn of(file: &Path, original: Source) -> Result<Self, EditError> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Editors know the language by the end of the name.
        let path = file.with_file_name(format!(".{name}.{}.yaml", process::id()));
        let copy = Self { path, original, is_kept: false };
        copy.write(file).map_err(|cause| EditError::Copy { copy: copy.path.clone(), cause })?;
        Ok(copy)
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let metadata = fs::metadata(file)?;
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        copy.write_all(self.original.text.as_bytes())?;
        keep_rights(&copy, &metadata)
    }

    /// Renames it into place, complete on disk before.
    fn install(mut self, file: &Path) -> Result<(), EditError> {
        self.is_kept = true;
        let install = || {
            let copy = File::open(&self.path)?;
            // An editor may have written a new file.
            keep_rights(&copy, &fs::metadata(file)?)?;
            copy.sync_all()?;
            fs::rename(&self.path, file)?;
            file.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
        };
        install().map_err(|cause| EditError::Copy { copy: self.path.clone(), cause })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a file the owner, group and mode of another.
fn keep_rights(file: &File, of: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (of.uid(), of.gid()) {
        std::os::unix::fs::fchown(file, Some(of.uid()), Some(of.gid()))?;
    }
    if now.mode() == of.mode() { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(of.mode())) }
}

pub(super) fn run(arguments: &Arguments, yes: bool, console: &mut Console<'_>) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let original = inputs::read(&arguments.file, &console.progress)?;
    let file = place(&arguments.file).map_err(CommandError::Edit)?;
    let mut copy = Copy::of(&file, original).map_err(CommandError::Edit)?;
    let result = edit(arguments, &mut copy, yes, console);
    match result {
        Ok(true) => {}
        Ok(false) => {
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
    }
    let kept = copy.path.clone();
    if !config::is_still(&file, &copy.original.text) {
        console.note(format_args!("what you have written is kept in {}", kept.display()));
        return Err(CommandError::Edit(EditError::Changed));
    }
    copy.install(&file).map_err(CommandError::Edit)?;
    writeln!(console.out, "installed: {}", crate::escape::text(&file.display().to_string()))?;
    let daemon = inputs::store(arguments)?.daemon();
    if daemon.is_ok_and(|daemon| daemon.is_none()) {
        console.note("no daemon runs; `lbd apply` makes the kernel equal to it");
    }
    Ok(DONE)
}

/// The file itself, by a path without links.
fn place(file: &Path) -> Result<PathBuf, EditError> {
    let error = |cause| EditError::Copy { copy: file.to_owned(), cause };
    let target = fs::canonicalize(file).map_err(error)?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = fs::canonicalize(parent).map_err(error)?;
    if target.parent() == Some(&directory) { Ok(target) } else { Err(EditError::Elsewhere(target)) }
}

/// Has the copy edited until it is valid and confirmed. Gives whether it says anything new.
fn edit(
    arguments: &Arguments,
    copy: &mut Copy,
    yes: bool,
    console: &mut Console<'_>,
) -> Result<bool, CommandError> {
    loop {
        start_editor(&copy.path)?;
        let source = inputs::read(&copy.path, &console.progress)?;
        if source.text == copy.original.text {
            return Ok(false);
        }
        copy.is_kept = true;
        match config::load(&source) {
            Ok(_) => break,
            Err(problems) => {
                let error = CommandError::from(problems);
                error.show(console);
                confirm("Edit it again?", console)?;
            }
        }
    }
    let of_copy = Arguments {
        file: copy.path.clone(),
        state_dir: arguments.state_dir.clone(),
        command: Verb::Diff(Diff::plain()),
    };
    diff::run(&of_copy, &Diff::plain(), console)?;
    console.out.flush()?;
    if !yes {
        confirm("Install this as the desired file?", console)?;
    }
    Ok(true)
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
    Err(CommandError::Edit(EditError::Editor { editor, status }))
}
