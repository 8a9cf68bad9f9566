//! The JSON Schema in the repository is the one that the types generate.

use std::path::Path;

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/desired.schema.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == lbd::config::schema(),
        "the types have changed; write the schema again: cargo run -- schema > schema/desired.schema.json"
    );
}
