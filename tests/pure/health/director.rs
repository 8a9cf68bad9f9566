//! A director in small: a file with checks, what a checker says, and a kernel; with what must always be so after a pass.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::{Does, NUMBERS, Step, ways};
use lbd::config::{Source, load};
use lbd::health::{Failure, Finding, Keys, ProbeKey, Probes, Verdict, Verdicts};
use lbd::kernel::fake::Fake;
use lbd::kernel::{Kernel, ReadScope};
use lbd::model::{
    Check, CheckKind, Desired, Exchange, Forwarding, Health, MinServing, OnFailure, Operation, RealServer,
    ServerKey, ServiceHealth, ServiceKey, Services, Thresholds, Timing,
};
use lbd::reconcile::StateDiff;
use lbd::store::Record;
use lbd::target::{
    Address, Advance, Altered, Clock, Conditions, Effect, FileWeight, InForce, Leaving, Override, Pause,
    Period, SILENT, Scope, ServerState, Target, Targets, Text,
};

pub(super) fn service(number: u8) -> ServiceKey {
    format!("tcp://10.0.0.{number}:80").parse().unwrap()
}

pub(super) fn server(number: u8) -> ServerKey {
    ServerKey { address: [192, 168, 8, number].into(), port: 80 }
}

/// The server that serves when no other does.
pub(super) const FALLBACK: u8 = 99;

/// A cluster of the file.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    /// The weights of its servers, and whether they are checked
    pub(super) servers: BTreeMap<u8, (u32, bool)>,
    /// The port that is checked: another one is another check
    pub(super) port: u16,
    pub(super) interval: u64,
    pub(super) min_serving: MinServing,
    pub(super) fallback: bool,
    pub(super) on_failure: OnFailure,
}

/// The desired file.
pub(super) fn desired(clusters: &BTreeMap<u8, Cluster>) -> Desired {
    let mut text = "version: 1\nclusters:\n".to_owned();
    let mut services: HashMap<ServiceKey, ServiceHealth> = HashMap::new();
    for (number, cluster) in clusters {
        let server = |(number, (weight, _)): (&u8, &(u32, bool))| {
            format!("{{ address: 192.168.8.{number}, weight: {weight} }}")
        };
        let servers: Vec<String> = cluster.servers.iter().map(server).collect();
        text += &format!(
            "- {{ name: c{number}, listen: tcp://10.0.0.{number}:80, forward: nat, allow_empty: true, servers: [{}] }}\n",
            servers.join(", ")
        );
        services.insert(service(*number), cluster.health());
    }
    let mut desired = load(&Source::new("x", text)).unwrap();
    desired.health = Arc::new(Health { services: services.into_iter().collect() });
    desired
}

/// The director.
pub(super) struct Director {
    pub(super) clusters: BTreeMap<u8, Cluster>,
    said: HashMap<ProbeKey, Verdict>,
    is_gone: bool,
    is_frozen: bool,
    silent_for: u64,
    conditions: Conditions,
    /// What is in force for a daemon that was never started anew
    in_memory: InForce,
    now: u64,
    kernel: Fake,
}

impl Director {
    pub(super) fn new() -> Self {
        let clusters =
            [(1, Cluster::new(false, OnFailure::Quiesce)), (2, Cluster::new(true, OnFailure::Remove))];
        let mut director = Self {
            clusters: clusters.into_iter().collect(),
            said: HashMap::new(),
            is_gone: false,
            is_frozen: false,
            silent_for: 0,
            conditions: Conditions::default(),
            in_memory: InForce::NONE,
            now: 1_000_000,
            kernel: Fake::default(),
        };
        director.passes();
        director
    }

    fn clock(&self) -> Clock {
        Clock { since_boot: self.now, wall: UNIX_EPOCH }
    }

    fn desired(&self) -> Desired {
        desired(&self.clusters)
    }

    fn verdicts(&self, desired: &Desired) -> Verdicts {
        let finding = |(probe, _)| {
            let verdict = self.said.get(&probe).cloned().unwrap_or(Verdict::Unknown);
            (probe, Finding { verdict, ..Finding::PASSING })
        };
        let findings = Probes::of(desired).iter().map(finding).collect();
        let frozen = self.is_frozen.then(|| "no descriptor".into());
        Verdicts { findings, frozen, ..Verdicts::default() }
    }

    /// The probe by which a cluster is checked now.
    fn probe(&self, cluster: u8, number: u8) -> Option<ProbeKey> {
        let health = self.clusters.get(&cluster)?.health();
        Some(Keys::default().of(&health.checks[0], "", &service(cluster), &server(number)))
    }

    /// Something happens, and a pass follows. What is no verdict, no change of servers and no end of anything changes no weight.
    pub(super) fn happens(&mut self, step: &Step) {
        let before = self.weights();
        let changes_nothing = self.take(step);
        self.passes();
        if changes_nothing {
            assert_eq!(self.weights(), before, "{step:?}");
        }
    }

    /// Gives whether no weight may change by it.
    fn take(&mut self, step: &Step) -> bool {
        let is_deaf = self.is_gone || self.is_frozen;
        match step {
            Step::Say(cluster, servers, passes) => {
                self.says(*cluster, servers, *passes);
                is_deaf
            }
            Step::Server(cluster, number, server) => {
                let servers = &mut self.clusters.get_mut(cluster).unwrap().servers;
                match server {
                    Some(server) => drop(servers.insert(*number, *server)),
                    None => drop(servers.remove(number)),
                }
                false
            }
            Step::Replace(cluster, numbers) => {
                let servers = numbers.iter().map(|number| (*number, (1, true))).collect();
                self.clusters.get_mut(cluster).unwrap().servers = servers;
                false
            }
            Step::Check(cluster, port) => {
                self.clusters.get_mut(cluster).unwrap().port = *port;
                let is_known = |number| self.said.contains_key(&self.probe(*cluster, number).unwrap());
                is_deaf || !NUMBERS.into_iter().any(is_known)
            }
            Step::Interval(cluster, seconds) => {
                self.clusters.get_mut(cluster).unwrap().interval = *seconds;
                true
            }
            Step::MinServing(cluster, min_serving) => {
                self.clusters.get_mut(cluster).unwrap().min_serving = *min_serving;
                false
            }
            Step::Override(cluster, number, does) => {
                self.overrides(*cluster, *number, *does);
                false
            }
            Step::Undo => {
                self.conditions.overrides.end(|_| true);
                false
            }
            Step::Pause(cluster, keep_checks) => {
                self.conditions.pauses.add(Pause {
                    cluster: Some(format!("c{cluster}")),
                    by: "alice".into(),
                    reason: None,
                    keep_checks: *keep_checks,
                    period: Period::new(self.clock(), Duration::from_secs(3_600)),
                });
                !keep_checks
            }
            Step::Resume => {
                self.conditions.pauses.end(None);
                false
            }
            Step::Forget => {
                self.said.clear();
                true
            }
            Step::Freeze(is_frozen) => {
                self.is_frozen = *is_frozen;
                *is_frozen
            }
            Step::Gone(is_gone) => {
                self.is_gone = *is_gone;
                self.silent_for = 0;
                *is_gone
            }
            Step::Wait(milliseconds) => {
                self.now += milliseconds;
                if self.is_gone {
                    self.silent_for += milliseconds;
                }
                self.silent_for < SILENT
            }
        }
    }

    pub(super) fn says(&mut self, cluster: u8, numbers: &[u8], passes: bool) {
        for number in numbers {
            let Some(probe) = self.probe(cluster, *number) else { continue };
            let failure = || Failure {
                detail: "refused".into(),
                since: UNIX_EPOCH.into(),
                since_boot: self.now,
                failed: 3,
                fall: 3,
            };
            // One that goes on is no new one.
            match self.said.get(&probe) {
                Some(Verdict::Failing(_)) if !passes => {}
                _ => {
                    let verdict = if passes { Verdict::Passing } else { Verdict::Failing(failure()) };
                    self.said.insert(probe, verdict);
                }
            }
        }
    }

    fn overrides(&mut self, cluster: u8, number: u8, does: Does) {
        let Some((weight, _)) = self.clusters[&cluster].servers.get(&number) else { return };
        let from = vec![FileWeight::new(service(cluster), server(number), *weight)];
        let effect = match does {
            Does::Drain => Effect::Drain,
            Does::Remove => Effect::Remove,
            Does::Weight(to, despite_checks) => Effect::Weight { to, from, despite_checks },
        };
        let address = Address { address: server(number).address, port: None };
        self.conditions.overrides.add(Override {
            name: format!("c{cluster}/192.168.8.{number}"),
            scope: Scope::In(vec![Text(service(cluster))], address),
            effect,
            by: "alice".into(),
            reason: None,
            since: UNIX_EPOCH.into(),
            period: None,
        });
    }

    /// A pass of a daemon that was just started: it knows no more than what was in force.
    pub(super) fn passes(&mut self) {
        let desired = self.desired();
        let verdicts = self.verdicts(&desired);
        let text = serde_json::to_string(&self.conditions.health).unwrap();
        let known: InForce = serde_json::from_str(&text).unwrap();
        assert_eq!(known, self.conditions.health);
        let of = Advance {
            desired: &desired,
            before: None,
            overrides: &self.conditions.overrides,
            pauses: &self.conditions.pauses,
            verdicts: (!self.is_gone).then_some(&verdicts),
            silent_for: self.silent_for,
            now: self.clock(),
        };
        let in_force = known.advance(&of);
        let others = ways::others(&self.in_memory, (&known, &text), &in_force, &of);
        self.in_memory.clone_from(&others[0]);
        self.conditions.take_in_altered(&desired, &known, &Altered::NONE);
        self.conditions.health = in_force;
        let target = Target::new(&desired, &self.conditions);
        ways::are_same(&desired, &target, others);
        for number in self.clusters.keys() {
            self.is_guarded(*number, &target);
            if !self.is_gone && !self.is_frozen && !self.conditions.pauses.cover(Some(&format!("c{number}")))
            {
                self.follows(*number, &target);
            }
        }
        let wanted = target.desired.state.services.clone();
        let live = self.kernel.read(&ReadScope::default()).unwrap();
        let targets = Targets::new(&desired, Some(&desired), &self.conditions);
        let mut comparison = StateDiff::of(live, &targets, &Record::default(), &Leaving::NONE);
        comparison.leave_out(&targets.file);
        let operations: Vec<Operation> = comparison.plan.operations().cloned().collect();
        carry_out(&mut self.kernel, &operations, &wanted);
        if self.conditions.pauses.is_empty() {
            assert_eq!(self.kernel.live.state.services, wanted);
        }
    }

    /// Checks leave as many servers in service as the file says, and all where none passes.
    fn is_guarded(&self, number: u8, target: &Target<'_>) {
        let (key, cluster) = (service(number), &self.clusters[&number]);
        let is_new = |of: &u8| self.conditions.health.of(&key, &server(*of)).is_none();
        if cluster.servers.keys().any(is_new) {
            // What is new in a pause enters when it ends.
            assert!(self.conditions.pauses.cover(Some(&format!("c{number}"))));
            return;
        }
        let may_serve: Vec<(ServerKey, RealServer)> = target.without_verdicts().state.services[&key]
            .servers
            .iter()
            .filter(|(_, real)| real.serves())
            .map(|(server, real)| (*server, *real))
            .collect();
        let servers = &target.desired.state.services[&key].servers;
        let serving =
            may_serve.iter().filter(|(server, _)| servers.get(server).is_some_and(RealServer::serves));
        let serving = serving.count();
        let passes = |(address, _): &&(ServerKey, RealServer)| {
            let of = NUMBERS.into_iter().find(|of| server(*of) == *address).unwrap();
            let is_overruled = self.conditions.overrides.iter().any(|one| {
                one.name == format!("c{number}/192.168.8.{of}")
                    && matches!(one.effect, Effect::Weight { despite_checks: true, .. })
                    && one.servers(&lbd::target::FileServers::of(&self.desired().state.services)).len() == 1
            });
            let state = self.conditions.health.of(&key, address).map(|health| &health.state);
            !cluster.servers[&of].1
                || is_overruled
                || matches!(state, Some(ServerState::Unproven | ServerState::Passing))
        };
        let passing = may_serve.iter().filter(passes).count();
        let has_fallback = servers.get(&server(FALLBACK)).is_some_and(RealServer::serves);
        let all = may_serve.len();
        if passing > 0 {
            let least = cluster.min_serving.of(all).max(passing);
            assert_eq!((serving, has_fallback), (least, false), "{cluster:?} {servers:?}");
        } else if cluster.fallback {
            assert_eq!((serving, has_fallback), (0, true), "{cluster:?} {servers:?}");
        } else {
            let is_guarded = cluster.min_serving.of(1) > 0;
            assert_eq!(serving, if is_guarded { all } else { 0 }, "{cluster:?} {servers:?}");
        }
    }

    /// What a checker says is in force, and a server that passes has its weight.
    fn follows(&self, number: u8, target: &Target<'_>) {
        let key = service(number);
        for (of, (_, is_checked)) in &self.clusters[&number].servers {
            let Some(verdict) = self.said.get(&self.probe(number, *of).unwrap()).filter(|_| *is_checked)
            else {
                continue;
            };
            let state = &self.conditions.health.of(&key, &server(*of)).unwrap().state;
            let full = |file: &Desired| file.state.services[&key].servers.get(&server(*of)).copied();
            match verdict {
                Verdict::Passing => {
                    assert_eq!(*state, ServerState::Passing);
                    assert_eq!(full(&target.desired), full(target.without_verdicts()));
                }
                Verdict::Failing(_) => assert!(matches!(state, ServerState::Failing(_)), "{state:?}"),
                Verdict::Unknown => {}
            }
        }
    }

    /// The weights in the kernel, by the last bytes of the addresses.
    pub(super) fn weights(&self) -> BTreeMap<(u8, u8), u32> {
        let services = &self.kernel.live.state.services;
        let of = |number: u8| {
            let servers = services.get(&service(number)).into_iter().flat_map(|of| of.servers.iter());
            servers.map(move |(of, real)| ((number, last_byte(of)), real.weight))
        };
        self.clusters.keys().copied().flat_map(of).collect()
    }

    /// Everything is well, and nothing modifies the file any more: the kernel is what it says.
    pub(super) fn ends(&mut self) {
        (self.is_gone, self.is_frozen, self.silent_for) = (false, false, 0);
        self.conditions.pauses.end(None);
        self.conditions.overrides.end(|_| true);
        for number in [1, 2] {
            self.says(number, &NUMBERS, true);
        }
        self.passes();
        let of = |(cluster, of): (&u8, &Cluster)| -> Vec<((u8, u8), u32)> {
            of.servers.iter().map(|(number, (weight, _))| ((*cluster, *number), *weight)).collect()
        };
        let mut file: BTreeMap<(u8, u8), u32> = self.clusters.iter().flat_map(of).collect();
        if !self.clusters[&2].servers.values().any(|(weight, _)| *weight > 0) {
            file.insert((2, FALLBACK), 1);
        }
        assert_eq!(self.weights(), file);
    }
}

impl Cluster {
    /// Four servers, half of which checks leave in service.
    pub(super) fn new(fallback: bool, on_failure: OnFailure) -> Self {
        Self {
            servers: NUMBERS[..4].iter().map(|number| (*number, (1, true))).collect(),
            port: 1,
            interval: 5,
            min_serving: MinServing::DEFAULT,
            fallback,
            on_failure,
        }
    }

    fn health(&self) -> ServiceHealth {
        let check = Check {
            name: format!("every{}", self.interval).as_str().into(),
            address: None,
            port: Some(self.port),
            source: None,
            timing: Timing { interval: Duration::from_secs(self.interval), ..Timing::DEFAULT },
            kind: CheckKind::Tcp(Exchange::default()),
        };
        let unchecked = self.servers.iter().filter(|(_, (_, is_checked))| !is_checked);
        let real = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        ServiceHealth {
            checks: [Arc::new(check)].into(),
            servers: unchecked.map(|(number, _)| (server(*number), [].into())).collect(),
            on_failure: self.on_failure,
            reset_after: None,
            min_serving: self.min_serving,
            fallback: self.fallback.then(|| (server(FALLBACK), real)),
            slow_start: None,
        }
    }
}

pub(super) fn last_byte(server: &ServerKey) -> u8 {
    let text = server.address.to_string();
    text.rsplit_once('.').unwrap().1.parse().unwrap()
}

/// Carries out operations one by one: none leaves a service without a serving server that has one before all and after all.
fn carry_out(kernel: &mut Fake, operations: &[Operation], wanted: &Services) {
    let serves = |services: &Services, key: &ServiceKey| {
        services.get(key).is_some_and(|service| service.servers.values().any(RealServer::serves))
    };
    let served: Vec<ServiceKey> = {
        let live = &kernel.live.state.services;
        live.keys().filter(|key| serves(live, key) && serves(wanted, key)).copied().collect()
    };
    for operation in operations {
        assert_eq!(kernel.execute(std::slice::from_ref(operation)).unwrap().len(), 0);
        for key in &served {
            assert!(serves(&kernel.live.state.services, key), "{operation}");
        }
    }
}
