//! Defines why a command of `lbd-agent` ends early, and how that is shown.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::agent::etcd::EtcdError;
use crate::agent::state::StateError;
use crate::commands::{CommandError, Console};
use crate::config::Diagnostics;
use crate::error_chain::ErrorChain;
use crate::files::FileError;

/// Why a command ends early. `Display` says its own part.
#[derive(Debug)]
pub enum AgentError {
    /// It is a command of `lbd`
    OtherCommand,
    /// As with a command of `lbd`
    Command(CommandError),
    /// A file is not valid
    Invalid(Box<Diagnostics>),
    /// A file cannot be read, written or trusted
    File(FileError),
    /// What the agent remembers cannot be read
    State(StateError),
    /// Another agent runs on this directory
    Running(PathBuf),
    /// No agent runs on this directory
    NotRunning(PathBuf),
    /// Something of the system failed: what was to be done
    System {
        /// What was to be done
        what: String,
        /// The cause
        cause: io::Error,
    },
    /// etcd does not answer, or refuses
    Etcd(EtcdError),
    /// Another reason, as a sentence
    Other(String),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherCommand => {
                f.write_str("lbd-agent has the commands `agent` and `fleet`; all others are those of `lbd`")
            }
            Self::Command(error) => error.fmt(f),
            Self::Invalid(problems) => f.write_str(&problems.line()),
            Self::File(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Running(directory) => write!(
                f,
                "another lbd-agent runs on {}; stop it first (systemctl stop lbd-agent.service)",
                directory.display()
            ),
            Self::NotRunning(directory) => write!(
                f,
                "no lbd-agent runs on {}; start it: systemctl start lbd-agent.service",
                directory.display()
            ),
            Self::System { what, cause: _ } => f.write_str(what),
            Self::Etcd(error) => error.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for AgentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Command(error) => error.source(),
            Self::File(error) => error.source(),
            Self::State(error) => error.source(),
            Self::Etcd(error) => error.source(),
            Self::System { cause, .. } => Some(cause),
            Self::OtherCommand
            | Self::Invalid(_)
            | Self::Running(_)
            | Self::NotRunning(_)
            | Self::Other(_) => None,
        }
    }
}

impl AgentError {
    /// Shows it to the operator; all problems of a bad file, each at its place.
    pub fn show(&self, console: &mut Console<'_>) {
        match self {
            Self::Command(error) => error.show(console),
            Self::Invalid(problems) => {
                let _ = write!(console.err, "{}", problems.text(console.is_err_coloured));
            }
            error => console.error(ErrorChain(error)),
        }
    }
}

impl From<CommandError> for AgentError {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<FileError> for AgentError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<StateError> for AgentError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<EtcdError> for AgentError {
    fn from(error: EtcdError) -> Self {
        Self::Etcd(error)
    }
}

impl From<Diagnostics> for AgentError {
    fn from(problems: Diagnostics) -> Self {
        Self::Invalid(Box::new(problems))
    }
}

/// Only writing the result fails with a bare error of the system.
impl From<io::Error> for AgentError {
    fn from(error: io::Error) -> Self {
        Self::Command(error.into())
    }
}
