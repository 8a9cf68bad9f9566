//! `lbd history`: lists the files that were verified, and writes the text of one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::{CommandError, Console, DONE, by_socket, events, inputs};
use crate::cli::{Arguments, HistoryCommand, HistoryOptions, ReportOutput};
use crate::config::Source;
use crate::escape;
use crate::files::{pattern, sha256};
use crate::history::{Entry, History};
use crate::report;
use crate::store::Store;

/// A number that no file of the history has. `Display` says which ones there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFile {
    number: u64,
    /// The numbers of the oldest and of the newest file, where there are some
    kept: Option<(u64, u64)>,
}

impl fmt::Display for UnknownFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, kept } = self;
        match kept {
            Some((oldest, newest)) => {
                write!(
                    f,
                    "{number}: the history has no file of this number; it has {oldest} to {newest} (`lbd history`)"
                )
            }
            None => {
                write!(f, "{number}: the history is empty; it begins with the next file that is verified")
            }
        }
    }
}

pub(super) fn run(
    arguments: &Arguments,
    options: &HistoryOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if let Some(code) = by_socket::history(arguments, options, console)? {
        return Ok(code);
    }
    direct(arguments, options, console)
}

/// The same by the privileges of this process.
pub(super) fn direct(
    arguments: &Arguments,
    options: &HistoryOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    match &options.command {
        Some(HistoryCommand::Show { number, to: None }) => show(&store, *number, console),
        Some(HistoryCommand::Show { number, to: Some(directory) }) => {
            write_out(&text(&store, *number)?, directory, console)
        }
        None if options.events => events::run(&store, options, console),
        None => list(&store, options.output, console),
    }
}

fn list(store: &Store, output: ReportOutput, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let history = store.load_history()?;
    // Without it, the list is still of use.
    let verified = store.load_verified().unwrap_or_else(|error| {
        console.warn(error);
        None
    });
    let in_force = verified.and_then(|text| Some(history.with_digest(&sha256(&text))?.number));
    match output {
        ReportOutput::Json => report::history_json(console.out, &history, in_force)?,
        ReportOutput::Text if history.entries().is_empty() => {
            console.note("the history is empty; it begins with the next file that is verified");
        }
        ReportOutput::Text => report::history_text(console.out, &history, in_force)?,
    }
    Ok(DONE)
}

fn show(store: &Store, number: u64, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let text = text(store, number)?.text;
    if io::stdout().is_terminal() {
        for line in text.lines() {
            writeln!(console.out, "{}", escape::text(line))?;
        }
    } else {
        // To be used as a file again.
        console.out.write_all(text.as_bytes())?;
    }
    Ok(DONE)
}

/// Writes all files of a desired state into a new directory.
fn write_out(source: &Source, directory: &Path, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |cause| CommandError::WriteOut(WriteError::new(path, cause))
    };
    // The history belongs to the user of the daemon: no name in it may lead elsewhere.
    let parts = source.parts();
    let names: Vec<&str> = match source.is_set() {
        true => parts.iter().map(|part| part.name).collect(),
        false => vec!["desired.yaml"],
    };
    let outside = names.iter().find(|name| !pattern::is_name(name));
    if let Some(name) = outside {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "is no path below a directory");
        return Err(error(Path::new(name))(cause));
    }
    fs::create_dir(directory).map_err(error(directory))?;
    for (name, part) in names.into_iter().zip(&parts) {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(error(parent))?;
        }
        let mut file = File::create_new(&path).map_err(error(&path))?;
        file.write_all(part.text.as_bytes()).map_err(error(&path))?;
        writeln!(console.out, "{}", escape::text(&path.display().to_string()))?;
    }
    Ok(DONE)
}

/// Why a file was not written.
#[derive(Debug)]
pub struct WriteError {
    path: PathBuf,
    cause: io::Error,
}

impl WriteError {
    pub(super) fn new(path: PathBuf, cause: io::Error) -> Self {
        Self { path, cause }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.cause.kind() {
            io::ErrorKind::AlreadyExists => write!(f, "{path}: is there already; name a new directory"),
            _ => write!(f, "{path}"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        (self.cause.kind() != io::ErrorKind::AlreadyExists).then_some(&self.cause)
    }
}

/// Reads a file of the history.
pub(super) fn text(store: &Store, number: u64) -> Result<Source, CommandError> {
    let history = store.load_history()?;
    let entry = history.get(number).ok_or_else(|| unknown(&history, number))?;
    let text = store.load_history_text(entry)?;
    Ok(Source::new(format!("file {number} of the history"), text))
}

fn unknown(history: &History, number: u64) -> CommandError {
    let number_of = |entry: Option<&Entry>| entry.map(|entry| entry.number);
    let (oldest, newest) = (history.entries().first(), history.entries().last());
    CommandError::UnknownFile(UnknownFile { number, kept: number_of(oldest).zip(number_of(newest)) })
}
