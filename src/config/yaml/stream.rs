//! Reads a document straight from the parser's events as serde requests them, and stores none: a file can have a million.

use std::borrow::Cow;

use saphyr_parser::{Event, ScalarStyle};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::events::{Events, StreamError, unexpected};
use super::limits::MOST_NODES;
use super::plain_scalar::PlainScalar;

/// Reads the one document of a text.
pub(in crate::config) fn read<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, StreamError> {
    read_up_to(text, MOST_NODES)
}

fn read_up_to<'t, T: Deserialize<'t>>(text: &'t str, most_nodes: usize) -> Result<T, StreamError> {
    let mut events = Events::of(text, most_nodes);
    events.expect(&Event::StreamStart)?;
    if !matches!(events.take()?, Event::DocumentStart(_)) {
        return Err(StreamError::custom("the file is empty"));
    }
    let document = T::deserialize(&mut events)?;
    events.expect(&Event::DocumentEnd)?;
    events.expect(&Event::StreamEnd)?;
    Ok(document)
}

impl<'de> Deserializer<'de> for &mut Events<'de> {
    type Error = StreamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        match self.take()? {
            Event::Scalar(text, style, ..) => {
                let scalar = if style == ScalarStyle::Plain {
                    PlainScalar::of_plain(&text)
                } else {
                    PlainScalar::Text
                };
                match scalar {
                    PlainScalar::Null => visitor.visit_unit(),
                    PlainScalar::Boolean(flag) => visitor.visit_bool(flag),
                    PlainScalar::Integer(number) => match (u64::try_from(number), i64::try_from(number)) {
                        (Ok(number), _) => visitor.visit_u64(number),
                        (_, Ok(number)) => visitor.visit_i64(number),
                        _ => Err(StreamError::invalid_type(Unexpected::Other("a huge number"), &visitor)),
                    },
                    PlainScalar::Fraction => {
                        Err(StreamError::invalid_type(Unexpected::Other("a fraction"), &visitor))
                    }
                    PlainScalar::Text => visit_text(text, visitor),
                }
            }
            Event::SequenceStart(..) => {
                let value = visitor.visit_seq(&mut *self)?;
                // A visitor that has enough may leave entries behind.
                self.expect(&Event::SequenceEnd)?;
                Ok(value)
            }
            Event::MappingStart(..) => {
                let value = visitor.visit_map(&mut *self)?;
                self.expect(&Event::MappingEnd)?;
                Ok(value)
            }
            event => Err(unexpected(&event)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        let is_null = matches!(
            self.peek()?,
            Event::Scalar(text, ScalarStyle::Plain, ..) if PlainScalar::of_plain(text) == PlainScalar::Null
        );
        if !is_null {
            return visitor.visit_some(self);
        }
        self.take()?;
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, StreamError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, StreamError> {
        let text = self.text()?;
        let word: StrDeserializer<'_, StreamError> = text.as_ref().into_deserializer();
        visitor.visit_enum(word)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        visit_text(self.text()?, visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        visit_text(self.text()?, visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        visit_text(self.text()?, visitor)
    }

    /// Skips a value whatever it is, also one that no value of a document can be.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct
    }
}

/// A key of a mapping: text, whatever else it might be.
struct Key<'t>(Cow<'t, str>);

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = StreamError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, StreamError> {
        visit_text(self.0, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, StreamError> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

impl<'de> de::SeqAccess<'de> for &mut Events<'de> {
    type Error = StreamError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, StreamError> {
        if matches!(self.peek()?, Event::SequenceEnd) {
            Ok(None)
        } else {
            seed.deserialize(&mut **self).map(Some)
        }
    }
}

impl<'de> de::MapAccess<'de> for &mut Events<'de> {
    type Error = StreamError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, StreamError> {
        match self.take()? {
            end @ Event::MappingEnd => {
                self.next = Some(end);
                Ok(None)
            }
            Event::Scalar(text, ..) => seed.deserialize(Key(text)).map(Some),
            event => Err(unexpected(&event)),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, StreamError> {
        seed.deserialize(&mut **self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::yaml::tree::Tree;

    fn value(text: &str) -> Result<Value, StreamError> {
        read(text)
    }

    #[test]
    fn a_text_is_read_as_serde_yaml_reads_it() {
        for text in [
            "a",
            "\"80\"",
            "[1, -2, 0x10, 007, '8', true, yes, ~, null, '']",
            "a: 1\nb:\n  - c\n  - d: {}\n    e: []\nf:\n",
            "- |\n  two\n  lines\n- >-\n  folded\n  text\n- plain\n  text\n",
            "---\na: b # comment\n...\n",
            "%YAML 1.2\n---\na: b\n",
            "a: &x 1\nb: *x\n",
            "a: &x [1, &y {b: 2}, *y]\nc: *x\nd: [*x, *y, *x]\n",
            "&k a: 1\nb: *k\n",
            "80: 1\ntrue: 2\n",
            "a: 18446744073709551615\nb: -9223372036854775808\n",
            "{a: 1, b: [c, {d: e}], \"f\": g}",
            "\"a\\tb\\u00fc\": 'it''s'\n",
            "a: &x\nb: *x\n",
        ] {
            let expected: Value = serde_yaml::from_str(text).unwrap();
            assert_eq!(value(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        for text in [
            "",
            "# nothing\n",
            "a: b\n---\nc: d\n",
            "a: [",
            "a: *x\n",
            "a: &a [*a]\n",
            "[a]: b\n",
            "a: 1.5\n",
        ] {
            assert!(value(text).is_err_and(|error| !error.is_unsupported), "{text}");
        }
        assert!(value("a: !!str 80\n").is_err_and(|error| error.is_unsupported));
    }

    #[test]
    fn keys_and_values_are_counted_as_the_tree_counts_them() {
        for text in ["a", "[]", "- {a: 1}\n- {b: 2}\n- c\n", "a: &x [1, 2]\nb: [*x, *x]\nc: ~\n"] {
            for most in 0..20 {
                let read = read_up_to::<de::IgnoredAny>(text, most).is_ok();
                assert_eq!(read, Tree::parse_up_to(text, most).is_ok(), "{text}: {most}");
            }
        }
    }

    #[test]
    fn a_word_that_may_be_missing_is_seen_as_missing() {
        assert_eq!(read::<Option<bool>>("~").unwrap(), None);
        assert_eq!(read::<Option<bool>>("true").unwrap(), Some(true));
        assert_eq!(read::<(bool, String)>("[true, 80]").unwrap(), (true, "80".to_owned()));
        assert!(read::<(bool, bool)>("[true, true, true]").is_err(), "an entry too many");
    }

    #[test]
    fn a_bomb_of_aliases_is_not_unfolded() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..30 {
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(10)));
        }
        let error = read::<de::IgnoredAny>(&bomb).unwrap_err();
        assert_eq!(error.message, "the aliases have too many values");
    }
}
