//! Compares several files with their schemas, and finds the places of issues in them.

use super::Checked;
use super::place::locate;
use crate::config::format::document::Document;
use crate::config::format::fragment::Fragment;
use crate::config::format::issue::Issue;
use crate::config::format::path::{KeyPath, PathStep};
use crate::config::validate::problem::Diagnostic;

/// What could be read of several files, the main file first.
pub(in crate::config) struct CheckedFiles {
    names: Vec<String>,
    files: Vec<Checked>,
}

impl CheckedFiles {
    /// None so far, of files that are called so.
    pub(in crate::config) fn new(names: impl Iterator<Item = String>) -> Self {
        Self { names: names.collect(), files: Vec::new() }
    }

    /// Adds the next file.
    pub(in crate::config) fn push(&mut self, file: Checked) {
        self.files.push(file);
    }

    /// How many more problems there are than are kept.
    pub(in crate::config) fn more(&self) -> usize {
        self.files.iter().map(|file| file.more).sum()
    }

    /// What the files say, where something could be read of each of so many.
    pub(in crate::config) fn documents(&mut self, count: usize) -> Option<(Document, Vec<Fragment>)> {
        if self.files.len() != count {
            return None;
        }
        let mut values = self.files.iter_mut().map(|file| file.value.take());
        let document = serde_json::from_value(values.next()??).ok()?;
        let fragments =
            values.map(|value| serde_json::from_value(value?).ok()).collect::<Option<Vec<_>>>()?;
        Some((document, fragments))
    }

    /// An issue with its place, or `None` where it only follows from what could not be read.
    /// `place_of` gives a path with the number of the file that it is in.
    pub(in crate::config) fn locate(
        &self,
        issue: Issue,
        place_of: &dyn Fn(&KeyPath) -> KeyPath,
    ) -> Option<Diagnostic> {
        let place = |path: &KeyPath| match place_of(path).0.split_first() {
            Some((PathStep::File(file), rest)) => (*file, KeyPath(rest.to_vec())),
            _ => (0, path.clone()),
        };
        locate(issue, &place, &self.files.iter().collect::<Vec<_>>(), &self.names)
    }
}
