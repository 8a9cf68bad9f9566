//! Reads the arguments, runs the command, returns its exit code.

use std::process::ExitCode;

use lbd::commands;

fn main() -> ExitCode {
    commands::program(|arguments, console| {
        commands::run(arguments, console).unwrap_or_else(|error| {
            error.show(console);
            commands::ERROR
        })
    })
}
