//! The refusal of a guard: what looks like an accident, which services it affects, and which option permits it.

use std::fmt;

use crate::model::{MaxDelete, ServiceKey, Spared};

/// Why a change is refused until the operator confirms it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardRefusal {
    /// What looks like an accident; at least one
    pub violations: Vec<Violation>,
    /// The services whose deletion alone is refused, while everything else is done. Where there are none, the whole change is
    /// refused
    pub spared: Spared,
}

impl GuardRefusal {
    /// Whether only some deletions are refused, and the rest is done.
    pub fn is_partial(&self) -> bool {
        !self.spared.services.is_empty()
    }
}

/// One thing that looks like an accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// The file has no clusters, and virtual services would be deleted.
    Empties {
        /// Those that would be gone
        services: NamedServices,
    },
    /// The file has no clusters, and virtual services would be deleted that never were in it.
    EmptiesUnlisted {
        /// Those that would be gone
        services: NamedServices,
    },
    /// More virtual services would be deleted than `policy.max_delete` allows.
    DeletesServices {
        /// Those that would be gone
        services: NamedServices,
        /// How many there are
        of: usize,
        /// The limit
        limit: MaxDelete,
    },
    /// The same, but it is within the limit without those that never were in the file.
    DeletesUnlisted {
        /// Those of them that never were in the file
        services: NamedServices,
        /// How many would be deleted in all
        deleted: usize,
        /// How many there are
        of: usize,
        /// The limit
        limit: MaxDelete,
    },
    /// More real servers would leave services that stay than `policy.max_delete` allows.
    DeletesServers {
        /// The services that they leave
        services: NamedServices,
        /// How many servers leave, beyond those that come
        deleted: usize,
        /// How many servers the last verified state had
        of: usize,
        /// The limit
        limit: MaxDelete,
    },
    /// Virtual services would lose their last server with a weight above 0.
    Unusable {
        /// Those services
        services: NamedServices,
    },
}

/// The key of the file by which a guard decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// `allow_empty`
    AllowEmpty,
    /// `max_delete`
    MaxDelete,
}

impl Guard {
    /// All that there are.
    pub const ALL: [Self; 2] = [Self::AllowEmpty, Self::MaxDelete];
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllowEmpty => "allow_empty",
            Self::MaxDelete => "max_delete",
        })
    }
}

/// What permits a violation: the option of `apply`, and what to write in the file instead.
struct Remedy {
    option: &'static str,
    key: &'static str,
}

impl Violation {
    /// Whether it is about services that never were in the file, and about them only.
    pub(super) fn is_of_unlisted(&self) -> bool {
        matches!(self, Self::EmptiesUnlisted { .. } | Self::DeletesUnlisted { .. })
    }

    /// The guard that it is one of.
    pub fn guard(&self) -> Guard {
        match self {
            Self::Empties { .. } | Self::EmptiesUnlisted { .. } | Self::Unusable { .. } => Guard::AllowEmpty,
            Self::DeletesServices { .. } | Self::DeletesUnlisted { .. } | Self::DeletesServers { .. } => {
                Guard::MaxDelete
            }
        }
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Empties { .. } | Self::EmptiesUnlisted { .. } => {
                Remedy { option: "--allow-empty", key: "write `policy: { allow_empty: true }`" }
            }
            Self::Unusable { .. } => {
                Remedy { option: "--allow-empty", key: "write `allow_empty: true` in the cluster" }
            }
            Self::DeletesServices { .. } | Self::DeletesUnlisted { .. } | Self::DeletesServers { .. } => {
                Remedy { option: "--allow-deletes", key: "raise `policy.max_delete`" }
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empties { services } => {
                let count = count(services.count, "virtual service");
                write!(f, "the file has no clusters, and {count} would be deleted: {services}")
            }
            Self::EmptiesUnlisted { services } => {
                let count = count(services.count, "virtual service");
                write!(
                    f,
                    "the file has no clusters, and `prune: all` would delete {count} that never were in the file: \
                     {services}"
                )
            }
            Self::DeletesServices { services, of, limit } => {
                let of = count(*of, "virtual service");
                let deleted = services.count;
                write!(
                    f,
                    "{deleted} of {of} would be deleted ({services}), and `policy.max_delete` is {limit}"
                )
            }
            Self::DeletesUnlisted { services, deleted, of, limit } => {
                let of = count(*of, "virtual service");
                write!(f, "`prune: all` would delete {deleted} of {of}, ")?;
                match services.count {
                    unlisted if unlisted == *deleted => f.write_str("none of which ever was")?,
                    unlisted => write!(f, "{unlisted} of which never were")?,
                }
                write!(f, " in the file ({services}), and `policy.max_delete` is {limit}")
            }
            Self::DeletesServers { services, deleted, of, limit } => {
                let of = count(*of, "real server");
                write!(
                    f,
                    "{deleted} of {of} would be deleted from virtual services that stay ({services}), and \
                     `policy.max_delete` is {limit}"
                )
            }
            Self::Unusable { services } => {
                let count = count(services.count, "virtual service");
                write!(f, "{count} would lose the last server with a weight above 0: {services}")
            }
        }
    }
}

impl fmt::Display for GuardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut options, mut keys) = (Vec::new(), Vec::new());
        for violation in &self.violations {
            write!(f, "{violation}; ")?;
            let Remedy { option, key } = violation.remedy();
            if !options.contains(&option) {
                options.push(option);
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let (options, keys) = (options.join(" "), keys.join(" and "));
        write!(f, "if that is meant, run `lbd apply {options}`, or {keys} in the file")
    }
}

/// Virtual services that a message names: the first few, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedServices {
    /// The first few, each as a reader knows it
    pub first: Vec<String>,
    /// How many there are
    pub count: usize,
}

impl NamedServices {
    /// How many are named.
    const NAMED: usize = 3;

    /// Adds a service; `text` is called only where the service is named.
    pub(super) fn push(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < Self::NAMED {
            self.first.push(text());
        }
    }
}

impl fmt::Display for NamedServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// A service as a message names it: its URL, and its cluster where that is known.
pub(super) fn named(service: &ServiceKey, cluster: Option<&str>) -> String {
    match cluster {
        Some(cluster) => format!("{service} ({cluster})"),
        None => service.to_string(),
    }
}

/// A number with its noun.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
