//! The JSON Schema of the desired file, generated from its types, and written down for the program that is shipped.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::document::Document;

/// What the types generate, as it was last written down. What generates it would be a twentieth of the program that is shipped.
const WRITTEN: &str = include_str!("../../../schema/desired.schema.json");

/// The JSON Schema (Draft 2020-12) of the desired file, as text with a final newline.
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(schema_value()).unwrap_or_default();
    text.push('\n');
    text
}

/// The same as a tree. A debug build generates it, so that `cargo run -- schema` prints what the types say; a test compares both.
pub(in crate::config) fn schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> =
        LazyLock::new(|| if cfg!(debug_assertions) { generated() } else { written() });
    &SCHEMA
}

fn generated() -> Value {
    let mut schema = generator().into_root_schema_for::<Document>();
    // A name, not an address: the schema is installed with the program and fetched from nowhere.
    schema.insert("$id".into(), "urn:lbd:desired:1".into());
    schema.into()
}

fn written() -> Value {
    serde_json::from_str(WRITTEN).unwrap_or_default()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with_transform(NoNull).with_transform(Unwrap).into_generator()
}

/// Takes `null` out again: schemars allows it for every `Option`, while a key of the file is given or left out.
#[derive(Debug, Clone)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|word| word != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".into(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type").is_none_or(|word| word != "null"));
            if let [Value::Object(only)] = choices.as_slice() {
                let only = only.clone();
                object.remove("anyOf");
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
}

/// Joins the lines of a comment again; a blank line stays the end of a paragraph.
#[derive(Debug, Clone)]
struct Unwrap;

impl Transform for Unwrap {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_is_shipped_has_the_schema_of_the_types() {
        // `tests/pure/schema.rs` says how to write it anew.
        assert!(written() == generated());
    }
}
