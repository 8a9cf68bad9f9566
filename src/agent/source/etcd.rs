//! Fetches what `lbd fleet push` has put into etcd: a list of files for each revision, and the files by their digests.

use std::collections::BTreeMap;

use super::{Content, SourceError};
use crate::agent::etcd::{Etcd, decompressed};
use crate::agent::settings::{EtcdSettings, Settings};
use crate::files::sha256;
use crate::fleet::{CONTENT, DESIRED, FILES, FileList, HEAD, Head};

/// The files of a fleet in etcd.
pub struct EtcdSource {
    name: String,
    labels: BTreeMap<String, String>,
    /// The keys of the fleet
    fleet: Etcd,
    /// The keys beside them, with the files
    files: Etcd,
}

/// The settings with the prefix of the files.
pub fn files_of(settings: &EtcdSettings) -> EtcdSettings {
    EtcdSettings { prefix: format!("{}{CONTENT}", settings.prefix), ..settings.clone() }
}

impl EtcdSource {
    /// Nothing is connected yet.
    pub fn new(settings: &Settings, etcd: &EtcdSettings) -> Self {
        Self {
            name: settings.name.clone(),
            labels: settings.labels.clone(),
            fleet: Etcd::new(etcd.clone()),
            files: Etcd::new(files_of(etcd)),
        }
    }

    pub(super) async fn newest(&mut self) -> Result<String, SourceError> {
        let entry = self.fleet.get(HEAD).await.map_err(SourceError::Etcd)?;
        let entry = entry.ok_or_else(|| {
            SourceError::Missing("nothing was pushed yet: lbd fleet push FILE --for LABELS".to_owned())
        })?;
        let head: Head = serde_json::from_slice(&entry.value)
            .map_err(|error| SourceError::Refused(format!("{HEAD} in etcd: {error}")))?;
        Ok(head.revision)
    }

    pub(super) async fn content(&mut self, revision: &str) -> Result<Content, SourceError> {
        let key = format!("{DESIRED}{revision}");
        let entry = self.files.get(&key).await.map_err(SourceError::Etcd)?;
        let entry = entry.ok_or_else(|| SourceError::Missing(format!("etcd has no revision {revision}")))?;
        let list: FileList = serde_json::from_slice(&entry.value)
            .map_err(|error| SourceError::Refused(format!("{key} in etcd: {error}")))?;
        let Some(listed) = list.file_of(&self.name, &self.labels) else {
            return Err(SourceError::Missing(format!(
                "the revision has no file for {} and its labels",
                self.name
            )));
        };
        let key = format!("{FILES}{}", listed.sha256);
        let entry = self.files.get(&key).await.map_err(SourceError::Etcd)?;
        let entry = entry.ok_or_else(|| SourceError::Missing(format!("etcd has no {key}")))?;
        let text = decompressed(&entry.value)
            .map_err(|error| SourceError::Refused(format!("{key} in etcd: {error}")))?;
        // Whoever may write the key could have written any other file.
        if sha256(&text) != listed.sha256 {
            return Err(SourceError::Refused(format!("{key} in etcd: it has another digest")));
        }
        let path = listed
            .labels
            .iter()
            .map(|(label, value)| format!("{label}={value}"))
            .collect::<Vec<_>>()
            .join(",");
        let path = if path.is_empty() { "all".to_owned() } else { path };
        Ok(Content { revision: revision.to_owned(), path, text })
    }
}
