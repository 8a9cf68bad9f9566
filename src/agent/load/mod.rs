//! Loads the agent's own file, and says everything that is wrong with it, each problem at its place.

mod address;
mod etcd;
mod git;
mod paths;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;

use super::format::{AgentFile, DirectoryEntry, FullDirectory, SourceEntry};
use super::settings::{DirectorySettings, Settings, SourceSettings};
use crate::config::document::DurationText;
use crate::config::other::{self, Issue, Issues, KeyPath};
use crate::config::{Diagnostics, Source};
use crate::fleet::names as name;
use paths::Placeholders;

/// What the types generate, as it was last written down: `tests/pure/schema.rs` says how.
const WRITTEN: &str = include_str!("../../../schema/agent.schema.json");
/// How often a source is looked at where the file does not say it, in seconds.
const INTERVAL: u32 = 30;

/// The JSON Schema (Draft 2020-12) of the agent's file, as text with a final newline.
pub fn schema() -> String {
    other::schema_text(schema_value())
}

fn schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> =
        LazyLock::new(|| other::schema_of::<AgentFile>("urn:lbd:agent:1", WRITTEN));
    &SCHEMA
}

/// What the agent's file says, on a host of this name: without its domain, it is the default for the name of the director.
///
/// # Errors
/// All that is wrong with the file.
pub fn load(source: &Source, host: &str) -> Result<Settings, Diagnostics> {
    other::load(source, schema_value(), |file: AgentFile, issues| resolve(file, host, issues))
}

/// The path of a value, by its keys.
fn at(keys: &[&'static str]) -> KeyPath {
    keys.iter().fold(KeyPath::default(), |path, key| path.then(*key))
}

fn resolve(file: AgentFile, host: &str, issues: &mut Issues) -> Option<Settings> {
    let AgentFile { version: _, name, labels, source, rollout, report } = file;
    let name = match name {
        Some(name) => {
            name::check(name.as_str(), "the name of a director", at(&["name"]), false, issues);
            name.as_str().to_owned()
        }
        None => name::of_host(host, issues),
    };
    let labels: BTreeMap<String, String> = labels
        .into_iter()
        .map(|(key, value)| {
            name::check_label(&key, value.as_str(), at(&["labels"]).then(key.clone()), issues);
            (key, value.as_str().to_owned())
        })
        .collect();
    let placeholders = Placeholders { name: &name, labels: &labels };
    let source = resolve_source(source, &placeholders, issues);
    let rollout = match rollout {
        Some(rollout) => Some(etcd::resolve(rollout.etcd, &at(&["rollout", "etcd"]), issues)),
        None => None,
    };
    let report = report.unwrap_or(rollout.is_some());
    if report && rollout.is_none() && !matches!(source, Some(SourceSettings::Etcd(_)) | None) {
        issues.push(
            Issue::new(at(&["report"]), "there is no etcd to which this director could report")
                .expected("`rollout` with an `etcd`, or `report: false`"),
        );
    }
    Some(Settings { name, labels, source: source?, rollout, report })
}

fn resolve_source(
    entry: SourceEntry,
    placeholders: &Placeholders<'_>,
    issues: &mut Issues,
) -> Option<SourceSettings> {
    let SourceEntry { git, etcd, directory } = entry;
    let given = [("git", git.is_some()), ("etcd", etcd.is_some()), ("directory", directory.is_some())];
    let given: Vec<&'static str> =
        given.into_iter().filter_map(|(key, given)| given.then_some(key)).collect();
    // Each one is looked at, also where there is one too many.
    let git = git.map(|git| SourceSettings::Git(git::resolve(git, placeholders, issues)));
    let etcd = etcd.map(|etcd| SourceSettings::Etcd(etcd::resolve(etcd, &at(&["source", "etcd"]), issues)));
    let directory = directory
        .map(|directory| SourceSettings::Directory(resolve_directory(directory, placeholders, issues)));
    match given.as_slice() {
        [] => issues.push(
            Issue::new(at(&["source"]), "the source is missing").expected("`git`, `etcd` or `directory`"),
        ),
        [first, others @ ..] => {
            for key in others {
                issues.push(
                    Issue::new(at(&["source"]).then(*key), format!("there is a source already: `{first}`"))
                        .at_key()
                        .expected("one of `git`, `etcd` and `directory`; for the turns of a rollout, `rollout` beside `source`")
                        .first(at(&["source"]).then(*first)),
                );
            }
        }
    }
    git.or(etcd).or(directory)
}

fn resolve_directory(
    entry: DirectoryEntry,
    placeholders: &Placeholders<'_>,
    issues: &mut Issues,
) -> DirectorySettings {
    let here = at(&["source", "directory"]);
    let (path, at_path, paths, interval) = match entry {
        DirectoryEntry::Path(path) => (path, here.clone(), None, None),
        DirectoryEntry::Full(FullDirectory { path, paths, interval }) => {
            (path, here.then("path"), paths, interval)
        }
    };
    let path = paths::absolute(path.as_str(), at_path, issues);
    let paths = match paths {
        Some(paths) => placeholders.fill(&paths, &here.then("paths"), issues),
        None => vec![format!("{}.yaml", placeholders.name), "desired.yaml".to_owned()],
    };
    DirectorySettings { path, paths, interval: resolve_interval(interval.as_ref(), &here, issues) }
}

/// How often a source is looked at; `here` is the path of the source.
fn resolve_interval(entry: Option<&DurationText>, here: &KeyPath, issues: &mut Issues) -> Duration {
    let seconds = entry.and_then(|entry| other::seconds(entry, 1..=86_400, || here.then("interval"), issues));
    Duration::from_secs(seconds.unwrap_or(INTERVAL).into())
}
