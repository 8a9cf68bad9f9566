//! Executes a plan phase by phase, and records what was rejected and why.

use std::collections::{HashMap, HashSet};

use super::{Failed, StateDiff};
use crate::kernel::{Kernel, KernelError, Refusal, Refusals};
use crate::model::{Action, Desired, Kind, Operation, ServiceKey, ServiceOp, Subject, sysctl};
use crate::plan::{self, Plan};

/// The results of the operations of one round.
#[derive(Debug, Default)]
pub(super) struct Execution {
    pub(super) done: Vec<Operation>,
    refused: HashMap<Subject, Refusal>,
}

impl Execution {
    /// Executes a phase of a plan.
    fn run(&mut self, kernel: &mut dyn Kernel, phase: Vec<Operation>) -> Result<(), KernelError> {
        if !phase.is_empty() {
            let refusals = kernel.execute(&phase)?;
            self.add(phase, refusals);
        }
        Ok(())
    }

    /// The same, but without the operations on blocked services.
    fn run_but(
        &mut self,
        kernel: &mut dyn Kernel,
        phase: Vec<Operation>,
        blocked: &HashSet<ServiceKey>,
    ) -> Result<(), KernelError> {
        let is_blocked =
            |operation: &Operation| operation.service().is_some_and(|service| blocked.contains(service));
        let (blocked, free): (Vec<Operation>, Vec<Operation>) = phase.into_iter().partition(is_blocked);
        self.run(kernel, free)?;
        let message = "blocked: its replacement was rejected";
        let refusal = |place| (place, Refusal { errno: 0, message: message.to_owned() });
        let refusals = (0..blocked.len()).map(refusal).collect();
        self.add(blocked, refusals);
        Ok(())
    }

    /// Takes out the restarts of sync daemons for another number of threads where what this depends on was rejected: the setting,
    /// or the stop of another daemon. They would interrupt the daemons in vain, in each pass.
    fn block_restarts(&mut self, phase: &mut Vec<Operation>) {
        let matters = |subject: &Subject| match subject {
            Subject::Sysctl(name) => sysctl::is_same(name, sysctl::VS_SYNC_PORTS),
            Subject::Sync(_) => true,
            Subject::Service(_)
            | Subject::Server(..)
            | Subject::Timeouts
            | Subject::Marks
            | Subject::Untracked => false,
        };
        if self.refused.keys().any(matters) {
            let blocked: Vec<Operation> = phase.extract_if(.., |edit| edit.is_for_threads()).collect();
            let message = "blocked: the setting, or the stop of the other daemon, was rejected";
            let refusal = |place| (place, Refusal { errno: 0, message: message.to_owned() });
            let refusals = (0..blocked.len()).map(refusal).collect();
            self.add(blocked, refusals);
        }
    }

    /// Records the results of operations.
    fn add(&mut self, mut operations: Vec<Operation>, mut refusals: Refusals) {
        if refusals.is_empty() {
            // There can be very many of them, and mostly they are the first.
            if self.done.is_empty() {
                self.done = operations
            } else {
                self.done.append(&mut operations)
            }
            return;
        }
        for (place, operation) in operations.into_iter().enumerate() {
            match refusals.remove(&place) {
                None => self.done.push(operation),
                // It is not there any more, as desired.
                Some(Refusal { errno: ENOENT | ESRCH, .. }) if operation.action() == Action::Delete => {}
                Some(refusal) => {
                    self.refused.insert(operation.subject(), refusal);
                }
            }
        }
    }

    fn refusal(&self, operation: &Operation) -> Option<&Refusal> {
        self.refused.get(&operation.subject())
    }

    /// Whether everything that is left to do was just rejected, for reasons that do not pass by themselves.
    pub(super) fn is_hopeless(&self, plan: &Plan) -> bool {
        plan.operations().all(|operation| {
            self.refusal(operation).is_some_and(|refusal| !is_race(operation, refusal.errno))
        })
    }

    pub(super) fn failed(&self, plan: &Plan) -> Vec<Failed> {
        let unexplained = || Refusal {
            errno: 0,
            message:
                "another program changes the same entry again and again; find out which one manages IPVS here"
                    .into(),
        };
        plan.operations()
            .map(|operation| Failed {
                refusal: self.refusal(operation).cloned().unwrap_or_else(unexplained),
                operation: operation.clone(),
            })
            .collect()
    }
}

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;

/// Whether an error number means that another program wrote at the same time, so that a new plan may succeed. For a
/// service ENOENT is about its scheduler, for a kernel setting about the kernel.
fn is_race(operation: &Operation, errno: i32) -> bool {
    match operation.kind() {
        Kind::Server => matches!(errno, ENOENT | ESRCH | EEXIST),
        Kind::Service | Kind::Sync => matches!(errno, ESRCH | EEXIST),
        Kind::Sysctl | Kind::Timeouts | Kind::Mark | Kind::Untracked => false,
    }
}

/// The operations that were rejected, in their order.
fn refused_of(operations: &[Operation], refusals: &Refusals) -> Vec<Operation> {
    refusals.keys().filter_map(|place| operations.get(*place)).cloned().collect()
}

/// Executes the plan of a difference, and takes it out. What would remove the last serving server of a service, while its
/// replacements were rejected, is blocked.
pub(super) fn execute(
    kernel: &mut dyn Kernel,
    comparison: &mut StateDiff,
    desired: &Desired,
) -> Result<Execution, KernelError> {
    let Plan { prepare, mut grow, quiesce, marks, shrink } = std::mem::take(&mut comparison.plan);
    let mut execution = Execution::default();
    execution.run(kernel, prepare)?;
    execution.block_restarts(&mut grow);
    let mut refusals = if grow.is_empty() { Refusals::new() } else { kernel.execute(&grow)? };
    let mut refused = refused_of(&grow, &refusals);
    let without_service: HashSet<&ServiceKey> = refused
        .iter()
        .filter(|edit| matches!(edit, Operation::Service(ServiceOp::Add { .. })))
        .filter_map(|edit| edit.service())
        .collect();
    for (refusal, edit) in refusals.values_mut().zip(&refused) {
        if refusal.errno == ESRCH && edit.service().is_some_and(|service| without_service.contains(service)) {
            *refusal = Refusal { errno: 0, message: "its virtual service was rejected".into() };
        }
    }
    execution.add(grow, refusals);
    let blocked = plan::blocked(&comparison.managed, &desired.state, &refused);
    execution.run_but(kernel, quiesce, &blocked)?;
    execution.run(kernel, marks.clone())?;
    refused.extend(marks.into_iter().filter(|operation| execution.refusal(operation).is_some()));
    let blocked = plan::blocked(&comparison.managed, &desired.state, &refused);
    execution.run_but(kernel, shrink, &blocked)?;
    Ok(execution)
}
