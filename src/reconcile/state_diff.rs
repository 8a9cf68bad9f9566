//! Compares the live state with the desired one: the plan, what is foreign, and what is deferred.

mod conditions;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use crate::guard::{self, Before, GuardRefusal};
use crate::kernel::Live;
use crate::model::{
    Action, ClusterFiles, Connections, Desired, Family, Mark, MarkMatch, Operation, ServerKey, ServiceKey,
    ServiceOp, Services, Spared, State, Subject, SyncDaemon, SyncRole, Table, sysctl,
};
use crate::ownership::{self, Owned};
use crate::plan::{self, Plan, Surroundings};
use crate::store::Record;
use crate::target::{DrainEnd, Drains, HealthReport, Leaving, Override, Pauses, Reason, Targets, Trial};

/// Why objects are not what the file alone says.
pub type Reasons = HashMap<Subject, Arc<Reason>>;

/// The difference between the live state and the desired one: what `diff` shows and `apply` executes.
#[derive(Debug)]
pub struct StateDiff {
    /// The operations to execute
    pub plan: Plan,
    /// Services that lbd does not manage, and those whose deletion alone a guard refuses
    pub foreign: Services,
    /// Sync daemons that lbd does not manage
    pub foreign_sync: Vec<SyncDaemon>,
    /// What a guard refuses until the operator confirms it: the plan, or only deletions that are not part of it
    pub guard_refusal: Option<GuardRefusal>,
    /// Operations that are deferred to a later pass
    pub deferred: Vec<Operation>,
    /// Operations that are left out as long as the conditions are in force
    pub left_out: Vec<Operation>,
    /// The pauses in force
    pub pauses: Pauses,
    /// What has left the file and keeps its connections
    pub draining: Drains,
    /// Why objects are not what the file alone says
    pub reasons: Reasons,
    /// Whether the live state is an export, perhaps that of another director, whose conditions are not known
    pub is_of_export: bool,
    /// The trial under way, if there is one
    pub trial: Option<Trial>,
    /// What the checks make of the file
    pub health: HealthReport,
    /// Operations that await an interface which is absent or down: no error, and no reason not to be in sync
    pub awaiting_link: Vec<Operation>,
    /// Why lbd's own nftables table could not be read, if so
    pub nftables_error: Option<String>,
    /// The index of each interface that a sync daemon needs and that is there
    pub(super) indices: HashMap<String, u32>,
    /// The part of the live state that lbd may change
    pub(super) managed: State,
    connections: HashMap<(ServiceKey, ServerKey), Connections>,
    expire_nodest_conn: bool,
    families_left: Vec<Family>,
    /// The clusters of services: in the file, and as they were before
    clusters: [Arc<Owned>; 2],
    /// The file that each cluster comes from, where there are several
    files: Arc<ClusterFiles>,
}

impl StateDiff {
    /// Compares `live` with `desired`; `record` has what lbd owns. Pure.
    ///
    /// `verified` is the state that was verified last, for the guards: `desired` itself where it is that, `None` where
    /// it is not known.
    pub fn new(live: Live, desired: &Desired, verified: Option<&Desired>, record: &Record) -> Self {
        Self::between(live, desired, desired, verified, &HashSet::new(), record, &Leaving::NONE)
    }

    /// Compares `live` with what the kernel should be, with what becomes of what leaves the file. Pure.
    pub fn of(live: Live, targets: &Targets<'_>, record: &Record, leaving: &Leaving) -> Self {
        let (desired, file) = (targets.kernel(), targets.file.without_verdicts());
        let added: HashSet<&ServiceKey> = targets.added_by_trial().collect();
        let verified = targets.verified_without_verdicts();
        let mut comparison = Self::between(live, desired, file, verified, &added, record, leaving);
        if let Some(trial) = &targets.file.conditions.trial {
            let reason = Arc::new(Reason::Trial(trial.period));
            let kept = targets.quiesced().into_iter();
            let kept = kept.map(|(service, server)| (Subject::Server(service, server), Arc::clone(&reason)));
            comparison.reasons.extend(kept);
        }
        comparison
    }

    /// Compares `live` with `desired`; the guards look at `file` and `verified`. The services that an ended trial has `added` leave,
    /// whatever the policy says.
    fn between(
        live: Live,
        desired: &Desired,
        file: &Desired,
        verified: Option<&Desired>,
        added: &HashSet<&ServiceKey>,
        record: &Record,
        leaving: &Leaving,
    ) -> Self {
        let target = with_draining(desired, &live.state, leaving);
        let Live {
            state,
            connections,
            expire_nodest_conn,
            expire_quiescent_template: _,
            counters_rest: _,
            absent,
            down,
            indices,
            nftables_error,
            statistics: _,
        } = live;
        let wanted = &target.services;
        let (mut services, mut foreign) =
            ownership::part(state.services, wanted, &record.owned, desired.policy.prune);
        let was_added = |service: &ServiceKey| {
            added.contains(service) && record.owned.contains_key(service) && !wanted.contains_key(service)
        };
        let mut of_trial = Services::default();
        if !added.is_empty() {
            of_trial.extend(services.extract_if(.., |service, _| was_added(service)));
            of_trial.extend(foreign.extract_if(.., |service, _| was_added(service)));
        }
        // What drains alone is neither owned nor deleted: its leaving was counted when it left.
        let only_drains =
            |service: &ServiceKey| leaving.has_left(service) && !desired.state.services.contains_key(service);
        let (owned, counted) = (record.owned.keys().any(only_drains), services.keys().any(only_drains));
        let owned = without(&record.owned, owned, &only_drains);
        let counted = without(&services, counted, &only_drains);
        let before = Before {
            verified,
            verified_services: &record.verified,
            owned: &owned,
            managed: &counted,
            foreign: &foreign,
            spared: &record.spared,
        };
        let guard_refusal = guard::check(&before, file);
        drop(counted);
        if let Some(guard_refusal) = guard_refusal.as_ref().filter(|guard_refusal| guard_refusal.is_partial())
        {
            let spared: HashSet<&ServiceKey> = guard_refusal.spared.services.iter().collect();
            foreign.extend(services.extract_if(.., |service, _| spared.contains(service)));
        }
        services.extend(of_trial);
        let (sync, foreign_sync) = state.sync.into_iter().partition(|daemon| {
            record.changed.sync.contains(&daemon.role)
                || desired.state.sync.iter().any(|wanted| wanted.role == daemon.role)
        });
        let mut managed = State { services, sync, ..state };
        // Another number of threads takes a restart of every daemon that runs.
        let runs = |wanted: &&SyncDaemon| managed.sync.iter().any(|daemon| daemon.role == wanted.role);
        let mut to_restart = desired.state.sync.iter().filter(runs);
        let can_restart_all =
            foreign_sync.is_empty() && !to_restart.any(|daemon| daemon.needs().is_lacking(&absent, &down));
        managed.sync_threads.take_if(|_| !can_restart_all);
        if let Some(link) = &record.changed.master_link
            && managed
                .sync
                .iter()
                .any(|daemon| daemon.role == SyncRole::Master && daemon.interface == link.interface)
            && (absent.contains(&link.interface)
                || indices.get(&link.interface).is_some_and(|index| *index != link.index))
        {
            managed.stale_sync.push(SyncRole::Master);
        }
        let mut plan = plan::plan(&managed, &target);
        let mut awaiting_link = Vec::new();
        if !(absent.is_empty() && down.is_empty()) {
            let is_early = |operation: &mut Operation| {
                operation.link().is_some_and(|link| link.is_lacking(&absent, &down))
            };
            for phase in plan.phases_mut() {
                awaiting_link.extend(phase.extract_if(.., is_early));
            }
        }
        let is_left =
            |family: &Family| wanted.keys().chain(foreign.keys()).any(|service| service.family() == *family);
        let families_left = [Family::V4, Family::V6].into_iter().filter(is_left).collect();
        Self {
            plan,
            foreign,
            foreign_sync,
            guard_refusal,
            deferred: Vec::new(),
            left_out: Vec::new(),
            pauses: Pauses::default(),
            draining: leaving.draining.clone(),
            reasons: reasons_of(leaving),
            is_of_export: false,
            trial: None,
            health: HealthReport::default(),
            awaiting_link,
            nftables_error,
            indices,
            managed,
            connections,
            expire_nodest_conn,
            families_left,
            clusters: [Arc::clone(&desired.clusters), Arc::clone(&record.owned)],
            files: Arc::clone(&desired.files),
        }
    }

    /// Moves out of the plan what is deferred to a later pass; the servers of a new service are deferred with it.
    pub fn defer(&mut self, defers: &dyn Fn(&Operation) -> bool) {
        let deferred = self.take_out(defers);
        self.deferred.extend(deferred);
    }

    fn take_out(&mut self, takes: &dyn Fn(&Operation) -> bool) -> Vec<Operation> {
        let mut taken = Vec::new();
        let mut without: HashSet<ServiceKey> = HashSet::new();
        // They come after the setting, and all together.
        let without_threads =
            self.plan.operations().any(|operation| concerns_threads(operation) && takes(operation));
        for phase in self.plan.phases_mut() {
            taken.extend(phase.extract_if(.., |operation| {
                let is_new = matches!(operation, Operation::Service(ServiceOp::Add { .. }));
                let service = operation.service().copied();
                let has_to_wait = takes(operation)
                    || service.is_some_and(|of| without.contains(&of))
                    || without_threads && operation.is_for_threads();
                without.extend(service.filter(|_| is_new && has_to_wait));
                has_to_wait
            }));
        }
        taken
    }

    /// Takes out all but the services of some clusters, and what is to be done to them.
    pub fn limit(&mut self, is_kept: &dyn Fn(&str) -> bool) {
        let clusters = self.clusters.clone();
        let has = |service: &ServiceKey| {
            let cluster = clusters.iter().find_map(|clusters| clusters.get(service));
            cluster.is_some_and(|cluster| is_kept(cluster))
        };
        let concerns = |operation: &Operation| operation.service().is_some_and(has);
        self.plan.phases_mut().into_iter().for_each(|phase| phase.retain(concerns));
        self.deferred.retain(concerns);
        self.left_out.retain(concerns);
        self.pauses.limit(is_kept);
        self.draining.retain(&|(service, _)| has(service));
        self.health.checked.retain(|of| has(&of.service));
        self.health.servers.retain(|report| has(&report.server.0));
        self.health.services.retain(|(service, _)| has(service));
        self.reasons.retain(|subject, _| subject.service().is_some_and(has));
        self.awaiting_link.retain(concerns);
        self.managed.services.retain(|service, _| has(service));
        self.foreign.clear();
        self.foreign_sync.clear();
        // A refusal of the whole change concerns a part that changes, one of some deletions the clusters that have these.
        let is_to_change = !self.plan.is_empty();
        self.guard_refusal.take_if(|refusal| match refusal.is_partial() {
            true => !refusal.spared.services.iter().any(has),
            false => !is_to_change,
        });
    }

    /// Why an operation is not what the file alone asks for, if so.
    pub fn reason(&self, operation: &Operation) -> Option<&Reason> {
        // Mostly there are none.
        if self.reasons.is_empty() {
            return None;
        }
        // That of a service is why it is deleted.
        let is_edited = operation.server().is_none() && operation.action() != Action::Delete;
        self.reasons.get(&operation.subject()).filter(|_| !is_edited).map(AsRef::as_ref)
    }

    /// The overrides that concern servers, each once, in the order of their names.
    pub fn overrides<'a>(&'a self) -> Vec<&'a Override> {
        let an_override = |reason: &'a Arc<Reason>| reason.overriding();
        let mut all: Vec<&Override> = self.reasons.values().filter_map(an_override).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.dedup();
        all
    }

    /// Why none of the plan may be executed until the operator confirms it.
    pub fn refusal(&self) -> Option<&GuardRefusal> {
        self.guard_refusal.as_ref().filter(|guard_refusal| !guard_refusal.is_partial())
    }

    /// The services whose deletion alone a guard refuses.
    pub(super) fn spared(&self) -> Spared {
        self.guard_refusal.as_ref().map(|guard_refusal| guard_refusal.spared.clone()).unwrap_or_default()
    }

    /// Whether nothing is to be done, and nothing is refused.
    pub fn is_in_sync(&self) -> bool {
        self.plan.is_empty()
            && self.deferred.is_empty()
            && self.left_out.is_empty()
            && self.guard_refusal.is_none()
    }

    /// How many virtual services and real servers lbd manages.
    pub fn size(&self) -> (usize, usize) {
        let services = &self.managed.services;
        (services.len(), services.values().map(|service| service.servers.len()).sum())
    }

    /// The live virtual services: the managed ones, and the foreign ones.
    pub fn live_services(&self) -> [&Services; 2] {
        [&self.managed.services, &self.foreign]
    }

    /// The live rules of lbd's own nftables table that no server brings with it: the marks, and the packets that are not tracked.
    pub fn live_rules(&self) -> (&[Mark], &[MarkMatch]) {
        (&self.managed.marks, &self.managed.untracked)
    }

    /// The cluster that a service is of, or was of when lbd put it there.
    pub fn cluster(&self, service: &ServiceKey) -> Option<&str> {
        self.clusters.iter().find_map(|clusters| clusters.get(service)).map(AsRef::as_ref)
    }

    /// The file that a cluster comes from, where the desired state consists of several.
    pub fn file_of(&self, cluster: &str) -> Option<&str> {
        self.files.of(cluster)
    }

    /// Whether lbd's own nftables table has to be there, now.
    pub(super) fn needs_filter(&self) -> bool {
        self.managed.needs_filter()
    }

    /// The live services that lbd may change.
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

/// What is desired together with what drains.
fn with_draining<'a>(desired: &'a Desired, live: &State, leaving: &Leaving) -> Cow<'a, State> {
    let mut target = Cow::Borrowed(&desired.state);
    if !leaving.draining.is_empty() {
        leaving.keep(target.to_mut(), live);
    }
    target
}

/// A table without some entries, if it has any.
fn without<'a, K: Clone + Hash + Eq, V: Clone>(
    table: &'a Table<K, V>,
    has_some: bool,
    is_left_out: &dyn Fn(&K) -> bool,
) -> Cow<'a, Table<K, V>> {
    let mut table = Cow::Borrowed(table);
    if has_some {
        table.to_mut().retain(|key, _| !is_left_out(key));
    }
    table
}

/// Why objects are not what the file alone says, of what leaves it; a service has the reason of its servers.
fn reasons_of(leaving: &Leaving) -> Reasons {
    let mut reasons = Reasons::new();
    let mut services: BTreeMap<ServiceKey, DrainEnd> = BTreeMap::new();
    for ((service, server), end) in &leaving.ended {
        reasons.insert(Subject::Server(*service, *server), Arc::new(Reason::DrainEnd(end.clone())));
        services.entry(*service).and_modify(|other| other.add(end)).or_insert_with(|| end.clone());
    }
    let of_service = |(service, end)| (Subject::Service(service), Arc::new(Reason::DrainEnd(end)));
    reasons.extend(services.into_iter().map(of_service));
    for ((service, server), drain) in leaving.draining.iter() {
        reasons.insert(Subject::Server(*service, *server), Arc::new(Reason::Drain(drain.clone())));
    }
    reasons
}

/// Whether the number of threads of the sync daemons depends on an operation.
fn concerns_threads(operation: &Operation) -> bool {
    match operation {
        Operation::Sync(_) => true,
        Operation::Sysctl(set) => sysctl::is_same(&set.name, sysctl::VS_SYNC_PORTS),
        Operation::Service(_)
        | Operation::Server(_)
        | Operation::Timeouts(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => false,
    }
}
