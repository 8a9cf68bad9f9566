//! The JSON Schema of the desired file, generated from its types.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::document::Document;
use super::fragment::Fragment;

/// The JSON Schema (Draft 2020-12) of the desired file, as text with a final newline.
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(schema_value()).unwrap_or_default();
    text.push('\n');
    text
}

/// The JSON Schema of a file that the desired file includes, as text with a final newline.
pub fn fragment_schema() -> String {
    let mut text = serde_json::to_string_pretty(fragment_schema_value()).unwrap_or_default();
    text.push('\n');
    text
}

/// The same as a tree.
pub(in crate::config) fn fragment_schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = generator().into_root_schema_for::<Fragment>();
        schema.insert("$id".into(), "urn:lbd:fragment:1".into());
        Value::from(schema)
    });
    &SCHEMA
}

/// The JSON Schema of the desired file as a tree.
pub(in crate::config) fn schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = generator().into_root_schema_for::<Document>();
        // A name, not an address: the schema is installed with the program and fetched from nowhere.
        schema.insert("$id".into(), "urn:lbd:desired:1".into());
        Value::from(schema)
    });
    &SCHEMA
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
