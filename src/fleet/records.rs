//! Defines what lies in etcd: small JSON documents, each with its version.
//!
//! A reader takes what it knows and ignores other keys, so that directors with an older and a newer version are in one fleet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::status::Timestamp;

/// The version of these documents.
const VERSION: u32 = 1;

/// The version, which is written and has to be known when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        match version {
            VERSION => Ok(Self),
            other => Err(format!("version {other}: written by a newer lbd; update this one")),
        }
    }
}

impl From<Version> for u32 {
    fn from(Version: Version) -> Self {
        VERSION
    }
}

/// Which revision all directors are to take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of this document
    pub version: Version,
    /// The revision: a commit, or the digest of a list of files
    pub revision: String,
    /// The last revisions before, the newest one last: none of them is new, also where the source still has it as its newest
    #[serde(default)]
    pub former: Vec<String>,
    /// The last revision before that all directors had verified: where a way back leads
    #[serde(default)]
    pub last_good: Option<String>,
    /// Whether all directors take it at once, without stages: a way back
    #[serde(default)]
    pub is_rollback: bool,
    /// Who wrote this
    pub by: String,
    /// When
    pub at: Timestamp,
    /// Why
    #[serde(default)]
    pub reason: Option<String>,
}

/// A director takes a revision. It has no lease: a director that dies meanwhile keeps its slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The version of this document
    pub version: Version,
    /// The revision
    pub revision: String,
    /// Since when
    pub since: Timestamp,
}

/// How a revision went at a director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of this document
    pub version: Version,
    /// The revision
    pub revision: String,
    /// How it went
    pub result: OutcomeKind,
    /// What went wrong, where something did
    #[serde(default)]
    pub error: Option<String>,
    /// When it was known
    pub at: Timestamp,
}

/// How a revision went at a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The kernel was equal to the file, and stayed so
    Verified,
    /// It was not, or the file was not put into place: the file before is in force
    Failed,
    /// It went well, and the director went back since another one failed
    Reverted,
}

/// No director takes a new revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The version of this document
    pub version: Version,
    /// Who wrote this
    pub by: String,
    /// Since when
    pub at: Timestamp,
    /// Why
    #[serde(default)]
    pub reason: Option<String>,
}

/// The directors show what they would do with a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The version of this document
    pub version: Version,
    /// The revision
    pub revision: String,
    /// Who wants to know
    pub by: String,
    /// Since when
    pub at: Timestamp,
}

/// How a director is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this document
    pub version: Version,
    /// When the director wrote it
    pub at: Timestamp,
    /// The version of its agent
    pub agent: String,
    /// Its labels, by its own file
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The revision in force
    #[serde(default)]
    pub revision: Option<String>,
    /// The digest of the file that the daemon has verified last
    #[serde(default)]
    pub verified_sha256: Option<String>,
    /// Whether the kernel equals the target; `None`: the daemon does not answer
    #[serde(default)]
    pub in_sync: Option<bool>,
    /// What the agent does or waits for, in one line
    pub doing: String,
    /// Since when that is so
    pub since: Timestamp,
    /// The last error, where there is one
    #[serde(default)]
    pub error: Option<String>,
    /// Why the desired file is not the agent's at present, if so
    #[serde(default)]
    pub paused: Option<String>,
    /// Since when the source does not answer, if so
    #[serde(default)]
    pub source_down_since: Option<Timestamp>,
    /// What the director would do with the candidate
    #[serde(default)]
    pub plan: Option<PlanReport>,
}

/// What a director would do with a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// The revision
    pub revision: String,
    /// The numbers of operations that add, edit and delete
    pub add: u64,
    /// See [`Self::add`]
    pub edit: u64,
    /// See [`Self::add`]
    pub delete: u64,
    /// The first operations, each as one line
    #[serde(default)]
    pub operations: Vec<String>,
    /// Why it would not be put into place, if so: what is wrong with the file, or which guard refuses it
    #[serde(default)]
    pub refused: Option<String>,
}

/// What an operator did to a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The version of this document
    pub version: Version,
    /// When
    pub at: Timestamp,
    /// Who
    pub by: String,
    /// What, as a command line
    pub what: String,
    /// Why
    #[serde(default)]
    pub reason: Option<String>,
}

/// The files of a revision, where the source is etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileList {
    /// The files. A director takes that of the entry with the most labels among those that it has all labels of.
    pub files: Vec<ListedFile>,
}

/// A file and who takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// The labels that a director has to have; `name` is its name; all directors where there are none
    pub labels: BTreeMap<String, String>,
    /// The digest of the file
    pub sha256: String,
}

impl FileList {
    /// The file of a director. Of two entries with as many labels the later one, which is the newer one, counts.
    pub fn file_of(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<&ListedFile> {
        let fitting = self.files.iter().filter(|file| are_labels_of(&file.labels, name, labels));
        fitting.max_by_key(|file| file.labels.len())
    }

    /// The same list with this file for these labels, in the place of the one that was there for just these.
    pub fn with(mut self, labels: BTreeMap<String, String>, sha256: String) -> Self {
        self.files.retain(|file| file.labels != labels);
        self.files.push(ListedFile { labels, sha256 });
        self
    }
}

/// Whether a director has all of these labels; its name counts as the label `name`.
pub fn are_labels_of(
    wanted: &BTreeMap<String, String>,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> bool {
    wanted.iter().all(|(label, value)| match label.as_str() {
        "name" => value == name,
        label => labels.get(label) == Some(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_document_of_a_newer_version_is_refused_and_other_keys_are_not() {
        let text = r#"{"version":2,"revision":"r","since":"2026-11-30T08:00:00Z"}"#;
        let error = serde_json::from_str::<Slot>(text).unwrap_err().to_string();
        assert!(error.starts_with("version 2: written by a newer lbd; update this one"), "{error}");
        let text = r#"{"version":1,"revision":"r","since":"2026-11-30T08:00:00Z","more":1}"#;
        let slot = serde_json::from_str::<Slot>(text).unwrap();
        let written = serde_json::to_string(&slot).unwrap();
        assert_eq!(written, r#"{"version":1,"revision":"r","since":"2026-11-30T08:00:00Z"}"#);
    }

    #[test]
    fn a_director_takes_the_file_with_the_most_labels_that_it_has() {
        let list = FileList::default()
            .with(labels(&[]), "all".to_owned())
            .with(labels(&[("site", "fra")]), "fra".to_owned())
            .with(labels(&[("site", "fra"), ("role", "edge")]), "edge".to_owned())
            .with(labels(&[("name", "lb9")]), "lb9".to_owned());
        let file = |name, pairs: &[(&str, &str)]| {
            list.file_of(name, &labels(pairs)).map(|file| file.sha256.as_str())
        };
        assert_eq!(file("lb1", &[]), Some("all"));
        assert_eq!(file("lb1", &[("site", "fra"), ("rack", "7")]), Some("fra"));
        assert_eq!(file("lb1", &[("site", "fra"), ("role", "edge")]), Some("edge"));
        assert_eq!(file("lb9", &[("site", "fra")]), Some("lb9"), "the newer of two with one label each");
        let replaced = list.with(labels(&[("site", "fra")]), "new".to_owned());
        assert_eq!(replaced.files.len(), 4);
        assert_eq!(replaced.file_of("lb1", &labels(&[("site", "fra")])).unwrap().sha256, "new");
    }
}
