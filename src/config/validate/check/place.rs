//! Finds the places of issues in files that were compared with the schema.

use std::collections::HashMap;

use super::Checked;
use crate::config::format::issue::Issue;
use crate::config::format::path::{KeyPath, PathStep};
use crate::config::validate::problem::Diagnostic;
use crate::config::yaml::tree::Span;

/// A value that could be read.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) span: Span,
    pub(super) inside: KeptContent,
}

/// What is inside of such a value.
#[derive(Debug)]
pub(super) enum KeptContent {
    Nothing,
    List(Vec<Kept>),
    Map(HashMap<String, (Span, Kept)>),
}

/// An issue with its place, or `None` where it only follows from what could not be read. `place` says which file a path is in, and where there; what
/// several files may have is in each of them. `names` are those of the files where there are several.
pub(super) fn locate(
    issue: Issue,
    place: &dyn Fn(&KeyPath) -> (usize, KeyPath),
    files: &[&Checked],
    names: &[String],
) -> Option<Diagnostic> {
    let Issue { path, at_key, involved, first, message, expected, suggestion } = issue;
    let (own, path) = place(&path);
    let has_lost =
        |file: &Checked, path: &KeyPath| file.invalid.contains(path) || file.incomplete.contains(path);
    let is_lost = |path: &KeyPath| {
        let of_file = |file: &&Checked, path: &KeyPath| {
            has_lost(file, path) || (0..path.0.len()).any(|end| file.invalid.contains(&path.upto(end)))
        };
        match path.0.as_slice() {
            [PathStep::Key(key)] if key == "clusters" || key == "marks" || key == "checks" => {
                files.iter().any(|file| of_file(file, path))
            }
            // A cluster has the defaults of its file, and those of the main file behind them.
            [PathStep::Key(key), ..] if key == "defaults" => {
                files.iter().take(1).chain(files.get(own)).any(|file| of_file(file, path))
            }
            _ => {
                let (file, path) = place(path);
                files.get(file).is_some_and(|file| of_file(file, &path))
            }
        }
    };
    let of_own = files.get(own)?;
    if has_lost(of_own, &path) || involved.iter().any(is_lost) {
        return None;
    }
    let span = |file: &Checked, path: &KeyPath, at_key| {
        span(file.kept.as_ref(), path, at_key).unwrap_or(Span { line: 1, column: 1, width: 0 })
    };
    let message = match first {
        Some(first) => {
            let (file, first) = place(&first);
            let line = files.get(file).map_or(1, |file| span(file, &first, at_key).line);
            match names.get(file).filter(|_| file != own) {
                Some(name) => format!("{message}; first in {name}:{line}"),
                None => format!("{message}; first on line {line}"),
            }
        }
        None => message,
    };
    let mut problem = Diagnostic::at(span(of_own, &path, at_key), message).suggest(suggestion).in_file(own);
    if let Some(expected) = expected {
        problem = problem.expecting(expected);
    }
    Some(problem)
}

/// Where a value is, or its key; where it could have been, if it was not written.
fn span(top: Option<&Kept>, path: &KeyPath, at_key: bool) -> Option<Span> {
    let mut kept = top?;
    let mut key = None;
    for step in &path.0 {
        let inside = match (step, &kept.inside) {
            (PathStep::Index(index), KeptContent::List(list)) => list.get(*index).map(|kept| (None, kept)),
            (PathStep::Key(name), KeptContent::Map(map)) => {
                map.get(name.as_ref()).map(|(span, kept)| (Some(*span), kept))
            }
            _ => None,
        };
        // What was not written is shown where it could have been.
        let Some((span, next)) = inside else { return Some(kept.span) };
        (key, kept) = (span, next);
    }
    Some(if at_key { key.unwrap_or(kept.span) } else { kept.span })
}
