//! The JSON Schema of the desired file, generated from its types, and written down for the program that is shipped.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::document::Document;
use super::fragment::Fragment;

/// What the types generate, as it was last written down. What generates it would be a twentieth of the program that is shipped.
const DESIRED: &str = include_str!("../../../schema/desired.schema.json");
/// The same for a file that the desired file includes.
const FRAGMENT: &str = include_str!("../../../schema/fragment.schema.json");

/// The JSON Schema (Draft 2020-12) of the desired file, as text with a final newline.
pub fn schema() -> String {
    text(schema_value())
}

/// The JSON Schema of a file that the desired file includes, as text with a final newline.
pub fn fragment_schema() -> String {
    text(fragment_schema_value())
}

/// A schema as text with a final newline.
pub fn text(schema: &Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The JSON Schema of the desired file as a tree.
pub(in crate::config) fn schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| of::<Document>("urn:lbd:desired:1", DESIRED));
    &SCHEMA
}

/// The same for a file that the desired file includes.
pub(in crate::config) fn fragment_schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| of::<Fragment>("urn:lbd:fragment:1", FRAGMENT));
    &SCHEMA
}

/// The JSON Schema of a file by its type. A debug build generates it, so that `cargo run -- schema` prints what the types say, one that is shipped
/// has what was `written` down; a test compares both. `id` is a name, not an address: the schema is installed with the program and fetched from nowhere.
pub fn of<T: JsonSchema>(id: &str, written: &str) -> Value {
    if cfg!(debug_assertions) { generated::<T>(id) } else { parsed(written) }
}

fn generated<T: JsonSchema>(id: &str) -> Value {
    let mut schema = generator().into_root_schema_for::<T>();
    schema.insert("$id".into(), id.into());
    schema.into()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
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
    fn the_program_that_is_shipped_has_the_schemas_of_the_types() {
        // `tests/pure/schema.rs` says how to write them anew.
        assert!(parsed(DESIRED) == *schema_value() && parsed(FRAGMENT) == *fragment_schema_value());
    }
}
