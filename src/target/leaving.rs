//! Decides what becomes of the servers that leave the file: they drain, or are deleted at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;

use super::clock::{Clock, Period};
use super::drains::{Drain, DrainEnd, Drains, LiveConnections, ServerOf};
use super::quiesced::is_mixed_in;
use super::{refuses_clients, rules};
use crate::model::{
    Desired, OnFailure, Prune, RealServer, ServerKey, ServiceKey, State, Table, VirtualService,
};

/// What becomes of the servers that leave the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Departure {
    /// They drain as long as the file said that had them.
    #[default]
    Drain,
    /// They drain so long. Zero: they are deleted at once, and so is what drains already.
    DrainFor(Duration),
}

/// What leaves the file, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leaving {
    /// What drains
    pub draining: Drains,
    /// What is to be deleted, though it was to drain, and why
    pub ended: BTreeMap<ServerOf, DrainEnd>,
    /// What was draining at the beginning, and is in the file again, not there any more, or in `ended`. It stays on disk until the pass
    /// has verified the file: after another file that no pass verified, what leaves again goes on with its first end
    over: Drains,
    /// What of it does not stay on disk: it is not there any more, or was in the file when its time was over. If it leaves again, that is
    /// another drain
    forgotten: BTreeSet<ServerOf>,
    /// What began to drain in this pass
    begun: BTreeSet<ServerOf>,
}

/// What is known of what leaves the file.
pub struct Departing<'a> {
    /// The file
    pub file: &'a Desired,
    /// The same under the conditions, by which a fallback may serve
    pub target: &'a Desired,
    /// The file that was verified last, and one that was followed after it and that no pass could verify, where they are other ones
    pub before: [Option<&'a Desired>; 2],
    /// The services of lbd, with the clusters that they are of
    pub owned: &'a Table<ServiceKey, CompactString>,
    /// The drains under way
    pub under_way: &'a Drains,
    /// What becomes of what leaves
    pub departure: Departure,
    /// The live state
    pub live: LiveConnections<'a>,
}

impl Leaving {
    /// Nothing leaves.
    pub const NONE: Self = Self {
        draining: Drains::NONE,
        ended: BTreeMap::new(),
        over: Drains::NONE,
        forgotten: BTreeSet::new(),
        begun: BTreeSet::new(),
    };

    /// Decides what becomes of what leaves the file. Pure.
    pub fn new(of: &Departing<'_>, now: Clock) -> Self {
        let mut leaving = Self::default();
        for (server, drain) in of.under_way.iter() {
            leaving.go_on(of, *server, drain.clone(), now);
        }
        for before in of.before.into_iter().flatten() {
            leaving.compare(of, before, now);
        }
        for file in [Some(of.file)].into_iter().chain(of.before).flatten() {
            leaving.replace_fallbacks(of, file, now);
        }
        leaving
    }

    /// Begins the drains of what leaves a file before this one.
    fn compare(&mut self, of: &Departing<'_>, before: &Desired, now: Clock) {
        for (service, old) in &before.state.services {
            let wanted = of.file.state.services.get(service);
            let is_same = wanted.is_some_and(|new| Arc::ptr_eq(&new.servers, &old.servers));
            if is_same {
                continue;
            }
            let leaves = |server: &&ServerKey| wanted.is_none_or(|new| !new.servers.contains_key(*server));
            for server in old.servers.keys().filter(leaves) {
                self.begin(of, before, (*service, *server), false, now);
            }
        }
    }

    /// Begins the drains of fallbacks that serve no more, where a server that fails would keep its connections, too.
    fn replace_fallbacks(&mut self, of: &Departing<'_>, file: &Desired, now: Clock) {
        for (service, health) in &file.health.services {
            let Some((fallback, _)) = health.fallback else { continue };
            let server = (*service, fallback);
            if health.on_failure == OnFailure::Quiesce && !of.is_wanted(&server) {
                self.begin(of, file, server, true, now);
            }
        }
    }

    /// Goes on with a drain that is under way.
    fn go_on(&mut self, of: &Departing<'_>, server: ServerOf, mut drain: Drain, now: Clock) {
        let is_there = of.live.has(&server);
        if of.is_wanted(&server) || !is_there {
            if !is_there || drain.period.left(now).is_none() {
                self.forgotten.insert(server);
            }
            self.over.insert(server, drain);
            return;
        }
        let end = if of.departure == Departure::DrainFor(Duration::ZERO) {
            Some(DrainEnd::Ended)
        } else {
            // Another scheduler in the kernel than in the file is drift, which the pass repairs.
            of.refusing(&server, None).or_else(|| drain.look(&server, &of.live, now))
        };
        match end {
            Some(end) => {
                self.ended.insert(server, end);
                self.over.insert(server, drain);
            }
            None => self.draining.insert(server, drain),
        }
    }

    /// Begins the drain of a server that leaves the file, if it has connections and is to keep them.
    fn begin(
        &mut self,
        of: &Departing<'_>,
        before: &Desired,
        server: ServerOf,
        is_fallback: bool,
        now: Clock,
    ) {
        let (service, key) = &server;
        let is_new = self.draining.get(&server).is_none() && !self.ended.contains_key(&server);
        let connections = of.live.of(&server);
        if !is_new || !of.live.has(&server) || connections.is_empty() || of.stays(service) {
            return;
        }
        let length = match of.departure {
            Departure::Drain => before.drain(service, key),
            Departure::DrainFor(length) => length,
        };
        if length.is_zero() {
            return;
        }
        if let Some(refuses) = of.refusing(&server, of.live.services.get(service)) {
            self.ended.insert(server, refuses);
            return;
        }
        let cluster = of.owned.get(service).map(ToString::to_string);
        let mut drain = Drain::new(cluster, is_fallback, Period::new(now, length));
        match drain.look(&server, &of.live, now) {
            Some(end) => drop(self.ended.insert(server, end)),
            None => {
                self.draining.insert(server, drain);
                self.begun.insert(server);
            }
        }
    }

    /// Whether a service has servers that left before, so that what becomes of them now is no change of the file.
    pub fn has_left(&self, service: &ServiceKey) -> bool {
        self.draining.concern(service) || self.over.concern(service)
    }

    /// What is to be on disk while the pass runs: what drains, and what was draining. After a crash it goes on from there. What a pause leaves
    /// out has yet to begin; what was draining before it goes on.
    pub fn during_pass(&self, is_paused: &dyn Fn(&ServiceKey) -> bool) -> Drains {
        let mut all = self.draining.clone();
        all.retain(&|server| !(self.begun.contains(server) && is_paused(&server.0)));
        let stays = self.over.iter().filter(|(server, _)| !self.forgotten.contains(server));
        stays.for_each(|(server, drain)| all.insert(*server, drain.clone()));
        all
    }

    /// Adds what drains to what is desired: the servers as they are, with weight 0, and the rules of services that have left.
    pub fn keep(&self, desired: &mut State, live: &State) {
        let mut left = self.draining.services();
        left.retain(|service| !desired.services.contains_key(service));
        rules::keep(desired, live, &left);
        for ((service, server), _) in self.draining.iter() {
            let Some(there) = live.services.get(service) else { continue };
            let Some(real) = there.servers.get(server) else { continue };
            let kept = desired.services.entry(*service).or_insert_with(|| VirtualService {
                scheduling: Arc::clone(&there.scheduling),
                servers: Arc::default(),
            });
            let real = RealServer { weight: 0, ..*real };
            kept.servers_mut().insert(*server, real);
        }
    }
}

impl Departing<'_> {
    /// Whether a server is in the file, or is the fallback of a service and serves.
    fn is_wanted(&self, (service, server): &ServerOf) -> bool {
        let is_in = |file: &Desired| {
            file.state.services.get(service).is_some_and(|service| service.servers.contains_key(server))
        };
        is_in(self.file) || is_in(self.target)
    }

    /// Whether a service stays in the kernel though the file has it no more.
    fn stays(&self, service: &ServiceKey) -> bool {
        self.file.policy.prune == Prune::Never && !self.file.state.services.contains_key(service)
    }

    /// Why a server cannot drain, if so: by the scheduler that its service is to have, and by the one of `live`, where that counts as well. Of
    /// a service that leaves itself no scheduler counts: none of its clients would get another server.
    fn refusing(&self, (service, server): &ServerOf, live: Option<&VirtualService>) -> Option<DrainEnd> {
        if !self.file.state.sync.is_empty() && is_mixed_in(service, server) {
            return Some(DrainEnd::OtherFamily);
        }
        let wanted = self.file.state.services.get(service)?;
        let mut schedulings = [Some(wanted), live].into_iter().flatten().map(|service| &service.scheduling);
        let refuses = schedulings.find(|scheduling| refuses_clients(scheduling))?;
        Some(DrainEnd::Refuses { scheduler: refuses.scheduler.to_string() })
    }
}
