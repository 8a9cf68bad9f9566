//! The JSON Schema of the replies that no command writes, generated from their types, and written down for the program that is shipped.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;

use super::problem::ProblemDocument;
use crate::history::HistoryEvent;
use crate::report::TableDocument;

/// What the types generate, as it was last written down. What generates it is not in the program that is shipped.
const WRITTEN: &str = include_str!("../../schema/api.schema.json");

/// What `/v1/events` has behind each `data:`.
#[derive(Serialize, JsonSchema)]
struct EventDocument {
    /// The version of the document: 1
    version: u32,
    #[serde(flatten)]
    event: HistoryEvent,
}

/// The JSON Schema (Draft 2020-12), as text with a final newline: an object that has a reply under its path is valid where the reply is. A debug build
/// generates it, and a test compares both.
pub fn schema() -> String {
    if cfg!(debug_assertions) { generated() } else { WRITTEN.to_owned() }
}

fn generated() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let table = generator.subschema_for::<TableDocument<'_>>();
    let event = generator.subschema_for::<EventDocument>();
    let problem = generator.subschema_for::<ProblemDocument>();
    let mut schema = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:lbd:api:1",
        "title": "Replies of the socket of lbd, each under its path",
        "type": "object",
        "properties": { "/v1/table": table, "/v1/events": event, "application/problem+json": problem },
        "additionalProperties": false,
    });
    schema.insert("$defs".to_owned(), generator.take_definitions(true).into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
