//! Converts the configurations of other programs into a desired file, and names everything that such a file cannot say.

mod files;
mod finding;
mod ipvsadm;
mod keepalived;
mod ldirectord;
mod marks;

use std::fmt;

pub use self::files::{Files, HostFiles, NoFiles};
pub use self::finding::{Effect, Finding, Place};
pub use self::marks::{FoundMarks, NoListing, OtherRule, add_marks, join_marks, open_marks, read_marks};
use crate::config::{self, Document, Program, Source};
use crate::ipvsadm::{LineProblem, Lookup, Origin, ServiceNames, has_rules};
use crate::model::SchedulerName;

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
        None => has_rules(text).then_some(Format::Ipvsadm),
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
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listing(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for ImportError {}

/// Converts a configuration; `files` has what it includes. Ports by name are those of `/etc/services`.
///
/// # Errors
/// Where nothing in it can be understood.
pub fn import(source: &Source, format: Format, files: &dyn Files) -> Result<Imported, ImportError> {
    import_with(source, format, files, &ServiceNames::default())
}

/// As [`import`], where `names` looks up the hosts and ports that it has by name.
///
/// # Errors
/// Where nothing in it can be understood.
pub fn import_with(
    source: &Source,
    format: Format,
    files: &dyn Files,
    names: &dyn Lookup,
) -> Result<Imported, ImportError> {
    match format {
        Format::Keepalived => Ok(keepalived::import(source, files)),
        Format::Ldirectord => Ok(ldirectord::import(source, names)),
        Format::Ipvsadm => ipvsadm::import(source, names),
    }
}

/// Rules that are for ipvsadm to run.
const COMMANDS: Origin = Origin::Commands { nearest: nearest_scheduler };

/// The scheduler of Linux that was meant by a name which is none.
fn nearest_scheduler(name: &str) -> Option<&'static str> {
    if SchedulerName::MAINLINE.contains(&name) {
        None
    } else {
        config::nearest(name, SchedulerName::MAINLINE)
    }
}
