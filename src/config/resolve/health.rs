//! Resolves what clusters say of the health of their servers: their checks, and what failing ones do.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;
use indexmap::IndexMap;

use super::checks::{Given, KnownChecks};
use super::fallback::{self, Fallback};
use super::fit;
use super::server::Wanted;
use super::value;
use crate::config::format::document::{
    CheckEntry, CheckList, Choice, Cluster, Defaults, DurationText, ServerEntry,
};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::{RESET_AFTER, SLOW_START, SLOW_START_WEIGHT};
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{
    Checks, FailurePolicy, Forwarding, ForwardingMethod, Health, MinServing, OnFailure, Scheduling,
    ServiceHealth, ServiceKey, Table, VirtualService, no_shares,
};

/// The health of the services so far.
#[derive(Debug)]
pub(super) struct Healths {
    known: KnownChecks,
    /// The checks of clusters that say nothing, in the file that is read
    default: Option<Given>,
    /// Those by the main file
    of_main: Option<Given>,
    health: Health,
    /// A cluster whose failing servers are deleted, if there is one: the kernel has to be set for it
    removing: Option<CompactString>,
    /// The places that have an issue already, of which each service of a cluster would have one
    reported: HashSet<KeyPath>,
}

/// What a cluster says, whatever it listens on.
#[derive(Debug)]
pub(super) struct ClusterHealth {
    /// The checks of servers that say nothing
    given: Option<Given>,
    /// Those of servers that have some of their own, by their positions
    own: HashMap<usize, Given>,
    policy: FailurePolicy,
    reset_after: Option<Duration>,
    min_serving: MinServing,
    fallback: Option<Fallback>,
    slow_start: Option<Duration>,
    place: KeyPath,
}

impl ClusterHealth {
    /// Whether any server has a check.
    fn has_checks(&self) -> bool {
        self.given.iter().chain(self.own.values()).any(|given| given.are_written)
    }

    /// The address of the fallback, where that looks like one with a port.
    pub(super) fn port_like(&self) -> Option<IpAddr> {
        self.fallback.as_ref().and_then(Fallback::port_like)
    }
}

impl Healths {
    /// Those of no services, with the named checks of a file and its default.
    pub(super) fn new(
        checks: &IndexMap<String, CheckEntry>,
        defaults: Option<&Defaults>,
        issues: &mut Issues,
    ) -> Self {
        let mut known = KnownChecks::new(checks, issues);
        let default = defaults.and_then(|defaults| defaults.check.as_ref());
        let default = default.map(|list| known.given(list, key_path!["defaults", "check"], issues));
        let of_main = default.clone();
        Self { known, default, of_main, health: Health::default(), removing: None, reported: HashSet::new() }
    }

    /// The clusters of a fragment follow, with the default of its own, if it has one.
    pub(super) fn enter(
        &mut self,
        own: Option<&CheckList>,
        place: impl Fn() -> KeyPath,
        issues: &mut Issues,
    ) {
        let own = own.map(|list| self.known.given(list, place(), issues));
        self.default = own.or_else(|| self.of_main.clone());
    }

    /// Reads what a cluster says. `inherited` is its forwarding method.
    pub(super) fn cluster(
        &mut self,
        cluster: &Cluster,
        inherited: ForwardingMethod,
        here: &KeyPath,
        issues: &mut Issues,
    ) -> ClusterHealth {
        let own_list = cluster.check.as_ref();
        let given = own_list.map(|list| self.known.given(list, here.then("check"), issues));
        let mut own = HashMap::new();
        for (index, entry) in cluster.servers.iter().enumerate() {
            if let ServerEntry::Full(full) = entry
                && let Some(list) = &full.check
            {
                let place = here.then("servers").then(index).then("check");
                own.insert(index, self.known.given(list, place, issues));
            }
        }
        let mut duration = |text: &Option<DurationText>, key, range| {
            let seconds = value::seconds(text.as_ref()?, range, || here.then(key), issues)?;
            Some(Duration::from_secs(seconds.into()))
        };
        let reset_after = duration(&cluster.reset_after, "reset_after", RESET_AFTER);
        let slow_start = duration(&cluster.slow_start, "slow_start", SLOW_START);
        let min_serving = cluster.min_serving.as_ref();
        let min_serving =
            min_serving.and_then(|text| value::min_serving(text, || here.then("min_serving"), issues));
        let read = ClusterHealth {
            given: given.or_else(|| self.default.clone()),
            own,
            policy: cluster.on_failure.map_or(FailurePolicy::Auto, |Choice(policy)| policy),
            reset_after,
            min_serving: min_serving.unwrap_or(MinServing::DEFAULT),
            fallback: fallback::fallback(cluster, inherited, here, issues),
            slow_start,
            place: here.clone(),
        };
        without_effect(cluster, &read, issues);
        read
    }

    /// Adds the health of one virtual service of a cluster. `wanted` are the servers that the cluster has, `sync` is whether the file has sync daemons.
    pub(super) fn add(
        &mut self,
        (service, virtual_service): (ServiceKey, &VirtualService),
        cluster: &Cluster,
        of_cluster: &ClusterHealth,
        wanted: &[(usize, Wanted)],
        sync: bool,
        issues: &mut Issues,
    ) {
        let mut report = |reported: &mut HashSet<KeyPath>, issue: Issue| {
            if reported.insert(issue.path.clone()) {
                issues.push(issue);
            }
        };
        let fallback = of_cluster.fallback.as_ref();
        let fallback = fallback.and_then(|fallback| {
            let behind = fallback.behind(&service, cluster, &virtual_service.servers, sync);
            behind.map_err(|issue| report(&mut self.reported, *issue)).ok()
        });
        if !of_cluster.has_checks() && fallback.is_none() {
            return;
        }
        let of_server = |index: &usize| of_cluster.own.get(index).or(of_cluster.given.as_ref());
        for (index, wanted) in wanted {
            let Some(given) = of_server(index) else { continue };
            let misfit = fit::misfit(given, &service, wanted);
            misfit.into_iter().for_each(|issue| report(&mut self.reported, issue));
        }
        if let Some(given) = of_cluster.given.as_ref().filter(|_| wanted.is_empty()) {
            let misfit = fit::without_servers(given, &service);
            misfit.into_iter().for_each(|issue| report(&mut self.reported, issue));
        }
        let scheduling = &virtual_service.scheduling;
        if of_cluster.slow_start.is_some()
            && let Some(issue) = no_slow_start(of_cluster, scheduling, virtual_service)
        {
            report(&mut self.reported, issue);
        }
        let on_failure = match of_cluster.policy {
            FailurePolicy::Auto => OnFailure::fitting(&service, scheduling),
            FailurePolicy::Quiesce => {
                fit::quiesce_refuses(scheduling, of_cluster.place.then("on_failure"))
                    .into_iter()
                    .for_each(|issue| report(&mut self.reported, issue));
                OnFailure::Quiesce
            }
            FailurePolicy::Remove => OnFailure::Remove,
        };
        if self.removing.is_none() && (on_failure == OnFailure::Remove || of_cluster.reset_after.is_some()) {
            self.removing = Some(cluster.name.as_str().into());
        }
        let checks =
            of_cluster.given.as_ref().map_or_else(Checks::default, |given| Arc::clone(&given.checks));
        let own = wanted.iter().filter_map(|(index, wanted)| {
            let given = of_cluster.own.get(index)?;
            Some((wanted.key(&service), Arc::clone(&given.checks)))
        });
        let of_service = ServiceHealth {
            servers: own.filter(|(_, own)| !Arc::ptr_eq(own, &checks)).collect(),
            checks,
            on_failure,
            reset_after: of_cluster.reset_after,
            min_serving: of_cluster.min_serving,
            fallback,
            slow_start: of_cluster.slow_start,
        };
        self.health.services.insert(service, of_service);
    }

    /// The named checks that nothing has named so far.
    pub(super) fn unused(&self) -> Vec<CompactString> {
        self.known.unused()
    }

    /// The health of all services, and a cluster whose failing servers are deleted, if there is one. `owners` are the clusters of all services.
    pub(super) fn finish(
        self,
        owners: &Table<ServiceKey, CompactString>,
        issues: &mut Issues,
    ) -> (Health, Option<CompactString>) {
        if self.known.have_sources() {
            let listening: HashMap<IpAddr, &str> = owners
                .iter()
                .filter_map(|(service, cluster)| match service {
                    ServiceKey::Address { address, .. } => Some((*address, cluster.as_str())),
                    ServiceKey::FirewallMark { .. } => None,
                })
                .collect();
            self.known.check_sources(|address| listening.get(&address).copied(), issues);
        }
        (self.health, self.removing)
    }
}

/// Whether a fallback is reached by FULLNAT.
pub(super) fn has_fullnat(health: &Health) -> bool {
    let mut fallbacks = health.services.values().filter_map(|of| of.fallback.as_ref());
    fallbacks.any(|(_, real)| real.forwarding == Forwarding::FullNat)
}

/// Reports the keys that have no effect in a cluster.
fn without_effect(cluster: &Cluster, read: &ClusterHealth, issues: &mut Issues) {
    let here = &read.place;
    if !read.has_checks() {
        for (key, is_written) in [
            ("on_failure", cluster.on_failure.is_some() && cluster.fallback.is_none()),
            ("reset_after", cluster.reset_after.is_some()),
            ("min_serving", cluster.min_serving.is_some()),
            ("slow_start", cluster.slow_start.is_some()),
        ] {
            if is_written {
                issues.push(
                    Issue::new(here.then(key), format!("`{key}` has no effect without `check`"))
                        .at_key()
                        .expected("`check` in this cluster or in `defaults`")
                        .involving(here.then("check"))
                        .involving(here.then("servers"))
                        .involving(key_path!["defaults", "check"]),
                );
            }
        }
    }
    if cluster.reset_after.is_some() && read.policy == FailurePolicy::Remove {
        issues.push(
            Issue::new(
                here.then("reset_after"),
                "`reset_after` has no effect with `on_failure: remove`, which deletes a failing server at once",
            )
            .at_key()
            .expected("`on_failure: quiesce`, or no `reset_after`")
            .involving(here.then("on_failure")),
        );
    }
}

/// Why a service cannot have a slow start, if so.
fn no_slow_start(of: &ClusterHealth, scheduling: &Scheduling, service: &VirtualService) -> Option<Issue> {
    let place = of.place.then("slow_start");
    if let Some(why) = no_shares(scheduling) {
        return Some(
            Issue::new(
                place,
                format!("`slow_start` raises weights, and the scheduler `{}` {why}", scheduling.scheduler),
            )
            .expected("a scheduler that goes by weights, such as `wlc` or `wrr`; or no `slow_start`")
            .involving(of.place.then("scheduler"))
            .involving(key_path!["defaults", "scheduler"]),
        );
    }
    let (key, real) =
        service.servers.iter().find(|(_, real)| (1..SLOW_START_WEIGHT).contains(&real.weight))?;
    Some(
        Issue::new(
            place,
            format!("`slow_start` raises a weight in steps, and server {key} has the weight {}", real.weight),
        )
        .expected(format!(
            "weights from {SLOW_START_WEIGHT} on, such as those of all servers ten times as large; or no `slow_start`"
        ))
        .involving(of.place.then("servers")),
    )
}
