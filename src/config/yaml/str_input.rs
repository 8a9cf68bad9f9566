//! Feeds a text to the parser, character by character, without the copies that the parser's own input makes.

use std::str::Chars;

use saphyr_parser::input::Input;

/// How many characters of a value the parser allocates for at once.
///
/// Together with the first it is no more than the 32 bytes that the parser has made room for already. Its own way of
/// reading a text takes 128, and so grows each value once more: a sixth of all that reading a file took.
const AT_ONCE: usize = 28;

/// The rest of the text, which the parser has not read yet.
#[derive(Clone)]
pub(super) struct StrInput<'t> {
    rest: Chars<'t>,
}

impl<'t> StrInput<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text.chars() }
    }

    #[inline]
    fn bytes(&self) -> &'t [u8] {
        self.rest.as_str().as_bytes()
    }
}

impl Input for StrInput<'_> {
    /// The parser can look as far as it wants to: it has all of the text.
    #[inline]
    fn lookahead(&mut self, _count: usize) {}

    #[inline]
    fn buflen(&self) -> usize {
        AT_ONCE
    }

    #[inline]
    fn bufmaxlen(&self) -> usize {
        AT_ONCE
    }

    #[inline]
    fn raw_read_ch(&mut self) -> char {
        let letter = self.peek();
        self.skip();
        letter
    }

    #[inline]
    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        let letter = self.peek_opt().filter(|letter| !matches!(letter, '\n' | '\r' | '\0' | '\u{feff}'))?;
        self.skip();
        Some(letter)
    }

    #[inline]
    fn skip(&mut self) {
        self.rest.next();
    }

    #[inline]
    fn skip_n(&mut self, count: usize) {
        (0..count).for_each(|_| self.skip());
    }

    /// The end of the text is `\0`, as the parser requires.
    #[inline]
    fn peek(&self) -> char {
        self.peek_opt().unwrap_or('\0')
    }

    #[inline]
    fn peek_nth(&self, n: usize) -> char {
        self.rest.clone().nth(n).unwrap_or('\0')
    }

    #[inline]
    fn peek_opt(&self) -> Option<char> {
        self.rest.clone().next()
    }

    // The parser calls these for each character of a value and each space behind it.

    #[inline]
    fn next_is_blank(&self) -> bool {
        self.bytes().first().is_some_and(|byte| matches!(byte, b' ' | b'\t'))
    }

    #[inline]
    fn next_is_blank_or_break(&self) -> bool {
        self.bytes().first().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
    }

    #[inline]
    fn next_is_blank_or_breakz(&self) -> bool {
        self.bytes().first().is_none_or(|byte| is_blank_or_end(*byte))
    }

    #[inline]
    fn next_can_be_plain_scalar(&self, in_flow: bool) -> bool {
        let is_end = |byte: &u8| is_blank_or_end(*byte) || (in_flow && is_of_flow(*byte));
        match self.bytes() {
            [b':', behind @ ..] => !behind.first().is_none_or(is_end),
            [BYTE_ORDER_MARK, ..] => self.peek() != '\u{feff}',
            [first, ..] => !(in_flow && is_of_flow(*first)),
            [] => true,
        }
    }
}

/// What a byte order mark begins with in UTF-8.
const BYTE_ORDER_MARK: u8 = 0xef;

fn is_blank_or_end(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\0')
}

/// What ends a value between brackets.
fn is_of_flow(byte: u8) -> bool {
    matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use saphyr_parser::Parser;

    use super::*;

    #[test]
    fn the_parser_reads_the_same_as_by_its_own_way() {
        for text in [
            "",
            "a: b\n",
            "a: ü\nß: [€, \"😀\\n\", 'ä''ö']\n# ü\nb: |\n  ü\n  😀\n",
            "- a long value of more letters than there is room for at once, and an ü at its end\n- ü: ü",
            "\u{feff}a: b\n",
            "a: b\u{feff}c\n",
            "a: \u{85}b\u{2028}c\r\nd: e\rf: g",
            "ü: [\n",
            "a: \"ü",
            "a: \0b",
        ] {
            // After a mistake it would go on for ever.
            let (mut own, mut theirs) = (Parser::new(StrInput::of(text)), Parser::new_from_str(text));
            for _ in 0..100 {
                let (event, expected) = (own.next_event(), theirs.next_event());
                assert_eq!(event, expected, "{text:?}");
                if !matches!(event, Some(Ok(_))) {
                    break;
                }
            }
        }
    }
}
