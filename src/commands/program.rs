//! What both programs have in common: arguments in, a console, an exit code out.

use std::env;
use std::io::{self, BufWriter, LineWriter};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};

use super::Console;
use crate::cli::Arguments;
use crate::escape;
use crate::progress::Progress;
use crate::report::{COLLECTED, Output};

/// Parses the arguments, and runs them; exits with a message where they are not valid.
pub fn program(run: impl FnOnce(&Arguments, &mut Console<'_>) -> u8) -> ExitCode {
    let arguments = arguments();
    let progress = Progress::on_stderr();
    let is_coloured = |choice| !matches!(choice, ColorChoice::Never);
    let out = BufWriter::with_capacity(COLLECTED, progress.wrap(io::stdout()));
    let mut console = Console {
        out: &mut Output::new(Box::new(out), is_coloured(AutoStream::choice(&io::stdout()))),
        err: &mut LineWriter::new(progress.wrap(io::stderr())),
        is_err_coloured: is_coloured(AutoStream::choice(&io::stderr())),
        progress,
    };
    let code = run(&arguments, &mut console);
    console.progress.wipe();
    ExitCode::from(code)
}

/// Parses the arguments; exits with a message where they are not valid. The message quotes them, and a script may have taken them
/// from anywhere, so they are escaped first.
fn arguments() -> Arguments {
    Arguments::from_words(env::args_os()).unwrap_or_else(|error| {
        let shown = env::args_os().map(|word| escape::text(&word.to_string_lossy()).into_owned().into());
        Arguments::from_words(shown).err().unwrap_or(error).exit()
    })
}
