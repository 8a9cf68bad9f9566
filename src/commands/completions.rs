//! `lbd completions`: writes a completion script for a shell.

use std::io::Write;

use clap_complete::{Shell, generate};

use super::{CommandError, Console, DONE};
use crate::cli::{Arguments, CompletionShell};

pub(super) fn run(shell: CompletionShell, console: &mut Console<'_>) -> Result<u8, CommandError> {
    // The generator stops the program on a closed pipe; a buffer does not close.
    let mut script = Vec::new();
    generate(Shell::from(shell), &mut Arguments::completed(), "lbd", &mut script);
    console.out.write_all(&script)?;
    Ok(DONE)
}
