//! Writes strings of others so that a terminal, a log, a script or a shell takes them for nothing but text.
//!
//! A string of others is one that comes from a file, the kernel, /proc, the environment, the command line, another program
//! or the state directory. Whoever prints one prints it through this room: [`text`] and [`Escaped`] for people, [`json`]
//! for scripts that read JSON, [`word`] for a shell.

mod json;
mod shell;

use std::borrow::Cow;
use std::fmt::{self, Write};

pub use json::{to_text as json_text, write as json, write_line as json_line};
pub use shell::word;

/// Whether a character does something to who reads it other than to show a letter: it moves the cursor, gives the terminal
/// a command, ends the line, changes the direction of writing, or cannot be seen.
///
/// These are the controls (C0, DEL, C1), the line and paragraph separators, the annotation characters, and what Unicode calls
/// `Default_Ignorable_Code_Point`, the bidirectional controls among them.
pub fn is_harmful(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{ad}' // soft hyphen
        | '\u{34f}'
        | '\u{61c}' // bidirectional
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' // of no width, and bidirectional
        | '\u{2028}'..='\u{202e}' // ends of lines, and bidirectional
        | '\u{2060}'..='\u{206f}' // invisible, and bidirectional
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' // byte order mark
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' // tags
    )
}

/// Whether all of a text can be shown as it is.
pub fn is_harmless(text: &str) -> bool {
    // A plan has a hundred thousand lines, and nearly all text is ASCII: many bytes at once are looked at together.
    let is_unusual = |byte: u8| !(b' '..0x7f).contains(&byte);
    let is_plain = !text.as_bytes().iter().fold(false, |found, byte| found | is_unusual(*byte));
    is_plain || !text.chars().any(is_harmful)
}

/// A text of others for people: what [`is_harmful`] in it is written as `\n`, `\t`, `\r`, `\x1b` or `\u{202e}`, so that the
/// reader sees what is there. All else stays as it is, the backslash too.
pub fn text(text: &str) -> Cow<'_, str> {
    if is_harmless(text) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    text.chars().for_each(|letter| push(&mut escaped, letter));
    Cow::Owned(escaped)
}

fn push(escaped: &mut String, letter: char) {
    // Writing to a string does not fail.
    let _ = match letter {
        '\n' => escaped.write_str("\\n"),
        '\r' => escaped.write_str("\\r"),
        '\t' => escaped.write_str("\\t"),
        '\0'..='\u{7f}' if is_harmful(letter) => write!(escaped, "\\x{:02x}", u32::from(letter)),
        _ if is_harmful(letter) => write!(escaped, "\\u{{{:x}}}", u32::from(letter)),
        _ => escaped.write_char(letter),
    };
}

/// Escapes, as [`text`] does, what was written to the end of `text` from byte `start` on.
pub fn tail(text: &mut String, start: usize) {
    let written = text.get(start..).unwrap_or_default();
    if !is_harmless(written) {
        let escaped = self::text(written).into_owned();
        text.truncate(start);
        text.push_str(&escaped);
    }
}

/// One character for a character, where columns have to stay aligned: a blank for a tab, a placeholder for what else
/// [`is_harmful`].
pub fn placeholder(letter: char) -> char {
    match letter {
        '\t' => ' ',
        _ if is_harmful(letter) => char::REPLACEMENT_CHARACTER,
        _ => letter,
    }
}

/// What shows itself with everything in it escaped as [`text`] does.
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Through(f), "{}", self.0)
    }
}

/// What shows itself in its debug form with everything in it escaped as [`text`] does.
impl<T: fmt::Debug> fmt::Debug for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Through(f), "{:?}", self.0)
    }
}

struct Through<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Through<'_, '_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.write_str(&text(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A key of a bad file set the title of root's terminal, cleared it and showed a line of its own.
    #[test]
    fn what_a_terminal_acts_on_is_shown_and_not_done() {
        for (raw, shown) in [
            ("\u{1b}]0;x\u{7}\u{1b}[2J\nin sync", "\\x1b]0;x\\x07\\x1b[2J\\nin sync"),
            ("a\tb\r\0\u{7f}", "a\\tb\\r\\x00\\x7f"),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
            ("\u{202e}evil\u{2066}\u{200b}\u{feff}", "\\u{202e}evil\\u{2066}\\u{200b}\\u{feff}"),
            ("\u{2028}\u{e0041}\u{ad}", "\\u{2028}\\u{e0041}\\u{ad}"),
        ] {
            assert_eq!(text(raw), shown);
            assert_eq!(Escaped(raw).to_string(), shown);
            let mut line = "\u{1b}[1m".to_owned();
            line.push_str(raw);
            tail(&mut line, 4);
            assert_eq!(line, format!("\u{1b}[1m{shown}"));
        }
    }

    #[test]
    fn plain_text_is_not_even_copied() {
        for plain in ["", "tcp://10.0.0.13:80", "Größe 日本 🦀", "C:\\path \"quoted\" 'so'", "\\x1b"] {
            assert!(matches!(text(plain), Cow::Borrowed(same) if same == plain), "{plain}");
            let mut line = plain.to_owned();
            tail(&mut line, 0);
            assert_eq!(line, plain);
        }
        let long = "0123456789abcdef".repeat(100);
        assert!(is_harmless(&long) && !is_harmless(&format!("{long}\u{1b}")));
        assert!(!is_harmless(&format!("\u{7f}{long}")));
    }

    #[test]
    fn in_a_column_each_character_stays_one() {
        let shown: String = "a\t\u{1b}[1m\u{202e}ü\u{85}".chars().map(placeholder).collect();
        assert_eq!(shown, "a \u{fffd}[1m\u{fffd}ü\u{fffd}");
    }

    #[test]
    fn every_control_and_every_bidirectional_character_is_harmful() {
        let is_control = |letter: &char| letter.is_control() && !is_harmful(*letter);
        assert_eq!(('\0'..=char::MAX).find(is_control), None);
        for letter in
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}"
                .chars()
        {
            assert!(is_harmful(letter), "{letter:?}");
        }
    }
}
