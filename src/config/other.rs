//! Loads another file than the desired one, by its own types and their schema, with the same errors at their places.
//!
//! The types are written as those of the desired file are: `serde::Deserialize` with `deny_unknown_fields`, `schemars::JsonSchema`, comments for
//! descriptions, values such as [`DurationText`](super::document::DurationText) or [`Choice`](super::document::Choice). Since each value is compared
//! with the schema before serde sees it, an `Option` with `#[serde(default)]` is enough for a key that may be left out: an empty or
//! duplicate one was found before. Keys that begin with `x-` are ignored at the top where the schema has that pattern ([`IGNORED`]).

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use super::format::issue::{Issue, Issues};
pub use super::format::path::{KeyPath, PathStep};
#[cfg(feature = "agent")]
pub(crate) use super::format::scalar::{definition, text, texts};
pub use super::format::schema::{of as schema_of, text as schema_text};
pub use super::resolve::value::{Amount, in_range, seconds, share_or_number};
use super::source::{ReadCause, Source, decode};
use super::validate::check::Checked;
use super::validate::diagnose::Diagnostics;
use super::validate::problem::Diagnostic;
use super::validate::{foreign, fullwidth, syntax};
use super::yaml::tree::Tree;
use crate::files::{read_limited, read_regular};

/// The largest such file, in bytes.
const LARGEST: u64 = 4 << 20;

/// What the schema of a file says of keys that begin with `x-`: `#[schemars(extend("patternProperties" = ignored()))]`.
pub fn ignored() -> Value {
    json!({
        "^x-": { "description": "Ignored, whatever it is: a place for YAML anchors. Only at the top of the file." }
    })
}

/// Reads a file of at most 4 MiB; `-` is standard input.
///
/// # Errors
/// Where it cannot be read, or is not text: the one problem, at its place.
pub fn read(path: &Path) -> Result<Source, Diagnostics> {
    let (name, bytes) = if path == Path::new("-") {
        ("<stdin>".to_owned(), read_limited(io::stdin().lock(), 0, LARGEST))
    } else {
        (path.to_string_lossy().into_owned(), read_regular(path, LARGEST))
    };
    match bytes.map_err(ReadCause::from).and_then(decode) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(cause) => Err(unreadable(name, &cause)),
    }
}

/// The one problem of a file that cannot be read. What [`super::ReadError`] says of it is advice for a desired file.
fn unreadable(name: String, cause: &ReadCause) -> Diagnostics {
    let (line, column) = match cause {
        ReadCause::NotUtf8 { line, column, .. } => (*line, *column),
        _ => (1, 1),
    };
    let message = match cause {
        ReadCause::Missing => "there is no such file".to_owned(),
        ReadCause::Io(error) => format!("cannot be read: {error}"),
        ReadCause::NotFile(what) => format!("is {what}, not a regular file"),
        ReadCause::TooLarge => format!("is larger than the limit of {} MiB", LARGEST >> 20),
        ReadCause::NotUtf8 { byte, .. } => {
            format!("the byte {byte:#04x} is not UTF-8; save the file as UTF-8")
        }
        _ => "is not text in UTF-8".to_owned(),
    };
    Diagnostics::new(&Source::new(name, ""), vec![Diagnostic::new(line, column, 0, message)], 0)
}

/// What a file says, or everything that is wrong with it, each problem at its place.
///
/// `schema` is that of `T`, with the definitions in it. `resolve` gives the meaning of a document that has the right form, and adds to the issues what is
/// wrong with it nevertheless, each with the path of the value: `KeyPath::default().then("stages").then(0).then("match")`. It may be called with
/// placeholders (`""`, `[]`) where values could not be read; issues with these are left out. It gives `None` only where it has added an issue.
///
/// # Errors
/// All that is wrong with the file.
pub fn load<T: DeserializeOwned, R>(
    source: &Source,
    schema: &Value,
    resolve: impl FnOnce(T, &mut Issues) -> Option<R>,
) -> Result<R, Diagnostics> {
    let one = |problem| Diagnostics::new(source, vec![problem], 0);
    if let Some(problem) = syntax::control_character(&source.text).or_else(|| foreign::conflict(&source.text))
    {
        return Err(one(problem));
    }
    let tree = Tree::parse(&source.text).map_err(|error| one(syntax::problem(&source.text, &error)))?;
    let mut checked = Checked::new(&tree, schema, false);
    let (value, mut problems) = (checked.value.take(), std::mem::take(&mut checked.problems));
    let mut issues = Issues::default();
    let resolved = match value.map(serde_json::from_value::<T>).transpose() {
        Ok(document) => document.and_then(|document| resolve(document, &mut issues)),
        Err(error) => {
            debug_assert!(false, "the schema let something through: {error}");
            problems.push(Diagnostic::new(1, 1, 0, error.to_string()));
            None
        }
    };
    let more = checked.more + issues.more;
    problems.extend(issues.list.into_iter().filter_map(|issue| checked.locate(issue)));
    match resolved {
        Some(resolved) if problems.is_empty() && more == 0 => return Ok(resolved),
        // Nothing was said of what is missing: it has to be an error nevertheless.
        _ if problems.is_empty() => problems.push(Diagnostic::new(1, 1, 0, "the file is not complete")),
        _ => {}
    }
    let mut problems = Diagnostics::new(source, problems, more);
    fullwidth::name(&source.text, &mut problems.list);
    Err(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Turns {
        version: super::super::document::Number<1, 1>,
        stages: Vec<String>,
    }

    fn problems<R: std::fmt::Debug>(
        text: &str,
        resolve: impl FnOnce(Turns, &mut Issues) -> Option<R>,
    ) -> Vec<String> {
        let schema = schema_of::<Turns>("urn:lbd:test:1", "");
        let problems = load(&Source::new("a.yaml", text), &schema, resolve).unwrap_err();
        let line = |problem: &Diagnostic| format!("{}:{} {}", problem.line, problem.column, problem.message);
        problems.list.iter().map(line).collect()
    }

    #[test]
    fn an_issue_has_the_place_of_its_value_and_none_where_that_could_not_be_read() {
        let resolve = |turns: Turns, issues: &mut Issues| {
            assert_eq!(turns.version.get(), 1);
            let stages = || KeyPath::default().then("stages");
            issues.push(Issue::new(stages(), "too few"));
            (0..turns.stages.len()).for_each(|index| issues.push(Issue::new(stages().then(index), "wrong")));
            Some(())
        };
        assert_eq!(
            problems("version: 1\nstages: [a, b]\n", resolve),
            ["2:9 too few", "2:10 wrong", "2:13 wrong"]
        );
        assert_eq!(problems("version: 1\nstages: 5\n", resolve), ["2:9 `stages` cannot be a number"]);
        assert_eq!(problems("version: 1\nstages: []\n", |_, _| None::<()>), ["1:1 the file is not complete"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let message = |path: &Path| {
            let problems = read(path).unwrap_err();
            problems.to_string().replace(&*directory.path().to_string_lossy(), "DIR")
        };
        std::fs::write(path("bytes"), b"version: 1\n# \xff\n").unwrap();
        std::fs::write(path("utf16"), b"\xff\xfev\0").unwrap();
        std::fs::File::create(path("large")).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(message(&path("none")), "DIR/none:1:1: there is no such file");
        assert_eq!(message(directory.path()), "DIR:1:1: is a directory, not a regular file");
        assert_eq!(message(&path("large")), "DIR/large:1:1: is larger than the limit of 4 MiB");
        assert_eq!(
            message(&path("bytes")),
            "DIR/bytes:2:3: the byte 0xff is not UTF-8; save the file as UTF-8"
        );
        assert_eq!(message(&path("utf16")), "DIR/utf16:1:1: is not text in UTF-8");
        std::fs::write(path("marked"), "\u{feff}version: 1\n").unwrap();
        assert_eq!(read(&path("marked")).unwrap().text, "version: 1\n");
    }
}
