//! Checks the names that the file gives: they are shown in reports and typed in commands.

use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::NAME_LENGTH;
use crate::config::format::path::KeyPath;
use crate::escape;

/// Reports what is wrong with the name of a `noun`; `is_key` is whether it is the key at its place, and not the value.
pub(in crate::config) fn check(name: &str, noun: &str, here: KeyPath, is_key: bool, issues: &mut Issues) {
    let (wrong, of) = if name.trim().is_empty() {
        (format!("a {noun} needs a name"), "")
    } else if name.len() > NAME_LENGTH {
        ("the name is too long".to_owned(), "")
    } else if name.trim() != name || name.contains(char::is_control) {
        ("the name begins or ends with a space, or contains a control character".to_owned(), "")
    } else if let Some(letter) = name.chars().find(|letter| escape::is_harmful(*letter)) {
        let number = u32::from(letter);
        (
            format!(
                "the name contains U+{number:04X}, an invisible character or one that changes the direction of text"
            ),
            " of visible characters,",
        )
    } else {
        return;
    };
    let issue = Issue::new(here, wrong).expected(format!("1 to {NAME_LENGTH} bytes{of} on one line"));
    issues.push(if is_key { issue.at_key() } else { issue });
}
