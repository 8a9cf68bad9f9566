//! One pass: read, plan, execute, read again; verified is what needs no plan any more.

use std::collections::{HashMap, HashSet};

use crate::guard::{self, Objection};
use crate::kernel::{Kernel, KernelError, Live, Refusal};
use crate::model::{Action, Connections, Desired, Family, Operation, ServerKey, ServiceKey, Services, State};
use crate::ownership::{self, Owned};
use crate::plan::{self, Plan, Surroundings};
use crate::store::{Record, Store};

/// How often one pass executes before it gives up: somebody else may be writing too.
const ROUNDS: usize = 3;

/// The live state held against the desired one: what `diff` shows and `apply` carries out.
#[derive(Debug)]
pub struct Comparison {
    /// What there is to do
    pub plan: Plan,
    /// Services that lbd leaves alone
    pub foreign: Services,
    /// Why the plan may not be carried out without the operator's word
    pub objection: Option<Objection>,
    /// What differs, and is left for a later pass
    pub held: Vec<Operation>,
    /// The services that lbd may touch, as they are
    managed: Services,
    connections: HashMap<(ServiceKey, ServerKey), Connections>,
    expire_nodest_conn: bool,
    families_left: HashSet<Family>,
    clusters: Owned,
}

impl Comparison {
    /// Holds `live` against `desired`; `record` tells what lbd answers for. Pure.
    pub fn new(live: Live, desired: &Desired, record: &Record) -> Self {
        let Live { state, connections, expire_nodest_conn } = live;
        let wanted = &desired.state.services;
        let (managed, foreign) = ownership::part(state.services, wanted, &record.owned, desired.policy.prune);
        let owned_and_live = managed.keys().filter(|service| record.owned.contains_key(*service));
        let only_verified = record
            .verified
            .iter()
            .filter(|service| !(managed.contains_key(*service) && record.owned.contains_key(*service)));
        let answers_for = owned_and_live.chain(only_verified);
        let objection = guard::objection(answers_for, wanted, &foreign, &desired.policy);
        let managed = State { services: managed, ..State::default() };
        let plan = plan::plan(&managed, &desired.state);
        let families_left = wanted.keys().chain(foreign.keys()).map(ServiceKey::family).collect();
        let managed = managed.services;
        let mut clusters = record.owned.clone();
        ownership::claim(&mut clusters, desired);
        let held = Vec::new();
        Self {
            plan,
            foreign,
            objection,
            held,
            managed,
            connections,
            expire_nodest_conn,
            families_left,
            clusters,
        }
    }

    /// Takes out of the plan what is to wait for a later pass; a new service takes its servers along.
    fn hold(&mut self, waits: &dyn Fn(&Operation) -> bool) {
        let without_service: HashSet<ServiceKey> = self
            .plan
            .operations()
            .filter(|operation| operation.server().is_none() && operation.action() == Action::Add)
            .filter(|operation| waits(operation))
            .map(|operation| *operation.service())
            .collect();
        let Plan { grow, quiesce, shrink } = &mut self.plan;
        for phase in [grow, quiesce, shrink] {
            let waiting = phase.extract_if(.., |operation| {
                without_service.contains(operation.service()) || waits(operation)
            });
            self.held.extend(waiting);
        }
    }

    /// Whether there is nothing to do, and nothing that somebody would have to allow.
    pub fn is_in_sync(&self) -> bool {
        self.plan.is_empty() && self.held.is_empty() && self.objection.is_none()
    }

    /// The virtual services and real servers that lbd answers for.
    pub fn size(&self) -> (usize, usize) {
        (self.managed.len(), self.managed.values().map(|service| service.servers.len()).sum())
    }

    /// The cluster that a service is of, or was of when lbd put it there.
    pub fn cluster(&self, service: &ServiceKey) -> Option<&str> {
        self.clusters.get(service).map(AsRef::as_ref)
    }

    /// What an operation of the plan does to live traffic, if anything.
    pub fn impact(&self, operation: &Operation) -> Option<String> {
        let connections = |service: &ServiceKey, server: &ServerKey| {
            self.connections.get(&(*service, *server)).copied().unwrap_or_default()
        };
        plan::impact(
            operation,
            &Surroundings {
                live: &self.managed,
                families_left: &self.families_left,
                expire_nodest_conn: self.expire_nodest_conn,
                connections: &connections,
            },
        )
    }
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel was read back and is what the file says.
    Verified,
    /// Something could not be brought about.
    Failed,
    /// Nothing was done, since a guard objects.
    Refused(Objection),
    /// All was done that was not to wait.
    Held,
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

/// How many operations of each kind there are.
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
    /// Counts operations.
    pub fn of<'a>(operations: impl Iterator<Item = &'a Operation>) -> Self {
        let mut summary = Self::default();
        for operation in operations {
            match operation.action() {
                Action::Add => summary.add += 1,
                Action::Edit => summary.edit += 1,
                Action::Delete => summary.delete += 1,
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
    /// The desired file itself, kept once it is verified
    pub text: &'a str,
    /// What is to wait for a later pass
    pub waits: &'a dyn Fn(&Operation) -> bool,
}

/// Runs one pass over `kernel`. `announce` is shown each plan before it is carried out.
///
/// What `store` cannot read or write is a warning: a full disk must not keep a director from being repaired.
///
/// # Errors
/// Where the kernel cannot be asked. What was done until then is in the kernel.
pub fn pass(
    kernel: &mut dyn Kernel,
    order: &Order<'_>,
    store: &Store,
    announce: &mut dyn FnMut(&Comparison),
) -> Result<Report, KernelError> {
    let Order { desired, text, waits } = *order;
    let mut memory = Memory::recall(store);
    let mut done = Vec::new();
    let mut attempts = Attempts::default();
    let mut round = 0;
    loop {
        let mut last = Comparison::new(kernel.read()?, desired, &memory.record);
        last.hold(waits);
        let outcome = if let Some(objection) = last.objection {
            Outcome::Refused(objection)
        } else if last.plan.is_empty() && !last.held.is_empty() {
            Outcome::Held
        } else if last.plan.is_empty() {
            memory.verified(desired, &last, text);
            Outcome::Verified
        } else if round == ROUNDS || attempts.are_hopeless(&last.plan) {
            Outcome::Failed
        } else {
            announce(&last);
            memory.claim(desired);
            match execute(kernel, &last, desired) {
                Ok(results) => {
                    attempts = results;
                    done.append(&mut attempts.done);
                }
                // What became of the operations is seen at the next reading; only at the end is it the answer.
                Err(error) if round + 1 == ROUNDS => return Err(error),
                Err(_) => attempts = Attempts::default(),
            }
            round += 1;
            continue;
        };
        let failed = if outcome == Outcome::Failed { attempts.failed(&last.plan) } else { Vec::new() };
        return Ok(Report { outcome, done, failed, last, warnings: memory.warnings });
    }
}

/// What became of the operations of one round.
#[derive(Debug, Default)]
struct Attempts {
    done: Vec<Operation>,
    refused: HashMap<(ServiceKey, Option<ServerKey>), Refusal>,
}

impl Attempts {
    fn add(&mut self, operation: Operation, result: Result<(), Refusal>) {
        match result {
            Ok(()) => self.done.push(operation),
            // It is gone, which is what was wanted.
            Err(Refusal { errno: ENOENT | ESRCH, .. }) if operation.action() == Action::Delete => {}
            Err(refusal) => {
                self.refused.insert((*operation.service(), operation.server().copied()), refusal);
            }
        }
    }

    fn refusal(&self, operation: &Operation) -> Option<&Refusal> {
        self.refused.get(&(*operation.service(), operation.server().copied()))
    }

    /// Whether all of what is left to do was refused a moment ago, for reasons that do not pass.
    fn are_hopeless(&self, plan: &Plan) -> bool {
        plan.operations().all(|operation| {
            self.refusal(operation).is_some_and(|refusal| !is_race(operation, refusal.errno))
        })
    }

    fn failed(&self, plan: &Plan) -> Vec<Failed> {
        let unexplained = || Refusal {
            errno: 0,
            message:
                "somebody else changes the same entry again and again; find out who else manages IPVS here"
                    .into(),
        };
        plan.operations()
            .map(|operation| Failed {
                operation: operation.clone(),
                refusal: self.refusal(operation).cloned().unwrap_or_else(unexplained),
            })
            .collect()
    }
}

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;

/// Whether an error number means that somebody else wrote at the same time, so that a new plan may succeed. For a
/// service ENOENT is about its scheduler.
fn is_race(operation: &Operation, errno: i32) -> bool {
    match operation.server() {
        Some(_) => matches!(errno, ENOENT | ESRCH | EEXIST),
        None => matches!(errno, ESRCH | EEXIST),
    }
}

/// Carries out a plan. What would take the last serving server out of a service, while its successors were refused, is
/// held back.
fn execute(
    kernel: &mut dyn Kernel,
    comparison: &Comparison,
    desired: &Desired,
) -> Result<Attempts, KernelError> {
    let Plan { grow, quiesce, shrink } = &comparison.plan;
    let mut attempts = Attempts::default();
    let results = kernel.execute(grow)?;
    let refused: Vec<&Operation> = grow
        .iter()
        .zip(&results)
        .filter_map(|(operation, result)| result.is_err().then_some(operation))
        .collect();
    let withheld = plan::withheld(&comparison.managed, &desired.state.services, &refused);
    let without_service: HashSet<ServiceKey> = refused
        .iter()
        .filter(|operation| operation.server().is_none() && operation.action() == Action::Add)
        .map(|operation| *operation.service())
        .collect();
    for (operation, result) in grow.iter().zip(results) {
        let result = match result {
            Err(Refusal { errno: ESRCH, .. }) if without_service.contains(operation.service()) => {
                Err(Refusal { errno: 0, message: "its virtual service was refused".into() })
            }
            result => result,
        };
        attempts.add(operation.clone(), result);
    }
    for phase in [quiesce, shrink] {
        let is_withheld = |operation: &Operation| withheld.contains(operation.service());
        let (held, free): (Vec<Operation>, Vec<Operation>) = phase.iter().cloned().partition(is_withheld);
        let results = if free.is_empty() { Vec::new() } else { kernel.execute(&free)? };
        for (operation, result) in free.into_iter().zip(results) {
            attempts.add(operation, result);
        }
        for operation in held {
            let message = "held back, since the servers that shall take over were refused".to_owned();
            attempts.add(operation, Err(Refusal { errno: 0, message }));
        }
    }
    Ok(attempts)
}

/// The record while a pass runs, and what went wrong with it.
struct Memory<'a> {
    store: &'a Store,
    record: Record,
    on_disk: Option<Record>,
    warnings: Vec<String>,
}

impl<'a> Memory<'a> {
    fn recall(store: &'a Store) -> Self {
        match store.load() {
            Ok(record) => Self { store, on_disk: Some(record.clone()), record, warnings: Vec::new() },
            Err(error) => Self { store, on_disk: None, record: Record::default(), warnings: vec![error] },
        }
    }

    fn claim(&mut self, desired: &Desired) {
        ownership::claim(&mut self.record.owned, desired);
        self.write();
    }

    fn verified(&mut self, desired: &Desired, comparison: &Comparison, text: &str) {
        let wanted = &desired.state.services;
        let owned: &mut Owned = &mut self.record.owned;
        ownership::claim(owned, desired);
        ownership::release(owned, wanted, |service| comparison.foreign.contains_key(service));
        self.record.verified = wanted.keys().copied().collect();
        if let Err(error) = self.store.save_verified(text) {
            self.warn(error);
        }
        self.write();
    }

    fn write(&mut self) {
        if self.on_disk.as_ref() == Some(&self.record) {
            return;
        }
        match self.store.save(&self.record) {
            Ok(()) => self.on_disk = Some(self.record.clone()),
            Err(error) => self.warn(error),
        }
    }

    fn warn(&mut self, error: String) {
        let warning = format!("{error}; lbd goes on, but will not remember this pass");
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}
