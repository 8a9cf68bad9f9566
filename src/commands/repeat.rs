//! Repeats `lbd status` until Ctrl-C: in place on a terminal, else one document after another.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::mem;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::termios::tcgetwinsize;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use super::collected::{Round, collected};
use super::kernel_reader::KernelReader;
use super::{CommandError, Console, status};
use crate::cli::{Arguments, ReportOutput, StatusOptions};
use crate::daemon::StartError;
use crate::report;
use crate::status::Timestamp;

/// Repeats it every `interval`; gives the exit code of the last output. A reader that closes the pipe ends it, too.
pub(super) fn run(
    arguments: &Arguments,
    options: &StatusOptions,
    interval: Duration,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    if arguments.file == Path::new("-") {
        return Err(CommandError::ReadOnce);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandError::Start(StartError::Threads(error)))?;
    runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt());
        let mut interrupt = interrupt.map_err(|error| CommandError::Start(StartError::Signals(error)))?;
        let mut kernel = KernelReader::default();
        let mut shown = Shown::new(options, interval);
        loop {
            let (is_coloured, is_err_coloured) = (console.out.is_coloured(), console.is_err_coloured);
            let Round { result, text, messages } = collected(is_coloured, is_err_coloured, |console| {
                status::run(arguments, options, &mut kernel, console)
            });
            shown.write(&String::from_utf8_lossy(&text), messages, console)?;
            let code = result.inspect_err(|error| note_number(error, options, console))?;
            if console.out.is_closed() {
                return Ok(code);
            }
            select! {
                biased;
                _ = interrupt.recv() => return Ok(code),
                () = sleep(interval) => {}
            }
        }
    })
}

/// Where a number was taken for the name of a cluster, says how the interval is written.
fn note_number(error: &CommandError, options: &StatusOptions, console: &mut Console<'_>) {
    let number = options.clusters.iter().find(|name| name.parse::<f64>().is_ok());
    if let (CommandError::UnknownCluster(_), Some(number)) = (error, number) {
        console.note(format_args!("the seconds come behind `=`: `--watch={number}`"));
    }
}

/// Where the rounds are shown, and what was shown last.
enum Shown {
    /// On a terminal, each in the place of the one before
    InPlace {
        /// The begin of the first line of each
        heading: String,
        /// Whether the terminal was cleared
        is_clear: bool,
    },
    /// As texts one after another, with an empty line between them; the messages of the last one
    Texts(Option<String>),
    /// As one line each; the messages of the last one
    Lines(Option<String>),
}

impl Shown {
    fn new(options: &StatusOptions, interval: Duration) -> Self {
        let can_rewrite = env::var_os("TERM").is_some_and(|name| name != "dumb");
        match options.output {
            ReportOutput::Json => Self::Lines(None),
            ReportOutput::Text if can_rewrite && io::stdout().is_terminal() => {
                let heading = format!("lbd status, every {} s, Ctrl-C ends it", interval.as_secs_f64());
                Self::InPlace { heading, is_clear: false }
            }
            ReportOutput::Text => Self::Texts(None),
        }
    }

    fn write(&mut self, text: &str, messages: String, console: &mut Console<'_>) -> io::Result<()> {
        let out = &mut *console.out;
        match self {
            Self::InPlace { heading, is_clear } => {
                let now = Timestamp::from(SystemTime::now());
                let (rows, columns) = size();
                if !mem::replace(is_clear, true) {
                    out.write_all(report::clear(rows).as_bytes())?;
                }
                let whole = format!("{heading}, {now}\n{messages}{text}");
                out.write_all(report::frame(&whole, rows, columns).as_bytes())?;
            }
            Self::Texts(last) => {
                let separator = if last.is_some() { "\n" } else { "" };
                print_changed(console.err, last, messages);
                out.write_all(separator.as_bytes())?;
                out.write_all(text.as_bytes())?;
            }
            Self::Lines(last) => {
                print_changed(console.err, last, messages);
                // No line begins inside a string, in which a line break is written as `\n`.
                let line: String = text.lines().map(str::trim_start).collect();
                if !line.is_empty() {
                    writeln!(out, "{line}")?;
                }
            }
        }
        out.flush()
    }
}

/// Prints messages that are not those of the round before.
fn print_changed(err: &mut dyn Write, last: &mut Option<String>, messages: String) {
    if last.as_ref() != Some(&messages) {
        // Nothing can be reported where standard error is closed.
        let _ = err.write_all(messages.as_bytes()).and_then(|()| err.flush());
    }
    *last = Some(messages);
}

/// The rows and columns of standard output's terminal; some do not know their size.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row.into(), size.ws_col.into()),
        Ok(_) | Err(_) => (24, 80),
    }
}
