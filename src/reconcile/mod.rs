//! One pass: read, plan, execute, read again; verified is what needs no plan any more.

mod attempts;
mod comparison;
mod edit;
mod session;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::attempts::{Attempts, execute};
use self::session::RecordSession;
use crate::guard::Objection;
use crate::kernel::{Kernel, KernelError, Permit, Question, Refusal};
use crate::model::{Action, Desired, Kind, Operation, Policy, State, sysctl};
use crate::ownership::Changed;
use crate::store::{Lock, Record, Store};

pub use self::comparison::Comparison;
pub use self::edit::edit;

/// How often one pass executes before it gives up: somebody else may be writing too.
const ROUNDS: usize = 3;

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel was read back and is what the file says.
    Verified,
    /// Something could not be brought about.
    Failed,
    /// Nothing was done, since a guard objects.
    Refused(Objection),
    /// The kernel was read back and is what the file says, but for services that never were in it: a guard keeps those
    /// from being deleted.
    PartlyRefused(Objection),
    /// All was done that was not to wait.
    Held,
    /// All was added and edited, and nothing was deleted or written down, since it is not known what lbd owns: why.
    Unverified(String),
}

/// An operation that did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Which
    pub operation: Operation,
    /// Why
    pub refusal: Refusal,
}

/// What a pass did.
#[derive(Debug)]
pub struct Report {
    /// How it ended
    pub outcome: Outcome,
    /// What was carried out, in order
    pub done: Vec<Operation>,
    /// What could not be carried out, and is still wanted
    pub failed: Vec<Failed>,
    /// The last look at the kernel
    pub last: Comparison,
    /// What went wrong beside the kernel, and did not stop the pass
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
                Kind::Mark => operation.parts().into_iter().for_each(|part| count(part.action, 1)),
                Kind::Service | Kind::Server | Kind::Sysctl | Kind::Timeouts | Kind::Sync => {
                    count(operation.action(), 1)
                }
            }
        }
        summary
    }
}

/// What a pass is to bring about.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// What the kernel shall be
    pub desired: &'a Desired,
    /// The state that was verified last, for the guards: `desired` itself where it is that, `None` where it is not known
    pub verified: Option<&'a Desired>,
    /// The desired file itself, kept once it is verified
    pub text: &'a str,
    /// What is to wait for a later pass, if anything has to
    pub waits: Option<&'a dyn Fn(&Operation) -> bool>,
    /// Why the file that was verified last cannot be read, if so: nothing is deleted then
    pub unknown: Option<&'a str>,
}

/// The state after `teardown`: no services, marks and sync daemons of lbd's own, and the settings that it changed as they were
/// before.
pub fn after_teardown(record: &Record) -> Desired {
    let Changed { sysctls, timeouts, sync: _, filter: _ } = &record.changed;
    Desired {
        state: State { sysctls: sysctls.clone(), timeouts: *timeouts, ..State::default() },
        policy: Policy { allow_empty: true, ..Policy::default() },
        ..Desired::default()
    }
}

/// What there is to look at for a pass: what the file names, and what lbd has changed before.
pub fn question(desired: &Desired, record: &Record) -> Question {
    let state = &desired.state;
    let of_settings = state.sysctls.keys().filter_map(|name| sysctl::interface(name)).map(str::to_owned);
    let of_sync = state.sync.iter().map(|daemon| daemon.interface.clone());
    let names = state.sysctls.keys().map(String::as_str);
    let reached = state.sysctls.keys().flat_map(|name| sysctl::companions(name).iter().copied());
    let sysctls: BTreeSet<&str> = names.chain(reached).collect();
    Question {
        sysctls: sysctls.into_iter().map(str::to_owned).collect(),
        filter: record.changed.filter || state.needs_filter(),
        interfaces: of_settings.chain(of_sync).collect(),
    }
}

/// Runs one pass over `kernel`. `announce` is shown each plan before it is carried out. `lock` is what the caller holds, if it
/// could be had: the pass ends before its next write to the kernel once another process has taken it.
///
/// What `store` cannot write is a warning: a full disk must not keep a director from being repaired. What it cannot read is
/// [`Outcome::Unverified`].
///
/// # Errors
/// Where the kernel cannot be asked, or the lock was lost. What was done until then is in the kernel.
pub fn pass(
    kernel: &mut dyn Kernel,
    order: &Order<'_>,
    store: &Store,
    lock: Option<&Lock>,
    announce: &mut dyn FnMut(&Comparison),
) -> Result<Report, KernelError> {
    with_permit(kernel, lock, |kernel| permitted_pass(kernel, order, store, announce))
}

/// Lets a kernel be written only as long as the lock is held, if there is one.
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

fn permitted_pass(
    kernel: &mut dyn Kernel,
    order: &Order<'_>,
    store: &Store,
    announce: &mut dyn FnMut(&Comparison),
) -> Result<Report, KernelError> {
    let Order { desired, verified, text, waits, unknown } = *order;
    let mut session = RecordSession::open(store, verified.unwrap_or(desired));
    if let Some(reason) = unknown {
        session.is_unknown(reason);
    }
    let question = question(desired, &session.record);
    let mut done = Vec::new();
    let mut attempts = Attempts::default();
    let mut round = 0;
    loop {
        let mut last = Comparison::new(
            kernel.read_expecting(&question, &desired.state.services)?,
            desired,
            verified,
            &session.record,
        );
        if let Some(waits) = waits {
            last.hold(waits);
        }
        let unknown = session.unknown();
        if unknown.is_some() {
            last.hold(&Operation::deletes);
        }
        let outcome = if let Some(objection) = last.refusal() {
            Outcome::Refused(objection.clone())
        } else if last.plan.is_empty()
            && let Some(reason) = unknown
        {
            Outcome::Unverified(reason)
        } else if last.plan.is_empty() && !last.held.is_empty() {
            Outcome::Held
        } else if last.plan.is_empty() {
            session.verified(desired, &last, text);
            last.objection.clone().map_or(Outcome::Verified, Outcome::PartlyRefused)
        } else if round == ROUNDS || attempts.are_hopeless(&last.plan) {
            Outcome::Failed
        } else {
            announce(&last);
            session.claim(desired, &last);
            match execute(kernel, &mut last, desired) {
                Ok(results) => {
                    attempts = results;
                    let carried_out = std::mem::take(&mut attempts.done);
                    // There can be a hundred thousand of them, and mostly there is one round.
                    if done.is_empty() { done = carried_out } else { done.extend(carried_out) }
                }
                // What became of the operations is seen at the next reading; only at the end is it the answer.
                Err(error) if round + 1 == ROUNDS || matches!(error, KernelError::NotPermitted) => {
                    return Err(error);
                }
                Err(_) => attempts = Attempts::default(),
            }
            round += 1;
            continue;
        };
        let failed = if outcome == Outcome::Failed { attempts.failed(&last.plan) } else { Vec::new() };
        return Ok(Report { outcome, done, failed, last, warnings: session.warnings });
    }
}
