//! Reads the arguments, runs a command of `agent` or `fleet`, returns its exit code.

use std::process::ExitCode;

use lbd::agent::commands::run;
use lbd::commands;

fn main() -> ExitCode {
    commands::program(|arguments, console| {
        run(arguments, console).unwrap_or_else(|error| {
            error.show(console);
            commands::ERROR
        })
    })
}
