//! Defines why a command ends early, and how that is shown.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Console;
use super::edit::EditorError;
use super::fragment::FragmentError;
use super::history::{UnknownFile, WriteError};
use super::inputs::Input;
use super::install::InstallError;
use super::named::UnknownName;
use super::other_file::OtherFile;
use super::part::UnknownCluster;
use super::tried::TrialError;
use crate::api::ClientError;
use crate::checker::privileges::PrivilegesError;
use crate::config::{Diagnostics, ReadCause, ReadError};
use crate::daemon::StartError;
use crate::error_chain::ErrorChain;
use crate::files::FileError;
use crate::import::{ImportError, NoListing};
use crate::ipvsadm::LineProblem;
use crate::kernel::KernelError;
use crate::kernel::connections::ConnectionListError;
use crate::logging::LoggingError;
use crate::store::{DaemonLockError, LoadError};

/// Why a command ends early.
#[derive(Debug)]
pub enum CommandError {
    /// A file cannot be read.
    Unreadable(ReadError),
    /// A file that an option names cannot be read.
    NoInput {
        /// What the option names
        input: Input,
        /// The cause
        error: ReadError,
    },
    /// The desired file is not valid.
    Invalid(Box<Diagnostics>),
    /// Lines of saved `ipvsadm` rules cannot be read.
    Rules {
        /// The name of the file
        name: String,
        /// What is wrong with it, line by line
        problems: Vec<LineProblem>,
    },
    /// A configuration of another program cannot be converted.
    Import {
        /// The name of the file
        name: String,
        /// The cause
        error: ImportError,
    },
    /// A listing of firewall rules cannot be read.
    Marks {
        /// The name of the file
        name: String,
        /// The cause
        error: NoListing,
    },
    /// It is not known what a file is that `export --from` names.
    UnknownFormat(String),
    /// The kernel cannot be read or written.
    Kernel(KernelError),
    /// The kernel's list of connections cannot be read.
    Connections(ConnectionListError),
    /// A kernel setting cannot be read.
    Setting {
        /// Its name
        name: String,
        /// The cause
        cause: io::Error,
    },
    /// A state file cannot be read.
    State(LoadError),
    /// The record cannot be read, so that it is not known what `teardown` may remove.
    OwnerUnknown(LoadError),
    /// A state file cannot be removed.
    StateFile(FileError),
    /// `/proc` does not show the boot or the network namespace.
    Scope(io::Error),
    /// No cluster has a name that the operator gave.
    UnknownCluster(UnknownCluster),
    /// A daemon keeps another file, and would undo this.
    OtherFile(OtherFile),
    /// The same, where nothing can be forced.
    KeepsOtherFile(OtherFile),
    /// Another process has the daemon's lock.
    Locked(DaemonLockError),
    /// `teardown` must not run beside a daemon, and cannot take the daemon's lock.
    NotAlone(DaemonLockError),
    /// The daemon cannot watch standard input.
    UnwatchedFile,
    /// Standard input cannot be read again and again.
    ReadOnce,
    /// The daemon cannot start.
    Start(StartError),
    /// Privileges cannot be given up before something is probed.
    Privileges(PrivilegesError),
    /// Another process probes, and writes into this directory.
    SecondChecker(PathBuf),
    /// The directory for the verdicts is not there.
    NoCheckerDirectory(PathBuf),
    /// Logging cannot be set up.
    Logging(LoggingError),
    /// The live state cannot be written as a desired file.
    Unwritable(Box<dyn Error + Send + Sync>),
    /// The result cannot be written.
    Output(io::Error),
    /// The daemon cannot reply on its socket.
    Socket(ClientError),
    /// The process may open too few files.
    FewDescriptors {
        /// How many it needs
        needed: usize,
        /// The cause
        cause: io::Error,
    },
    /// `restore` has no state to fall back to.
    NothingVerified,
    /// The operator answered no.
    NotConfirmed,
    /// There is no terminal to confirm at.
    NoTerminal,
    /// There is no terminal for a screen.
    NoScreen,
    /// The table cannot be read, for this reason.
    NoTable(String),
    /// What the operator named is about nothing in the file.
    UnknownName(UnknownName),
    /// The editor did not edit the desired file.
    Edit(EditorError),
    /// A text did not become the desired file.
    Install(InstallError),
    /// The history has no file of this number.
    UnknownFile(UnknownFile),
    /// The desired state has no such file, or cannot be replaced as a whole.
    Fragment(FragmentError),
    /// The files of a desired state cannot be written out.
    WriteOut(WriteError),
    /// A trial is not begun, or not confirmed.
    Trial(TrialError),
    /// There is no override of this name.
    NoOverride {
        /// The name
        name: String,
        /// The names that there are
        names: String,
    },
    /// There are as many overrides as a director keeps.
    TooManyOverrides(usize),
    /// The overrides are recorded, and the pass did not bring them into the kernel.
    NotApplied,
    /// The plan changed between its display and its confirmation.
    PlanChanged,
    /// The program of `agent` and `fleet` is not installed there.
    NoAgent(PathBuf),
    /// It cannot be started.
    Agent {
        /// The program
        program: PathBuf,
        /// The cause
        cause: io::Error,
    },
}

impl CommandError {
    /// Shows it to the operator; all problems of a bad file, each at its place.
    pub fn show(&self, console: &mut Console<'_>) {
        match self {
            Self::Invalid(problems) => {
                let _ = write!(console.err, "{}", problems.text(console.is_err_coloured));
            }
            Self::Rules { name, problems } => {
                problems.iter().for_each(|problem| console.error(format_args!("{name}: {problem}")));
            }
            error => console.error(error.line()),
        }
    }

    /// The error with its causes, in one line.
    pub(super) fn line(&self) -> String {
        ErrorChain(self).to_string()
    }
}

/// Its own part; the causes are behind `source`.
impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::NoInput { input, error } => match &error.cause {
                ReadCause::Missing => write!(f, "{}: there is no such file; {input}", error.name),
                ReadCause::NotFile(what) => {
                    write!(f, "{}: is {what}, neither a regular file nor a pipe; {input}", error.name)
                }
                ReadCause::Io(_)
                | ReadCause::TooLarge
                | ReadCause::StillWritten
                | ReadCause::MissingIncluded(_)
                | ReadCause::TooLargeTogether
                | ReadCause::TooManyFiles
                | ReadCause::OddName
                | ReadCause::SeveralFiles
                | ReadCause::Utf16
                | ReadCause::NotUtf8 { .. } => error.fmt(f),
            },
            Self::Invalid(problems) => f.write_str(&problems.line()),
            Self::Rules { name, problems } => match problems.first() {
                Some(problem) => write!(f, "{name}: {problem}"),
                None => write!(f, "{name}: not valid"),
            },
            Self::Import { name, error } => write!(f, "{name}: {error}"),
            Self::Marks { name, error } => write!(f, "{name}: {error}"),
            Self::UnknownFormat(name) => write!(
                f,
                "{name}: neither a keepalived.conf nor an ldirectord.cf nor rules of ipvsadm; where it is one of them, name it with --format"
            ),
            Self::Kernel(error) => error.fmt(f),
            Self::Connections(error) => error.fmt(f),
            Self::Setting { name, cause: _ } => f.write_str(name),
            Self::State(error) => error.fmt(f),
            Self::OwnerUnknown(error) => {
                write!(f, "{error}; without it, it is not known what is lbd's; nothing was removed")
            }
            Self::StateFile(error) => error.fmt(f),
            Self::Scope(_) => {
                f.write_str("cannot identify this boot and network namespace (is /proc mounted?)")
            }
            Self::UnknownCluster(unknown) => unknown.fmt(f),
            Self::OtherFile(daemon) => write!(
                f,
                "{daemon}; nothing was changed; change that file, stop the daemon first (systemctl stop lbd.service), or use \
                 `--force`"
            ),
            Self::KeepsOtherFile(daemon) => write!(
                f,
                "{daemon}; nothing was changed; name that file with -f, or stop the daemon first (systemctl stop lbd.service)"
            ),
            Self::Locked(error) => error.fmt(f),
            Self::NotAlone(error @ DaemonLockError::Daemon { .. }) => {
                write!(f, "{error}; stop it first: systemctl stop lbd.service")
            }
            Self::NotAlone(error @ DaemonLockError::Command { .. }) => {
                write!(f, "{error}; try again when it has ended")
            }
            Self::NotAlone(error @ DaemonLockError::Impossible(_)) => error.fmt(f),
            Self::UnwatchedFile => f.write_str(
                "standard input cannot be watched; name a file with -f, or use `lbd apply -f -` for one pass",
            ),
            Self::ReadOnce => f.write_str("standard input can be read only once; name a file with -f"),
            Self::Start(error) => error.fmt(f),
            Self::Privileges(error) => error.fmt(f),
            Self::SecondChecker(directory) => write!(
                f,
                "{}: another checker writes its verdicts there; stop it (systemctl stop lbd-check.service), or use another --run-dir",
                directory.display()
            ),
            Self::NoCheckerDirectory(directory) => write!(
                f,
                "{}: there is no such directory, into which a checker writes its verdicts; lbd-check.service makes it for its checker, and `lbd run` \
                 for the one that it starts: start one of them, or make it yourself for the user that checks",
                directory.display()
            ),
            Self::Logging(error) => error.fmt(f),
            Self::Unwritable(_) => f.write_str("cannot write the table as a file"),
            Self::Output(_) => f.write_str("cannot write the result"),
            Self::Socket(error) => error.fmt(f),
            Self::FewDescriptors { needed, cause: _ } => write!(
                f,
                "fewer than {needed} files can be opened; raise the limit (`ulimit -n`, or LimitNOFILE= of the unit)"
            ),
            Self::NothingVerified => {
                f.write_str("no state was ever verified: nothing to restore, nothing was changed")
            }
            Self::NotConfirmed => f.write_str("nothing was changed"),
            Self::NoTerminal => {
                f.write_str("no terminal to confirm at; use `--yes` to do this; nothing was changed")
            }
            Self::NoScreen => f.write_str("no terminal to show this on; `lbd top --once` writes it once"),
            Self::NoTable(problem) => f.write_str(problem),
            Self::UnknownName(unknown) => unknown.fmt(f),
            Self::Edit(error) => error.fmt(f),
            Self::Install(error) => error.fmt(f),
            Self::UnknownFile(unknown) => unknown.fmt(f),
            Self::Fragment(error) => error.fmt(f),
            Self::WriteOut(error) => error.fmt(f),
            Self::Trial(error) => error.fmt(f),
            Self::NoOverride { name, names } if names.is_empty() => {
                write!(f, "{name}: there is no such override, and no other")
            }
            Self::NoOverride { name, names } => {
                write!(f, "{name}: there is no such override; there are those of {names}")
            }
            Self::TooManyOverrides(most) => {
                write!(
                    f,
                    "there are {most} overrides already; nothing was changed; end some of them with `lbd undo`"
                )
            }
            Self::NotApplied => f.write_str(
                "the change is recorded, and the pass did not bring it into the kernel; see above",
            ),
            Self::NoAgent(program) => write!(
                f,
                "{}: there is no such program; `lbd agent` and `lbd fleet` need the package lbd-agent, which is not installed",
                program.display()
            ),
            Self::Agent { program, cause: _ } => write!(f, "{}: cannot be started", program.display()),
            Self::PlanChanged => f.write_str(
                "something has changed since this was shown; nothing was removed; run `lbd teardown` again",
            ),
        }
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // What is shown as it is has the causes of what it wraps.
            Self::Unreadable(error) | Self::NoInput { error, .. } => error.source(),
            Self::Kernel(error) => error.source(),
            Self::Connections(error) => error.source(),
            Self::State(error) | Self::OwnerUnknown(error) => error.source(),
            Self::StateFile(error) => error.source(),
            Self::Locked(error) | Self::NotAlone(error) => error.source(),
            Self::Install(error) => error.source(),
            Self::WriteOut(error) => error.source(),
            Self::Start(error) => error.source(),
            Self::Privileges(error) => error.source(),
            Self::Logging(error) => error.source(),
            Self::Socket(error) => error.source(),
            Self::Setting { cause, .. } | Self::FewDescriptors { cause, .. } | Self::Agent { cause, .. } => {
                Some(cause)
            }
            Self::Scope(error) | Self::Output(error) => Some(error),
            Self::Unwritable(error) => Some(&**error),
            Self::Invalid(_)
            | Self::Rules { .. }
            | Self::Import { .. }
            | Self::Marks { .. }
            | Self::UnknownFormat(_)
            | Self::UnknownCluster(_)
            | Self::OtherFile(_)
            | Self::KeepsOtherFile(_)
            | Self::UnwatchedFile
            | Self::SecondChecker(_)
            | Self::NoCheckerDirectory(_)
            | Self::ReadOnce
            | Self::NothingVerified
            | Self::NotConfirmed
            | Self::NoTerminal
            | Self::NoScreen
            | Self::NoTable(_)
            | Self::UnknownName(_)
            | Self::UnknownFile(_)
            | Self::Fragment(_)
            | Self::Edit(_)
            | Self::Trial(_)
            | Self::NoOverride { .. }
            | Self::NotApplied
            | Self::TooManyOverrides(_)
            | Self::PlanChanged
            | Self::NoAgent(_) => None,
        }
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<Diagnostics> for CommandError {
    fn from(problems: Diagnostics) -> Self {
        Self::Invalid(Box::new(problems))
    }
}

impl From<KernelError> for CommandError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl From<ConnectionListError> for CommandError {
    fn from(error: ConnectionListError) -> Self {
        Self::Connections(error)
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        Self::State(error)
    }
}

/// Only writing the result fails with a bare error of the system.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
