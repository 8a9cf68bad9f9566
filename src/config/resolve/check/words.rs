//! What the resolving of all types of checks shares: places, and texts with their limits.

use std::path::PathBuf;

use crate::config::format::document::{PathText, Text};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::CHECK_TEXT;
use crate::config::format::path::KeyPath;

/// The place of a check in the file; made only where there is something to report.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) here: &'a dyn Fn() -> KeyPath,
}

impl Place<'_> {
    /// The place of one of its keys.
    pub(super) fn at(self, key: &'static str) -> KeyPath {
        (self.here)().then(key)
    }
}

/// The text of a key, neither empty nor longer than the limit.
pub(super) fn text(
    text: Option<&Text>,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<String> {
    let text = text?.as_str();
    let wrong = match text.len() {
        0 => "the text is empty",
        1..=CHECK_TEXT => return Some(text.to_owned()),
        _ => "the text is too long",
    };
    issues.push(Issue::new(path(), wrong).expected(format!("1 to {CHECK_TEXT} bytes, or no such key")));
    None
}

/// The absolute path of a file.
pub(super) fn path(
    path: Option<&PathText>,
    place: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<PathBuf> {
    let path = path?.as_str();
    if path.starts_with('/') && path.len() <= CHECK_TEXT && !path.contains(char::is_control) {
        return Some(path.into());
    }
    issues.push(
        Issue::new(place(), format!("`{path}` is not an absolute path"))
            .expected(format!("a path from `/` on, of at most {CHECK_TEXT} bytes, such as /etc/lbd/ca.pem")),
    );
    None
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn or(words: &[String]) -> String {
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// Whether a text is the name of a host: labels of letters, digits, `-` and `_`.
pub(super) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}
