//! Loads the inputs of the commands: the desired file, the policy with its exceptions, the record, the kernel.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use super::who::who;
use super::{CommandError, Console, checks};
use crate::cli::{Arguments, Overrides};
use crate::config::{self, Source};
use crate::files::FileError;
use crate::health::{RunDirs, SharedFiles};
use crate::history::{EventKind, HistoryEvent};
use crate::kernel::director::Director;
use crate::kernel::{Kernel, Live, ReadScope, namespace};
use crate::model::{Desired, MaxDelete, Operation, Policy};
use crate::progress::Progress;
use crate::reconcile::{self, Outcome, Report, StateDiff, Summary, noted};
use crate::status::{ChangedBy, LastChange};
use crate::store::{Heard, LoadError, Lock, Record, Store};
use crate::target::{Clock, Conditions, Departure, Targets, Trial};

/// Reads a file as text.
pub(super) fn read(path: &Path, progress: &Progress) -> Result<Source, CommandError> {
    // Standard input may come from the same terminal, on which a progress line would disturb.
    if path != Path::new("-") {
        progress.set_task("reading the file");
    }
    Ok(config::read(path)?)
}

/// What the command line names to be read beside the desired file.
#[derive(Debug, Clone, Copy)]
pub enum Input {
    /// `--live`
    Live,
    /// `--from`
    From,
    /// `--marks`
    Marks,
    /// That of `lbd try`
    Tried,
}

impl Input {
    /// What to give there.
    pub(super) fn takes(self) -> &'static str {
        match self {
            Self::Live => "what `lbd export` or `ipvsadm -Sn` has written",
            Self::From => "a keepalived.conf, an ldirectord.cf, or what `ipvsadm -Sn` has written",
            Self::Marks => "what `iptables-save` or `nft -j list ruleset` has printed",
            Self::Tried => "a complete desired file",
        }
    }
}

/// Says what to give there.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = match self {
            Self::Live => "--live",
            Self::From => "--from",
            Self::Marks => "--marks",
            Self::Tried => "lbd try",
        };
        write!(f, "`{option}` takes {}", self.takes())
    }
}

/// Reads what an option names: a file, or a pipe such as `<(…)` of a shell.
pub(super) fn read_input(path: &Path, input: Input, progress: &Progress) -> Result<Source, CommandError> {
    if path != Path::new("-") {
        progress.set_task("reading the file");
    }
    config::read_or_pipe(path).map_err(|error| CommandError::NoInput { input, error })
}

/// Reads and checks a desired file.
pub(super) fn desired(path: &Path, progress: &Progress) -> Result<(Source, Desired), CommandError> {
    let source = read(path, progress)?;
    progress.set_task("checking the file");
    let desired = config::load(&source)?;
    Ok((source, desired))
}

/// The state that was applied and verified last.
pub(super) fn last_verified(
    store: &Store,
    progress: &Progress,
) -> Result<Option<(Source, Desired)>, CommandError> {
    progress.set_task("reading the last verified state");
    let text = store.load_verified()?;
    let Some(text) = text else { return Ok(None) };
    let source = Source::new("the last verified state", text);
    let desired = config::load(&source)?;
    Ok(Some((source, desired)))
}

/// What is stored of the state that was verified last, as far as it can be read.
pub(super) struct LastVerified {
    compared: ComparedState,
    /// Why it cannot be read, if so; nothing is deleted then
    unknown: Option<String>,
    /// What is wrong with it, if it is ignored for that
    warning: Option<String>,
}

/// The state that the guards compare a file with.
enum ComparedState {
    /// None: no state was verified, or it cannot be read
    Unknown,
    /// The file itself, whose text is the same
    Same,
    /// Another state
    Other(Box<Desired>),
}

impl LastVerified {
    /// There is no state to compare with.
    pub(super) fn none() -> Self {
        Self { compared: ComparedState::Unknown, unknown: None, warning: None }
    }

    /// The compared state is the last verified state itself.
    pub(super) fn same() -> Self {
        Self { compared: ComparedState::Same, unknown: None, warning: None }
    }

    /// The last verified state, where `desired` is the state of the file.
    pub(super) fn state<'a>(&'a self, desired: &'a Desired) -> Option<&'a Desired> {
        match &self.compared {
            ComparedState::Unknown => None,
            ComparedState::Same => Some(desired),
            ComparedState::Other(verified) => Some(verified),
        }
    }

    /// Where it is there and cannot be used.
    fn unusable(reason: impl fmt::Display) -> Self {
        let warning =
            format!("{reason}; what the file takes away is compared with the record and the kernel instead");
        Self { warning: Some(warning), ..Self::none() }
    }

    /// Whether the last verified state is that of the file: its text is the same.
    pub(super) fn is_same(&self) -> bool {
        matches!(self.compared, ComparedState::Same)
    }

    /// Prints what is wrong with it. A terminal can block, so this must not be called under the lock.
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

/// Loads the state that was verified last, for the guards. It is parsed only where its text differs from the file.
pub(super) fn verified(store: &Store, source: &Source) -> LastVerified {
    verified_in(store.load_verified(), source)
}

/// The same of its text, which was loaded.
pub(super) fn verified_in(text: Result<Option<String>, LoadError>, source: &Source) -> LastVerified {
    match text {
        Ok(None) => LastVerified::none(),
        Ok(Some(text)) if text == source.text => LastVerified::same(),
        Ok(Some(text)) => match config::load(&Source::new("the last verified state", text)) {
            Ok(verified) => {
                LastVerified { compared: ComparedState::Other(verified.into()), ..LastVerified::none() }
            }
            Err(problems) => LastVerified::unusable(problems.line()),
        },
        Err(LoadError::Corrupt(reason)) => LastVerified::unusable(reason),
        Err(LoadError::Unreadable(reason)) => LastVerified { unknown: Some(reason), ..LastVerified::none() },
    }
}

/// The policy of the file with the exceptions of the command line.
pub(super) fn policy(file: Policy, overrides: &Overrides) -> Policy {
    let Overrides { prune, allow_empty, allow_deletes } = *overrides;
    Policy {
        prune: prune.map_or(file.prune, Into::into),
        allow_empty: file.allow_empty || allow_empty,
        max_delete: if allow_deletes { MaxDelete::Percent(100) } else { file.max_delete },
        resync: file.resync,
        history: file.history,
    }
}

pub(super) fn store(arguments: &Arguments) -> Result<Store, CommandError> {
    let (cookie, dirs) = (namespace::cookie(), RunDirs::new(&arguments.run_dir));
    let shared = SharedFiles::new(&dirs, cookie).map_err(CommandError::Scope)?;
    Ok(Store::new(&arguments.state_dir, cookie).map_err(CommandError::Scope)?.with_shared_files(shared))
}

/// Takes the lock under which one pass at a time runs. Nothing else may be done under it.
pub(super) fn lock(store: &Store, command: &str, console: &mut Console<'_>) -> Option<Lock> {
    let lock =
        store.lock(command, |holder| console.note(format_args!("waiting for the lock, which {holder} has")));
    // A file system without locks must not prevent repairs.
    lock.map_err(|error| console.warn(format_args!("{error}; going on without the lock"))).ok()
}

/// Records what the pass of a command has changed, if anything, and what a guard refused; gives the error. The lock keeps other passes
/// away meanwhile.
pub(super) fn record_change(store: &Store, by: ChangedBy, report: &Report) -> Result<(), FileError> {
    let noted = note(store, by, report);
    if report.done.is_empty() {
        return noted;
    }
    let Summary { add: added, edit: edited, delete: deleted } = Summary::of(report.done.iter());
    let verified = matches!(report.outcome, Outcome::Verified | Outcome::PartlyRefused(_));
    let at = SystemTime::now().into();
    store.save_last_change(&LastChange { at, by, verified, added, edited, deleted, drift: 0 })?;
    noted
}

/// Notes in the history what the pass of a command has changed, and what a guard refused.
fn note(store: &Store, by: ChangedBy, report: &Report) -> Result<(), FileError> {
    let event = |kind: EventKind, text: &dyn fmt::Display| {
        let event = HistoryEvent::new(SystemTime::now(), kind, text);
        // At boot it is no user.
        if by == ChangedBy::Restore { event } else { event.by(who()) }
    };
    let end = match &report.outcome {
        Outcome::Refused(guard_refusal) | Outcome::PartlyRefused(guard_refusal) => {
            store.note_event(&event(EventKind::Refused, &format_args!("{by}: {guard_refusal}")))?;
            ""
        }
        Outcome::Failed | Outcome::Unverified(_) => ", not verified",
        Outcome::Verified | Outcome::Deferred | Outcome::Unexpected(_) | Outcome::Paused => "",
    };
    if report.done.is_empty() {
        return Ok(());
    }
    let done: Vec<&Operation> = report.done.iter().collect();
    store.note_event(&noted(event(EventKind::Applied, &format_args!("{by}{end}")), &done, &report.last))
}

/// What is stored, for a command that only looks.
pub(super) struct StoredState {
    /// The record; an empty one where it cannot be read, and nothing is deleted then
    pub(super) record: Record,
    /// The state that was verified last
    pub(super) verified: LastVerified,
    /// The conditions in force
    pub(super) conditions: Conditions,
    /// What has come from the checker
    pub(super) heard: Heard,
}

impl StoredState {
    /// No record: the compared state may be that of another host.
    pub(super) fn nothing() -> Self {
        let (record, conditions) = (Record::default(), Conditions::default());
        Self { record, verified: LastVerified::none(), conditions, heard: Heard::default() }
    }

    /// Reads them as a pass would. A corrupt record is replaced by the one that a pass would rebuild.
    pub(super) fn read(
        store: &Store,
        verified: LastVerified,
        desired: &Desired,
        console: &mut Console<'_>,
    ) -> Self {
        let now = Clock::now();
        let mut conditions = store.load_conditions(now);
        let heard = checks::take_in(store, &mut conditions, desired, verified.state(desired), now);
        if let Some(problem) = &heard.problem {
            console.warn(format_args!("{problem}; verdicts stay as they are"));
        }
        let record = store.load();
        // Whoever may not look into the state directory is told so once.
        if let Some(reason) =
            conditions.unreadable.as_ref().filter(|_| !matches!(record, Err(LoadError::Unreadable(_))))
        {
            console.warn(reason);
        }
        match record {
            Ok(record) => Self { record, verified, conditions, heard },
            Err(LoadError::Corrupt(reason)) => {
                console.warn(format_args!(
                    "{reason}; the next pass will make a new one from the file that was verified last"
                ));
                let record = Record::rebuilt(verified.state(desired).unwrap_or(desired));
                Self { record, verified, conditions, heard }
            }
            Err(LoadError::Unreadable(reason)) => Self {
                record: Record::default(),
                verified: LastVerified { unknown: Some(reason), ..verified },
                conditions,
                heard,
            },
        }
    }

    /// The same where the file that is looked at is that of this trial, or of none.
    pub(super) fn in_trial(mut self, trial: Option<Trial>) -> Self {
        self.conditions.trial = trial;
        self
    }

    /// Compares the live state with the file.
    pub(super) fn compare(&self, live: Live, desired: &Desired) -> StateDiff {
        let targets = Targets::new(desired, self.verified.state(desired), &self.conditions);
        let leaving = targets.leaving(
            None,
            reconcile::live_connections(&live),
            &self.record.owned,
            Departure::Drain,
            Clock::now(),
        );
        let mut comparison = StateDiff::of(live, &targets, &self.record, &leaving);
        comparison.leave_out(&targets.file);
        if self.verified.unknown().is_some() {
            comparison.defer(&Operation::deletes);
        }
        comparison
    }
}

pub(super) fn kernel(progress: &Progress) -> Result<Director, CommandError> {
    let mut director = Director::connect()?;
    director.set_progress(progress.sink());
    Ok(director)
}

/// Reads the part of the live state that `question` names.
pub(super) fn live(question: &ReadScope, progress: &Progress) -> Result<Live, CommandError> {
    Ok(kernel(progress)?.read(question)?)
}
