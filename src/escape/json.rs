//! Writes JSON in which no character does anything to a terminal that shows it.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

use super::{is_harmful, is_harmless};

/// How much is collected before it is passed on, in bytes: a document consists of very short pieces.
const COLLECTED: usize = 16 << 10;

/// Writes a document over several lines, without a line break at its end.
///
/// `serde_json` escapes quotes, backslashes and C0; here also what else [`is_harmful`] is written as `\u` and four hexadecimal digits, which every
/// reader takes for the same character.
///
/// # Errors
/// Those of `out`, and what the document's own serialisation has to say.
pub fn write(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(COLLECTED, out);
    document.serialize(&mut Serializer::with_formatter(&mut out, Harmless(PrettyFormatter::new())))?;
    out.flush()
}

/// The same as text.
///
/// # Errors
/// What the document's own serialisation has to say.
pub fn to_text(document: &impl Serialize) -> io::Result<String> {
    let mut text = Vec::new();
    write(&mut text, document)?;
    String::from_utf8(text).map_err(io::Error::other)
}

/// Writes a document without any space, without a line break at its end: for documents of one line each.
///
/// # Errors
/// As for [`write`].
pub fn write_line(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    Ok(document.serialize(&mut Serializer::with_formatter(out, HarmlessLine))?)
}

struct HarmlessLine;

impl Formatter for HarmlessLine {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        write_harmless(writer, fragment)
    }
}

/// A piece of a string.
fn write_harmless<W: ?Sized + Write>(writer: &mut W, fragment: &str) -> io::Result<()> {
    if is_harmless(fragment) {
        return writer.write_all(fragment.as_bytes());
    }
    let mut rest = fragment;
    while let Some((at, letter)) = rest.char_indices().find(|(_, letter)| is_harmful(*letter)) {
        let (before, behind) = rest.split_at(at);
        writer.write_all(before.as_bytes())?;
        for unit in letter.encode_utf16(&mut [0; 2]) {
            write!(writer, "\\u{unit:04x}")?;
        }
        rest = behind.get(letter.len_utf8()..).unwrap_or_default();
    }
    writer.write_all(rest.as_bytes())
}

struct Harmless(PrettyFormatter<'static>);

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        write_harmless(writer, fragment)
    }

    // All else is as usual.

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_json_leaves_raw_is_escaped_and_all_else_is_as_usual() {
        let document =
            json!({ "a\u{7f}": ["\u{9b}2J \u{202e}\"\n", { "b": 1, "c": [] }], "d": {}, "e": "\u{e0041}ü" });
        let written = to_text(&document).unwrap();
        assert_eq!(
            written,
            "{\n  \"a\\u007f\": [\n    \"\\u009b2J \\u202e\\\"\\n\",\n    {\n      \"b\": 1,\n      \"c\": []\n    }\n  ],\n  \
             \"d\": {},\n  \"e\": \"\\udb40\\udc41ü\"\n}"
        );
        let plain = json!({ "a": [1, "two", null, { "three": [true, 4.5] }], "b": {} });
        assert_eq!(to_text(&plain).unwrap(), serde_json::to_string_pretty(&plain).unwrap());
        let mut line = Vec::new();
        write_line(&mut line, &json!({ "a\u{7f}": [1, "\u{9b}\n", null] })).unwrap();
        assert_eq!(line, br#"{"a\u007f":[1,"\u009b\n",null]}"#);
    }

    proptest! {
        #[test]
        fn a_reader_gets_every_string_back(text in any::<String>(), key in any::<String>()) {
            let document = json!({ key: [text] });
            let written = to_text(&document).unwrap();
            prop_assert!(written.chars().all(|letter| letter == '\n' || !is_harmful(letter)), "{written:?}");
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), document);
        }
    }
}
