//! Names why lbd's own table of nftables cannot be read or written, with what to do about it.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::kernel::program::{ProgramOutput, RunError};
use crate::nft::{ListingError, TABLE};

/// What nft was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NftAction {
    /// List a table
    Read,
    /// Replace a table
    Change,
}

impl fmt::Display for NftAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Change => "change",
        })
    }
}

/// Why lbd's own table cannot be read or written. What is called `output` is nft's own text.
#[derive(Debug)]
pub enum NftError {
    /// The program nft is not installed.
    NotInstalled,
    /// The program could not be run to its end.
    Run {
        /// Which file
        program: PathBuf,
        /// What happened
        error: RunError,
    },
    /// The process lacks CAP_NET_ADMIN, or another program owns the table.
    NotPermitted(NftAction),
    /// The kernel has no nftables.
    NoNftables {
        /// How nft puts it
        output: String,
    },
    /// The kernel has nftables, and lacks a part of it that the table needs.
    MissingPart {
        /// How nft puts it
        output: String,
    },
    /// nft failed without an error text.
    NoOutput(ExitStatus),
    /// nft failed for another reason.
    Failed {
        /// What it was to do
        action: NftAction,
        /// How nft puts it
        output: String,
    },
    /// The list that nft printed is not what lbd expects.
    Unreadable(ListingError),
}

impl NftError {
    /// Why nft failed. It ends with 1 whatever happened: the text is all there is.
    pub(super) fn of(output: &ProgramOutput, action: NftAction) -> Self {
        let text = &output.stderr;
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        // `/dev/stdin:3:1-2: Error: cause`, and then the line with a marker under it.
        let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let first = match first.split_once("Error: ") {
            Some((_, cause)) => cause.to_owned(),
            None => first.to_owned(),
        };
        if has(&["Operation not permitted", "Permission denied"]) {
            Self::NotPermitted(action)
        } else if has(&[
            "Unable to initialize Netlink socket",
            "cache initialization failed",
            "Protocol not supported",
        ]) {
            Self::NoNftables { output: first }
        } else if has(&["No such file or directory", "Operation not supported"]) {
            Self::MissingPart { output: first }
        } else if first.is_empty() {
            Self::NoOutput(output.status)
        } else {
            Self::Failed { action, output: first }
        }
    }
}

impl fmt::Display for NftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str(
                "marks, `fullnat` and `untracked` need the program nft, which is not installed: `apt install nftables`, or the package \
                 nftables of your system; everything else goes on without it",
            ),
            Self::Run { program, error } => {
                let program = program.display();
                match error {
                    RunError::Start(_) => write!(f, "cannot start {program}"),
                    RunError::Slow(limit) => write!(
                        f,
                        "{program} took more than {} s and was killed; it is tried again in a while",
                        limit.as_secs()
                    ),
                    RunError::Pipe(_) => write!(f, "cannot exchange data with {program}, try again"),
                    RunError::TooMuch(_) => write!(f, "cannot use the output of {program}"),
                }
            }
            Self::NotPermitted(action) => write!(
                f,
                "nft may not {action} nftables (EPERM): it takes CAP_NET_ADMIN; run as root, or if another program owns \
                 table inet {TABLE}, stop that"
            ),
            Self::NoNftables { output } => write!(
                f,
                "this kernel has no nftables: {output}; is the module nf_tables installed? Try `modprobe nf_tables`"
            ),
            Self::MissingPart { output } => write!(
                f,
                "this kernel lacks a part of nftables: {output}; are the modules nf_tables, nft_chain_nat, nft_ct and \
                 nft_masq installed? Try modprobe"
            ),
            Self::NoOutput(status) => write!(f, "nft ended with {status} and printed no error"),
            Self::Failed { action, output } => {
                write!(f, "nft cannot {action} table inet {TABLE}: {output}")
            }
            Self::Unreadable(_) => write!(f, "cannot read nft's list (try `nft -j list table inet {TABLE}`)"),
        }
    }
}

impl std::error::Error for NftError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Run { error: RunError::Start(error) | RunError::Pipe(error), .. } => Some(error),
            Self::Run { error: error @ RunError::TooMuch(_), .. } => Some(error),
            Self::Unreadable(error) => Some(error),
            // The text has it.
            Self::Run { error: RunError::Slow(_), .. } => None,
            Self::NotInstalled
            | Self::NotPermitted(_)
            | Self::NoNftables { .. }
            | Self::MissingPart { .. }
            | Self::NoOutput(_)
            | Self::Failed { .. } => None,
        }
    }
}
