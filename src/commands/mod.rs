//! Runs the commands, one file each: load, connect, reconcile, print, exit code.

mod advice;
mod agent;
mod apply;
mod by_socket;
mod candidate;
mod check;
mod check_child;
mod checker;
mod checks;
mod collected;
mod completions;
mod confirm;
mod connections;
mod diff;
mod documents;
mod draining;
mod edit;
mod error;
mod events;
mod export;
mod fragment;
mod history;
mod inputs;
mod install;
mod kernel_reader;
mod man;
mod metrics;
mod named;
mod other_file;
mod overrides;
mod part;
mod pause;
mod program;
mod repeat;
mod restore;
mod rollback;
mod run;
mod schema;
mod shown_pass;
mod status;
mod teardown;
mod top;
mod trial;
mod tried;
mod validate;
mod who;
mod zero;

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::cli::{Arguments, Command};
use crate::escape::Escaped;
use crate::progress::Progress;
use crate::reconcile::Failed;
use crate::report::Output;

pub use self::confirm::confirm;
pub use self::error::CommandError;
use self::kernel_reader::KernelReader;
pub use self::program::program;
pub use self::who::who;

/// Exit code: done, in sync, verified.
pub const DONE: u8 = 0;
/// Exit code of `diff` and `status`: not in sync.
pub const DIFFERS: u8 = 1;
/// Exit code: error.
pub const ERROR: u8 = 2;
/// Exit code: refused, by a guard, a pause, a trial, or since something has changed.
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
    /// The progress line
    pub progress: Progress,
}

impl Console<'_> {
    /// Prints a warning, which does not stop the command.
    pub fn warn(&mut self, message: impl fmt::Display) {
        self.message(AnsiColor::Yellow, "warning:", message);
    }

    /// Prints why something went wrong that does not stop the command, if it did.
    fn warn_of<E: fmt::Display>(&mut self, result: Result<(), E>) {
        if let Err(error) = result {
            self.warn(error);
        }
    }

    /// Prints what the operator may want to know.
    pub fn note(&mut self, message: impl fmt::Display) {
        self.message(AnsiColor::Cyan, "note:", message);
    }

    /// Prints an error.
    pub fn error(&mut self, message: impl fmt::Display) {
        self.message(AnsiColor::Red, "error:", message);
    }

    fn message(&mut self, colour: AnsiColor, kind: &str, message: impl fmt::Display) {
        let style = if self.is_err_coloured { colour.on_default().bold() } else { Style::new() };
        // Nothing can be reported where standard error is closed.
        let _ = writeln!(self.err, "{style}{kind}{style:#} {}", Escaped(message));
    }

    /// Prints why the result is not verified.
    fn not_verified(&mut self, reason: &str) {
        self.error(format_args!("not verified, and nothing is deleted: {reason}"));
    }

    /// Prints the operations that failed, with their causes.
    fn print_failures(&mut self, failed: &[Failed]) {
        for Failed { operation, refusal } in failed.iter().take(NAMED) {
            self.error(format_args!("{operation}: {refusal}"));
        }
        if let Some(more) = failed.len().checked_sub(NAMED).filter(|more| *more > 0) {
            self.error(format_args!(
                "and {more} more operations failed; `lbd apply --output json` lists them all"
            ));
        }
    }
}

/// How many failures are printed one by one: those of a large table mostly have one cause.
const NAMED: usize = 20;

/// Carries out a command; gives its exit code.
///
/// # Errors
/// Why the command ended early; its exit code is [`ERROR`] then.
pub fn run(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, CommandError> {
    check_descriptors()?;
    let code = carry_out(arguments, console)?;
    console.out.flush()?;
    Ok(code)
}

/// Checks that enough files and sockets can be opened: with too few, one part after another would fail, and libraries panic.
fn check_descriptors() -> Result<(), CommandError> {
    /// The daemon has about twenty open while `nft` runs.
    const NEEDED: usize = 32;
    let stderr = io::stderr();
    let copies: Result<Vec<_>, _> = (0..NEEDED).map(|_| rustix::io::dup(&stderr)).collect();
    match copies {
        Err(error @ (rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) => {
            Err(CommandError::FewDescriptors { needed: NEEDED, cause: error.into() })
        }
        _ => Ok(()),
    }
}

fn carry_out(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, CommandError> {
    match &arguments.command {
        Command::Diff(options) => diff::run(arguments, options, console),
        Command::Apply(options) => apply::run(arguments, options, console),
        Command::Run(options) => run::run(arguments, options),
        Command::Checker(options) => checker::run(arguments, options),
        Command::Restore => restore::run(arguments, console),
        Command::Status(options) => match options.watch {
            Some(interval) => repeat::run(arguments, options, interval, console),
            None => status::run(arguments, options, &mut KernelReader::default(), console),
        },
        Command::Top(options) => top::run(arguments, options, console),
        Command::Metrics(options) => metrics::run(arguments, options, console),
        Command::Connections(options) => connections::run(arguments, options, console),
        Command::Zero(options) => zero::run(arguments, options, console),
        Command::Edit { fragment, yes } => edit::run(arguments, fragment.as_deref(), *yes, console),
        Command::History(options) => history::run(arguments, options, console),
        Command::Rollback(options) => rollback::run(arguments, options, console),
        Command::Drain(options) => overrides::drain(arguments, options, console),
        Command::Weight(options) => overrides::weight(arguments, options, console),
        Command::Undo(options) => overrides::undo(arguments, options, console),
        Command::Overrides { output } => overrides::list(arguments, *output, console),
        Command::Pause(options) => pause::pause(arguments, options, console),
        Command::Resume { clusters } => pause::resume(arguments, clusters, console),
        Command::Try(options) => trial::run(arguments, options, console),
        Command::Confirm { over } => trial::confirm(arguments, *over, console),
        Command::Cancel => trial::cancel(arguments, console),
        Command::Teardown { yes } => teardown::run(arguments, *yes, console),
        Command::Validate(options) => validate::run(arguments, options, console),
        Command::Check(options) => check::run(arguments, options, console),
        Command::Export(options) => export::run(arguments, options, console),
        Command::Agent(_) | Command::Fleet(_) => Err(agent::run()),
        Command::Schema { fragment, api } => schema::run(*fragment, *api, console),
        Command::Completions { shell } => completions::run(*shell, console),
        Command::Man { directory } => man::run(directory),
    }
}
