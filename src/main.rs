//! Arguments in, exit code out.

use std::env;
use std::io::{self, BufWriter, LineWriter, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::Parser;
use lbd::cli::Arguments;
use lbd::commands::{self, Console};
use lbd::escape;
use lbd::progress::Progress;
use lbd::report::{COLLECTED, Paper, Uncoloured};

fn main() -> ExitCode {
    let arguments = arguments();
    let progress = Progress::on_stderr();
    // Both streams strip the colours where nobody would see them.
    let colours = AutoStream::choice(&io::stderr());
    let err: Box<dyn Write> = Box::new(LineWriter::new(progress.beside(io::stderr())));
    let mut console = Console {
        out: &mut paper(io::stdout(), &progress),
        err: &mut AutoStream::new(err, colours),
        progress,
    };
    ExitCode::from(commands::run(&arguments, &mut console))
}

/// The arguments, or an end with what is wrong with them. That quotes what was typed, which a script may have taken from
/// anywhere: it is escaped first.
fn arguments() -> Arguments {
    Arguments::try_parse().unwrap_or_else(|error| {
        let shown = env::args_os().map(|word| escape::text(&word.to_string_lossy()).into_owned());
        Arguments::try_parse_from(shown).err().unwrap_or(error).exit()
    })
}

/// Standard output without colours where it is no terminal. What is left between two colours is collected before it is
/// written: it would be a system call each, and a plan may have a hundred thousand lines.
fn paper(stdout: io::Stdout, progress: &Progress) -> Paper {
    let colours = AutoStream::choice(&stdout);
    let collected = buffered(progress.beside(stdout));
    match colours {
        ColorChoice::Never => Paper::new(Box::new(buffered(Uncoloured::new(collected))), false),
        colours => {
            let collected: Box<dyn Write + Send> = Box::new(collected);
            Paper::new(Box::new(buffered(AutoStream::new(collected, colours))), true)
        }
    }
}

fn buffered<W: Write>(stream: W) -> BufWriter<W> {
    BufWriter::with_capacity(COLLECTED, stream)
}
