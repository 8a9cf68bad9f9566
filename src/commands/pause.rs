//! `lbd pause` and `lbd resume`: lbd looks and reports, and writes nothing for a time.

use std::io::Write;
use std::time::SystemTime;

use super::part::Part;
use super::tried::TrialError;
use super::who::who;
use super::{CommandError, Console, DONE, REFUSED, inputs};
use crate::cli::{Arguments, PauseOptions};
use crate::escape::Escaped;
use crate::files::FileError;
use crate::history::{EventKind, HistoryEvent};
use crate::ownership::Owned;
use crate::store::Store;
use crate::target::{Clock, Pause, Pauses, Period};

/// Pauses everything, or clusters.
pub(super) fn pause(
    arguments: &Arguments,
    options: &PauseOptions,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let file = clusters_of_file(arguments, &store, console)?;
    let owned = store.load().unwrap_or_default().owned;
    Part::new(&options.clusters, [&file, &owned])?;
    let clusters: Vec<Option<String>> = match options.clusters.as_slice() {
        [] => vec![None],
        named => named.iter().cloned().map(Some).collect(),
    };
    let lock = inputs::lock(&store, "pause", console);
    let now = Clock::now();
    if let Some(trial) = store.load_conditions(now).trial {
        console.error(TrialError::UnderWay(Box::new(trial)));
        return Ok(REFUSED);
    }
    let settled = store.settle_pauses(now);
    let pauses = store.load_pauses(now);
    let problem =
        pauses.as_ref().err().map(|error| format!("{error}; it is replaced, and the pauses in it end"));
    let mut pauses = pauses.unwrap_or_default();
    let (by, period) = (who(), Period::new(now, options.length));
    let begun = clusters.into_iter().map(|cluster| {
        let (by, reason) = (by.clone(), options.reason.clone());
        Pause { cluster, by, reason, keep_checks: options.keep_checks, period }
    });
    let begun: Vec<Pause> = begun.collect();
    begun.iter().cloned().for_each(|pause| pauses.add(pause));
    let saved = store.save_pauses(&pauses);
    let noted = if saved.is_ok() { note(&store, EventKind::PauseSet, &begun) } else { Ok(()) };
    drop(lock);
    saved.map_err(CommandError::StateFile)?;
    console.warn_of(settled);
    console.warn_of(noted);
    if let Some(problem) = problem {
        console.warn(problem);
    }
    for pause in &begun {
        writeln!(console.out, "paused: {}", Escaped(pause))?;
    }
    if store.daemon().is_ok_and(|daemon| daemon.is_none()) {
        console.note("no daemon runs; `lbd apply` is refused meanwhile");
    }
    Ok(DONE)
}

/// Notes that pauses were set or ended.
fn note(store: &Store, kind: EventKind, pauses: &[Pause]) -> Result<(), FileError> {
    let (by, now) = (who(), SystemTime::now());
    pauses.iter().try_for_each(|pause| {
        let event = HistoryEvent::new(now, kind, pause).by(by.as_str());
        store.note_event(&event.of(pause.cluster.as_deref()))
    })
}

/// The clusters of the file; those of the last verified state where the file cannot be used.
fn clusters_of_file(
    arguments: &Arguments,
    store: &Store,
    console: &mut Console<'_>,
) -> Result<Owned, CommandError> {
    let desired = match inputs::desired(&arguments.file, &console.progress) {
        Ok((_, desired)) => Some(desired),
        Err(_) => inputs::last_verified(store, &console.progress)?.map(|(_, desired)| desired),
    };
    Ok(desired.map(|desired| (*desired.clusters).clone()).unwrap_or_default())
}

/// Ends pauses.
pub(super) fn resume(
    arguments: &Arguments,
    clusters: &[String],
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let store = inputs::store(arguments)?;
    let lock = inputs::lock(&store, "resume", console);
    let settled = store.settle_pauses(Clock::now());
    let pauses = store.load_pauses(Clock::now());
    let problem =
        pauses.as_ref().err().map(|error| format!("{error}; it is removed, and the pauses in it end"));
    let mut pauses: Pauses = pauses.unwrap_or_default();
    let ended: Vec<Pause> = match clusters {
        [] => pauses.end(None),
        named => named.iter().flat_map(|cluster| pauses.end(Some(cluster))).collect(),
    };
    let saved = store.save_pauses(&pauses);
    let noted = if saved.is_ok() { note(&store, EventKind::PauseResumed, &ended) } else { Ok(()) };
    drop(lock);
    saved.map_err(CommandError::StateFile)?;
    console.warn_of(settled);
    console.warn_of(noted);
    if let Some(problem) = problem {
        console.warn(problem);
    }
    for pause in &ended {
        writeln!(console.out, "no longer paused: {}", Escaped(pause))?;
    }
    if ended.is_empty() {
        match clusters {
            [] => console.note("nothing is paused"),
            named => console.note(format_args!("not paused: {}", named.join(", "))),
        }
    }
    for pause in pauses.iter() {
        console.note(format_args!("still paused: {pause}"));
    }
    if !ended.is_empty() && store.daemon().is_ok_and(|daemon| daemon.is_none()) {
        console.note("no daemon runs; `lbd apply` makes the kernel equal to the file");
    }
    Ok(DONE)
}
