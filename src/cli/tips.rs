//! Adds to an error of the command line what to type instead of a word that other programs understand.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The options by which other programs only show what they would do.
const DRY_RUN: [&str; 9] =
    ["--dry-run", "--dryrun", "--dry", "-n", "--noop", "--no-op", "--check", "--simulate", "--test"];

/// How the names of desired files end.
const DESIRED: [&str; 3] = [".yaml", ".yml", ".json"];

/// How the names of saved rules and of configurations of other programs end.
const RULES: [&str; 3] = [".conf", ".rules", ".cf"];

/// Adds the tip, if there is one. `command` is the command that was typed, as far as it is known.
pub(super) fn add(mut error: clap::Error, command: Option<&str>) -> clap::Error {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else { return error };
    if let Some(tip) = tip(word, command) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

fn tip(word: &str, command: Option<&str>) -> Option<String> {
    let is_dry_run = DRY_RUN.contains(&word);
    match command {
        None if is_file_name(word) => {
            Some(format!("a command comes first, and the desired file behind -f: `lbd diff -f {word}`"))
        }
        None if is_dry_run => {
            Some("`lbd diff` shows what `lbd apply` would do, and changes nothing".to_owned())
        }
        Some("export") if is_file_name(word) && DESIRED.iter().any(|end| word.ends_with(end)) => {
            Some(format!("`lbd export > {word}` writes the live state there"))
        }
        Some("export") if is_file_name(word) => Some(format!("`lbd export --from {word}` converts it")),
        Some("schema" | "completions") | None => None,
        Some(command) if is_file_name(word) => {
            Some(format!("the desired file comes behind -f: `lbd {command} -f {word}`"))
        }
        Some("apply" | "run" | "restore") if is_dry_run => {
            Some("`lbd diff` shows what `lbd apply` would do, and changes nothing".to_owned())
        }
        Some("teardown") if is_dry_run => {
            Some("`lbd teardown` shows what it would remove, and asks before it does".to_owned())
        }
        Some(_) => None,
    }
}

/// Whether a word looks like the name of a file.
pub fn is_file_name(word: &str) -> bool {
    let mut ends = DESIRED.iter().chain(&RULES);
    !word.starts_with('-') && (word.contains('/') || ends.any(|end| word.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use crate::cli::Arguments;

    fn message(words: &str) -> String {
        let error = Arguments::from_words(["lbd"].into_iter().chain(words.split(' ')).map(Into::into));
        error.unwrap_err().to_string()
    }

    #[test]
    fn what_other_programs_understand_gets_a_tip() {
        for (words, tip) in [
            ("apply web.yaml", "the desired file comes behind -f: `lbd apply -f web.yaml`"),
            ("validate ./web", "the desired file comes behind -f: `lbd validate -f ./web`"),
            ("--state-dir /tmp/x apply a.json", "the desired file comes behind -f: `lbd apply -f a.json`"),
            ("web.yaml", "a command comes first, and the desired file behind -f: `lbd diff -f web.yaml`"),
            ("export saved.rules", "`lbd export --from saved.rules` converts it"),
            ("export web.yaml", "`lbd export > web.yaml` writes the live state there"),
            ("--dry-run", "`lbd diff` shows what `lbd apply` would do, and changes nothing"),
            ("apply --dry-run", "`lbd diff` shows what `lbd apply` would do, and changes nothing"),
            ("apply -n", "`lbd diff` shows what `lbd apply` would do, and changes nothing"),
            ("run --check", "`lbd diff` shows what `lbd apply` would do, and changes nothing"),
            ("teardown --dry-run", "`lbd teardown` shows what it would remove, and asks before it does"),
        ] {
            let message = message(words);
            assert!(message.contains(&format!("\n  tip: {tip}\n")), "{words}: {message}");
        }
        for words in ["apply now", "schema web.yaml", "validate --dry-run", "aply"] {
            assert!(!message(words).contains("lbd diff"), "{words}: {}", message(words));
        }
    }
}
