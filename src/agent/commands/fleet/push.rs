//! `lbd fleet push`: a desired file for the directors with some labels, where the source is etcd.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use super::{Fleet, Reading, by};
use crate::agent::commands::AgentError;
use crate::agent::controller::shown;
use crate::agent::etcd::{Etcd, Write, compressed};
use crate::agent::settings::SourceSettings;
use crate::agent::source::files_of;
use crate::cli::FleetOptions;
use crate::commands::{CommandError, Console, DONE, REFUSED, confirm};
use crate::config::{self, nearest};
use crate::escape;
use crate::files::sha256;
use crate::fleet::{DESIRED, FILES, FileList, Head, next_head, promote, written};

/// How many keys are removed at once: a transaction of etcd has at most 128 operations.
const MOST_REMOVED: usize = 100;

/// What is pushed.
pub(super) struct Push<'a> {
    pub(super) file: &'a Path,
    pub(super) labels: &'a [(String, String)],
    pub(super) all: bool,
    pub(super) yes: bool,
    pub(super) reason: Option<&'a str>,
}

/// The directors that are known, each with its labels: by the report of its agent, else by the strategy.
fn directors(reading: &Reading) -> BTreeMap<String, BTreeMap<String, String>> {
    let strategy = reading.view.strategy.as_ref().map(|strategy| &strategy.value);
    let of_strategy = strategy.into_iter().flat_map(|strategy| strategy.directors.clone());
    let mut directors: BTreeMap<_, _> = of_strategy.collect();
    directors.extend(reading.view.reports.iter().map(|(name, report)| (name.clone(), report.labels.clone())));
    directors
}

/// Checks the labels: one that no director has is mostly a typo, and must not pass for "all".
fn check(
    labels: &BTreeMap<String, String>,
    directors: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<(), AgentError> {
    let known = |label: &str| label == "name" || directors.values().any(|of| of.contains_key(label));
    let Some(label) = labels.keys().find(|label| !known(label)) else { return Ok(()) };
    let labels = directors.values().flat_map(|of| of.keys().map(String::as_str)).chain(["name"]);
    let near = nearest(label, labels).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(AgentError::Other(format!("no director has the label `{label}`{near}; nothing was pushed")))
}

pub(super) fn run(
    options: &FleetOptions,
    push: &Push<'_>,
    console: &mut Console<'_>,
) -> Result<u8, AgentError> {
    let source = config::read_or_pipe(push.file).map_err(CommandError::from)?;
    if source.is_set() || !config::includes(&source.text).is_empty() {
        return Err(AgentError::Other(format!(
            "{}: it has `include`: the file of a fleet is complete",
            source.name
        )));
    }
    config::load(&source)?;
    let value =
        compressed(&source.text).map_err(|error| AgentError::Other(format!("{}: {error}", source.name)))?;
    let mut fleet = Fleet::new(options)?;
    if !matches!(fleet.settings.source, SourceSettings::Etcd(_)) {
        return Err(AgentError::Other(format!(
            "{}: the source there is not etcd, so nobody would take what is pushed; commit the file to where it is",
            options.config.display()
        )));
    }
    let reading = fleet.read()?;
    let directors = directors(&reading);
    let labels: BTreeMap<String, String> = push.labels.iter().cloned().collect();
    check(&labels, &directors)?;
    let mut files = Etcd::new(files_of(&fleet.place));
    let before = match &reading.view.head {
        Some(head) => fleet.runtime.block_on(files.get(&format!("{DESIRED}{}", head.value.revision)))?,
        None => None,
    };
    let before: FileList = match before {
        Some(entry) => serde_json::from_slice(&entry.value)
            .map_err(|error| AgentError::Other(format!("the list of files in etcd: {error}")))?,
        None => FileList::default(),
    };
    let digest = sha256(&source.text);
    let list = before.with(labels.clone(), digest.clone());
    let hit: Vec<&str> = directors
        .iter()
        .filter(|(name, of)| list.file_of(name, of).is_some_and(|file| file.labels == labels))
        .map(|(name, _)| name.as_str())
        .collect();
    let selector = selector(&labels);
    if hit.is_empty() {
        console.error(format_args!(
            "{selector}: no director of {} takes it; nothing was pushed",
            directors.len()
        ));
        return Ok(REFUSED);
    }
    let (count, all) = (hit.len(), directors.len());
    writeln!(
        console.out,
        "{}: {count} of {all} directors: {}",
        escape::text(&selector),
        escape::text(&hit.join(", "))
    )?;
    if count == all && all > 1 && !push.all {
        return Err(AgentError::Other(format!(
            "{selector}: that is all of them; add `--all` where that is meant; nothing was pushed"
        )));
    }
    console.out.flush()?;
    if !push.yes {
        confirm("Push it?", console)?;
    }
    let list_text = written(&list);
    let revision = sha256(&String::from_utf8_lossy(&list_text));
    let put = |key: String, value: Vec<u8>| Write::Put { key, value, is_leased: false };
    // The files come before the head that names them.
    fleet.runtime.block_on(files.transact(&[], &[put(format!("{FILES}{digest}"), value)]))?;
    fleet.runtime.block_on(files.transact(&[], &[put(format!("{DESIRED}{revision}"), list_text)]))?;
    let head =
        next_head(&reading.view, &revision, &by(), push.reason.map(str::to_owned), false, SystemTime::now());
    let transaction = promote(&reading.view, &head);
    let what = format!("fleet push {} --for {selector}", source.name);
    fleet.change(&reading, &transaction.conditions, transaction.writes, &what, push.reason)?;
    tidy(&mut fleet, &mut files, &head)?;
    writeln!(console.out, "pushed: revision {}", escape::text(shown(&revision)))?;
    Ok(DONE)
}

/// Removes the lists of revisions that the fleet does not remember any more, and the files that only these had.
fn tidy(fleet: &mut Fleet, files: &mut Etcd, head: &Head) -> Result<(), AgentError> {
    let lists = fleet.runtime.block_on(files.range(DESIRED))?;
    let is_kept = |key: &str| {
        let revision = key.strip_prefix(DESIRED).unwrap_or_default();
        head.revision == revision || head.former.iter().any(|former| former == revision)
    };
    let digests = |is_wanted: bool| {
        let entries = lists.entries.iter().filter(move |entry| is_kept(&entry.key) == is_wanted);
        let lists = entries.filter_map(|entry| serde_json::from_slice::<FileList>(&entry.value).ok());
        lists.flat_map(|list| list.files).map(|file| file.sha256).collect::<BTreeSet<String>>()
    };
    let gone = digests(false);
    let gone = gone
        .difference(&digests(true))
        .map(|digest| Write::Delete(format!("{FILES}{digest}")))
        .collect::<Vec<_>>();
    let old = lists.entries.iter().filter(|entry| !is_kept(&entry.key));
    let writes: Vec<Write> =
        old.map(|entry| Write::Delete(entry.key.clone())).chain(gone).take(MOST_REMOVED).collect();
    if !writes.is_empty() {
        fleet.runtime.block_on(files.transact(&[], &writes))?;
    }
    Ok(())
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    match labels.is_empty() {
        true => "all".to_owned(),
        false => labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(","),
    }
}
