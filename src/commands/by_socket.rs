//! Gets from the daemon's socket what a user without privileges may not look at: `status`, `diff` and `history` of the members of its group; and
//! `metrics`, for whoever may read it.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{self, PathBuf};

use rustix::thread::{CapabilitySet, capabilities};
use serde::Deserialize;

use super::{CommandError, Console, DONE, events};
use crate::api::{Client, ClientError, Counted, Document, Question, Received, Scope};
use crate::cli::{Arguments, Diff, DiffOutput, HistoryOptions, ReportOutput, StatusOptions};
use crate::daemon::StartError;
use crate::escape;
use crate::files::Origin;
use crate::health::RunDirs;
use crate::history::HistoryEvent;
use crate::kernel::namespace;
use crate::metrics::Format;

/// `lbd status`; `None` where it is to be done without the socket.
pub(super) fn status(
    arguments: &Arguments,
    options: &StatusOptions,
    console: &mut Console<'_>,
) -> Result<Option<u8>, CommandError> {
    let StatusOptions { clusters, stats, rates, exact, output: _, require_daemon: _, watch: _ } =
        options.clone();
    let document =
        Document::Status { clusters, counted: Counted { stats, rates, exact }, has_services: true };
    shown(arguments, document, options.output == ReportOutput::Text, Needs::Kernel, console)
}

/// `lbd diff`; `None` where it is to be done without the socket.
pub(super) fn plan(
    arguments: &Arguments,
    options: &Diff,
    console: &mut Console<'_>,
) -> Result<Option<u8>, CommandError> {
    let Diff { clusters, output, live, against, strict, verbose, overrides } = options;
    let is_plain = live.is_none() && against.is_none() && !strict && !verbose && overrides.is_none();
    if !is_plain || *output == DiffOutput::Ipvsadm {
        return Ok(None);
    }
    let document = Document::Plan { clusters: clusters.clone(), file: None };
    shown(arguments, document, *output == DiffOutput::Text, Needs::Kernel, console)
}

/// `lbd history`; `None` where it is to be done without the socket.
pub(super) fn history(
    arguments: &Arguments,
    options: &HistoryOptions,
    console: &mut Console<'_>,
) -> Result<Option<u8>, CommandError> {
    if options.command.is_some() {
        return Ok(None);
    }
    if !options.events {
        return shown(
            arguments,
            Document::History,
            options.output == ReportOutput::Text,
            Needs::State,
            console,
        );
    }
    let Some(client) = client(arguments, Needs::State)? else { return Ok(None) };
    if options.follow {
        return match events::follow_socket(&client, options, console)? {
            Ok(code) => Ok(Some(code)),
            Err(error) => without(error, console),
        };
    }
    /// What `lbd history --events --output json` writes.
    #[derive(Deserialize)]
    struct Events {
        events: Vec<HistoryEvent>,
    }
    let question = Question { document: Document::Events { last: None }, is_text: false };
    match request(&client, &question)? {
        Ok(Received { text, messages, .. }) => {
            print(&messages, console);
            let read: Result<Events, _> = serde_json::from_str(&text);
            let events = read.map_err(|error| CommandError::Output(error.into()))?.events;
            events::list(events, options, console).map(Some)
        }
        Err(error) => without(error, console),
    }
}

/// `lbd metrics`, also where this process has privileges: only the daemon knows what it has counted. `None` where it is to be done without the socket.
pub(super) fn metrics(
    arguments: &Arguments,
    has_servers: bool,
    console: &mut Console<'_>,
) -> Result<Option<String>, CommandError> {
    let client = client_of(arguments, Needs::Kernel)?;
    let document = Document::Metrics { has_servers, format: Format::Prometheus };
    match request(&client, &Question { document, is_text: true })? {
        Ok(Received { text, messages, .. }) => {
            print(&messages, console);
            let mut exported = String::with_capacity(text.len());
            for line in text.lines() {
                exported.push_str(&escape::text(line));
                exported.push('\n');
            }
            Ok(Some(exported))
        }
        Err(error) => {
            without(error, console)?;
            Ok(None)
        }
    }
}

/// Writes a document as it is.
fn shown(
    arguments: &Arguments,
    document: Document,
    is_text: bool,
    needs: Needs,
    console: &mut Console<'_>,
) -> Result<Option<u8>, CommandError> {
    let Some(client) = client(arguments, needs)? else { return Ok(None) };
    match request(&client, &Question { document, is_text })? {
        Ok(Received { text, exit_code, messages }) => {
            for line in text.lines() {
                writeln!(console.out, "{}", escape::text(line))?;
            }
            console.out.flush()?;
            print(&messages, console);
            Ok(Some(exit_code.unwrap_or(DONE)))
        }
        Err(error) => without(error, console),
    }
}

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// The kernel's table, the state directory, and the daemon of a desired file
    Kernel,
    /// The state directory
    State,
}

/// The client of the daemon's socket, where this user may not look itself.
fn client(arguments: &Arguments, needs: Needs) -> Result<Option<Client>, CommandError> {
    let is_closed =
        fs::read_dir(&arguments.state_dir).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    let can_look = !is_closed && (needs == Needs::State || !lacks_privilege());
    if can_look {
        return Ok(None);
    }
    client_of(arguments, needs).map(Some)
}

/// The client of the daemon's socket.
pub(super) fn client_of(arguments: &Arguments, needs: Needs) -> Result<Client, CommandError> {
    let origin = Origin::here(namespace::cookie()).map_err(CommandError::Scope)?;
    let scope = scope(arguments, (needs == Needs::Kernel).then_some(&arguments.file), &origin);
    Ok(Client::new(&RunDirs::socket(&arguments.run_dir), scope))
}

/// Whether the kernel refuses to show its table to this process.
fn lacks_privilege() -> bool {
    capabilities(None).is_ok_and(|sets| !sets.effective.contains(CapabilitySet::NET_ADMIN))
}

/// Whose daemon it has to be.
pub(super) fn scope(arguments: &Arguments, file: Option<&PathBuf>, origin: &Origin) -> Scope {
    let absolute = |path: &PathBuf| path::absolute(path).unwrap_or_else(|_| path.clone());
    Scope::new(&absolute(&arguments.state_dir), file.map(absolute).as_deref(), origin)
}

/// Requests a document, in a loop of its own.
pub(super) fn request(
    client: &Client,
    question: &Question,
) -> Result<Result<Received, ClientError>, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    Ok(runtime.block_on(client.document(question)))
}

/// What to do where nothing comes from the socket: to go on without it says what is missing, in its own way.
fn without(error: ClientError, console: &mut Console<'_>) -> Result<Option<u8>, CommandError> {
    if error.is_problem() {
        return Err(CommandError::Socket(error));
    }
    if !error.is_absent() {
        console.note(&error);
    }
    Ok(None)
}

/// Prints what the command of the daemon has said.
fn print(messages: &[String], console: &mut Console<'_>) {
    for message in messages {
        match message.split_once(": ") {
            Some(("warning", text)) => console.warn(text),
            Some(("error", text)) => console.error(text),
            Some(("note", text)) => console.note(text),
            Some(_) | None => console.note(message),
        }
    }
}
