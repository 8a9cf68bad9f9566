//! What the commands start from: the desired file, the policy for this once, the record, the kernel.

use std::fs;
use std::path::Path;

use super::{Console, Stop};
use crate::cli::{Arguments, Overrides};
use crate::config::{self, Source};
use crate::kernel::director::Director;
use crate::kernel::{Kernel, Live, Question};
use crate::memory;
use crate::model::{Desired, MaxDelete, Policy};
use crate::progress::Progress;
use crate::store::{Lock, Record, Store};

/// Reads a file as text.
pub(super) fn read(path: &Path, progress: &Progress) -> Result<Source, Stop> {
    // Standard input may be typed at the same terminal.
    if path != Path::new("-") {
        progress.say("reading the file");
    }
    config::read(path).map_err(Stop::Unreadable)
}

/// Reads and checks a desired file.
pub(super) fn desired(path: &Path, progress: &Progress) -> Result<(Source, Desired), Stop> {
    memory::ready(fs::metadata(path).map_or(0, |metadata| metadata.len()));
    let source = read(path, progress)?;
    progress.say("checking the file");
    let desired = config::load(&source).map_err(|problems| Stop::Invalid(Box::new(problems)))?;
    Ok((source, desired))
}

/// The state that was applied and verified last.
pub(super) fn last_verified(store: &Store, progress: &Progress) -> Result<Option<(Source, Desired)>, Stop> {
    progress.say("reading the last verified state");
    let text = store.load_verified().map_err(|error| Stop::Trouble(error.to_string()))?;
    let Some(text) = text else { return Ok(None) };
    let source = Source::new("the last verified state", text);
    let desired = config::load(&source).map_err(|problems| Stop::Invalid(Box::new(problems)))?;
    Ok(Some((source, desired)))
}

/// The policy of the file with what the operator allowed for this once.
pub(super) fn policy(file: Policy, overrides: &Overrides) -> Policy {
    let Overrides { prune, allow_empty, allow_deletes } = *overrides;
    Policy {
        prune: prune.map_or(file.prune, Into::into),
        allow_empty: file.allow_empty || allow_empty,
        max_delete: if allow_deletes { MaxDelete::Percent(100) } else { file.max_delete },
        resync: file.resync,
    }
}

pub(super) fn store(arguments: &Arguments) -> Result<Store, Stop> {
    Store::new(&arguments.state_dir).map_err(|error| {
        Stop::Trouble(format!("cannot tell this boot and network namespace (is /proc mounted?): {error}"))
    })
}

/// The lock that one pass at a time has; nothing else may be done while it is held.
pub(super) fn lock(store: &Store, command: &str, console: &mut Console<'_>) -> Option<Lock> {
    let lock =
        store.lock(command, |holder| console.note(format_args!("waiting for {holder}, which has the lock")));
    // A disk that takes no lock must not keep a director from being repaired.
    lock.map_err(|error| console.warn(format_args!("{error}; going on without the lock"))).ok()
}

/// What is remembered. What cannot be read is told, and counts as nothing: whoever uses this deletes nothing.
pub(super) fn record(store: &Store, console: &mut Console<'_>) -> Record {
    store.load().unwrap_or_else(|error| {
        console.warn(format_args!("{error}; what is not in the file counts as foreign here"));
        Record::default()
    })
}

pub(super) fn kernel(progress: &Progress) -> Result<Director, Stop> {
    let mut director = Director::connect().map_err(|error| Stop::Trouble(error.to_string()))?;
    director.tell(progress.listener());
    Ok(director)
}

/// The live state, with as much as the question is about.
pub(super) fn live(question: &Question, progress: &Progress) -> Result<Live, Stop> {
    kernel(progress)?.read(question).map_err(|error| Stop::Trouble(error.to_string()))
}
