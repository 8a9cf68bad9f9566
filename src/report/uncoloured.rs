//! Takes the colours out of what is written, where nobody would see them.

use std::io::{self, Write};

/// How a colour begins, and how it ends: `ESC [ … m`. Nothing else that lbd writes holds an ESC: strings of others are escaped
/// before they get here, or the text behind one in a name would be taken out with it (tests/pure/escapes.rs).
const BEGIN: u8 = 0x1b;
const END: u8 = b'm';

/// A stream without the colours of what is written to it.
///
/// A plan can have a hundred thousand lines. To look in them for every sequence that a terminal might know, as a library
/// for any program's output does, took a thirtieth of all that `apply` takes.
pub struct Uncoloured<W> {
    stream: W,
    /// Whether what was written last ended inside of a colour
    is_inside: bool,
}

impl<W: Write> Uncoloured<W> {
    /// Writes to `stream`.
    pub fn new(stream: W) -> Self {
        Self { stream, is_inside: false }
    }
}

impl<W: Write> Write for Uncoloured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        loop {
            if self.is_inside {
                // It is a few bytes long, and not worth a search for many at once.
                let Some(end) = rest.iter().position(|byte| *byte == END) else { break };
                rest = rest.get(end + 1..).unwrap_or_default();
            }
            let begin = memchr::memchr(BEGIN, rest);
            self.is_inside = begin.is_some();
            let (text, behind) = rest.split_at(begin.unwrap_or(rest.len()));
            self.stream.write_all(text)?;
            rest = behind;
            if !self.is_inside {
                break;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use anstyle::{AnsiColor, Color, RgbColor, Style};

    use super::*;

    #[test]
    fn colours_are_taken_out_wherever_a_write_ends() {
        let styles = [
            AnsiColor::Green.on_default(),
            Style::new().bold().underline(),
            Style::new().fg_color(Some(Color::Rgb(RgbColor(1, 2, 3)))),
        ];
        let text: String = styles
            .iter()
            .map(|style| format!("{style}one m{style:#} two\n"))
            .chain(["three".into()])
            .collect();
        for length in 1..=text.len() {
            let mut plain = Vec::new();
            let mut stream = Uncoloured::new(&mut plain);
            for piece in text.as_bytes().chunks(length) {
                stream.write_all(piece).unwrap();
            }
            assert_eq!(String::from_utf8(plain).unwrap(), "one m two\none m two\none m two\nthree");
        }
    }
}
