//! Puts the name and the labels of a director into the paths of its desired file, and checks paths.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::agent::format::TemplateText;
use crate::config::other::{Issue, Issues, KeyPath};
use crate::fleet::names as name;

/// The longest path of a file, in bytes.
const LONGEST: usize = 1024;
/// What the placeholder of a label begins with.
const LABEL: &str = "labels.";

/// What may be put into paths.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placeholders<'a> {
    /// The name of the director
    pub(super) name: &'a str,
    /// Its labels
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl Placeholders<'_> {
    /// The paths with everything put in.
    pub(super) fn fill(&self, paths: &[TemplateText], here: &KeyPath, issues: &mut Issues) -> Vec<String> {
        if paths.is_empty() {
            issues.push(Issue::new(here.clone(), "there is no path").expected("one path at least"));
        }
        let filled = paths.iter().enumerate().map(|(index, path)| {
            let here = here.then(index);
            let filled = self.replace(path.as_str(), &here, issues);
            check(path.as_str(), here, issues);
            filled
        });
        filled.collect()
    }

    fn replace(&self, path: &str, here: &KeyPath, issues: &mut Issues) -> String {
        let (mut filled, mut rest) = (String::new(), path);
        while let Some((before, behind)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((word, after)) = behind.split_once('}') else {
                issues.push(
                    Issue::new(here.clone(), "this `{` is not closed").expected("`{name}` or `{labels.KEY}`"),
                );
                return filled;
            };
            match self.value(word) {
                Some(value) => filled.push_str(value),
                None => issues.push(self.unknown(path, word, here)),
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }

    fn value(&self, word: &str) -> Option<&str> {
        match word.strip_prefix(LABEL) {
            Some(key) => self.labels.get(key).map(String::as_str),
            None => (word == "name").then_some(self.name),
        }
    }

    fn unknown(&self, path: &str, word: &str, here: &KeyPath) -> Issue {
        let keys = || self.labels.keys();
        let suggest = |right: String| path.replace(&format!("{{{word}}}"), &format!("{{{right}}}"));
        if let Some(key) = word.strip_prefix(LABEL) {
            let known = match keys().map(String::as_str).collect::<Vec<_>>().as_slice() {
                [] => "`labels` with it".to_owned(),
                known => format!("`labels` with it, or one of {}", known.join(", ")),
            };
            let near = name::nearest_label(key, keys());
            return Issue::new(here.clone(), format!("this director has no label `{key}`"))
                .expected(known)
                .suggest(near.map(|near| suggest(format!("{LABEL}{near}"))));
        }
        // Often the label's key alone.
        let near = keys().find(|key| *key == word).map(|key| format!("{LABEL}{key}"));
        let near = near.or_else(|| (word.trim().eq_ignore_ascii_case("name")).then(|| "name".to_owned()));
        Issue::new(here.clone(), format!("unknown placeholder `{{{word}}}`"))
            .expected("`{name}` or `{labels.KEY}`")
            .suggest(near.map(suggest))
    }
}

/// Reports what is wrong with the path of a file in a repository or a directory. What is put in for placeholders is a name, and does no harm.
fn check(path: &str, here: KeyPath, issues: &mut Issues) {
    let wrong = if path.starts_with('/') {
        "begins with `/`"
    } else if path.starts_with('-') {
        "begins with `-`"
    } else if path.split('/').any(|step| matches!(step, "." | "..")) {
        "has `.` or `..`"
    } else if path.split('/').any(str::is_empty) {
        "has an empty part"
    } else if path.len() > LONGEST {
        "is too long"
    } else if path.contains(|letter: char| letter.is_control()) {
        "has a control character"
    } else {
        return;
    };
    issues.push(
        Issue::new(here, format!("the path {wrong}")).expected(
            "a path from the top of the repository or directory on, such as `directors/{name}.yaml`",
        ),
    );
}

/// The absolute path of a file or directory of this host; what is wrong with it is reported.
pub(super) fn absolute(path: &str, here: KeyPath, issues: &mut Issues) -> PathBuf {
    if !path.starts_with('/') || path.contains(char::is_control) {
        let message = format!("`{path}` is not an absolute path");
        issues.push(Issue::new(here, message).expected("a path that begins with `/`"));
    }
    PathBuf::from(path)
}
