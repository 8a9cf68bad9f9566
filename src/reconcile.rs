//! One pass: read, plan, execute, read again; verified is what needs no plan any more.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::guard::{self, Objection};
use crate::kernel::{Kernel, KernelError, Live, Question, Refusal};
use crate::model::{
    Action, Connections, Desired, Family, Kind, Operation, Policy, ServerKey, ServiceKey, Services, State,
    Subject, SyncDaemon, sysctl,
};
use crate::ownership::{self, Changed, Owned};
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
    /// Sync daemons that lbd leaves alone
    pub foreign_sync: Vec<SyncDaemon>,
    /// Why the plan may not be carried out without the operator's word
    pub objection: Option<Objection>,
    /// What differs, and is left for a later pass
    pub held: Vec<Operation>,
    /// What waits for an interface that is not there or not up yet: nobody's fault, and no reason not to be in sync
    pub waiting: Vec<Operation>,
    /// Why lbd's own table of the packet filter could not be read, if so
    pub filter_trouble: Option<String>,
    /// What lbd may touch, as it is
    managed: State,
    connections: HashMap<(ServiceKey, ServerKey), Connections>,
    expire_nodest_conn: bool,
    families_left: HashSet<Family>,
    clusters: Owned,
}

impl Comparison {
    /// Holds `live` against `desired`; `record` tells what lbd answers for. Pure.
    pub fn new(live: Live, desired: &Desired, record: &Record) -> Self {
        let Live { state, connections, expire_nodest_conn, absent, down, filter_trouble } = live;
        let wanted = &desired.state.services;
        let (services, foreign) =
            ownership::part(state.services, wanted, &record.owned, desired.policy.prune);
        let owned_and_live = services.keys().filter(|service| record.owned.contains_key(*service));
        let only_verified = record
            .verified
            .iter()
            .filter(|service| !(services.contains_key(*service) && record.owned.contains_key(*service)));
        let answers_for = owned_and_live.chain(only_verified);
        let objection = guard::objection(answers_for, wanted, &foreign, &desired.policy);
        let (sync, foreign_sync) = state.sync.into_iter().partition(|daemon| {
            record.changed.sync.contains(&daemon.role)
                || desired.state.sync.iter().any(|wanted| wanted.role == daemon.role)
        });
        let managed = State { services, sync, ..state };
        let mut plan = plan::plan(&managed, &desired.state);
        let mut waiting = Vec::new();
        if !(absent.is_empty() && down.is_empty()) {
            let is_early = |operation: &mut Operation| {
                operation.link().is_some_and(|link| link.is_lacking(&absent, &down))
            };
            for phase in plan.phases_mut() {
                waiting.extend(phase.extract_if(.., is_early));
            }
        }
        let families_left = wanted.keys().chain(foreign.keys()).map(ServiceKey::family).collect();
        let mut clusters = record.owned.clone();
        ownership::claim(&mut clusters, desired);
        Self {
            plan,
            foreign,
            foreign_sync,
            objection,
            held: Vec::new(),
            waiting,
            filter_trouble,
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
            .filter(|operation| matches!(operation, Operation::AddService { .. }) && waits(operation))
            .filter_map(|operation| operation.service().copied())
            .collect();
        for phase in self.plan.phases_mut() {
            self.held.extend(phase.extract_if(.., |operation| {
                operation.service().is_some_and(|service| without_service.contains(service))
                    || waits(operation)
            }));
        }
    }

    /// Whether there is nothing to do, and nothing that somebody would have to allow.
    pub fn is_in_sync(&self) -> bool {
        self.plan.is_empty() && self.held.is_empty() && self.objection.is_none()
    }

    /// The virtual services and real servers that lbd answers for.
    pub fn size(&self) -> (usize, usize) {
        let services = &self.managed.services;
        (services.len(), services.values().map(|service| service.servers.len()).sum())
    }

    /// The virtual services that there are, those first that lbd answers for.
    pub fn live_services(&self) -> [&Services; 2] {
        [&self.managed.services, &self.foreign]
    }

    /// The cluster that a service is of, or was of when lbd put it there.
    pub fn cluster(&self, service: &ServiceKey) -> Option<&str> {
        self.clusters.get(service).map(AsRef::as_ref)
    }

    /// The services that lbd may touch, as they are.
    pub fn services(&self) -> &Services {
        &self.managed.services
    }

    /// The connections of a server.
    pub fn connections(&self, service: &ServiceKey, server: &ServerKey) -> Connections {
        self.connections.get(&(*service, *server)).copied().unwrap_or_default()
    }

    /// What an operation of the plan does to live traffic, if anything.
    pub fn impact(&self, operation: &Operation) -> Option<String> {
        let connections = |service: &ServiceKey, server: &ServerKey| self.connections(service, server);
        plan::impact(
            operation,
            &Surroundings {
                live: &self.managed.services,
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
        let mut count = |action| match action {
            Action::Add => summary.add += 1,
            Action::Edit => summary.edit += 1,
            Action::Delete => summary.delete += 1,
        };
        for operation in operations {
            match operation.kind() {
                Kind::Mark => operation.parts().into_iter().for_each(|part| count(part.action)),
                _ => count(operation.action()),
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

/// The state in which nothing is left of lbd: no services, marks and sync daemons of its own, and the settings that it
/// changed as they were before.
pub fn nothing(record: &Record) -> Desired {
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
    let question = question(desired, &memory.record);
    let mut done = Vec::new();
    let mut attempts = Attempts::default();
    let mut round = 0;
    loop {
        let mut last = Comparison::new(kernel.read(&question)?, desired, &memory.record);
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
            memory.claim(desired, &last);
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

/// Brings about what differs between two files inside the virtual services that both have, before anything else is looked
/// at: a weight that was edited is in the kernel a good while before a large table is read and verified. Gives what was
/// carried out. A full pass must follow: it finds everything that this leaves, and everything that went wrong here.
///
/// The services that differ are read first, so that the plan is made from the kernel's word; what `before` says is
/// trusted only for which services there is nothing to do in. Nothing happens where a service goes, since a guard may
/// object, nor where anything stands beside the services that another order might depend on.
///
/// # Errors
/// Where the kernel cannot be asked, or it is not known what became of the operations.
pub fn edit(
    kernel: &mut dyn Kernel,
    before: &Desired,
    after: &Desired,
) -> Result<Vec<Operation>, KernelError> {
    /// More than that is not a touch, and better read at once.
    const MOST: usize = 200;
    let (old, new) = (&before.state, &after.state);
    let stands_still = before.policy == after.policy
        && (&old.marks, &old.sysctls, old.timeouts, &old.sync)
            == (&new.marks, &new.sysctls, new.timeouts, &new.sync)
        && old.services.keys().all(|service| new.services.contains_key(service));
    let differs = |service: &&ServiceKey| {
        old.services.get(*service).is_some_and(|of| Some(of) != new.services.get(*service))
    };
    let touched: Vec<ServiceKey> =
        if stands_still { new.services.keys().filter(differs).copied().collect() } else { Vec::new() };
    if touched.is_empty() || touched.len() > MOST {
        return Ok(Vec::new());
    }
    let live = kernel.read_services(&touched)?;
    // One that is not there, somebody took away: for the full pass.
    let wanted = |service: &ServiceKey| Some((*service, new.services.get(service)?.clone()));
    let services = live.keys().filter_map(wanted).collect();
    let desired = Desired { state: State { services, ..State::default() }, ..Desired::default() };
    let live = Live { state: State { services: live, ..State::default() }, ..Live::default() };
    let comparison = Comparison::new(live, &desired, &Record::default());
    Ok(execute(kernel, &comparison, &desired)?.done)
}

/// What became of the operations of one round.
#[derive(Debug, Default)]
struct Attempts {
    done: Vec<Operation>,
    refused: HashMap<Subject, Refusal>,
}

impl Attempts {
    /// Carries out a phase of a plan.
    fn run(&mut self, kernel: &mut dyn Kernel, phase: &[Operation]) -> Result<(), KernelError> {
        if phase.is_empty() {
            return Ok(());
        }
        for (operation, result) in phase.iter().zip(kernel.execute(phase)?) {
            self.add(operation.clone(), result);
        }
        Ok(())
    }

    /// The same, but for the services in which nothing may be quiesced or deleted yet.
    fn run_but(
        &mut self,
        kernel: &mut dyn Kernel,
        phase: &[Operation],
        withheld: &HashSet<ServiceKey>,
    ) -> Result<(), KernelError> {
        let is_withheld =
            |operation: &Operation| operation.service().is_some_and(|service| withheld.contains(service));
        let (held, free): (Vec<Operation>, Vec<Operation>) = phase.iter().cloned().partition(is_withheld);
        self.run(kernel, &free)?;
        for operation in held {
            let message = "held back, since what shall take its place was refused".to_owned();
            self.add(operation, Err(Refusal { errno: 0, message }));
        }
        Ok(())
    }

    fn add(&mut self, operation: Operation, result: Result<(), Refusal>) {
        match result {
            Ok(()) => self.done.push(operation),
            // It is gone, which is what was wanted.
            Err(Refusal { errno: ENOENT | ESRCH, .. }) if operation.action() == Action::Delete => {}
            Err(refusal) => {
                self.refused.insert(operation.subject(), refusal);
            }
        }
    }

    fn refusal(&self, operation: &Operation) -> Option<&Refusal> {
        self.refused.get(&operation.subject())
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
/// service ENOENT is about its scheduler, for a kernel setting about the kernel.
fn is_race(operation: &Operation, errno: i32) -> bool {
    match operation.kind() {
        Kind::Server => matches!(errno, ENOENT | ESRCH | EEXIST),
        Kind::Service | Kind::Sync => matches!(errno, ESRCH | EEXIST),
        Kind::Sysctl | Kind::Timeouts | Kind::Mark => false,
    }
}

/// Carries out a plan. What would take the last serving server out of a service, while its successors were refused, is
/// held back.
fn execute(
    kernel: &mut dyn Kernel,
    comparison: &Comparison,
    desired: &Desired,
) -> Result<Attempts, KernelError> {
    let Plan { prepare, grow, quiesce, marks, shrink } = &comparison.plan;
    let mut attempts = Attempts::default();
    attempts.run(kernel, prepare)?;
    let results = if grow.is_empty() { Vec::new() } else { kernel.execute(grow)? };
    let mut refused: Vec<&Operation> = grow
        .iter()
        .zip(&results)
        .filter_map(|(operation, result)| result.is_err().then_some(operation))
        .collect();
    let without_service: HashSet<&ServiceKey> = refused
        .iter()
        .filter(|operation| matches!(operation, Operation::AddService { .. }))
        .filter_map(|operation| operation.service())
        .collect();
    for (operation, result) in grow.iter().zip(results) {
        let result = match result {
            Err(Refusal { errno: ESRCH, .. })
                if operation.service().is_some_and(|service| without_service.contains(service)) =>
            {
                Err(Refusal { errno: 0, message: "its virtual service was refused".into() })
            }
            result => result,
        };
        attempts.add(operation.clone(), result);
    }
    let withheld = plan::withheld(&comparison.managed, &desired.state, &refused);
    attempts.run_but(kernel, quiesce, &withheld)?;
    attempts.run(kernel, marks)?;
    refused.extend(marks.iter().filter(|operation| attempts.refusal(operation).is_some()));
    let withheld = plan::withheld(&comparison.managed, &desired.state, &refused);
    attempts.run_but(kernel, shrink, &withheld)?;
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

    fn claim(&mut self, desired: &Desired, comparison: &Comparison) {
        let Comparison { plan, managed, .. } = comparison;
        ownership::claim(&mut self.record.owned, desired);
        self.record.changed.claim(desired, &managed.sysctls, plan.operations());
        self.write();
    }

    fn verified(&mut self, desired: &Desired, comparison: &Comparison, text: &str) {
        let wanted = &desired.state.services;
        let owned: &mut Owned = &mut self.record.owned;
        ownership::claim(owned, desired);
        ownership::release(owned, wanted, |service| comparison.foreign.contains_key(service));
        let live = &comparison.managed.sysctls;
        self.record.changed.claim(desired, live, std::iter::empty());
        self.record.changed.release(desired, live);
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
