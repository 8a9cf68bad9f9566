//! Runs a program that only prints something, and returns its output.

use std::fmt;
use std::io;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::kernel::program::{self, ProgramOutput, RunError};

/// How long a program may take: to list a large set of rules takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a program has no output.
#[derive(Debug)]
pub(super) enum ProgramError {
    /// It is not installed.
    NotInstalled,
    /// It was not run to its end.
    Run(RunError),
    /// It failed: how it ended, and the first line that it printed about that, if any.
    Failed { status: ExitStatus, message: Option<String> },
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("it is not installed"),
            Self::Run(error) => error.fmt(f),
            Self::Failed { message: Some(message), .. } => f.write_str(message),
            Self::Failed { status, message: None } => status.fmt(f),
        }
    }
}

impl std::error::Error for ProgramError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Run(error) => error.source(),
            Self::NotInstalled | Self::Failed { .. } => None,
        }
    }
}

/// Runs a program and returns its standard output.
///
/// # Errors
/// Where it is not installed, is not run to its end, or ends with an error status.
pub(super) fn output_of(name: &str, arguments: &[&str]) -> Result<String, ProgramError> {
    let mut command = Command::new(program::installed(name).ok_or(ProgramError::NotInstalled)?);
    command.args(arguments).env("LC_ALL", "C");
    match program::run(&mut command, "", PATIENCE) {
        Ok(ProgramOutput { status, stdout, .. }) if status.success() => Ok(stdout),
        Ok(ProgramOutput { status, stderr, .. }) => {
            let message = stderr.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
            Err(ProgramError::Failed { status, message })
        }
        Err(RunError::Start(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(ProgramError::NotInstalled)
        }
        Err(error) => Err(ProgramError::Run(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_an_error_and_a_program_that_is_not_there_are_told_apart() {
        let failure = |script| output_of("sh", &["-c", script]).unwrap_err().to_string();
        assert_eq!(output_of("sh", &["-c", "echo all; echo some >&2"]).unwrap(), "all\n");
        assert_eq!(failure("echo >&2; echo no permission >&2; exit 1"), "no permission");
        assert_eq!(failure("exit 3"), "exit status: 3");
        assert!(matches!(output_of("no-such-program", &[]), Err(ProgramError::NotInstalled)));
    }
}
