//! Defines the format of a file that a desired file includes.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{CheckEntry, Cluster, Defaults, MarkEntry};
use super::non_null::{list, non_null, unique};

/// The keys of the main file that a fragment never has.
pub(in crate::config) const OF_MAIN_FILE: [&str; 6] =
    ["version", "include", "sysctls", "timeouts", "sync", "policy"];

/// A part of a desired file, which that includes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a file that the desired file of lbd includes")]
#[schemars(extend("patternProperties" = {
    "^x-": { "description": "Ignored, whatever it is: a place for YAML anchors. Only at the top of the file." }
}))]
pub(in crate::config) struct Fragment {
    /// Firewall marks: packets that get a mark before IPVS sees them, so that a cluster can listen on it. No two files declare the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub marks: Vec<MarkEntry>,

    /// Health checks by their names, for the `check` of clusters, servers and `defaults`, also of other files: no two checks share a name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty", deserialize_with = "unique")]
    #[schemars(example = serde_json::json!({ "web": { "type": "http", "port": 80, "path": "/healthz" } }))]
    pub checks: IndexMap<String, CheckEntry>,

    /// What holds for every cluster of this file that says nothing else, before the `defaults` of the main file.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub defaults: Option<Defaults>,

    /// The clusters: virtual services, each with the real servers behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub clusters: Vec<Cluster>,
}
