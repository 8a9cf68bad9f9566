//! What the commands start from: the desired file, the policy for this once, the record, the kernel.

use std::fmt;
use std::path::Path;

use super::{CommandError, Console};
use crate::cli::{Arguments, Overrides};
use crate::config::{self, Source};
use crate::kernel::director::Director;
use crate::kernel::{Kernel, Live, Question};
use crate::model::{Desired, MaxDelete, Operation, Policy};
use crate::progress::Progress;
use crate::reconcile::Comparison;
use crate::store::{LoadError, Lock, Record, Store};

/// Reads a file as text.
pub(super) fn read(path: &Path, progress: &Progress) -> Result<Source, CommandError> {
    // Standard input may be typed at the same terminal.
    if path != Path::new("-") {
        progress.say("reading the file");
    }
    Ok(config::read(path)?)
}

/// Reads and checks a desired file.
pub(super) fn desired(path: &Path, progress: &Progress) -> Result<(Source, Desired), CommandError> {
    let source = read(path, progress)?;
    progress.say("checking the file");
    let desired = config::load(&source)?;
    Ok((source, desired))
}

/// The state that was applied and verified last.
pub(super) fn last_verified(
    store: &Store,
    progress: &Progress,
) -> Result<Option<(Source, Desired)>, CommandError> {
    progress.say("reading the last verified state");
    let text = store.load_verified()?;
    let Some(text) = text else { return Ok(None) };
    let source = Source::new("the last verified state", text);
    let desired = config::load(&source)?;
    Ok(Some((source, desired)))
}

/// What is remembered of the state that was verified last, as far as it can be read.
pub(super) struct Verified {
    state: VerifiedState,
    /// Why it cannot be read, if so: nothing is deleted then
    unknown: Option<String>,
    /// What is wrong with it, if it is not used for that
    warning: Option<String>,
}

/// What the guards compare a file with.
enum VerifiedState {
    /// Nothing: no state was verified, or it cannot be read
    Unknown,
    /// The very text of the file
    Same,
    /// Another state
    Other(Box<Desired>),
}

impl Verified {
    /// Where there is nothing to compare with.
    pub(super) fn none() -> Self {
        Self { state: VerifiedState::Unknown, unknown: None, warning: None }
    }

    /// Where what is compared is the last verified state itself.
    pub(super) fn same() -> Self {
        Self { state: VerifiedState::Same, unknown: None, warning: None }
    }

    /// The last verified state, beside the state of the file.
    pub(super) fn beside<'a>(&'a self, desired: &'a Desired) -> Option<&'a Desired> {
        match &self.state {
            VerifiedState::Unknown => None,
            VerifiedState::Same => Some(desired),
            VerifiedState::Other(verified) => Some(verified),
        }
    }

    /// Where it is there and cannot be used.
    fn unusable(reason: impl fmt::Display) -> Self {
        let warning =
            format!("{reason}; what the file takes away is compared with the record and the kernel instead");
        Self { warning: Some(warning), ..Self::none() }
    }

    /// Warns of what is wrong with it: to be called while no lock is held.
    pub(super) fn warn(&self, console: &mut Console<'_>) {
        if let Some(warning) = &self.warning {
            console.warn(warning);
        }
    }

    /// Why it cannot be read, if so.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }
}

/// The state that was verified last, for the guards. It is parsed only where it is another text than the file.
pub(super) fn verified(store: &Store, source: &Source) -> Verified {
    match store.load_verified() {
        Ok(None) => Verified::none(),
        Ok(Some(text)) if text == source.text => Verified::same(),
        Ok(Some(text)) => match config::load(&Source::new("the last verified state", text)) {
            Ok(verified) => Verified { state: VerifiedState::Other(verified.into()), ..Verified::none() },
            Err(problems) => Verified::unusable(problems.line()),
        },
        Err(LoadError::Spoilt(reason)) => Verified::unusable(reason),
        Err(LoadError::Unreadable(reason)) => Verified { unknown: Some(reason), ..Verified::none() },
    }
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

pub(super) fn store(arguments: &Arguments) -> Result<Store, CommandError> {
    Store::new(&arguments.state_dir).map_err(CommandError::Scope)
}

/// The lock that one pass at a time has; nothing else may be done while it is held.
pub(super) fn lock(store: &Store, command: &str, console: &mut Console<'_>) -> Option<Lock> {
    let lock =
        store.lock(command, |holder| console.note(format_args!("waiting for {holder}, which has the lock")));
    // A disk that takes no lock must not keep a director from being repaired.
    lock.map_err(|error| console.warn(format_args!("{error}; going on without the lock"))).ok()
}

/// What is remembered, for a command that only looks.
pub(super) struct Remembered {
    /// The record; where it cannot be read, an empty one: nothing is deleted then
    pub(super) record: Record,
    /// The state that was verified last
    pub(super) verified: Verified,
}

impl Remembered {
    /// Nothing, where another host may be meant.
    pub(super) fn nothing() -> Self {
        Self { record: Record::default(), verified: Verified::none() }
    }

    /// Reads it, as a pass would. A spoilt record counts as what a pass would make of it.
    pub(super) fn read(
        store: &Store,
        verified: Verified,
        desired: &Desired,
        console: &mut Console<'_>,
    ) -> Self {
        match store.load() {
            Ok(record) => Self { record, verified },
            Err(LoadError::Spoilt(reason)) => {
                console.warn(format_args!(
                    "{reason}; the next pass will make a new one from the file that was verified last"
                ));
                Self { record: Record::rebuilt(verified.beside(desired).unwrap_or(desired)), verified }
            }
            Err(LoadError::Unreadable(reason)) => {
                Self { record: Record::default(), verified: Verified { unknown: Some(reason), ..verified } }
            }
        }
    }

    /// Holds the live state against the file.
    pub(super) fn compare(&self, live: Live, desired: &Desired) -> Comparison {
        let mut comparison = Comparison::new(live, desired, self.verified.beside(desired), &self.record);
        if self.verified.unknown().is_some() {
            comparison.hold(&Operation::deletes);
        }
        comparison
    }
}

pub(super) fn kernel(progress: &Progress) -> Result<Director, CommandError> {
    let mut director = Director::connect()?;
    director.set_progress(progress.listener());
    Ok(director)
}

/// The live state, with as much as the question is about.
pub(super) fn live(question: &Question, progress: &Progress) -> Result<Live, CommandError> {
    Ok(kernel(progress)?.read(question)?)
}
