//! Reads the arguments, runs the command, returns its exit code.

use std::env;
use std::io::{self, BufWriter, LineWriter};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use lbd::cli::Arguments;
use lbd::commands::{self, Console};
use lbd::escape;
use lbd::progress::Progress;
use lbd::report::{COLLECTED, Output};

fn main() -> ExitCode {
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
    let code = commands::run(&arguments, &mut console).unwrap_or_else(|error| {
        error.show(&mut console);
        commands::ERROR
    });
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
