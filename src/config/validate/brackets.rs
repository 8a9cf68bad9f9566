//! Finds the bracket or brace that a file opens and does not close.

use super::lines::all;

/// A bracket or brace that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bracket {
    /// Line, from 1
    pub(super) line: usize,
    /// Column in characters, from 1
    pub(super) column: usize,
    /// `[` or `{`
    pub(super) sign: char,
}

impl Bracket {
    /// What closes it.
    pub(super) fn closing(self) -> char {
        if self.sign == '[' { ']' } else { '}' }
    }
}

/// The innermost bracket that is opened before a line, and not closed in the whole text.
pub(super) fn unclosed(text: &str, line: usize) -> Option<Bracket> {
    let mut open: Vec<Bracket> = Vec::new();
    let mut quote = None;
    for (index, content) in all(text).enumerate() {
        let (mut before, mut escaped) = (' ', false);
        for (position, letter) in content.chars().enumerate() {
            // A sign within a word is a part of it: `tcp://[fd00::1]:80`.
            let begins = before.is_whitespace()
                || matches!(before, '[' | '{' | ',')
                || (before == ':' && !open.is_empty());
            match (quote, letter) {
                (Some('"'), _) if escaped => escaped = false,
                (Some('"'), '\\') => escaped = true,
                (Some(sign), _) if sign == letter => quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() => break,
                (None, '"' | '\'') if begins => quote = Some(letter),
                (None, '[' | '{') if begins => {
                    open.push(Bracket { line: index + 1, column: position + 1, sign: letter });
                }
                (None, ']' | '}') => match open.last() {
                    Some(last) if last.closing() == letter => {
                        open.pop();
                    }
                    Some(last) => return Some(*last).filter(|last| last.line < line),
                    None => {}
                },
                (None, _) => {}
            }
            before = letter;
        }
    }
    open.into_iter().rev().find(|bracket| bracket.line < line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bracket_that_is_not_closed_is_found() {
        for (text, line, expected) in [
            ("a: [b, c\nd: e\n", 2, Some((1, 4, '['))),
            ("a: [b, c\nd: [e]\nf: { g: h }\n", 2, Some((1, 4, '['))),
            ("- { a: [b, c }\n- d\n", 2, Some((1, 8, '['))),
            ("a: [\n  { b: c\n  d\n", 3, Some((2, 3, '{'))),
            ("a: [b, # ]\nd: e\n", 2, Some((1, 4, '['))),
            ("a: ['b]',\nd: e\n", 2, Some((1, 4, '['))),
            ("a: [\"\\\"]\",\nd: e\n", 2, Some((1, 4, '['))),
            ("a: it's [b\nd: e\n", 2, Some((1, 9, '['))),
            ("a: [b\n", 1, None),
            ("a: [b]\nc: tcp://[::1\nd\n", 3, None),
            ("a: [b]\nc: d]\ne\n", 3, None),
        ] {
            let found = unclosed(text, line).map(|bracket| (bracket.line, bracket.column, bracket.sign));
            assert_eq!(found, expected, "{text}");
        }
    }
}
