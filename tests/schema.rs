//! The schema in the repository is the one that the types make.

use std::fs;

#[test]
fn the_schema_is_the_one_that_the_types_make() {
    let written = fs::read_to_string("schema/desired.schema.json").unwrap_or_default();
    assert!(
        written == lbd::config::schema(),
        "schema/desired.schema.json is not up to date: cargo run -- schema > schema/desired.schema.json"
    );
}
