//! Defines the state that the daemon keeps, with the text of the file that describes it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::config::{self, Diagnostics, ReadError, Source};
use crate::model::Desired;
use crate::store::{LoadError, Store};

/// A desired state with the text that describes it.
#[derive(Debug, Clone)]
pub struct Goal {
    /// The text; shared, since it may be megabytes
    pub text: Arc<String>,
    /// The state that it describes
    pub desired: Arc<Desired>,
    /// Identifies the goal: an unchanged text that is read again keeps its number
    pub revision: u64,
}

impl Goal {
    /// Parses a text.
    ///
    /// # Errors
    /// Where it is not valid.
    pub fn parse(source: Source, revision: u64) -> Result<Self, UnusableFile> {
        let desired = config::load(&source).map_err(|problems| UnusableFile::Invalid(Box::new(problems)))?;
        Ok(Self { text: Arc::new(source.text), desired: Arc::new(desired), revision })
    }

    /// The state that another process, such as `lbd apply`, has verified since `known` was verified. It is parsed only where its
    /// text differs from this one.
    pub(super) fn verified_elsewhere(&self, store: &Store, known: Option<&Self>) -> Option<Self> {
        // The pass itself reports a file that cannot be read.
        let text = store.load_verified().ok()??;
        if known.is_some_and(|known| *known.text == text) {
            None
        } else if *self.text == text {
            Some(self.clone())
        } else {
            Self::parse(Source::new("the last verified state", text), 0).ok()
        }
    }

    /// The state that was verified last, to be kept until a valid file was read; it has the revision 0.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was written.
    pub fn last_verified(store: &Store) -> Result<Option<Self>, LoadError> {
        let Some(text) = store.load_verified()? else { return Ok(None) };
        Self::parse(Source::new("the last verified state", text), 0)
            .map(Some)
            .map_err(|error| LoadError::Corrupt(error.to_string()))
    }
}

/// Why a desired file cannot be used.
#[derive(Debug)]
pub enum UnusableFile {
    /// It cannot be read.
    Unreadable(ReadError),
    /// It is not valid.
    Invalid(Box<Diagnostics>),
}

impl fmt::Display for UnusableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Invalid(problems) => f.write_str(&problems.line()),
        }
    }
}

impl Error for UnusableFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable(error) => error.source(),
            Self::Invalid(_) => None,
        }
    }
}
