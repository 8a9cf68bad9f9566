//! Carries out a plan phase by phase, and remembers what was refused and why.

use std::collections::{HashMap, HashSet};

use super::{Comparison, Failed};
use crate::kernel::{Kernel, KernelError, Refusal, Refusals};
use crate::model::{Action, Desired, Kind, Operation, ServiceKey, ServiceOp, Subject};
use crate::plan::{self, Plan};

/// What became of the operations of one round.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) done: Vec<Operation>,
    refused: HashMap<Subject, Refusal>,
}

impl Attempts {
    /// Carries out a phase of a plan.
    fn run(&mut self, kernel: &mut dyn Kernel, phase: Vec<Operation>) -> Result<(), KernelError> {
        if !phase.is_empty() {
            let refusals = kernel.execute(&phase)?;
            self.add(phase, refusals);
        }
        Ok(())
    }

    /// The same, but for the services in which nothing may be quiesced or deleted yet.
    fn run_but(
        &mut self,
        kernel: &mut dyn Kernel,
        phase: Vec<Operation>,
        withheld: &HashSet<ServiceKey>,
    ) -> Result<(), KernelError> {
        let is_withheld =
            |operation: &Operation| operation.service().is_some_and(|service| withheld.contains(service));
        let (held, free): (Vec<Operation>, Vec<Operation>) = phase.into_iter().partition(is_withheld);
        self.run(kernel, free)?;
        let message = "held back, since what shall take its place was refused";
        let refusal = |place| (place, Refusal { errno: 0, message: message.to_owned() });
        let refusals = (0..held.len()).map(refusal).collect();
        self.add(held, refusals);
        Ok(())
    }

    /// Notes what became of operations.
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
                // It is gone, which is what was wanted.
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

    /// Whether all of what is left to do was refused a moment ago, for reasons that do not pass.
    pub(super) fn are_hopeless(&self, plan: &Plan) -> bool {
        plan.operations().all(|operation| {
            self.refusal(operation).is_some_and(|refusal| !is_race(operation, refusal.errno))
        })
    }

    pub(super) fn failed(&self, plan: &Plan) -> Vec<Failed> {
        let unexplained = || Refusal {
            errno: 0,
            message:
                "somebody else changes the same entry again and again; find out who else manages IPVS here"
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

/// Whether an error number means that somebody else wrote at the same time, so that a new plan may succeed. For a
/// service ENOENT is about its scheduler, for a kernel setting about the kernel.
fn is_race(operation: &Operation, errno: i32) -> bool {
    match operation.kind() {
        Kind::Server => matches!(errno, ENOENT | ESRCH | EEXIST),
        Kind::Service | Kind::Sync => matches!(errno, ESRCH | EEXIST),
        Kind::Sysctl | Kind::Timeouts | Kind::Mark => false,
    }
}

/// The operations that were refused, in their order.
fn refused_of(operations: &[Operation], refusals: &Refusals) -> Vec<Operation> {
    refusals.keys().filter_map(|place| operations.get(*place)).cloned().collect()
}

/// Carries out the plan of a comparison, which is used up. What would take the last serving server out of a service,
/// while its successors were refused, is held back.
pub(super) fn execute(
    kernel: &mut dyn Kernel,
    comparison: &mut Comparison,
    desired: &Desired,
) -> Result<Attempts, KernelError> {
    let Plan { prepare, grow, quiesce, marks, shrink } = std::mem::take(&mut comparison.plan);
    let mut attempts = Attempts::default();
    attempts.run(kernel, prepare)?;
    let mut refusals = if grow.is_empty() { Refusals::new() } else { kernel.execute(&grow)? };
    let mut refused = refused_of(&grow, &refusals);
    let without_service: HashSet<&ServiceKey> = refused
        .iter()
        .filter(|edit| matches!(edit, Operation::Service(ServiceOp::Add { .. })))
        .filter_map(|edit| edit.service())
        .collect();
    for (refusal, edit) in refusals.values_mut().zip(&refused) {
        if refusal.errno == ESRCH && edit.service().is_some_and(|service| without_service.contains(service)) {
            *refusal = Refusal { errno: 0, message: "its virtual service was refused".into() };
        }
    }
    attempts.add(grow, refusals);
    let withheld = plan::withheld(&comparison.managed, &desired.state, &refused);
    attempts.run_but(kernel, quiesce, &withheld)?;
    attempts.run(kernel, marks.clone())?;
    refused.extend(marks.into_iter().filter(|operation| attempts.refusal(operation).is_some()));
    let withheld = plan::withheld(&comparison.managed, &desired.state, &refused);
    attempts.run_but(kernel, shrink, &withheld)?;
    Ok(attempts)
}
