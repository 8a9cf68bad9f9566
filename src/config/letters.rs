//! Gives the parser its text, letter by letter, and no room that it would only have to give back.

use saphyr_parser::input::Input;

/// How many letters of a value the parser makes room for at once.
///
/// Together with the first it is no more than the 32 bytes that the parser has made room for already. Its own way of
/// reading a text takes 128, and so grows each value once more: a sixth of all that reading a file took.
const AT_ONCE: usize = 28;

/// What the parser has not taken yet.
#[derive(Clone, Copy)]
pub(super) struct Letters<'t> {
    rest: &'t str,
    /// How far the parser wants to look; it has all of the text, so that this is only remembered
    ahead: usize,
}

impl<'t> Letters<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { rest: text, ahead: 0 }
    }
}

impl Input for Letters<'_> {
    #[inline]
    fn lookahead(&mut self, count: usize) {
        self.ahead = self.ahead.max(count);
    }

    #[inline]
    fn buflen(&self) -> usize {
        self.ahead
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
        // Nearly all letters are ASCII, here and below.
        if let Some(rest) = self.rest.get(1..) {
            self.rest = rest;
        } else {
            let mut letters = self.rest.chars();
            letters.next();
            self.rest = letters.as_str();
        }
    }

    #[inline]
    fn skip_n(&mut self, count: usize) {
        (0..count).for_each(|_| self.skip());
    }

    /// The end of the text is `\0`, as the parser asks for.
    #[inline]
    fn peek(&self) -> char {
        match self.rest.as_bytes() {
            [first, ..] if first.is_ascii() => char::from(*first),
            _ => self.rest.chars().next().unwrap_or('\0'),
        }
    }

    #[inline]
    fn peek_nth(&self, n: usize) -> char {
        match self.rest.as_bytes() {
            [first, second, ..] if n == 1 && first.is_ascii() && second.is_ascii() => char::from(*second),
            _ => self.rest.chars().nth(n).unwrap_or('\0'),
        }
    }

    #[inline]
    fn peek_opt(&self) -> Option<char> {
        self.rest.chars().next()
    }
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
            let (mut own, mut theirs) = (Parser::new(Letters::of(text)), Parser::new_from_str(text));
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
