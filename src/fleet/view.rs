//! Reads what lies in etcd into one picture of the fleet: one reading of all keys, from which each director decides alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys;
use super::records::{Candidate, Halt, Head, Outcome, OutcomeKind, Report, Slot};
use super::strategy::Strategy;
use super::strategy_file;
use crate::config::Source;

/// A document and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The document
    pub value: T,
    /// The revision of etcd that wrote it last
    pub modified: i64,
}

/// A key as etcd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey<'a> {
    /// The key, without the prefix of the fleet
    pub key: &'a str,
    /// Its value
    pub value: &'a [u8],
    /// The revision of etcd that wrote it last
    pub modified: i64,
}

/// The fleet, as etcd had it at one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// That revision
    pub at: i64,
    /// Which revision all directors are to take
    pub head: Option<Stored<Head>>,
    /// In which stages
    pub strategy: Option<Stored<Strategy>>,
    /// Whether no director takes a new one
    pub halt: Option<Halt>,
    /// A revision of which the directors show what they would do
    pub candidate: Option<Candidate>,
    /// The directors that take a revision
    pub slots: BTreeMap<String, Stored<Slot>>,
    /// How the last revision went at each director
    pub results: BTreeMap<String, Stored<Outcome>>,
    /// How each director is; one without is unknown
    pub reports: BTreeMap<String, Report>,
    /// What could not be read: nothing is taken then
    pub unreadable: Vec<UnreadableKey>,
}

/// A key whose value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableKey {
    /// The key
    pub key: String,
    /// Why
    pub cause: String,
}

impl fmt::Display for UnreadableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, cause } = self;
        write!(f, "{key} in etcd: {cause}")
    }
}

impl View {
    /// Reads the keys of a fleet, at this revision of etcd. Keys that are not known are ignored. What has not changed since the picture `before` is taken
    /// from there where it takes long to read: the strategy, which names all directors.
    pub fn read<'a>(
        at: i64,
        entries: impl IntoIterator<Item = StoredKey<'a>>,
        before: Option<&Self>,
    ) -> Self {
        let mut view = Self { at, ..Self::default() };
        let strategy = before.and_then(|before| before.strategy.as_ref());
        for entry in entries {
            if let Some(strategy) =
                strategy.filter(|of| entry.key == keys::STRATEGY && of.modified == entry.modified)
            {
                view.strategy = Some(strategy.clone());
                continue;
            }
            if let Err(cause) = view.take(&entry) {
                view.unreadable.push(UnreadableKey { key: entry.key.to_owned(), cause });
            }
        }
        view
    }

    fn take(&mut self, entry: &StoredKey<'_>) -> Result<(), String> {
        let StoredKey { key, value, modified } = *entry;
        let in_folder = |folder| key.strip_prefix(folder).map(str::to_owned);
        if key == keys::HEAD {
            self.head = Some(Stored { value: document(value)?, modified });
        } else if key == keys::STRATEGY {
            let text = String::from_utf8(value.to_vec()).map_err(|_| "not UTF-8".to_owned())?;
            let strategy =
                strategy_file::load(&Source::new(key, text)).map_err(|problems| problems.line())?;
            self.strategy = Some(Stored { value: strategy, modified });
        } else if key == keys::HALT {
            self.halt = Some(document(value)?);
        } else if key == keys::CANDIDATE {
            self.candidate = Some(document(value)?);
        } else if let Some(director) = in_folder(keys::SLOTS) {
            self.slots.insert(director, Stored { value: document(value)?, modified });
        } else if let Some(director) = in_folder(keys::RESULTS) {
            self.results.insert(director, Stored { value: document(value)?, modified });
        } else if let Some(director) = in_folder(keys::REPORTS) {
            // A report that is not understood says nothing: the director is unknown, which stops no other one by itself.
            self.reports.extend(document(value).ok().map(|report| (director, report)));
        }
        Ok(())
    }

    /// How the revision of the head went at a director; `None` where that is not known. A result from before the head was written is of an
    /// earlier time, also where it is of the same revision: who writes a head again wants it tried again.
    pub fn outcome(&self, director: &str) -> Option<&Outcome> {
        let head = self.head.as_ref()?;
        let result = self.results.get(director)?;
        (result.value.revision == head.value.revision && result.modified > head.modified)
            .then_some(&result.value)
    }

    /// Whether the revision of the head is verified at a director.
    pub fn is_verified(&self, director: &str) -> bool {
        self.outcome(director).is_some_and(|outcome| outcome.result == OutcomeKind::Verified)
    }

    /// Whether the revision of the head is verified at all directors of the strategy.
    pub fn is_verified_by_all(&self) -> bool {
        let strategy = self.strategy.as_ref().map(|strategy| &strategy.value);
        strategy.is_some_and(|strategy| strategy.directors.keys().all(|name| self.is_verified(name)))
    }

    /// The directors at which the revision of the head failed, with the outcome.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        let names = self.results.keys().map(String::as_str);
        names
            .filter_map(|name| Some((name, self.outcome(name)?)))
            .filter(|(_, outcome)| outcome.result == OutcomeKind::Failed)
    }
}

fn document<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

/// A document as it is written.
pub fn written<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}
