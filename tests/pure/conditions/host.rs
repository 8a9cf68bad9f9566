//! A host on virtual time: its kernel, its clocks, its state directory, and the daemon, with what must always be so.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::{Cluster, Clusters, Does, LONGEST, NUMBERS, Of, ServerOf, Step, server, service, text};
use crate::daemon::{Shared, goal};
use lbd::daemon::{Controller, DaemonAction, Event, Goal, Passes};
use lbd::files::{beside, sha256};
use lbd::kernel::fake::Fake;
use lbd::kernel::{Kernel, Live};
use lbd::model::{Connections, Operation, ServerKey, ServerOp, ServiceKey, ServiceOp, VirtualService};
use lbd::store::Store;
use lbd::target::{
    Address, Allowed, Clock, Conditions, Effect, FileServers, FileWeight, Override, Pause, Period, Scope,
    Settings, TRIAL_COPY, Target, Text, Trial, TrialEnd,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a server is quiet until it has drained.
const QUIET: Duration = Duration::from_secs(10);

/// A host with its daemon.
pub(super) struct Host {
    kernel: Shared,
    controller: Controller,
    passes: Passes,
    store: Store,
    directory: TempDir,
    clock: Arc<Mutex<Clock>>,
    /// The time of the loop, which goes on through reboots
    now: Instant,
    /// When the host was booted: by that time, and by the clocks
    booted: (Instant, Clock),
    boots: u32,
    /// Whether the wall clock is behind, so that a condition of an earlier boot may last its whole length again
    is_behind: bool,
    revision: u64,
    clusters: Clusters,
    /// Every file that there was, by its text
    files: HashMap<String, Clusters>,
    /// When each override ends at the latest, by the time of the loop; none: for ever
    ends: HashMap<String, Option<Instant>>,
    /// When all pauses end at the latest
    pauses_end: Instant,
    /// When the trial ends at the latest
    trial_ends: Instant,
    /// Since when servers are not in the file any more, and how long the file that was verified last lets them drain
    left: HashMap<ServerOf, (Instant, Duration)>,
    /// Since when a server has neither an active connection nor a packet
    quiet: HashMap<ServerOf, Instant>,
    /// How many passes there were at this moment
    passes_now: usize,
    /// What was done to the kernel in this step
    done: Vec<Operation>,
}

/// A daemon that was just started.
fn daemon(
    kernel: &Shared,
    store: &Store,
    clock: &Arc<Mutex<Clock>>,
    file: &Path,
    now: Instant,
) -> (Controller, Passes) {
    let (kernel, clock) = (kernel.clone(), Arc::clone(clock));
    let connect = Box::new(move || Ok(Box::new(kernel.clone()) as Box<dyn Kernel>));
    let passes = Passes::new(connect, store.clone(), None);
    let passes = passes.with_clock(Box::new(move || *clock.lock().unwrap())).with_file(file);
    (Controller::new("desired.yaml".into(), None, || 0.0, now), passes)
}

impl Host {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap().in_boot("0");
        let (kernel, now) = (Shared::default(), Instant::now());
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let booted = (now, Clock { since_boot: 20_000, wall });
        let clock = Arc::new(Mutex::new(booted.1));
        let (controller, passes) =
            daemon(&kernel, &store, &clock, &directory.path().join("desired.yaml"), now);
        let mut host = Self {
            kernel,
            controller,
            passes,
            store,
            directory,
            clock,
            now,
            booted,
            boots: 0,
            is_behind: false,
            revision: 0,
            clusters: Clusters::new(),
            files: HashMap::new(),
            ends: HashMap::new(),
            pauses_end: now,
            trial_ends: now,
            left: HashMap::new(),
            quiet: HashMap::new(),
            passes_now: 0,
            done: Vec::new(),
        };
        let servers: BTreeMap<u8, u32> = NUMBERS.into_iter().map(|number| (number, 1)).collect();
        let cluster = |number| (number, Cluster { servers: servers.clone(), drain: 60 });
        host.edit(NUMBERS.into_iter().map(cluster).collect());
        host
    }

    fn clock(&self) -> Clock {
        *self.clock.lock().unwrap()
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        self.passes_now = 0;
        let (began, Clock { since_boot, wall }) = self.booted;
        let since = now - began;
        let since_boot = since_boot + u64::try_from(since.as_millis()).unwrap();
        *self.clock.lock().unwrap() = Clock { since_boot, wall: wall + since };
    }

    fn goal(&self) -> Goal {
        goal(&text(&self.clusters), self.revision).unwrap()
    }

    fn live(&self) -> Live {
        self.kernel.0.lock().unwrap().live.clone()
    }

    /// Starts another daemon, which reads the file.
    fn start(&mut self) {
        (self.controller, self.passes) = daemon(
            &self.kernel,
            &self.store,
            &self.clock,
            &self.directory.path().join("desired.yaml"),
            self.now,
        );
        self.read_file();
    }

    fn read_file(&mut self) {
        self.revision += 1;
        let goal = self.goal();
        self.hear(Event::File(Ok(goal)));
    }

    fn hear(&mut self, event: Event) {
        let actions = self.controller.handle(event, self.now);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<DaemonAction>) {
        for action in actions {
            match action {
                DaemonAction::StartPass(job) => {
                    // A daemon that is never idle would take a whole CPU.
                    self.passes_now += 1;
                    assert!(self.passes_now < 10, "one pass after another: {:?}", self.conditions());
                    let before = self.live();
                    let pass = self.passes.run(&job, |holder| panic!("{holder} has the lock"), || ());
                    self.check_operations(&before);
                    // What leaves after a file that no pass has verified goes on with its first end.
                    let clusters = &self.clusters;
                    if self.store.load_verified().unwrap() == Some(text(clusters)) {
                        self.left.retain(|of, _| !is_in(clusters, of));
                    }
                    self.hear(Event::PassEnded(Box::new(pass)));
                }
                DaemonAction::Look(look) => {
                    let looked = self.passes.look(look);
                    self.hear(Event::Looked(looked));
                }
                DaemonAction::ExamineHost(_)
                | DaemonAction::NoteEvent(_)
                | DaemonAction::ReadFile
                | DaemonAction::CheckFile
                | DaemonAction::AwaitLinks(_)
                | DaemonAction::WriteStatus(_)
                | DaemonAction::LogInvalid(_)
                | DaemonAction::Notify(_) => {}
            }
        }
    }

    /// Time goes by, and the daemon does what becomes due.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            let next = self.controller.deadline().max(self.now + Duration::from_millis(1));
            self.set_now(next.min(until));
            let actions = self.controller.wake(0, self.now);
            self.perform(actions);
        }
    }

    /// Another file is written, and not read yet.
    fn write(&mut self, clusters: Clusters) {
        let verified = self.store.load_verified().unwrap().unwrap_or_default();
        let verified = self.files.get(&verified).cloned().unwrap_or_default();
        for (number, Cluster { servers, drain }) in verified {
            let servers = servers.keys().map(|of| (service(number), server(*of)));
            for of in servers.filter(|of| !is_in(&clusters, of)) {
                self.left.entry(of).or_insert((self.now, Duration::from_secs(drain)));
            }
        }
        self.files.insert(text(&clusters), clusters.clone());
        self.clusters = clusters;
    }

    fn edit(&mut self, clusters: Clusters) {
        self.write(clusters);
        let before = self.live().connections;
        self.read_file();
        let after = self.live().connections;
        let conditions = self.conditions();
        let removed = self.removed(&conditions);
        for (of, connections) in before {
            if !is_in(&self.clusters, &of) || removed.contains(&of) {
                continue;
            }
            assert_eq!(after.get(&of), Some(&connections), "{of:?} is in the file, and has lost connections");
            let operations = self.done.iter().filter(|operation| operation.server() == Some(&of.1));
            let operations: Vec<_> = operations.filter(|one| one.service() == Some(&of.0)).collect();
            let is_one_edit =
                matches!(operations.as_slice(), [] | [Operation::Server(ServerOp::Edit { .. })]);
            assert!(is_one_edit, "{operations:?}");
        }
    }

    fn conditions(&self) -> Conditions {
        self.store.load_conditions(self.clock())
    }

    /// The servers that an operator has taken out of the table.
    fn removed(&self, conditions: &Conditions) -> Vec<ServerOf> {
        let goal = self.goal();
        let servers = FileServers::of(&goal.desired.state.services);
        let removes = conditions.overrides.iter().filter(|one| one.effect == Effect::Remove);
        removes.flat_map(|one| one.servers(&servers)).collect()
    }

    /// Checks what a pass has done, by what there was before it.
    fn check_operations(&mut self, before: &Live) {
        let operations = std::mem::take(&mut self.kernel.0.lock().unwrap().operations);
        let conditions = self.conditions();
        for operation in &operations {
            let of = operation.service().unwrap();
            let cluster =
                NUMBERS.into_iter().find(|number| service(*number) == *of).map(|number| format!("c{number}"));
            assert!(!conditions.pauses.cover(cluster.as_deref()), "{operation} in a pause");
            match operation {
                Operation::Server(ServerOp::Delete { service, server }) => {
                    self.check_cut((*service, *server), before, &conditions);
                }
                Operation::Service(ServiceOp::Delete { service }) => {
                    let servers =
                        before.state.services.get(service).into_iter().flat_map(|of| of.servers.keys());
                    servers.for_each(|server| self.check_cut((*service, *server), before, &conditions));
                }
                _ => {}
            }
        }
        // What is gone begins anew, should it come back.
        let gone = operations.iter().filter(|operation| operation.deletes()).filter_map(Operation::service);
        let gone: Vec<ServiceKey> = gone.copied().collect();
        let live = self.live().state.services;
        let is_there = |(service, server): &ServerOf| {
            live.get(service).is_some_and(|service| service.servers.contains_key(server))
        };
        self.left.retain(|of, _| !gone.contains(&of.0) || is_there(of));
        self.done.extend(operations);
    }

    /// Checks that a server which is deleted may be.
    fn check_cut(&self, of: ServerOf, before: &Live, conditions: &Conditions) {
        let Connections { active, inactive, .. } = before.connections.get(&of).copied().unwrap_or_default();
        let is_quiet = || self.quiet.get(&of).is_some_and(|since| self.now - *since >= QUIET);
        if active == 0 && (inactive == 0 || is_quiet()) {
            return;
        }
        // A trial follows a file of its own, of which an operator may have taken it out.
        let live = FileServers::of(&before.state.services);
        let mut removes = conditions.overrides.iter().filter(|one| one.effect == Effect::Remove);
        let mut is_removed = || removes.any(|one| one.servers(&live).contains(&of));
        let in_trial = self.store.load_trial().unwrap().is_some();
        if in_trial && is_removed() {
            return;
        }
        // An edit waits in a trial, and what has left the file before it drains to its end.
        let is_over = self.left.get(&of).is_some_and(|(since, drain)| *since + *drain <= self.now);
        if in_trial && is_over {
            return;
        }
        if is_in(&self.clusters, &of) {
            assert!(self.removed(conditions).contains(&of), "{of:?} is deleted, and the file has it");
        } else if let Some((since, drain)) = self.left.get(&of) {
            let early = (*since + *drain).saturating_duration_since(self.now);
            assert!(
                early.is_zero(),
                "{of:?} is deleted {early:?} too early, with {active} and {inactive} connections"
            );
        }
    }

    /// Checks that no condition is left whose time is over, and that the kernel is what it should be.
    fn check(&self) {
        let conditions = self.conditions();
        assert_eq!(conditions.unreadable, None);
        let now = self.now - Duration::from_millis(1);
        for one in conditions.overrides.iter() {
            assert!(self.ends[&one.name].is_none_or(|end| end > now), "{one} is still in force");
        }
        assert!(conditions.pauses.is_empty() || self.pauses_end > now, "a pause is still in force");
        let trial = self.store.load_trial().unwrap();
        assert!(trial.is_none() || self.trial_ends > now, "the trial is still under way");
        // In a trial another file is followed. A pause keeps it as it is, and so does a conflict with another program.
        if trial.is_some() || !conditions.pauses.is_empty() || !self.controller.status().conflicts.is_empty()
        {
            return;
        }
        let on_disk = self.store.load_overrides(Clock { since_boot: 0, ..self.clock() }).unwrap();
        assert_eq!(on_disk, conditions.overrides, "what is over is still on disk");
        let goal = self.goal();
        let target = Target::new(&goal.desired, &conditions);
        let mut wanted: BTreeMap<ServiceKey, BTreeMap<ServerKey, u32>> = BTreeMap::new();
        for (key, of) in &target.desired.state.services {
            wanted.insert(*key, of.servers.iter().map(|(server, real)| (*server, real.weight)).collect());
        }
        for (of, _) in conditions.drains.iter() {
            assert!(!is_in(&self.clusters, of), "{of:?} drains, and the file has it");
            wanted.entry(of.0).or_default().insert(of.1, 0);
        }
        assert_eq!(self.table(), wanted, "{conditions:?}");
    }

    fn table(&self) -> BTreeMap<ServiceKey, BTreeMap<ServerKey, u32>> {
        let services = self.live().state.services.into_iter();
        let weights = |(key, of): (ServiceKey, VirtualService)| {
            (key, of.servers.iter().map(|(server, real)| (*server, real.weight)).collect())
        };
        services.map(weights).collect()
    }

    fn set_override(&mut self, of: Of, does: Does, seconds: Option<u64>) {
        let address = |number: u8| Address { address: server(number).address, port: None };
        let (name, scope) = match of {
            Of::One(of, number) => {
                (format!("c{of}/{number}"), Scope::In(vec![Text(service(of))], address(number)))
            }
            Of::Everywhere(number) => (number.to_string(), Scope::Everywhere(address(number))),
            Of::All(of) => (format!("c{of}"), Scope::All(vec![Text(service(of))])),
        };
        let goal = self.goal();
        let services = &goal.desired.state.services;
        let concerned = scope.servers(&FileServers::of(services));
        // A command says that there is no such server.
        if concerned.is_empty() {
            return;
        }
        let weight = |of: &ServerOf| FileWeight::new(of.0, of.1, services[&of.0].servers[&of.1].weight);
        let effect = match does {
            Does::Drain => Effect::Drain,
            Does::Remove => Effect::Remove,
            Does::Weight(to) => {
                Effect::Weight { to, from: concerned.iter().map(weight).collect(), despite_checks: false }
            }
        };
        let now = self.clock();
        let period = seconds.map(|seconds| Period::new(now, Duration::from_secs(seconds)));
        let (by, since) = ("alice".to_owned(), now.wall.into());
        let mut overrides = self.store.load_overrides(now).unwrap();
        overrides.add(Override { name: name.clone(), scope, effect, by, reason: None, since, period });
        self.ends.insert(name, seconds.map(|seconds| self.now + Duration::from_secs(seconds)));
        self.store.save_overrides(&overrides).unwrap();
        self.hear(Event::Conditions);
    }

    fn undo(&mut self) {
        self.store.save_overrides(&Default::default()).unwrap();
        self.hear(Event::Conditions);
    }

    fn pause(&mut self, cluster: Option<u8>, seconds: u64) {
        let mut pauses = self.store.load_pauses(self.clock()).unwrap();
        let length = Duration::from_secs(seconds);
        pauses.add(Pause {
            cluster: cluster.map(|number| format!("c{number}")),
            by: "alice".to_owned(),
            reason: None,
            keep_checks: false,
            period: Period::new(self.clock(), length),
        });
        self.pauses_end = self.pauses_end.max(self.now + length);
        self.store.save_pauses(&pauses).unwrap();
        self.hear(Event::Conditions);
    }

    /// Tries a file, as the command does.
    fn try_file(&mut self, clusters: &Clusters, seconds: u64) {
        let has_pause = !self.store.load_pauses(self.clock()).unwrap().is_empty();
        if has_pause || self.store.load_trial().unwrap().is_some() {
            return;
        }
        let text = text(clusters);
        // A drain ends where the file that is followed has its server again.
        self.left.retain(|of, _| !is_in(clusters, of));
        let path = self.directory.path().join("desired.yaml");
        fs::write(&path, "the desired file").unwrap();
        let copy = beside::beside(&path, TRIAL_COPY);
        let _ = fs::remove_file(&copy);
        beside::create(&copy, &fs::metadata(&path).unwrap(), text.as_bytes()).unwrap();
        let length = Duration::from_secs(seconds);
        let trial = Trial {
            file: "new.yaml".to_owned(),
            desired: "desired.yaml".to_owned(),
            by: "alice".to_owned(),
            reason: None,
            period: Period::new(self.clock(), length),
            sha256: sha256(&text),
            desired_sha256: String::new(),
            allowed: Allowed::default(),
            fragment: None,
            keep_going: true,
            verified: false,
            added: Vec::new(),
            settings: Settings::default(),
            ended: None,
        };
        self.trial_ends = self.now + length;
        self.store.save_trial(&trial).unwrap();
        self.hear(Event::Conditions);
        let has_begun = self.store.load_trial().unwrap().is_some_and(|trial| trial.verified);
        assert!(
            has_begun || !self.controller.status().conflicts.is_empty(),
            "the file of the trial is not followed"
        );
    }

    fn reboot(&mut self, set_back: u64) {
        self.boots += 1;
        self.is_behind |= set_back > 0;
        let wall = self.clock().wall - Duration::from_secs(set_back);
        self.booted = (self.now, Clock { since_boot: 5_000, wall });
        self.set_now(self.now);
        *self.kernel.0.lock().unwrap() = Fake::default();
        self.store = Store::new(self.directory.path(), None).unwrap().in_boot(&self.boots.to_string());
        (self.pauses_end, self.trial_ends) = (self.now, self.now);
        self.left.clear();
        self.quiet.clear();
        if self.is_behind {
            let latest = self.now + Duration::from_secs(LONGEST);
            self.ends.values_mut().flatten().for_each(|end| *end = latest);
        }
        self.start();
    }

    /// Clients connect to a server, if it takes new ones.
    fn connect(&mut self, of: ServerOf) {
        let mut kernel = self.kernel.0.lock().unwrap();
        let there = kernel.live.state.services.get(&of.0).and_then(|service| service.servers.get(&of.1));
        if there.is_some_and(|real| real.weight > 0) {
            kernel.live.connections.entry(of).or_default();
            drop(kernel);
            self.connections(of, |all| (all.active, all.packets) = (all.active + 2, all.packets + 10));
        }
    }

    /// Changes the connections of a server that is in the kernel; none where it has none.
    fn connections(&mut self, of: ServerOf, change: impl FnOnce(&mut Connections)) {
        let mut kernel = self.kernel.0.lock().unwrap();
        if let Some(connections) = kernel.live.connections.get_mut(&of) {
            change(connections);
            match connections.active {
                0 => self.quiet.insert(of, self.now),
                _ => self.quiet.remove(&of),
            };
        }
    }

    pub(super) fn happens(&mut self, step: Step) {
        self.done.clear();
        self.passes_now = 0;
        match step {
            Step::Edit(change) => self.edit(change.of(self.clusters.clone())),
            Step::Override(of, does, seconds) => self.set_override(of, does, seconds),
            Step::Undo => self.undo(),
            // The commands refuse a pause in a trial, and a trial in a pause.
            Step::Pause(cluster, seconds) => {
                if self.store.load_trial().unwrap().is_none() {
                    self.pause(cluster, seconds);
                }
            }
            Step::Try(change, seconds) => self.try_file(&change.of(self.clusters.clone()), seconds),
            Step::Cancel => {
                if let Some(trial) = self.store.load_trial().unwrap() {
                    let end = TrialEnd::Cancelled { by: "bob".to_owned() };
                    self.store.end_trial(&trial, end).unwrap();
                    self.hear(Event::Conditions);
                }
            }
            Step::Resume => {
                self.store.save_pauses(&Default::default()).unwrap();
                self.hear(Event::Conditions);
            }
            Step::Wait(milliseconds) => self.wait(Duration::from_millis(milliseconds)),
            Step::Restart => self.start(),
            Step::Crash(change, after) => {
                self.write(change.of(self.clusters.clone()));
                // As often as a pass tries it.
                for _ in 0..3 {
                    self.kernel.0.lock().unwrap().break_execute(after, "crash");
                }
                self.read_file();
                let live = self.live();
                let mut kernel = Fake::default();
                kernel.live = live;
                *self.kernel.0.lock().unwrap() = kernel;
                self.start();
            }
            Step::Reboot(set_back) => self.reboot(set_back),
            Step::Clients => {
                for number in NUMBERS {
                    NUMBERS.into_iter().for_each(|of| self.connect((service(of), server(number))));
                }
            }
            Step::Connect(of, number) => self.connect((service(of), server(number))),
            Step::Close(of, number) => self.connections((service(of), server(number)), |all| {
                *all = Connections {
                    active: 0,
                    inactive: all.inactive + all.active,
                    packets: all.packets + 4,
                    ..*all
                };
            }),
            Step::Packets(of, number) => {
                self.connections((service(of), server(number)), |all| all.packets += 1);
            }
            Step::Gone(of, number) => {
                self.kernel.0.lock().unwrap().live.connections.remove(&(service(of), server(number)));
            }
            Step::Meddle(of, number, weight) => {
                let mut kernel = self.kernel.0.lock().unwrap();
                let there = kernel.live.state.services.get_mut(&service(of));
                let there = there.and_then(|service| service.servers_mut().get_mut(&server(number)));
                if let Some(real) = there {
                    real.weight = weight;
                }
                drop(kernel);
                self.hear(Event::Reload);
            }
        }
        self.check();
    }

    /// All conditions end, and the kernel is what the file says.
    pub(super) fn ends(&mut self) {
        self.undo();
        self.wait(Duration::from_secs(LONGEST + 60 + 31));
        self.check();
        let (conditions, file) = (self.conditions(), self.goal());
        assert!(conditions.are_none(), "{conditions:?}");
        self.done.clear();
        assert_eq!(self.live().state.services, file.desired.state.services);
        self.wait(Duration::from_secs(65));
        assert_eq!(self.done, []);
    }
}

fn is_in(clusters: &Clusters, of: &ServerOf) -> bool {
    let mut servers = clusters.iter().flat_map(|(number, cluster)| {
        cluster.servers.keys().map(|server| (service(*number), self::server(*server)))
    });
    servers.any(|one| one == *of)
}
