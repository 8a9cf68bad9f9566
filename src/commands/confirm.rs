//! Asks the operator at the terminal.

use std::io::{self, BufRead, IsTerminal};
use std::thread;

use tokio::runtime;
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{CommandError, Console};
use crate::daemon::StartError;

/// Asks a question that is answered with yes or no.
///
/// # Errors
/// Where the answer is no, or there is no terminal.
pub fn confirm(question: &str, console: &mut Console<'_>) -> Result<(), CommandError> {
    show(question, console)?;
    check(&read_answer()?)
}

/// The same in a process that has received Ctrl-C itself before, for an editor: it ends this process no more, and counts as a no.
///
/// # Errors
/// As for [`confirm`].
pub(super) fn confirm_after_signals(question: &str, console: &mut Console<'_>) -> Result<(), CommandError> {
    show(question, console)?;
    let start = |error| CommandError::Start(StartError::Threads(error));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
    let (answers, answer) = oneshot::channel();
    // Where Ctrl-C was sooner, nobody reads it.
    let read = move || drop(answers.send(read_answer()));
    thread::Builder::new().name("answer".to_owned()).spawn(read).map_err(start)?;
    runtime.block_on(async {
        let interrupt = signal(SignalKind::interrupt());
        let mut interrupt = interrupt.map_err(|error| CommandError::Start(StartError::Signals(error)))?;
        select! {
            Ok(answer) = answer => check(&answer?),
            _ = interrupt.recv() => {
                let _ = writeln!(console.err);
                Err(CommandError::NotConfirmed)
            }
        }
    })
}

fn show(question: &str, console: &mut Console<'_>) -> Result<(), CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::NoTerminal);
    }
    write!(console.err, "{question} [y/N] ")?;
    Ok(console.err.flush()?)
}

fn read_answer() -> io::Result<String> {
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}

fn check(answer: &str) -> Result<(), CommandError> {
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(CommandError::NotConfirmed) }
}
