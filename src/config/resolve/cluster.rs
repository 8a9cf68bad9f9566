//! Resolves the clusters: which virtual services they describe, and the servers behind each.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use compact_str::CompactString;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::health::Healths;
use super::listener::{self, ListenerPlace};
use super::server::Wanted;
use super::untracked::{self, Untracked};
use super::{name, scheduling, server, value};
use crate::config::format::document::{CheckEntry, Choice, Cluster, Defaults, Listen, ServerEntry};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::MOST_SERVERS;
use crate::config::format::path::{KeyPath, PathStep, key_path};
use crate::model::{
    DrainTimes, Forwarding, ForwardingMethod, Mark, SchedulingCache, Servers, ServiceKey, Table,
    VirtualService,
};

/// The forwarding method of a cluster without `forward`: that of ipvsadm.
const DEFAULT_METHOD: ForwardingMethod = ForwardingMethod::DirectRouting;

/// The clusters so far, as what comes behind them has to know them.
pub(super) struct Clusters {
    /// The cluster that each virtual service comes from
    pub(super) owners: Table<ServiceKey, CompactString>,
    /// These services, in the same order
    pub(super) services: Vec<(ServiceKey, VirtualService)>,
    /// The place of each
    places: Vec<ListenerPlace>,
    names: Table<CompactString, usize>,
    /// Those that may lose their last usable server
    pub(super) allow_empty: HashSet<ServiceKey>,
    /// Those whose packets pass connection tracking by
    pub(super) untracked: Untracked,
    /// The addresses of servers that look like an address and a port
    pub(super) port_like: Vec<IpAddr>,
    /// How long servers drain
    pub(super) drains: DrainTimes,
    /// The checks of servers, and what failing ones do
    pub(super) health: Healths,
    neighbour: SchedulingCache,
    /// How many there are
    count: usize,
    /// How many real servers their services have
    servers: usize,
    /// The marks that are declared
    marks: HashSet<u32>,
    /// What holds for the clusters of the file that is read, those of the main file among them
    defaults: Option<Defaults>,
    /// Those of the main file alone
    of_main: Option<Defaults>,
    /// How long servers drain by the defaults of a fragment
    drain: Option<Duration>,
    /// Whether the file has sync daemons
    sync: bool,
}

impl Clusters {
    /// None so far.
    pub(super) fn new(
        marks: &[Mark],
        checks: &IndexMap<String, CheckEntry>,
        defaults: Option<Defaults>,
        sync: bool,
        issues: &mut Issues,
    ) -> Self {
        if let Some(word) = defaults.as_ref().and_then(|defaults| defaults.scheduler.as_ref()) {
            scheduling::check_default(word, key_path!["defaults", "scheduler"], issues);
        }
        let drain = defaults.as_ref().and_then(|defaults| defaults.drain.as_ref());
        let drain = drain.and_then(|drain| value::drain(drain, || key_path!["defaults", "drain"], issues));
        Self {
            owners: Table::default(),
            services: Vec::new(),
            places: Vec::new(),
            names: Table::default(),
            allow_empty: HashSet::new(),
            untracked: Untracked::default(),
            port_like: Vec::new(),
            drains: DrainTimes::new(drain),
            health: Healths::new(checks, defaults.as_ref(), issues),
            neighbour: SchedulingCache::default(),
            count: 0,
            servers: 0,
            marks: marks.iter().map(|mark| mark.mark).collect(),
            of_main: defaults.clone(),
            defaults,
            drain: None,
            sync,
        }
    }

    /// The clusters of another file follow, a fragment with these defaults of its own; `file` is its number.
    pub(super) fn enter(&mut self, file: usize, own: Option<Defaults>, issues: &mut Issues) {
        let place = |key: &'static str| KeyPath(vec![PathStep::File(file), "defaults".into(), key.into()]);
        let own = own.unwrap_or_default();
        if let Some(word) = &own.scheduler {
            scheduling::check_default(word, place("scheduler"), issues);
        }
        self.drain = own.drain.as_ref().and_then(|drain| value::drain(drain, || place("drain"), issues));
        self.health.enter(own.check.as_ref(), || place("check"), issues);
        let of_main = self.of_main.clone().unwrap_or_default();
        // The checks and the drain are kept as what they resolve to.
        self.defaults = Some(Defaults {
            scheduler: own.scheduler.or(of_main.scheduler),
            forward: own.forward.or(of_main.forward),
            drain: None,
            check: None,
        });
    }

    /// Puts the virtual services of the next cluster beside the others.
    pub(super) fn add(&mut self, cluster: &Cluster, issues: &mut Issues) {
        let index = self.count;
        self.count += 1;
        let here = key_path!["clusters", index];
        let name: CompactString = cluster.name.as_str().into();
        name::check(&name, "cluster", here.then("name"), false, issues);
        if let Some(first) = self.names.get(&name) {
            issues.push(
                Issue::new(here.then("name"), format!("duplicate cluster name `{name}`"))
                    .first(key_path!["clusters", *first, "name"]),
            );
        } else {
            self.names.insert(name.clone(), index);
        }
        let defaults = self.defaults.as_ref();
        let inherited = cluster
            .forward
            .or(defaults.and_then(|defaults| defaults.forward))
            .map_or(DEFAULT_METHOD, |Choice(method)| method);
        let rules = scheduling::rules(cluster, defaults, &here, issues);
        let drain = cluster.drain.as_ref();
        let drain = drain.and_then(|drain| value::drain(drain, || here.then("drain"), issues)).or(self.drain);
        let servers = servers(cluster, inherited, &here, issues);
        let port_like = servers.iter().filter(|(_, wanted)| wanted.is_port_like);
        self.port_like.extend(port_like.map(|(_, wanted)| wanted.address));
        let health = self.health.cluster(cluster, inherited, &here, issues);
        self.port_like.extend(health.port_like());
        let urls = cluster.listen.urls();
        if urls.is_empty() {
            issues.push(Issue::new(here.then("listen"), "a cluster needs at least one listener"));
        }
        let mut reported = HashSet::new();
        for (position, url) in urls.iter().enumerate() {
            let is_listed = matches!(cluster.listen, Listen::Many(_));
            let path = ListenerPlace { cluster: index, entry: is_listed.then_some(position) };
            let listener = || path.whole();
            let Some(service) = listener::service(url, listener, issues) else { continue };
            match self.owners.entry(service) {
                Entry::Vacant(entry) => {
                    entry.insert(name.clone());
                }
                Entry::Occupied(first) => {
                    let duplicate = Issue::new(listener(), format!("duplicate listener {service}"));
                    let first = self.places.get(first.index()).map(|path| path.whole());
                    issues.push(first.into_iter().fold(duplicate, Issue::first));
                    continue;
                }
            }
            self.places.push(path);
            if cluster.allow_empty {
                self.allow_empty.insert(service);
            }
            if cluster.untracked {
                self.untracked.add(service, path);
            }
            if let Some(mark) = service.mark()
                && !self.marks.contains(&mark)
            {
                issues.push(
                    Issue::new(listener(), format!("mark {mark} is not declared under `marks`"))
                        .expected(format!("an entry `- mark: {mark}` under `marks`"))
                        .involving(key_path!["marks"]),
                );
            }
            let before = self.servers;
            self.servers = before.saturating_add(servers.len());
            if self.servers > MOST_SERVERS {
                // Reported once, for the listener with which there are too many.
                if before <= MOST_SERVERS {
                    let message = format!("the file has more than {MOST_SERVERS} real servers");
                    issues.push(Issue::new(listener(), message).expected(
                        "fewer listeners or servers: each listener of a cluster has all its servers",
                    ));
                }
                continue;
            }
            let scheduling = scheduling::scheduling(&rules, cluster, &service, listener, &here, issues);
            if let Some(drain) = drain {
                self.drains.set_service(service, drain);
            }
            for (_, wanted) in &servers {
                if let Some(drain) = wanted.drain {
                    self.drains.set_server(service, wanted.key(&service), drain);
                }
            }
            let behind = Behind { cluster, index, service, sync: self.sync };
            let real = behind.servers(&servers, &mut reported, issues);
            let virtual_service = VirtualService::new(self.neighbour.share(scheduling), real);
            self.health.add((service, &virtual_service), cluster, &health, &servers, self.sync, issues);
            self.services.push((service, virtual_service));
        }
    }
}

/// The servers that can be read, each with its position in the file.
fn servers(
    cluster: &Cluster,
    inherited: ForwardingMethod,
    here: &KeyPath,
    issues: &mut Issues,
) -> Vec<(usize, Wanted)> {
    let mut servers = Vec::with_capacity(cluster.servers.len());
    servers.extend(cluster.servers.iter().enumerate().filter_map(|(index, entry)| {
        let here = || here.then("servers").then(index);
        server::server(entry, inherited, here, issues).map(|wanted| (index, wanted))
    }));
    servers
}

/// One virtual service of a cluster.
struct Behind<'a> {
    cluster: &'a Cluster,
    index: usize,
    service: ServiceKey,
    /// Whether the file has sync daemons
    sync: bool,
}

impl Behind<'_> {
    /// The servers behind the service. `reported` has those for which another service of the cluster has an issue already.
    fn servers(
        &self,
        wanted: &[(usize, Wanted)],
        reported: &mut HashSet<usize>,
        issues: &mut Issues,
    ) -> Servers {
        let mut servers = Servers::with_capacity_and_hasher(wanted.len(), Default::default());
        let mut positions: Vec<usize> = Vec::with_capacity(wanted.len());
        // The rule that replaces the source of a packet knows servers by their address alone.
        let mut sourced: HashMap<IpAddr, (bool, usize)> = HashMap::new();
        let is_full = |wanted: &Wanted| wanted.real.forwarding == Forwarding::FullNat;
        let has_full = wanted.iter().any(|(_, wanted)| is_full(wanted));
        for (index, wanted) in wanted {
            let here = || key_path!["clusters", self.index, "servers", *index];
            let untracked = || {
                let place = || self.address_place(*index);
                let misfit = self.cluster.untracked.then(|| untracked::misfit(&wanted.real, place)).flatten();
                misfit.map(|issue| server::involving_methods(issue, &here()))
            };
            let misfit = wanted
                .misfit(&self.service, here, || self.address_place(*index), self.sync)
                .or_else(untracked);
            if let Some(issue) = misfit {
                if reported.insert(*index) {
                    issues.push(issue);
                }
                continue;
            }
            let key = wanted.key(&self.service);
            match servers.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(wanted.real);
                    positions.push(*index);
                    let is_full = is_full(wanted);
                    if has_full
                        && let Some(first) = sourced.insert(key.address, (is_full, *index))
                        && first.0 != is_full
                        && reported.insert(*index)
                    {
                        issues.push(
                            Issue::new(
                                self.address_place(*index),
                                format!(
                                    "{} is `fullnat` at one port behind {} and not at another",
                                    key.address, self.service
                                ),
                            )
                            .expected("one forwarding method for all ports of an address")
                            .first(self.address_place(first.1)),
                        );
                    }
                }
                Entry::Occupied(first) => {
                    if reported.insert(*index) {
                        let first = positions.get(first.index()).copied().unwrap_or_default();
                        issues.push(
                            Issue::new(
                                self.address_place(*index),
                                format!("duplicate server {key} behind {}", self.service),
                            )
                            .first(self.address_place(first)),
                        );
                    }
                }
            }
        }
        servers
    }

    fn address_place(&self, index: usize) -> KeyPath {
        let here = key_path!["clusters", self.index, "servers", index];
        match self.cluster.servers.get(index) {
            Some(ServerEntry::Full(_)) => here.then("address"),
            Some(ServerEntry::Short(_)) | None => here,
        }
    }
}
