//! The JSON Schemas in the repository are the ones that the types generate.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Where it is set, the schemas that no command prints are written anew.
const WRITE: &str = "LBD_WRITE_SCHEMAS";

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let schemas = [
        ("desired", lbd::config::schema(), ""),
        ("fragment", lbd::config::fragment_schema(), " --fragment"),
        ("api", lbd::api::schema(), " --api"),
    ];
    for (name, schema, option) in schemas {
        assert!(
            committed(name) == schema,
            "the types have changed; write the schema again: cargo run -- schema{option} > schema/{name}.schema.json"
        );
    }
}

#[test]
fn the_schemas_of_the_agent_are_those_of_its_types() {
    check_written("agent", &lbd::agent::schema());
}

/// Compares a schema with the one in the repository; writes that anew before, where it shall be.
fn check_written(name: &str, schema: &str) {
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path(name), schema).unwrap();
    }
    assert!(
        committed(name) == schema,
        "the types have changed; write the schema again: {WRITE}=1 cargo test --test pure schemas_of_the_agent"
    );
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("schema/{name}.schema.json"))
}

fn committed(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_default()
}
