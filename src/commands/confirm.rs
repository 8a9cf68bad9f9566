//! Asks the operator at the terminal.

use std::io::{self, BufRead, IsTerminal};

use super::{CommandError, Console};

/// Asks a question that is answered with yes or no.
///
/// # Errors
/// Where the answer is no, or there is no terminal.
pub(super) fn confirm(question: &str, console: &mut Console<'_>) -> Result<(), CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::NoTerminal);
    }
    write!(console.err, "{question} [y/N] ")?;
    console.err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(CommandError::NotConfirmed) }
}
