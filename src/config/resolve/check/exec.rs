//! Resolves a program that checks a server.

use super::words::{self, Place};
use crate::config::format::document::{CheckEntry, Choice};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::CHECK_ENTRIES;
use crate::config::format::nearest::nearest;
use crate::model::{Exec, WeightSource};

/// What is replaced in the arguments.
const PLACEHOLDERS: [&str; 3] = ["address", "port", "cluster"];

/// The program of a check.
pub(super) fn exec(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Exec {
    const COMMAND: &str =
        "`command`, a list of the program and its arguments, such as [/usr/local/lib/check, \"{address}\"]";
    let list = entry.command.as_deref().unwrap_or_default();
    if entry.command.is_none() {
        issues.push(
            Issue::new(place.at("type"), "a check of type `exec` needs a `command`")
                .expected(COMMAND)
                .involving(place.at("command")),
        );
    } else if list.is_empty() || list.len() > CHECK_ENTRIES {
        let message = if list.is_empty() { "there is no program" } else { "these are too many arguments" };
        issues.push(Issue::new(place.at("command"), message).expected(COMMAND));
    }
    let mut command = Vec::with_capacity(list.len());
    for (index, argument) in list.iter().enumerate() {
        let here = || place.at("command").then(index);
        let text = argument.as_str();
        let is_program = index == 0;
        if is_program && !text.starts_with('/') {
            issues.push(
                Issue::new(here(), format!("`{text}` is not the absolute path of a program"))
                    .expected("a path from `/` on; a shell is not involved"),
            );
        }
        if text.contains('\0') {
            issues.push(Issue::new(here(), "an argument cannot contain a zero byte"));
        }
        for word in placeholders(text) {
            if is_program {
                issues.push(Issue::new(here(), "nothing is replaced in the path of the program"));
            } else if !PLACEHOLDERS.contains(&word) {
                issues.push(
                    Issue::new(here(), format!("unknown placeholder `{{{word}}}`"))
                        .expected("{address}, {port} or {cluster}")
                        .suggest(nearest(word, PLACEHOLDERS).map(|near| format!("{{{near}}}"))),
                );
            }
        }
        // An argument may be empty, the program may not.
        if is_program || !text.is_empty() {
            command.extend(words::text(Some(argument), here, issues));
        } else {
            command.push(String::new());
        }
    }
    Exec { command, weight_from_output: entry.weight == Some(Choice(WeightSource::Output)) }
}

/// The words in braces of an argument.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(word, _)| word));
    inside.filter(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_in_braces_is_a_placeholder_and_other_braces_are_text() {
        let found: Vec<&str> = placeholders("{address}:{port} {} { x } {\"a\": 1} {adress").collect();
        assert_eq!(found, ["address", "port"]);
    }
}
