//! Compares the live state with the desired one: the plan, what is foreign, and what is deferred.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::guard::{self, Before, GuardRefusal};
use crate::kernel::Live;
use crate::model::{
    Connections, Desired, Family, Kind, Mark, MarkMatch, Operation, ServerKey, ServiceKey, ServiceOp,
    Services, Spared, State, SyncDaemon, SyncRole, sysctl,
};
use crate::ownership::{self, Owned};
use crate::plan::{self, Plan, Surroundings};
use crate::store::Record;
use crate::target::{Override, Pauses, Target};

/// Why servers are not what the file says.
pub type Reasons = HashMap<(ServiceKey, ServerKey), Arc<Override>>;

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
    /// Why servers are not what the file says
    pub reasons: Reasons,
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
}

impl StateDiff {
    /// Compares `live` with `desired`; `record` has what lbd owns. Pure.
    ///
    /// `verified` is the state that was verified last, for the guards: `desired` itself where it is that, `None` where
    /// it is not known.
    pub fn new(live: Live, desired: &Desired, verified: Option<&Desired>, record: &Record) -> Self {
        let Live { state, connections, expire_nodest_conn, absent, down, indices, nftables_error } = live;
        let wanted = &desired.state.services;
        let (mut services, mut foreign) =
            ownership::part(state.services, wanted, &record.owned, desired.policy.prune);
        let before = Before {
            verified,
            verified_services: &record.verified,
            owned: &record.owned,
            managed: &services,
            foreign: &foreign,
            spared: &record.spared,
        };
        let guard_refusal = guard::check(&before, desired);
        if let Some(guard_refusal) = guard_refusal.as_ref().filter(|guard_refusal| guard_refusal.is_partial())
        {
            let spared: HashSet<&ServiceKey> = guard_refusal.spared.services.iter().collect();
            foreign.extend(services.extract_if(.., |service, _| spared.contains(service)));
        }
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
        let mut plan = plan::plan(&managed, &desired.state);
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
            reasons: HashMap::new(),
            awaiting_link,
            nftables_error,
            indices,
            managed,
            connections,
            expire_nodest_conn,
            families_left,
            clusters: [Arc::clone(&desired.clusters), Arc::clone(&record.owned)],
        }
    }

    /// Moves out of the plan what is deferred to a later pass; the servers of a new service are deferred with it.
    pub fn defer(&mut self, defers: &dyn Fn(&Operation) -> bool) {
        let deferred = self.take_out(defers);
        self.deferred.extend(deferred);
    }

    /// Moves out of the plan what the conditions leave as it is.
    pub fn leave_out(&mut self, target: &Target<'_>) {
        let conditions = target.conditions;
        if conditions.are_none() {
            return;
        }
        let clusters = self.clusters.clone();
        let cluster = |service: &ServiceKey| clusters.iter().find_map(|clusters| clusters.get(service));
        let leaves_out = |operation: &Operation| {
            let cluster = operation.service().and_then(cluster);
            target.leaves_out(operation, cluster.map(AsRef::as_ref))
        };
        let mut left_out = self.take_out(&leaves_out);
        // The rules are replaced as a whole, and those of what is left out are among them.
        if !left_out.is_empty() {
            left_out
                .extend(self.take_out(&|operation| matches!(operation.kind(), Kind::Mark | Kind::Untracked)));
        }
        self.left_out = left_out;
        self.pauses.clone_from(&conditions.pauses);
        let reasons = target.reasons().iter();
        self.reasons = reasons.map(|(server, reason)| (*server, Arc::new(Override::clone(reason)))).collect();
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
        self.reasons.retain(|(service, _), _| has(service));
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
    pub fn reason(&self, operation: &Operation) -> Option<&Override> {
        let server = (*operation.service()?, *operation.server()?);
        self.reasons.get(&server).map(AsRef::as_ref)
    }

    /// The overrides that concern servers, each once, in the order of their names.
    pub fn overrides(&self) -> Vec<&Override> {
        let mut all: Vec<&Override> = self.reasons.values().map(AsRef::as_ref).collect();
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
