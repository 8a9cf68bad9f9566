//! One file per command; each reads like its manual page: load, plan, show or carry out.

mod advice;
mod apply;
mod completions;
mod diff;
mod export;
mod inputs;
mod restore;
mod run;
mod schema;
mod status;
mod teardown;
mod validate;

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::cli::{Arguments, Command};
use crate::config::{Problems, ReadError};
use crate::escape::Escaped;
use crate::progress::Progress;
use crate::reconcile::Failed;
use crate::report::Output;

/// Exit code: done, in sync, verified.
pub const DONE: u8 = 0;
/// Exit code of `diff`: there is something to do.
pub const DIFFERS: u8 = 1;
/// Exit code: trouble.
pub const TROUBLE: u8 = 2;
/// Exit code of `apply`: a guard refuses.
pub const REFUSED: u8 = 3;

/// Where a command writes: its result to `out`, everything else to `err`. The text of a message is escaped here, so that a message
/// is one line and nothing but a message.
pub struct Console<'a> {
    /// Standard output
    pub out: &'a mut Output,
    /// Standard error
    pub err: &'a mut dyn Write,
    /// Whether messages have colours
    pub is_err_coloured: bool,
    /// What is done meanwhile
    pub progress: Progress,
}

impl Console<'_> {
    /// Tells the operator something that does not stop the command.
    fn warn(&mut self, message: impl fmt::Display) {
        self.message(AnsiColor::Yellow, "warning:", message);
    }

    fn note(&mut self, message: impl fmt::Display) {
        self.message(AnsiColor::Cyan, "note:", message);
    }

    fn error(&mut self, message: impl fmt::Display) {
        self.message(AnsiColor::Red, "error:", message);
    }

    fn message(&mut self, colour: AnsiColor, kind: &str, message: impl fmt::Display) {
        let style = if self.is_err_coloured { colour.on_default().bold() } else { Style::new() };
        // Nothing can be reported where standard error is closed.
        let _ = writeln!(self.err, "{style}{kind}{style:#} {}", Escaped(message));
    }

    /// Says why what was done is not called verified.
    fn not_verified(&mut self, reason: &str) {
        self.error(format_args!("not verified, and nothing is deleted: {reason}"));
    }

    /// Names the operations that failed, with their causes.
    fn name_failures(&mut self, failed: &[Failed]) {
        for Failed { operation, refusal } in failed.iter().take(NAMED) {
            self.error(format_args!("{operation}: {refusal}"));
        }
        if let Some(more) = failed.len().checked_sub(NAMED).filter(|more| *more > 0) {
            self.error(format_args!(
                "and {more} more operations failed; `apply --output json` names them all"
            ));
        }
    }
}

/// How many failures are named one by one: those of a large table mostly have one cause.
const NAMED: usize = 20;

/// Why a command ended before its end.
enum Stop {
    /// The cause and the way out, for the operator
    Trouble(String),
    /// A file cannot be read
    Unreadable(ReadError),
    /// The desired file does not hold
    Invalid(Box<Problems>),
    /// The result could not be written
    Output(io::Error),
}

impl Stop {
    /// Tells the operator.
    fn tell(&self, console: &mut Console<'_>) {
        match self {
            Self::Trouble(message) => console.error(message),
            Self::Unreadable(error) => console.error(with_cause(error)),
            Self::Invalid(problems) => {
                let _ = write!(console.err, "{}", problems.text(console.is_err_coloured));
            }
            Self::Output(error) => console.error(format_args!("cannot write the result: {error}")),
        }
    }

    /// The same in one line.
    fn line(&self) -> String {
        match self {
            Self::Trouble(message) => message.clone(),
            Self::Unreadable(error) => with_cause(error),
            Self::Invalid(problems) => problems.line(),
            Self::Output(error) => error.to_string(),
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Carries out a command and gives its exit code.
pub fn run(arguments: &Arguments, console: &mut Console<'_>) -> u8 {
    let result = check_descriptors().and_then(|()| carry_out(arguments, console));
    let code = result.and_then(|code| Ok(console.out.flush().map(|()| code)?)).unwrap_or_else(|stop| {
        stop.tell(console);
        TROUBLE
    });
    console.progress.wipe();
    code
}

/// What opens files and sockets needs room for them: without, one thing after another would fail, and libraries panic.
fn check_descriptors() -> Result<(), Stop> {
    /// The daemon has some twenty open, while `nft` runs.
    const NEEDED: usize = 32;
    let stderr = io::stderr();
    let copies: Result<Vec<_>, _> = (0..NEEDED).map(|_| rustix::io::dup(&stderr)).collect();
    match copies {
        Err(error @ (rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) => Err(Stop::Trouble(format!(
            "fewer than {NEEDED} files can be opened: {}; raise the limit (`ulimit -n`, or LimitNOFILE= of the unit)",
            io::Error::from(error)
        ))),
        _ => Ok(()),
    }
}

fn carry_out(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, Stop> {
    match &arguments.command {
        Command::Diff(options) => diff::run(arguments, options, console),
        Command::Apply(options) => apply::run(arguments, options, console),
        Command::Run(options) => run::run(arguments, options),
        Command::Restore => restore::run(arguments, console),
        Command::Status(options) => status::run(arguments, options, console),
        Command::Teardown { yes } => teardown::run(arguments, *yes, console),
        Command::Validate(options) => validate::run(arguments, options, console),
        Command::Export(options) => export::run(options, console),
        Command::Schema => schema::run(console),
        Command::Completions { shell } => completions::run(*shell, console),
    }
}

/// An error and what caused it, in one line.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_cause(cause)),
        None => error.to_string(),
    }
}
