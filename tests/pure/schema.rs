//! The JSON Schemas in the repository are the ones that the types generate.

use std::path::Path;

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let schemas = [
        ("desired", lbd::config::schema(), ""),
        ("fragment", lbd::config::fragment_schema(), " --fragment"),
        ("api", lbd::api::schema(), " --api"),
    ];
    for (name, schema, option) in schemas {
        let file = format!("schema/{name}.schema.json");
        let committed =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap_or_default();
        assert!(
            committed == schema,
            "the types have changed; write the schema again: cargo run -- schema{option} > {file}"
        );
    }
}
