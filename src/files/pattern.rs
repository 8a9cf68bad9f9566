//! Finds the files below a directory that paths and patterns name, as a shell does.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The longest path or pattern, in bytes.
const LONGEST: usize = 1024;
/// How many files may be found.
pub const MOST_FILES: usize = 10_000;

/// A path or pattern below a directory, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    steps: Vec<String>,
}

/// Why a text is no path or pattern that can be included. `Display` says what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// It is empty, or has an empty part, `.` or `..`, or begins with `/`.
    Elsewhere,
    /// It has `**`.
    Deep,
    /// It has a `[` without a `]`.
    Open,
    /// It is too long, or has a control character.
    Odd,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elsewhere => "is not a path below the directory of the file",
            Self::Deep => "has `**`, which is not supported",
            Self::Open => "has a `[` without a `]`",
            Self::Odd => "is too long, or has a control character",
        })
    }
}

impl Pattern {
    /// Reads a path or pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let steps: Vec<String> = text.split('/').map(str::to_owned).collect();
        if text.len() > LONGEST || text.contains(char::is_control) {
            return Err(PatternError::Odd);
        }
        if steps.iter().any(|step| matches!(step.as_str(), "" | "." | "..")) {
            return Err(PatternError::Elsewhere);
        }
        if text.contains("**") {
            return Err(PatternError::Deep);
        }
        let is_open =
            |step: &String| step.rfind('[').is_some_and(|at| !step.get(at..).unwrap_or("").contains(']'));
        if steps.iter().any(is_open) {
            return Err(PatternError::Open);
        }
        Ok(Self { steps })
    }

    /// Whether it names one file, which must be there.
    pub fn is_path(&self) -> bool {
        !self.steps.iter().any(|step| is_pattern(step))
    }

    /// Whether the path of a file matches, from the directory of the main file on.
    pub fn is_match(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        names.len() == self.steps.len()
            && self.steps.iter().zip(names).all(|(step, name)| matches(step, name))
    }

    /// Its parts, from the directory of the main file on.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }
}

/// Whether a part of a path is a pattern.
pub fn is_pattern(step: &str) -> bool {
    step.contains(['*', '?', '['])
}

/// Whether the name of a file or directory matches a part of a pattern: `*` is any text, `?` any character, `[a-z]` one of these, `[!a-z]` none of
/// these. A name that begins with a dot matches only what begins with one, so that the temporary files of editors are left out.
pub fn matches(step: &str, name: &str) -> bool {
    if !is_pattern(step) {
        return step == name;
    }
    if name.starts_with('.') && !step.starts_with('.') {
        return false;
    }
    let (step, name): (Vec<char>, Vec<char>) = (step.chars().collect(), name.chars().collect());
    matches_rest(&step, &name)
}

fn matches_rest(mut step: &[char], mut name: &[char]) -> bool {
    // Where the last `*` was, and how much of the name it could take next.
    let mut back: Option<(&[char], &[char])> = None;
    loop {
        let ahead = match step.split_first() {
            None if name.is_empty() => return true,
            None => None,
            Some(('*', rest)) => {
                step = rest;
                back = Some((rest, name));
                continue;
            }
            Some((letter, rest)) => name.split_first().and_then(|(first, behind)| {
                let rest = match letter {
                    '?' => Some(rest),
                    '[' if is_class(rest) => matches_class(rest, *first),
                    letter => (letter == first).then_some(rest),
                };
                Some((rest?, behind))
            }),
        };
        (step, name) = match (ahead, back) {
            (Some(ahead), _) => ahead,
            (None, Some((rest, taken))) => {
                let Some((_, taken)) = taken.split_first() else { return false };
                back = Some((rest, taken));
                (rest, taken)
            }
            (None, None) => return false,
        };
    }
}

/// Whether a `]` ends the class that begins here; else its `[` is a character like others.
fn is_class(class: &[char]) -> bool {
    let negation = usize::from(matches!(class.first(), Some('!' | '^')));
    class.iter().skip(negation + 1).any(|letter| *letter == ']')
}

/// What follows a `[…]` that a character matches; `class` begins behind the `[`.
fn matches_class(class: &[char], letter: char) -> Option<&[char]> {
    let (is_not, class) = match class.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, class),
    };
    // A `]` that comes first is one of the characters.
    let end = class.iter().skip(1).position(|letter| *letter == ']')? + 1;
    let (mut inside, rest) = class.split_at_checked(end)?;
    let mut is_in = false;
    while let Some((first, behind)) = inside.split_first() {
        inside = match behind {
            ['-', last, behind @ ..] => {
                is_in |= (*first..=*last).contains(&letter);
                behind
            }
            _ => {
                is_in |= *first == letter;
                behind
            }
        };
    }
    (is_in != is_not).then_some(rest.get(1..).unwrap_or_default())
}

/// Whether a text can be the path of a file below a directory, on one line.
pub fn is_name(name: &str) -> bool {
    Pattern::parse(&name.replace(['*', '?', '['], "_")).is_ok()
}

/// Why it is not known which files match.
#[derive(Debug)]
pub enum ListError {
    /// A directory cannot be read.
    Directory(PathBuf, io::Error),
    /// The name of a file that matches is not UTF-8, or has a control character.
    Name(PathBuf),
    /// There are more than [`MOST_FILES`].
    TooMany,
}

/// The files that match one of the patterns, by their paths from the directory of a main file, in the order of their names; never the main file itself.
/// A file that is named is among them, though it may not be there.
pub fn list(main: &Path, patterns: &[Pattern]) -> Result<Vec<String>, ListError> {
    let mut names = BTreeSet::new();
    for pattern in patterns {
        find(directory(main), &pattern.steps, pattern.is_path(), &mut String::new(), &mut names)?;
        if names.len() > MOST_FILES {
            return Err(ListError::TooMany);
        }
    }
    if let Some(own) = main.file_name().and_then(|name| name.to_str()) {
        names.remove(own);
    }
    Ok(names.into_iter().collect())
}

/// The directory of a main file.
pub fn directory(main: &Path) -> &Path {
    main.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts the files below a directory that match into `names`; `before` is the path to it, `is_path` whether no part of it is a pattern.
fn find(
    directory: &Path,
    steps: &[String],
    is_path: bool,
    before: &mut String,
    names: &mut BTreeSet<String>,
) -> Result<(), ListError> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    let length = before.len();
    let mut enter = |name: &str| {
        before.push_str(name);
        let found = if rest.is_empty() {
            // What a pattern does not find is no mistake, as behind `teams/*/`.
            if is_path || is_pattern(step) || fs::symlink_metadata(directory.join(name)).is_ok() {
                names.insert(before.clone());
            }
            Ok(())
        } else {
            before.push('/');
            find(&directory.join(name), rest, is_path, before, names)
        };
        before.truncate(length);
        found
    };
    if !is_pattern(step) {
        return enter(step);
    }
    let cannot = |error| ListError::Directory(directory.to_owned(), error);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // A pattern may match nothing.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(cannot(error)),
    };
    for entry in entries {
        let name = entry.map_err(cannot)?.file_name();
        let shown = name.to_string_lossy();
        if !matches(step, &shown) {
            continue;
        }
        match name.to_str().filter(|name| is_name(name)) {
            Some(name) => enter(name)?,
            None => return Err(ListError::Name(directory.join(&name))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (step, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", ".a.yaml", false),
            (".*.yaml", ".a.yaml", true),
            ("*.yaml", "a.yaml~", false),
            ("*.yaml", ".yaml", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*aab", &"a".repeat(5_000), false),
            ("?b", "äb", true),
            ("?b", "b", false),
            ("[0-9][!a]", "7b", true),
            ("[0-9][!a]", "7a", false),
            ("[]a]x", "]x", true),
            ("[^x-]", "-", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("[!a", "b", false),
            ("a", "a", true),
            ("a", "b", false),
        ] {
            assert_eq!(matches(step, name), expected, "{step} {name:.20}");
        }
    }

    #[test]
    fn what_is_not_below_the_directory_cannot_be_included() {
        for (text, expected) in [
            ("/etc/a.yaml", Err(PatternError::Elsewhere)),
            ("../a.yaml", Err(PatternError::Elsewhere)),
            ("a/../../b", Err(PatternError::Elsewhere)),
            ("./a", Err(PatternError::Elsewhere)),
            ("a/", Err(PatternError::Elsewhere)),
            ("", Err(PatternError::Elsewhere)),
            ("**/a", Err(PatternError::Deep)),
            ("[a", Err(PatternError::Open)),
            ("a\nb", Err(PatternError::Odd)),
            ("clusters.d/*.yaml", Ok(false)),
            ("..a/b..yaml", Ok(true)),
        ] {
            assert_eq!(Pattern::parse(text).map(|pattern| pattern.is_path()), expected, "{text}");
        }
    }

    #[test]
    fn files_are_listed_by_their_names_each_once_and_without_the_main_file() {
        let root = tempfile::tempdir().unwrap();
        let main = root.path().join("main.yaml");
        for name in [
            "main.yaml",
            "b.yaml",
            "a.yaml",
            ".c.yaml",
            "a.yaml~",
            "teams/x/l.yaml",
            "teams/y/l.yaml",
            "teams/z/k.yaml",
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let of = |texts: &[&str]| {
            let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
            list(&main, &patterns).unwrap()
        };
        assert_eq!(of(&["*.yaml"]), ["a.yaml", "b.yaml"]);
        assert_eq!(
            of(&["teams/*/l.yaml", "b.yaml", "[ab].yaml"]),
            ["a.yaml", "b.yaml", "teams/x/l.yaml", "teams/y/l.yaml"]
        );
        assert_eq!(of(&["none/*.yaml", "a.yaml/*", "gone.yaml"]), ["gone.yaml"]);
        fs::write(root.path().join("e\nf.yaml"), "").unwrap();
        assert!(matches!(list(&main, &[Pattern::parse("*.yaml").unwrap()]), Err(ListError::Name(_))));
    }
}
