//! Prints the problems of a file: as underlined lines for people, as JSON for scripts.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::lines::Lines;
use super::problem::Diagnostic;
use crate::config::source::{ReadCause, ReadError, Source};
use crate::escape;

/// How many problems are shown.
const SHOWN: usize = 50;
/// How many characters of a line are shown.
const WIDTH: usize = 100;
/// How many of them are shown before the place.
const BEFORE: usize = 40;
/// The longest label behind an underline; what is longer goes below.
const LABEL: usize = 60;

/// What is wrong with a file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    /// The file
    pub source: Source,
    /// The problems that are shown
    pub list: Vec<Diagnostic>,
    /// How many more there are
    pub more: usize,
}

impl Diagnostics {
    /// The problems of a file, `more` of them not in the list.
    pub(in crate::config) fn new(source: &Source, mut list: Vec<Diagnostic>, more: usize) -> Self {
        list.sort_by_key(|problem| (problem.file, problem.line, problem.column));
        list.dedup();
        let more = more + list.len().saturating_sub(SHOWN);
        list.truncate(SHOWN);
        Self { source: source.clone(), list, more }
    }

    /// That nothing is wrong with a file.
    pub fn none(source: Source) -> Self {
        Self { source, list: Vec::new(), more: 0 }
    }

    /// The one problem of a file that cannot be read, so that it can be reported like the others.
    pub fn unreadable(error: &ReadError) -> Self {
        let (line, column) = match error.cause {
            ReadCause::NotUtf8 { line, column, .. } => (line, column),
            _ => (1, 1),
        };
        let mut message = error.to_string();
        let place = format!("{}:{line}:{column}", error.name);
        if let Some(rest) = message.strip_prefix(&place).or_else(|| message.strip_prefix(&error.name)) {
            message = rest.trim_start_matches([':', ' ']).to_owned();
        }
        if let ReadCause::Io(cause) = &error.cause {
            let _ = write!(message, ": {cause}");
        }
        let problem =
            Diagnostic { file: 0, line, column, width: 0, message, expected: None, suggestion: None };
        Self { source: Source::new(error.name.as_str(), ""), list: vec![problem], more: 0 }
    }

    /// The problems with their lines, each underlined at its place. Of equal ones the first is, and the places of the others follow.
    pub fn text(&self, colour: bool) -> String {
        let parts = self.source.parts();
        let mut lines = (0, Lines::new(parts.first().map_or("", |part| part.text)));
        let mut text = String::new();
        for equal in self.equal() {
            let Some((problem, others)) = equal.split_first() else { continue };
            // Problems come in the order of the files and of their lines.
            if lines.0 != problem.file {
                lines = (problem.file, Lines::new(parts.get(problem.file).map_or("", |part| part.text)));
            }
            let line = lines.1.get(problem.line);
            text.push_str(&render(Level::ERROR, &self.file_name(problem), problem, line, colour));
            text.push('\n');
            let names: Vec<_> = others.iter().map(|other| self.file_name(other)).collect();
            let places = names.iter().zip(others).map(|(name, other)| (&**name, other.line, other.column));
            push_places(&mut text, &places.collect::<Vec<_>>());
            text.push('\n');
        }
        let count = self.list.len() + self.more;
        let more = match self.more {
            0 => String::new(),
            1 => "and 1 more problem; ".into(),
            more => format!("and {more} more problems; "),
        };
        let noun = if count == 1 { "problem" } else { "problems" };
        let _ = writeln!(text, "{more}{count} {noun} in {}", escape::text(&self.source.name));
        text
    }

    /// The problems, equal ones together.
    fn equal(&self) -> Vec<Vec<&Diagnostic>> {
        let mut groups: Vec<Vec<&Diagnostic>> = Vec::new();
        for problem in &self.list {
            let is_equal = |group: &&mut Vec<&Diagnostic>| {
                let same = |first: &&Diagnostic| {
                    first.message == problem.message && first.expected == problem.expected
                };
                group.first().is_some_and(same)
            };
            match groups.iter_mut().find(is_equal) {
                Some(group) => group.push(problem),
                None => groups.push(vec![problem]),
            }
        }
        groups
    }

    /// The name of the file that a problem is in.
    fn file_name(&self, problem: &Diagnostic) -> String {
        let parts = self.source.parts();
        parts
            .get(problem.file)
            .map_or_else(|| self.source.name.clone(), |part| self.source.part_name(problem.file, part.name))
    }

    /// The problems in one line, for a log: the first of them with its place, and how many there are.
    pub fn line(&self) -> String {
        let Some(problem) = self.list.first() else { return String::new() };
        let Diagnostic { line, column, message, .. } = problem;
        let more = match self.list.len() + self.more {
            1 => String::new(),
            count => format!(" (and {} more; `lbd validate` shows them)", count - 1),
        };
        format!("{}:{line}:{column}: {}{more}", escape::text(&self.file_name(problem)), escape::text(message))
    }

    /// The problems as a versioned document for scripts.
    pub fn json(&self) -> Value {
        let problems: Vec<Value> = self
            .list
            .iter()
            .map(|problem| {
                let Diagnostic { file: _, line, column, width: _, message, expected, suggestion } = problem;
                json!({
                    "file": self.file_name(problem),
                    "line": line,
                    "column": column,
                    "message": message,
                    "expected": expected,
                    "suggestion": suggestion,
                })
            })
            .collect();
        let mut document = json!({ "version": 1, "problems": problems });
        if self.more > 0
            && let Some(object) = document.as_object_mut()
        {
            object.insert("more".into(), self.more.into());
        }
        document
    }
}

/// One problem in one line each, `FILE:LINE:COLUMN: message`, for logs.
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(problem) = self.list.first() else { return Ok(()) };
        let Diagnostic { line, column, message, .. } = problem;
        write!(f, "{}:{line}:{column}: {}", escape::text(&self.file_name(problem)), escape::text(message))?;
        match self.list.len() + self.more - 1 {
            0 => Ok(()),
            1 => write!(f, " (and 1 more problem)"),
            more => write!(f, " (and {more} more problems)"),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// Lists where else a problem is, by file, line and column, as many places in a line as it has room for.
pub(super) fn push_places(text: &mut String, places: &[(&str, usize, usize)]) {
    let count = match places.len() {
        0 => return,
        1 => "1 more place".to_owned(),
        more => format!("{more} more places"),
    };
    let _ = write!(text, "\nthe same in {count}:");
    let mut room = 0;
    for (name, line, column) in places {
        let place = format!("  {}:{line}:{column}", escape::text(name));
        let length = place.chars().count();
        if length > room {
            text.push('\n');
            room = WIDTH;
        }
        room = room.saturating_sub(length);
        text.push_str(&place);
    }
    text.push('\n');
}

/// One problem of a file, with its line underlined at the place.
pub(super) fn render(
    level: Level<'_>,
    name: &str,
    problem: &Diagnostic,
    line: Option<&str>,
    colour: bool,
) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH * 4);
    let Diagnostic { file: _, line: number, column, width, message, expected, suggestion } = problem;
    let (message, name) = (escape::text(message), escape::text(name));
    let expected = expected.as_ref().map(|expected| format!("expected {}", escape::text(expected)));
    let (label, below) = match expected {
        Some(text) if text.chars().count() <= LABEL => (Some(text), None),
        text => (None, text),
    };
    let mut group = Group::with_title(level.primary_title(message.as_ref()));
    if let Some(line) = line {
        let (excerpt, start, end) = excerpt(line, *column, *width);
        let mark = AnnotationKind::Primary.span(start..end).label(label);
        group = group.element(Snippet::source(excerpt).line_start(*number).fold(false).annotation(mark));
    } else if let Some(label) = label {
        group = group.element(Level::NOTE.message(label));
    }
    if let Some(below) = below {
        group = group.element(Level::NOTE.message(below));
    }
    if let Some(suggestion) = suggestion {
        group = group.element(Level::HELP.message(format!("did you mean `{}`?", escape::text(suggestion))));
    }
    let shown = renderer.render(&[group]);
    // The place is written here and not by the renderer, which knows only the part of the line that it was given.
    let (title, rest) = shown.split_once('\n').unwrap_or((&shown, ""));
    let gutter = if line.is_some() { number.to_string().len() } else { 0 };
    let (on, off) = if colour { ("\u{1b}[1m\u{1b}[94m", "\u{1b}[0m") } else { ("", "") };
    let separator = if rest.is_empty() { "" } else { "\n" };
    format!("{title}\n{:gutter$}{on}-->{off} {name}:{number}:{column}{separator}{rest}", "")
}

/// What of a line is shown, and where in it, in bytes, the place begins and ends.
fn excerpt(line: &str, column: usize, width: usize) -> (String, usize, usize) {
    let from = if line.len() <= WIDTH { 0 } else { (column - 1).saturating_sub(BEFORE) };
    let rest = match skip(line, from) {
        // Not even that long: the place is behind the end of the line.
        rest if rest.is_empty() && from > 0 => skip(line, line.chars().count().saturating_sub(BEFORE)),
        rest => rest,
    };
    let skipped = line.len() - rest.len();
    let mut excerpt = String::from(if skipped > 0 { "..." } else { "" });
    let before = (column - 1).saturating_sub(from);
    let (mut start, mut end) = (None, None);
    let mut letters = rest.chars();
    for (index, letter) in letters.by_ref().take(WIDTH).enumerate() {
        if index == before {
            start = Some(excerpt.len());
        }
        if index == before.saturating_add(width) {
            end = Some(excerpt.len());
        }
        excerpt.push(escape::placeholder(letter));
    }
    let whole = excerpt.len();
    if letters.next().is_some() {
        excerpt.push_str("...");
    }
    let start = start.unwrap_or(whole);
    (excerpt, start, end.unwrap_or(whole).max(start))
}

fn skip(line: &str, count: usize) -> &str {
    // Nearly every line is ASCII, and some are megabytes long.
    if line.is_ascii() {
        return line.get(count..).unwrap_or_default();
    }
    line.char_indices().nth(count).and_then(|(at, _)| line.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, column: usize, width: usize) -> Diagnostic {
        Diagnostic {
            file: 0,
            line,
            column,
            width,
            message: "it is wrong".into(),
            expected: None,
            suggestion: None,
        }
    }

    fn text(source: &str, problem: Diagnostic) -> String {
        Diagnostics::new(&Source::new("desired.yaml", source), vec![problem], 0).text(false)
    }

    #[test]
    fn a_line_is_shown_and_underlined() {
        let problem = Diagnostic {
            expected: Some("a number".into()),
            suggestion: Some("3".into()),
            ..problem(2, 9, 5)
        };
        assert_eq!(
            text("version: 1\nweight: three\n", problem),
            "\
error: it is wrong
 --> desired.yaml:2:9
  |
2 | weight: three
  |         ^^^^^ expected a number
  |
  = help: did you mean `3`?

1 problem in desired.yaml
"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}HERE{}", "a".repeat(50_000), "b".repeat(50_000));
        assert_eq!(
            text(&line, problem(1, 50_001, 4)),
            format!(
                "\
error: it is wrong
 --> desired.yaml:1:50001
  |
1 | ...{}HERE{}...
  | {}^^^^

1 problem in desired.yaml
",
                "a".repeat(40),
                "b".repeat(56),
                " ".repeat(43),
            )
        );
    }

    #[test]
    fn nothing_in_a_file_reaches_the_terminal_but_letters() {
        let shown = text("name: \u{1b}[31m\u{202e}evil\u{0}\n", problem(1, 7, 3));
        assert_eq!(shown.chars().filter(|letter| letter.is_control() && *letter != '\n').count(), 0);
        assert!(shown.contains("1 | name: \u{fffd}[31m\u{fffd}evil\u{fffd}\n"), "{shown}");
    }

    #[test]
    fn what_is_behind_the_end_is_shown_at_the_end() {
        for source in ["", "a", "a\n", "a\r\nb\r\n", "äöü"] {
            // A place that goes on in the next line is as wide as can be.
            for (line, column, width) in
                [(1, 1, 0), (1, 1, 9), (1, 2, usize::MAX), (1, 99, 1), (2, 1, 1), (9, 9, 9)]
            {
                let shown = text(source, problem(line, column, width));
                assert!(shown.contains(&format!("desired.yaml:{line}:{column}\n")), "{shown}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_problem_like_the_others() {
        let error = |cause| ReadError { name: "desired.yaml".into(), cause };
        let unreadable = |cause| Diagnostics::unreadable(&error(cause)).to_string();
        assert_eq!(
            unreadable(ReadCause::Missing),
            "desired.yaml:1:1: there is no such file; create it, or name another one with -f"
        );
        assert_eq!(
            unreadable(ReadCause::NotUtf8 { line: 2, column: 6, byte: 0xdf }),
            "desired.yaml:2:6: the byte 0xdf is not UTF-8; save the file as UTF-8"
        );
        assert_eq!(
            unreadable(ReadCause::Io(std::io::Error::other("the disk is on fire"))),
            "desired.yaml:1:1: cannot be read: the disk is on fire"
        );
        assert_eq!(
            Diagnostics::unreadable(&error(ReadCause::Utf16)).text(false),
            "error: is text in UTF-16; save it as UTF-8\n--> desired.yaml:1:1\n\n1 problem in desired.yaml\n"
        );
    }

    // Sixty equal mistakes filled 451 lines.
    #[test]
    fn equal_problems_are_one_excerpt_and_a_list_of_places() {
        let source = Source::new("desired.yaml", "a b\n".repeat(9));
        let wrong = |line, message: &str, suggestion: &str| Diagnostic {
            message: message.into(),
            expected: Some("c".into()),
            suggestion: Some(suggestion.into()),
            ..problem(line, 3, 1)
        };
        let other = Diagnostic { expected: None, ..wrong(3, "no", "d") };
        let mut list: Vec<Diagnostic> = (1..=8).map(|line| wrong(line, "no", &line.to_string())).collect();
        list.extend([other, wrong(9, "never", "d"), wrong(4, "never", "d")]);
        let excerpt = |title: &str, line, under: &str, suggestion: &str| {
            format!(
                "error: {title}\n --> desired.yaml:{line}:3\n  |\n{line} | a b\n  |   ^{under}\n  |\n  = help: did you mean `{suggestion}`?\n"
            )
        };
        let places = "\
the same in 7 more places:
  desired.yaml:2:3  desired.yaml:3:3  desired.yaml:4:3  desired.yaml:5:3  desired.yaml:6:3
  desired.yaml:7:3  desired.yaml:8:3
";
        assert_eq!(
            Diagnostics::new(&source, list, 0).text(false),
            format!(
                "{}\n{places}\n{}\n{}\nthe same in 1 more place:\n  desired.yaml:9:3\n\n11 problems in desired.yaml\n",
                excerpt("no", 1, " expected c", "1"),
                excerpt("no", 3, "", "d"),
                excerpt("never", 4, " expected c", "d"),
            )
        );
    }

    #[test]
    fn fifty_problems_are_shown_and_the_others_counted() {
        let source = Source::new("desired.yaml", "a\n".repeat(100));
        let list = (1..=60).rev().map(|line| problem(line, 1, 1)).collect();
        let problems = Diagnostics::new(&source, list, 7);
        assert_eq!((problems.list.len(), problems.more), (50, 17));
        assert_eq!(problems.json()["problems"].as_array().unwrap().len(), 50);
        assert!(problems.text(false).ends_with("and 17 more problems; 67 problems in desired.yaml\n"));
        assert_eq!(problems.json()["more"], 17);
        assert_eq!(problems.to_string(), "desired.yaml:1:1: it is wrong (and 66 more problems)");
    }
}
