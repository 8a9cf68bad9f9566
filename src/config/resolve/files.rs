//! Finds out which of several files a place is in, where marks, checks and clusters of all of them are resolved as those of one.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::config::format::document::{CheckEntry, IncludeText};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::{KeyPath, PathStep, key_path};
use crate::files::Pattern;

/// Which entries of lists, and which names, come from which file.
#[derive(Debug, Default)]
pub(in crate::config) struct Files {
    /// The first cluster of each fragment, counted over all files
    clusters: Vec<usize>,
    /// Its first mark
    marks: Vec<usize>,
    /// The file of each check that is not in the main file
    checks: HashMap<String, usize>,
}

impl Files {
    /// The next fragment begins, behind so many clusters of the file before it, and so many marks of all files before it.
    pub(super) fn begin(&mut self, clusters: usize, marks: usize) {
        let before = self.clusters.last().copied().unwrap_or_default();
        self.clusters.push(before + clusters);
        self.marks.push(marks);
    }

    /// Puts the checks of a file beside those of the files before it.
    pub(super) fn add_checks(
        &mut self,
        file: usize,
        checks: &mut IndexMap<String, CheckEntry>,
        more: IndexMap<String, CheckEntry>,
        issues: &mut Issues,
    ) {
        for (name, check) in more {
            if checks.contains_key(&name) {
                let here = KeyPath(vec![PathStep::File(file), "checks".into(), name.clone().into()]);
                let first = key_path!["checks", name.clone()];
                let message = format!("duplicate check `{name}`: the files share one space of names");
                issues.push(Issue::new(here, message).at_key().first(self.place(&first)));
            } else {
                self.checks.insert(name.clone(), file);
                checks.insert(name, check);
            }
        }
    }

    /// The same place with the file that it is in; without one, where it is that of a whole list, which several files may have.
    pub(in crate::config) fn place(&self, path: &KeyPath) -> KeyPath {
        let (file, begin) = match path.0.as_slice() {
            [PathStep::Key(key), PathStep::Index(index), ..] if key == "clusters" => {
                find(&self.clusters, *index)
            }
            [PathStep::Key(key), PathStep::Index(index), ..] if key == "marks" => find(&self.marks, *index),
            [PathStep::Key(key), PathStep::Key(name), ..] if key == "checks" => {
                (self.checks.get(name.as_ref()).copied().unwrap_or_default(), 0)
            }
            [PathStep::File(_), ..] => return path.clone(),
            [PathStep::Key(key)] if key == "clusters" || key == "marks" || key == "checks" => {
                return path.clone();
            }
            _ => (0, 0),
        };
        let steps = path.0.iter().enumerate().map(|(place, step)| match step {
            PathStep::Index(index) if place == 1 => PathStep::Index(index.saturating_sub(begin)),
            step => step.clone(),
        });
        KeyPath(std::iter::once(PathStep::File(file)).chain(steps).collect())
    }
}

/// The file of an entry, and the first entry of that file; `begins` has those of the fragments.
fn find(begins: &[usize], index: usize) -> (usize, usize) {
    let file = begins.partition_point(|begin| *begin <= index);
    (file, file.checked_sub(1).and_then(|before| begins.get(before)).copied().unwrap_or_default())
}

/// Reports what is wrong with `include`; `names` are those of all files, none where they are not known.
pub(super) fn check_includes(include: &[IncludeText], names: &[&str], issues: &mut Issues) {
    for (index, text) in include.iter().enumerate() {
        let here = key_path!["include", index];
        let issue = match Pattern::parse(text.as_str()) {
            Err(error) => Issue::new(here, format!("`{}` {error}", text.as_str()))
                .expected("a path or pattern from the directory of this file on, such as `clusters.d/*.yaml`"),
            Ok(_) if names.first() == Some(&text.as_str()) => {
                Issue::new(here, format!("`{}` is this file itself", text.as_str()))
            }
            Ok(_) if names.is_empty() => Issue::new(
                here,
                "nothing can be included beside standard input, a pipe or a file of the history, which have no directory",
            )
            .expected("the desired file by its path, with `-f`"),
            Ok(_) => continue,
        };
        issues.push(issue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_in_the_file_that_its_entry_comes_from() {
        let mut files = Files::default();
        // Two clusters and a mark in the main file, none of either in the first fragment, one and two in the second.
        files.begin(2, 1);
        files.begin(0, 1);
        files.begin(1, 3);
        let place = |path: KeyPath| match files.place(&path).0.as_slice() {
            [PathStep::File(file), _, PathStep::Index(index), ..] => (*file, *index),
            other => panic!("{other:?}"),
        };
        let clusters: Vec<_> = (0..4).map(|index| place(key_path!["clusters", index, "name"])).collect();
        assert_eq!(clusters, [(0, 0), (0, 1), (2, 0), (3, 0)]);
        let marks: Vec<_> = (0..4).map(|index| place(key_path!["marks", index])).collect();
        assert_eq!(marks, [(0, 0), (2, 0), (2, 1), (3, 0)]);
    }
}
