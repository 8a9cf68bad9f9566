//! Runs one pass: read, plan, execute, read again. The state is verified when the last reading needs no plan.

mod checks;
mod edit;
mod execution;
mod file_change;
mod fingerprint;
mod health;
mod noted;
mod of_export;
mod server_status;
mod session;
mod state_diff;
mod trial;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::execution::{Execution, execute};
use self::session::RecordSession;
use crate::guard::GuardRefusal;
use crate::history::{Counts, Trigger};
use crate::kernel::{Kernel, KernelError, Live, Permit, ReadScope, Refusal};
use crate::model::{Action, Desired, Kind, Operation, Policy, State, sysctl};
use crate::ownership::Changed;
use crate::store::{Lock, Record, Store};
use crate::target::{Clock, Conditions, Departure, LiveConnections, NO_CONDITIONS, Targets};

pub use self::checks::{PartialPass, changed_servers, partial_pass};
pub use self::edit::edit;
pub use self::file_change::FileChange;
pub use self::fingerprint::Fingerprint;
pub use self::health::health_summary;
pub use self::noted::{changed_fields, noted};
pub use self::server_status::{ServerStatus, ServerStatuses};
pub use self::state_diff::{Reasons, StateDiff};
pub use self::trial::{failed_server, lost_services};

/// How often one pass executes before it gives up: another program may be writing, too.
const ROUNDS: usize = 3;

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel was read again and is as the file describes it.
    Verified,
    /// Some operations failed.
    Failed,
    /// Nothing was done, since a guard refuses the change.
    Refused(GuardRefusal),
    /// The kernel was read again and is as the file describes it, but for services that never were in the file: a guard
    /// refuses to delete those.
    PartlyRefused(GuardRefusal),
    /// Everything was done but the operations that are deferred.
    Deferred,
    /// Nothing was done, since the plan is not the expected one: its fingerprint, or nothing is to be done.
    Unexpected(Option<Fingerprint>),
    /// Nothing was done, or everything but what is left out, because of pauses: those of the last comparison.
    Paused,
    /// Everything was added and edited, but nothing deleted or recorded, since it is not known what lbd owns: why.
    Unverified(String),
}

/// An operation that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The operation
    pub operation: Operation,
    /// Why
    pub refusal: Refusal,
}

/// What a pass did.
#[derive(Debug)]
pub struct Report {
    /// How it ended
    pub outcome: Outcome,
    /// The operations that were executed, in order
    pub done: Vec<Operation>,
    /// The operations that failed and are still needed
    pub failed: Vec<Failed>,
    /// The difference at the last reading
    pub last: StateDiff,
    /// Errors outside of the kernel that did not stop the pass
    pub warnings: Vec<String>,
}

/// How many objects are added, edited and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Additions
    pub add: usize,
    /// Edits
    pub edit: usize,
    /// Deletions
    pub delete: usize,
}

impl Summary {
    /// How many objects there are in all.
    pub fn total(self) -> usize {
        let Self { add, edit, delete } = self;
        add + edit + delete
    }

    /// The same for the history.
    pub fn counts(self) -> Counts {
        let Self { add: added, edit: edited, delete: deleted } = self;
        Counts { added, edited, deleted }
    }

    /// Counts the objects that operations add, edit and delete.
    pub fn of<'a>(operations: impl Iterator<Item = &'a Operation>) -> Self {
        let mut summary = Self::default();
        let mut count = |action, objects| match action {
            Action::Add => summary.add += objects,
            Action::Edit => summary.edit += objects,
            Action::Delete => summary.delete += objects,
        };
        for operation in operations {
            match operation.kind() {
                Kind::Mark | Kind::Untracked => {
                    operation.parts().into_iter().for_each(|part| count(part.action, 1));
                }
                Kind::Service | Kind::Server | Kind::Sysctl | Kind::Timeouts | Kind::Sync => {
                    count(operation.action(), 1)
                }
            }
        }
        summary
    }
}

/// The input of a pass.
#[derive(Clone, Copy)]
pub struct PassInput<'a> {
    /// The desired state, with the policy
    pub desired: &'a Desired,
    /// The state that was verified last, for the guards: `desired` itself where it is that, `None` where it is not known
    pub verified: Option<&'a Desired>,
    /// The desired file itself, kept once it is verified
    pub text: &'a str,
    /// Who or what had the pass run, for the history; without it, no history is kept
    pub trigger: Option<&'a Trigger>,
    /// The conditions in force, under which the file is to be followed
    pub conditions: &'a Conditions,
    /// Which operations are deferred to a later pass, if any are
    pub defers: Option<&'a dyn Fn(&Operation) -> bool>,
    /// Why the file that was verified last cannot be read, if so: nothing is deleted then
    pub unknown: Option<&'a str>,
    /// The fingerprint of the one plan that may be carried out, if only one may
    pub expected: Option<&'a str>,
    /// The file that was followed before, where no pass could verify it: what leaves it leaves the file
    pub followed: Option<&'a Desired>,
    /// What becomes of what leaves the file
    pub departure: Departure,
    /// The time at which it runs
    pub now: Clock,
}

impl<'a> PassInput<'a> {
    /// A pass for a desired state and its text, without anything else that is known.
    pub fn new(desired: &'a Desired, text: &'a str) -> Self {
        Self {
            desired,
            verified: None,
            text,
            trigger: None,
            conditions: &NO_CONDITIONS,
            defers: None,
            unknown: None,
            expected: None,
            followed: None,
            departure: Departure::Drain,
            now: Clock::now(),
        }
    }
}

/// The state after a teardown: none of the services, marks and sync daemons that lbd manages, and the settings that it
/// changed as they were before.
pub fn after_teardown(record: &Record) -> Desired {
    let Changed { sysctls, timeouts, sync: _, master_link: _, filter: _ } = &record.changed;
    Desired {
        state: State { sysctls: sysctls.clone(), timeouts: *timeouts, ..State::default() },
        policy: Policy { allow_empty: true, ..Policy::default() },
        ..Desired::default()
    }
}

/// What a pass has to read beside IPVS: what the file names, and what lbd has changed before.
pub fn question(desired: &Desired, record: &Record) -> ReadScope {
    let state = &desired.state;
    let of_settings = state.sysctls.keys().filter_map(|name| sysctl::interface(name)).map(str::to_owned);
    let of_sync = state.sync.iter().map(|daemon| daemon.interface.clone());
    let names = state.sysctls.keys().map(String::as_str);
    let reached = state.sysctls.keys().flat_map(|name| sysctl::companions(name).iter().copied());
    let sysctls: BTreeSet<&str> = names.chain(reached).collect();
    ReadScope {
        sysctls: sysctls.into_iter().map(str::to_owned).collect(),
        filter: record.changed.filter || state.needs_filter(),
        interfaces: of_settings.chain(of_sync).collect(),
        statistics: false,
    }
}

/// Runs one pass over `kernel`. `announce` is called with each plan before it is executed. `lock` is the caller's lock, if it
/// has one: once another process has taken it over, the pass ends before its next write to the kernel.
///
/// What `store` cannot write is a warning: a full disk must not keep a director from being repaired. What it cannot read is
/// [`Outcome::Unverified`].
///
/// # Errors
/// Where the kernel cannot be read, or the lock was lost. What was done until then is in the kernel.
pub fn pass(
    kernel: &mut dyn Kernel,
    order: &PassInput<'_>,
    store: &Store,
    lock: Option<&Lock>,
    announce: &mut dyn FnMut(&StateDiff),
) -> Result<Report, KernelError> {
    with_permit(kernel, lock, |kernel| permitted_pass(kernel, order, store, announce))
}

/// Lets a kernel be written only as long as this process has the lock, if there is one.
fn with_permit<T>(
    kernel: &mut dyn Kernel,
    lock: Option<&Lock>,
    write: impl FnOnce(&mut dyn Kernel) -> Result<T, KernelError>,
) -> Result<T, KernelError> {
    kernel.set_permit(lock.map(|lock| {
        let monitor = lock.monitor();
        Arc::new(move || monitor.is_held()) as Permit
    }));
    let result = write(kernel);
    kernel.set_permit(None);
    result
}

/// What a reading says of connections.
pub fn live_connections(live: &Live) -> LiveConnections<'_> {
    LiveConnections {
        services: &live.state.services,
        connections: &live.connections,
        expire_quiescent_template: live.expire_quiescent_template,
        counters_rest: live.counters_rest,
    }
}

/// The outcome where only one plan may be carried out, and this is another one.
fn unexpected(expected: Option<&str>, comparison: &StateDiff) -> Option<Outcome> {
    let expected = expected?;
    let found = Fingerprint::of(comparison);
    let is_expected = found.as_ref().is_some_and(|found| found == expected);
    (!is_expected).then_some(Outcome::Unexpected(found))
}

fn permitted_pass(
    kernel: &mut dyn Kernel,
    order: &PassInput<'_>,
    store: &Store,
    announce: &mut dyn FnMut(&StateDiff),
) -> Result<Report, KernelError> {
    let PassInput {
        desired,
        verified,
        text,
        trigger,
        conditions,
        defers,
        unknown,
        expected,
        followed,
        departure,
        now,
    } = *order;
    let mut session = RecordSession::open(store, verified.unwrap_or(desired), conditions);
    if let Some(reason) = unknown {
        session.is_unknown(reason);
    }
    let targets = Targets::new(desired, verified, conditions);
    let target = targets.kernel();
    session.begin_trial(conditions.trial.as_ref());
    let question = question(target, &session.record);
    let mut done = Vec::new();
    let mut execution = Execution::default();
    let mut round = 0;
    let mut leaving = None;
    loop {
        let live = kernel.read_expecting(&question, &target.state.services)?;
        // Once: connections that end while the pass runs must not keep it running.
        let leaving = leaving.get_or_insert_with(|| {
            targets.leaving(followed, live_connections(&live), &session.record.owned, departure, now)
        });
        let mut last = StateDiff::of(live, &targets, &session.record, leaving);
        if let Some(defers) = defers {
            last.defer(defers);
        }
        last.leave_out(&targets.file);
        let unknown = session.unknown();
        if unknown.is_some() {
            last.defer(&Operation::deletes);
        }
        let outcome = if let Some(guard_refusal) = last.refusal() {
            Outcome::Refused(guard_refusal.clone())
        } else if last.plan.is_empty()
            && let Some(reason) = unknown
        {
            Outcome::Unverified(reason)
        } else if last.plan.is_empty()
            && let Some(reason) = &conditions.unreadable
            && !last.left_out.is_empty()
        {
            Outcome::Unverified(reason.clone())
        } else if last.plan.is_empty() && (!last.left_out.is_empty() || last.pauses.cover_everything()) {
            Outcome::Paused
        } else if let Some(other) = unexpected(expected.filter(|_| round == 0), &last) {
            other
        } else if last.plan.is_empty() && !last.deferred.is_empty() {
            Outcome::Deferred
        } else if last.plan.is_empty() {
            match conditions.trial {
                Some(_) => session.tried(&targets, &last, leaving),
                None => {
                    session.keep(text, trigger, &done, target.policy.history);
                    session.verified(target, &last);
                    session.settle(desired, &last, leaving, now);
                }
            }
            last.guard_refusal.clone().map_or(Outcome::Verified, Outcome::PartlyRefused)
        } else if round == ROUNDS || execution.is_hopeless(&last.plan) {
            Outcome::Failed
        } else {
            announce(&last);
            session.note_trial(&targets, &last);
            session.claim(target, &last, leaving);
            match execute(kernel, &mut last, target) {
                Ok(results) => {
                    execution = results;
                    session.started(&execution.done, &last);
                    let carried_out = std::mem::take(&mut execution.done);
                    // There can be a hundred thousand of them, and mostly there is one round.
                    if done.is_empty() { done = carried_out } else { done.extend(carried_out) }
                }
                // What became of the operations is seen at the next reading; only at the end is it the answer.
                Err(error) if round + 1 == ROUNDS || matches!(error, KernelError::NotPermitted) => {
                    return Err(error);
                }
                Err(_) => execution = Execution::default(),
            }
            round += 1;
            continue;
        };
        match &outcome {
            // What would leave has not left.
            Outcome::Refused(_) | Outcome::Unexpected(_) => {
                last.draining.retain(&|of| conditions.drains.get(of).is_some());
            }
            // Without an operation, nothing was recorded so far.
            Outcome::Failed | Outcome::Deferred | Outcome::Paused | Outcome::Unverified(_) => {
                session.note_drains(&last, leaving);
            }
            Outcome::Verified | Outcome::PartlyRefused(_) => {}
        }
        let failed = if outcome == Outcome::Failed { execution.failed(&last.plan) } else { Vec::new() };
        return Ok(Report { outcome, done, failed, last, warnings: session.warnings });
    }
}
