//! Why a source has no file.

use std::fmt;

use crate::agent::etcd::EtcdError;

/// Why a source has no file.
#[derive(Debug)]
pub enum SourceError {
    /// The source does not answer
    Unreachable(String),
    /// What it has may not be taken: a signature, a rewound branch, a size
    Refused(String),
    /// It has no such revision, or no file for this director in it
    Missing(String),
    /// etcd does not answer, or refuses
    Etcd(EtcdError),
}

impl SourceError {
    /// Whether it is worth to try again later.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Etcd(_))
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) | Self::Refused(text) | Self::Missing(text) => f.write_str(text),
            Self::Etcd(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Etcd(error) => error.source(),
            Self::Unreachable(_) | Self::Refused(_) | Self::Missing(_) => None,
        }
    }
}
