//! Checks the names of directors, and the keys and values of labels: they are shown in reports, and are parts of keys of etcd and of paths.

use compact_str::CompactString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::config::nearest;
use crate::config::other::{Issue, Issues, KeyPath, definition, text, texts};

/// The longest name, in bytes.
const LONGEST: usize = 64;
/// The key by which selectors mean the name of a director.
const OF_NAME: &str = "name";

/// What a name looks like, for a schema.
pub(crate) const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

texts! {
    /// The name of a director.
    NameText as "Name": { "type": "string", "title": "a name", "pattern": NAME, "examples": ["lb1"] };

    /// The value of a label.
    LabelText as "Label": { "type": "string", "title": "a value of a label", "pattern": NAME, "examples": ["fra"] };
}

/// Whether a text can be the name of a director, or the key or value of a label.
fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric();
    text.len() <= LONGEST
        && text.starts_with(is_letter)
        && text.chars().all(|letter| is_letter(letter) || matches!(letter, '-' | '_' | '.'))
}

/// What is right of a name.
fn expected() -> String {
    format!("1 to {LONGEST} of the characters A-Z, a-z, 0-9, `-`, `_` and `.`, first a letter or a digit")
}

/// Reports that a text is not `what`, where it is not; `is_key` is whether it is the key at its place, and not the value.
pub(crate) fn check(text: &str, what: &str, here: KeyPath, is_key: bool, issues: &mut Issues) {
    if is_name(text) {
        return;
    }
    let issue = Issue::new(here, format!("`{text}` cannot be {what}")).expected(expected());
    issues.push(if is_key { issue.at_key() } else { issue });
}

/// Reports what is wrong with a label.
pub(crate) fn check_label(key: &str, value: &str, here: KeyPath, issues: &mut Issues) {
    if key == OF_NAME {
        issues.push(
            Issue::new(here.clone(), "`name` cannot be the key of a label: it is the name of the director")
                .at_key()
                .expected("another key, or `name` at the top of the file"),
        );
    }
    check(key, "the key of a label", here.clone(), true, issues);
    check(value, "the value of a label", here, false, issues);
}

/// The name of a director whose file gives it none.
pub(crate) fn of_host(host: &str, issues: &mut Issues) -> String {
    let name = host.split('.').next().unwrap_or_default();
    if !is_name(name) {
        let message = match host {
            "" => "the name of this host is not known".to_owned(),
            host => format!("`{host}`, the name of this host, cannot be that of a director"),
        };
        issues.push(
            Issue::new(KeyPath::default().then(OF_NAME), message).expected(format!("`name`: {}", expected())),
        );
    }
    name.to_owned()
}

/// The key of a label that is nearest to an unknown one.
pub(crate) fn nearest_label<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    nearest(key, known.map(String::as_str))
}
