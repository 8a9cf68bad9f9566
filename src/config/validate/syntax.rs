//! Explains why a text is not YAML.

use std::net::Ipv6Addr;

use super::lines::all as lines;
use super::problem::Diagnostic;
use super::{brackets, fullwidth};
use crate::config::yaml::limits::{DEEPEST, MOST_NODES, MOST_VALUES};
use crate::config::yaml::tree::TreeError;

/// The message for a tab at the start of a line.
const TAB: &str = "a tab cannot indent a line in YAML";

/// How far around a place an address is looked for, in characters.
const NEAR: usize = 100;

/// The problem of a text that no tree could be made of.
pub(in crate::config) fn problem(text: &str, error: &TreeError) -> Diagnostic {
    match error {
        TreeError::Syntax(error) => {
            let marker = error.marker();
            at(text, marker.line(), marker.col() + 1, error.info())
        }
        TreeError::SecondDocument(span) => {
            Diagnostic::at(*span, "a second document begins here").expecting("one document")
        }
        TreeError::PartOfItself(span) => {
            Diagnostic::at(*span, "this alias refers to a value that contains it")
        }
        TreeError::TooManyValues(span) => {
            Diagnostic::at(*span, format!("the file has more than {MOST_VALUES} values"))
                .expecting("fewer aliases, or several files on several directors")
        }
        TreeError::TooManyNodes(span) => {
            Diagnostic::at(*span, format!("the file has more than {MOST_NODES} keys and values"))
                .expecting("a smaller file")
        }
        TreeError::TooDeep(span) => Diagnostic::at(*span, too_deep()),
    }
}

/// The message for too much depth.
fn too_deep() -> String {
    format!("lists and mappings are nested more than {DEEPEST} deep")
}

/// The problem of a text that the parser refused at a place with these words.
fn at(text: &str, line: usize, column: usize, words: &str) -> Diagnostic {
    if words.contains("unprintable")
        && let Some(found) = control_character(text)
    {
        return found;
    }
    let shown = lines(text).nth(line.saturating_sub(1)).unwrap_or_default();
    // Only the surroundings: a line can be megabytes long.
    let from = column.saturating_sub(NEAR);
    let near: String = shown.chars().skip(from).take(2 * NEAR).collect();
    // `[::1]` where a list is allowed is another error: there the value cannot begin with a colon.
    if !words.contains("node content")
        && let Some((start, token)) = bracketed_address(&near)
        && (start..=start + token.chars().count()).contains(&(column - from))
    {
        return unquoted(line, start + from, token);
    }
    if let Some(found) = around(text, line, shown) {
        return found;
    }
    if let Some(bracket) = brackets::unclosed(text, line) {
        let brackets::Bracket { line: opened, column: at, sign } = bracket;
        let missing = match end_of(text, line, column) {
            Some(_) => format!("`{}`", bracket.closing()),
            None => format!("`{}` before line {line}", bracket.closing()),
        };
        return Diagnostic::new(opened, at, 1, format!("this `{sign}` is not closed")).expecting(missing);
    }
    if let Some(end) = end_of(text, line, column) {
        let (message, expected) = match words {
            _ if words.contains("'}'") => ("the file ends inside a mapping in braces", "`}`"),
            _ if words.contains("']'") => ("the file ends inside a list in brackets", "`]`"),
            _ if words.contains("node content") => ("the file ends inside brackets or braces", "`]` or `}`"),
            _ => ("the file ends too early", "more lines"),
        };
        return Diagnostic::new(end.0, end.1, 1, message).expecting(expected);
    }
    if let Some(tab) = indenting_tab(shown) {
        return Diagnostic::new(line, tab + 1, 1, TAB).expecting("spaces");
    }
    // The parser is at the end of the line before.
    if words.contains("tab")
        && let Some((number, next)) =
            lines(text).enumerate().skip(line).find(|(_, next)| !next.trim().is_empty())
        && let Some(tab) = indenting_tab(next)
    {
        return Diagnostic::new(number + 1, tab + 1, 1, TAB).expecting("spaces");
    }
    if words.contains("document start")
        && let Some((number, found)) = lines(text)
            .take(line)
            .enumerate()
            .find_map(|(index, line)| indenting_tab(line).map(|tab| (index + 1, tab)))
    {
        return Diagnostic::new(number, found + 1, 1, TAB).expecting("spaces");
    }
    if let Some(found) = missing_blank(text, line) {
        return found;
    }
    let (message, expected) = plainly(words);
    let problem = Diagnostic::new(line, column, 1, message);
    if let Some(expected) = expected { problem.expecting(expected) } else { problem }
}

/// Where a tab indents a line, if one does.
fn indenting_tab(line: &str) -> Option<usize> {
    let indentation = line.len() - line.trim_start().len();
    line.bytes().take(indentation).position(|byte| byte == b'\t')
}

/// What is wrong with the line that the parser refused or the one before it, as far as it shows without YAML.
fn around(text: &str, line: usize, shown: &str) -> Option<Diagnostic> {
    let before = before(text, line);
    fullwidth::problem(line, shown)
        .or_else(|| before.and_then(|(number, line)| fullwidth::problem(number, line)))
        .or_else(|| before.and_then(|(number, line)| glued_dash(number, line)))
        .or_else(|| glued_dash(line, shown))
}

/// The last line before another that is neither blank nor a comment, with its number.
fn before(text: &str, line: usize) -> Option<(usize, &str)> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let before =
        lines(text).take(line.saturating_sub(1)).enumerate().filter(|(_, line)| is_content(line)).last();
    before.map(|(index, line)| (index + 1, line))
}

/// `-value`: YAML takes it for text, and refuses the line before or behind it.
fn glued_dash(number: usize, line: &str) -> Option<Diagnostic> {
    let value = line.trim().strip_prefix('-')?;
    if !value.starts_with(|letter: char| !letter.is_whitespace() && letter != '-') {
        return None;
    }
    let column = line.chars().take_while(|letter| letter.is_whitespace()).count() + 1;
    Some(missing_after_dash(number, column, value))
}

/// The problem of an entry of a list whose dash has no space behind it.
pub(super) fn missing_after_dash(line: usize, column: usize, value: &str) -> Diagnostic {
    Diagnostic::new(line, column, 1, "a space is missing after the `-`")
        .expecting("`- value` with a space")
        .suggest(Some(format!("- {value}")))
}

/// The first character that YAML does not allow; the parsers do not always refuse it.
pub(in crate::config) fn control_character(text: &str) -> Option<Diagnostic> {
    // Nearly all files have none of these, and can be millions of characters long: many are compared at once.
    let is_unusual = |byte: u8| byte >= 0x7f || byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    let mut pieces = text.as_bytes().chunks(1024);
    if !pieces.any(|piece| piece.iter().fold(false, |found, byte| found | is_unusual(*byte))) {
        return None;
    }
    let is_refused = |letter: char| {
        matches!(letter, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}')
            || matches!(letter, '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' | '\u{feff}')
    };
    let (line, column) = lines(text).enumerate().find_map(|(index, line)| {
        line.chars().position(is_refused).map(|position| (index + 1, position + 1))
    })?;
    Some(Diagnostic::new(line, column, 1, "the file contains a control character"))
}

/// `key:value` on the line before: YAML takes it for text, and stumbles over the next line.
fn missing_blank(text: &str, line: usize) -> Option<Diagnostic> {
    let (number, before) = before(text, line)?;
    let (key, value) = before.split_once(':')?;
    let word = key.trim_start().trim_start_matches("- ");
    let is_key = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let glued = value.starts_with(|letter: char| !letter.is_whitespace() && !matches!(letter, ':' | '/'));
    (is_key && glued).then(|| {
        Diagnostic::new(number, key.chars().count() + 1, 1, "a space is missing after the `:`")
            .expecting("`key: value` with a space")
            .suggest(Some(format!("{word}: {}", value.trim_end())))
    })
}

/// Where the last letter of the text is, if nothing but blank lines follows a place.
fn end_of(text: &str, line: usize, column: usize) -> Option<(usize, usize)> {
    let rest = lines(text).skip(line.saturating_sub(1)).enumerate();
    for (index, shown) in rest {
        let skipped = if index == 0 { column - 1 } else { 0 };
        if !shown.chars().skip(skipped).all(char::is_whitespace) {
            return None;
        }
    }
    let (last, shown) = lines(text).enumerate().filter(|(_, line)| !line.trim().is_empty()).last()?;
    Some((last + 1, shown.trim_end().chars().count()))
}

/// The problem of an address in brackets that YAML takes for a list.
pub(super) fn unquoted(line: usize, column: usize, token: &str) -> Diagnostic {
    let message = format!("`{token}` without quotes is a list in YAML, not an address");
    Diagnostic::new(line, column, token.chars().count(), message)
        .expecting("the address in quotes")
        .suggest(Some(format!("\"{token}\"")))
}

/// An address in brackets outside of quotes, with what belongs to it, and the column where it begins.
fn bracketed_address(line: &str) -> Option<(usize, &str)> {
    let mut quote = None;
    let mut start = 0;
    for (at, letter) in line.char_indices() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '#')
                if line.get(..at).is_none_or(|before| before.ends_with([' ', '\t']) || before.is_empty()) =>
            {
                return None;
            }
            (None, '[') => {
                let rest = line.get(at + 1..)?;
                let inside = rest.split(']').next().unwrap_or_default();
                if rest.contains(']') && inside.parse::<Ipv6Addr>().is_ok() {
                    let behind = rest.get(inside.len() + 1..).unwrap_or_default();
                    let port = behind
                        .find(|letter: char| letter != ':' && !letter.is_ascii_digit())
                        .map_or(behind, |end| behind.get(..end).unwrap_or_default());
                    let token = line.get(start.min(at)..at + inside.len() + 2 + port.len())?;
                    let column = line.get(..start.min(at))?.chars().count() + 1;
                    return Some((column, token));
                }
                start = at + 1;
            }
            // What touches the bracket from the left belongs to it, as in `tcp://[fd00::1]:80`.
            (None, letter) if letter.is_whitespace() || matches!(letter, ',' | '{' | '}' | ']') => {
                start = at + letter.len_utf8();
            }
            (None, _) => {}
        }
    }
    None
}

/// The parser's error in terms of the file, and what is expected.
fn plainly(words: &str) -> (String, Option<&'static str>) {
    let (message, expected) = match words {
        _ if words.contains("unknown anchor") => {
            ("this alias has no anchor", Some("`&name` at an earlier value"))
        }
        _ if words.contains("found unexpected end of stream") || words.contains("unexpected eof") => {
            ("the file ends inside a quoted text", Some("a closing quote"))
        }
        _ if words.contains("invalid indentation in quoted") => {
            ("this quoted text is not closed", Some("a closing quote"))
        }
        _ if words.contains("unknown escape character") => (
            "unknown escape sequence in double quotes",
            Some("`\\\\` for a backslash, or text in single quotes"),
        ),
        _ if words.contains("mapping values are not allowed")
            || words.contains("illegal placement of ':'") =>
        {
            (
                "unexpected `:`",
                Some(
                    "one key on a line, every line indented as its neighbours, and text that contains `: ` in quotes",
                ),
            )
        }
        _ if words.contains("did not find expected '-'") => {
            ("a line in a list is not indented as its entries", Some("`- ` where the other entries have it"))
        }
        _ if words.contains("block sequence entries are not allowed") => {
            ("unexpected `- `", Some("a list on lines of its own, below its key"))
        }
        _ if words.contains("',' or ']'") => {
            ("the list in brackets does not continue here", Some("`,` or `]`"))
        }
        _ if words.contains("',' or '}'") => {
            ("the mapping in braces does not continue here", Some("`,` or `}`"))
        }
        _ if words.contains("did not find expected key") || words.contains("simple key expect") => {
            ("a key is missing here", Some("`key: value`, indented as the other keys"))
        }
        _ if words.contains("node content") => {
            ("a value is missing here", Some("a value; one that begins with `:` or `,` in quotes"))
        }
        _ if words.contains("unexpected character") => {
            ("no value begins with this character", Some("a value, or text in quotes"))
        }
        _ if words.contains("invalid trailing content") => {
            ("unexpected text after the closing quote", Some("nothing else"))
        }
        _ if words.contains("tab") => ("a tab is not allowed here in YAML", Some("spaces")),
        _ if words.contains("recursion limit") => return (too_deep(), None),
        _ if words.contains("invalid indentation") || words.contains("wrongly indented") => {
            ("the line is indented less than what it belongs to", None)
        }
        _ => return (format!("this is not YAML: {words}"), None),
    };
    (message.into(), expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml::tree::{Span, Tree};

    #[test]
    fn what_the_tree_refuses_is_said_in_words() {
        let span = Span { line: 3, column: 5, width: 2 };
        let words = |error| problem("", &error);
        let expected = |message| Diagnostic::new(3, 5, 2, message);
        assert_eq!(
            [
                words(TreeError::SecondDocument(span)),
                words(TreeError::PartOfItself(span)),
                words(TreeError::TooManyValues(span)),
                words(TreeError::TooManyNodes(span)),
                words(TreeError::TooDeep(span)),
            ],
            [
                expected("a second document begins here").expecting("one document"),
                expected("this alias refers to a value that contains it"),
                expected("the file has more than 4000000 values")
                    .expecting("fewer aliases, or several files on several directors"),
                expected("the file has more than 2000000 keys and values").expecting("a smaller file"),
                expected("lists and mappings are nested more than 64 deep"),
            ]
        );
        let open = "a: 'b";
        assert_eq!(
            problem(open, &Tree::parse(open).unwrap_err()),
            Diagnostic::new(1, 4, 1, "the file ends inside a quoted text").expecting("a closing quote"),
        );
    }

    #[test]
    fn an_address_in_brackets_is_found_outside_of_quotes_and_comments() {
        for (line, expected) in [
            ("  - [fd00::1]:8080", Some((5, "[fd00::1]:8080"))),
            ("- { address: [fd00::1]:80, weight: 3 }", Some((14, "[fd00::1]:80"))),
            ("x: { listen: tcp://[fd00::1]:80 }", Some((14, "tcp://[fd00::1]:80"))),
            ("servers: [[fd00::1]:80, [fd00::2]:80]", Some((11, "[fd00::1]:80"))),
            ("  - \"[fd00::1]:8080\"", None),
            ("  - a # [fd00::1]:8080", None),
            ("ports: [80, 443]", None),
            ("[", None),
            ("ä: [::1]", Some((4, "[::1]"))),
        ] {
            assert_eq!(bracketed_address(line), expected, "{line}");
        }
    }
}
