//! Converts the configurations of other programs into a desired file, and names everything that such a file cannot say.

mod files;
mod finding;
mod keepalived;
mod rules;

use std::fmt;

pub use self::files::{Files, HostFiles, NoFiles};
pub use self::finding::{Effect, Finding, Place};
use crate::config::{self, Document, Program, Source};
use crate::ipvsadm::{self, LineProblem};

/// A format that is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// keepalived.conf
    Keepalived,
    /// ldirectord.cf
    Ldirectord,
    /// What `ipvsadm -S` saves, and scripts of `ipvsadm` commands
    Ipvsadm,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keepalived => "keepalived.conf",
            Self::Ldirectord => "ldirectord.cf",
            Self::Ipvsadm => "rules of ipvsadm",
        })
    }
}

/// The format of a text, if it is one of those that are converted.
pub fn recognise(text: &str) -> Option<Format> {
    match config::program(text) {
        Some(Program::Keepalived) => Some(Format::Keepalived),
        Some(Program::Ldirectord) => Some(Format::Ldirectord),
        None => ipvsadm::has_rules(text).then_some(Format::Ipvsadm),
    }
}

/// What a configuration became.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// As much of it as a desired file can say, in the order of its lines
    pub document: Document,
    /// What there is to say of its lines, in the order of what was read
    pub findings: Vec<Finding>,
}

/// Why a configuration cannot be converted at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportError {
    /// It is a listing of `ipvsadm -L`, which leaves out half of what a service is.
    Listing(LineProblem),
    /// The format is not converted.
    Format(Format),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listing(problem) => problem.fmt(f),
            Self::Format(format) => write!(f, "{format} is not converted"),
        }
    }
}

impl std::error::Error for ImportError {}

/// Converts a configuration; `files` has what it includes.
///
/// # Errors
/// Where nothing in it can be understood.
pub fn import(source: &Source, format: Format, files: &dyn Files) -> Result<Imported, ImportError> {
    match format {
        Format::Keepalived => Ok(keepalived::import(source, files)),
        Format::Ipvsadm => rules::import(source),
        Format::Ldirectord => Err(ImportError::Format(format)),
    }
}
