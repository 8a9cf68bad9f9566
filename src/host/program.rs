//! Asks a program that only tells something, and takes what it says.

use std::fmt;
use std::io;
use std::process::Command;
use std::time::Duration;

use crate::kernel::program::{self, Failure, Output};

/// How long a program may take: to list a large set of rules takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a program told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not installed
    Missing,
    /// Anything else, in a few words
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not installed"),
            Self::Failed(words) => f.write_str(words),
        }
    }
}

/// What a program says on its standard output.
pub(super) fn ask(name: &str, arguments: &[&str]) -> Result<String, Trouble> {
    let mut command = Command::new(program::installed(name).ok_or(Trouble::Missing)?);
    command.args(arguments).env("LC_ALL", "C");
    match program::run(&mut command, "", PATIENCE) {
        Ok(Output { status, stdout, .. }) if status.success() => Ok(stdout),
        Ok(Output { status, stderr, .. }) => {
            let first = stderr.lines().map(str::trim).find(|line| !line.is_empty());
            Err(Trouble::Failed(first.map_or_else(|| status.to_string(), str::to_owned)))
        }
        Err(Failure::Start(error)) if error.kind() == io::ErrorKind::NotFound => Err(Trouble::Missing),
        Err(Failure::Start(error) | Failure::Pipe(error)) => Err(Trouble::Failed(error.to_string())),
        Err(Failure::Slow(patience)) => {
            Err(Trouble::Failed(format!("it took more than {} s and was ended", patience.as_secs())))
        }
        Err(Failure::TooMuch(most)) => {
            Err(Trouble::Failed(format!("it said more than {} MiB and was ended", most >> 20)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_tells_fails_or_is_not_there_is_told_apart() {
        let failed = |words: &str| Err(Trouble::Failed(words.to_owned()));
        assert_eq!(ask("sh", &["-c", "echo all; echo some >&2"]), Ok("all\n".to_owned()));
        assert_eq!(ask("sh", &["-c", "echo >&2; echo no permission >&2; exit 1"]), failed("no permission"));
        assert_eq!(ask("sh", &["-c", "exit 3"]), failed("exit status: 3"));
        assert_eq!(ask("no-such-program", &[]), Err(Trouble::Missing));
    }
}
