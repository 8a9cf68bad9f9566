//! Arguments in, exit code out.

use std::io::BufWriter;
use std::process::ExitCode;

use clap::Parser;
use lbd::cli::Arguments;
use lbd::commands::{self, Console};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Both streams strip the colours where nobody would see them.
    let mut console = Console {
        out: &mut BufWriter::with_capacity(64 * 1024, anstream::stdout()),
        err: &mut anstream::stderr(),
    };
    ExitCode::from(commands::run(&arguments, &mut console))
}
