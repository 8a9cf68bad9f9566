//! Tests of what is in force after a pass.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::health::{Finding, ProbeKey};
use crate::model::{
    CheckKind, Exchange, Forwarding, Health, MinServing, OnFailure, RealServer, SchedulerFlags,
    SchedulerName, Scheduling, State, Thresholds, Timing,
};
use crate::target::pause::Pause;
use crate::target::{Cause, Conditions, HealthReport, Period, ServicePlace, Target};

/// A director in small: a file with one service, what is in force, and what a checker says.
struct Small {
    desired: Desired,
    /// The checker; `None` where it is gone
    verdicts: Option<Verdicts>,
    in_force: InForce,
    pauses: Pauses,
    overrides: Overrides,
    silent_for: u64,
    now: u64,
}

fn key() -> ServiceKey {
    "tcp://10.0.0.1:80".parse().unwrap()
}

fn server(number: u8) -> ServerKey {
    ServerKey { address: IpAddr::from([192, 168, 8, number]), port: 80 }
}

fn check(name: &str, port: Option<u16>) -> Arc<Check> {
    Arc::new(Check {
        name: name.into(),
        address: None,
        port,
        source: None,
        timing: Timing::DEFAULT,
        kind: CheckKind::Tcp(Exchange::default()),
    })
}

fn real(weight: u32) -> RealServer {
    RealServer { weight, forwarding: Forwarding::Nat, thresholds: Thresholds::default() }
}

impl Small {
    /// Servers of weight 100, all of which have passed.
    fn of(numbers: &[u8]) -> Self {
        let scheduling = Scheduling {
            scheduler: SchedulerName::new("wrr").unwrap(),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let health = ServiceHealth {
            checks: [check("web", None)].into(),
            servers: Default::default(),
            on_failure: OnFailure::Quiesce,
            reset_after: None,
            min_serving: MinServing::DEFAULT,
            fallback: None,
            slow_start: None,
        };
        let service = VirtualService { scheduling: Arc::new(scheduling), servers: Arc::default() };
        let desired = Desired {
            state: State { services: [(key(), service)].into_iter().collect(), ..State::default() },
            clusters: Arc::new([(key(), "web".into())].into_iter().collect()),
            health: Arc::new(Health { services: [(key(), health)].into_iter().collect() }),
            ..Desired::default()
        };
        let mut small = Self {
            desired,
            verdicts: Some(Verdicts::default()),
            in_force: InForce::NONE,
            pauses: Pauses::NONE,
            overrides: Overrides::NONE,
            silent_for: 0,
            now: 1_000_000,
        };
        small.has(numbers);
        small.passes();
        small
    }

    fn has(&mut self, numbers: &[u8]) {
        let servers = numbers.iter().map(|number| (server(*number), real(100))).collect();
        self.desired.state.services[&key()].servers = Arc::new(servers);
    }

    fn health(&mut self) -> &mut ServiceHealth {
        Arc::make_mut(&mut self.desired.health).services.get_mut(&key()).unwrap()
    }

    fn probe(&self, check: &Check, number: u8) -> ProbeKey {
        Keys::default().of(check, "web", &key(), &server(number))
    }

    fn says(&mut self, numbers: &[u8], verdict: &Verdict) {
        let check = Arc::clone(&self.health().checks[0]);
        for number in numbers {
            let probe = self.probe(&check, *number);
            let finding = Finding { verdict: verdict.clone(), ..Finding::PASSING };
            self.verdicts.get_or_insert_default().findings.insert(probe, finding);
        }
        self.passes();
    }

    fn fail(&mut self, numbers: &[u8]) {
        self.now += 1_000;
        let failure = Failure {
            detail: "refused".into(),
            since: UNIX_EPOCH.into(),
            since_boot: self.now,
            failed: 3,
            fall: 3,
        };
        self.says(numbers, &Verdict::Failing(failure));
    }

    fn pass(&mut self, numbers: &[u8]) {
        self.now += 1_000;
        self.says(numbers, &Verdict::Passing);
    }

    /// A pass: takes in what the checker says. What is in force is kept on disk meanwhile.
    fn passes(&mut self) -> Option<u64> {
        let text = serde_json::to_string(&self.in_force).unwrap();
        let known: InForce = serde_json::from_str(&text).unwrap();
        assert_eq!(known, self.in_force);
        let of = Advance {
            desired: &self.desired,
            before: None,
            overrides: &self.overrides,
            pauses: &self.pauses,
            verdicts: self.verdicts.as_ref(),
            silent_for: self.silent_for,
            now: Clock { since_boot: self.now, wall: UNIX_EPOCH },
        };
        self.in_force = known.advance(&of);
        self.in_force.changes_in(&of)
    }

    /// The weights of the servers by the last bytes of their addresses.
    fn weights(&self) -> Vec<(u8, u32)> {
        let conditions = Conditions { health: self.in_force.clone(), ..Conditions::default() };
        let target = Target::new(&self.desired, &conditions);
        let number = |server: &ServerKey| match server.address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(_) => 0,
        };
        let servers = target.desired.state.services[&key()].servers.iter();
        servers.map(|(server, real)| (number(server), real.weight)).collect()
    }
}

#[test]
fn a_failing_server_leaves_and_comes_back_and_the_guard_keeps_half() {
    let mut small = Small::of(&[1, 2, 3, 4]);
    small.fail(&[1]);
    small.fail(&[2, 3]);
    assert_eq!(small.weights(), [(1, 0), (2, 0), (3, 100), (4, 100)]);
    small.fail(&[4]);
    assert_eq!(small.weights(), [(1, 100), (2, 100), (3, 100), (4, 100)]);
    small.pass(&[2]);
    assert_eq!(small.weights(), [(1, 0), (2, 100), (3, 0), (4, 100)]);
    small.pass(&[1, 3, 4]);
    assert_eq!(small.weights(), [(1, 100), (2, 100), (3, 100), (4, 100)]);
}

#[test]
fn nothing_but_a_verdict_changes_a_weight() {
    let mut small = Small::of(&[1, 2]);
    small.fail(&[1]);
    let out = vec![(1, 0), (2, 100)];
    // The checker has started again, lacks something itself, and is gone.
    small.says(&[1, 2], &Verdict::Unknown);
    assert_eq!(small.weights(), out);
    small.verdicts = Some(Verdicts { frozen: Some("no descriptor".into()), ..Verdicts::default() });
    small.passes();
    assert_eq!(small.weights(), out);
    (small.verdicts, small.silent_for) = (None, SILENT);
    small.passes();
    assert_eq!(small.weights(), out);
    // Another check, which has no result yet, and one with another name.
    small.health().checks = [check("other", Some(8080))].into();
    small.verdicts = Some(Verdicts::default());
    small.says(&[1, 2], &Verdict::Unknown);
    assert_eq!(small.weights(), out);
    small.pass(&[1]);
    assert_eq!(small.weights(), [(1, 100), (2, 100)]);
    small.fail(&[1]);
    small.health().servers.insert(server(1), [].into());
    small.passes();
    assert_eq!(small.weights(), [(1, 100), (2, 100)]);
    // A check that a serving server gets changes nothing by itself.
    small.health().servers.clear();
    small.says(&[1], &Verdict::Unknown);
    assert_eq!(small.weights(), [(1, 100), (2, 100)]);
}

#[test]
fn a_new_server_waits_beside_proven_ones_unless_too_few_would_serve() {
    let mut small = Small::of(&[1, 2]);
    small.has(&[1, 2, 3]);
    small.says(&[3], &Verdict::Unknown);
    assert_eq!(small.weights(), [(1, 100), (2, 100), (3, 0)]);
    small.pass(&[3]);
    assert_eq!(small.weights(), [(1, 100), (2, 100), (3, 100)]);
    // All are replaced in one edit.
    small.has(&[4, 5]);
    small.says(&[4, 5], &Verdict::Unknown);
    assert_eq!(small.weights(), [(4, 100), (5, 100)]);
    small.pass(&[4, 5]);
    // Without a living checker it waits for five minutes at most.
    small.has(&[4, 5, 6]);
    (small.verdicts, small.silent_for) = (None, 60_000);
    assert_eq!(small.passes(), Some(240_000));
    assert_eq!(small.weights(), [(4, 100), (5, 100), (6, 0)]);
    small.silent_for = SILENT;
    assert_eq!(small.passes(), None);
    assert_eq!(small.weights(), [(4, 100), (5, 100), (6, 100)]);
    small.has(&[4, 5, 6, 7]);
    small.passes();
    assert_eq!(small.weights(), [(4, 100), (5, 100), (6, 100), (7, 100)]);
}

#[test]
fn a_pause_freezes_verdicts_unless_checks_go_on() {
    let mut small = Small::of(&[1, 2]);
    let pause = |keep_checks| Pause {
        cluster: Some("web".into()),
        by: "alice".into(),
        reason: None,
        keep_checks,
        period: Period::new(Clock { since_boot: 0, wall: UNIX_EPOCH }, Duration::from_secs(60)),
    };
    small.pauses.add(pause(false));
    small.fail(&[1]);
    assert_eq!(small.weights(), [(1, 100), (2, 100)]);
    small.pauses.add(pause(true));
    small.passes();
    assert_eq!(small.weights(), [(1, 0), (2, 100)]);
}

#[test]
fn a_slow_start_follows_a_failure_and_no_start_and_no_server_that_was_kept_in_service() {
    let mut small = Small::of(&[1, 2]);
    small.health().slow_start = Some(Duration::from_secs(9));
    small.passes();
    assert_eq!(small.weights(), [(1, 100), (2, 100)]);
    small.fail(&[1]);
    small.fail(&[2]);
    small.pass(&[1]);
    // Both served all the time, since none passed.
    assert_eq!(small.weights(), [(1, 100), (2, 0)]);
    small.pass(&[2]);
    assert_eq!(small.weights(), [(1, 100), (2, 10)]);
    assert_eq!(small.passes(), Some(1_000));
    small.now += 8_999;
    assert_eq!(small.passes(), Some(1));
    assert_eq!(small.weights(), [(1, 100), (2, 90)]);
    small.now += 1;
    assert_eq!(small.passes(), None);
    assert_eq!(small.weights(), [(1, 100), (2, 100)]);
}

#[test]
fn what_is_still_failing_is_deleted_after_a_time_and_comes_back_to_its_place() {
    let mut small = Small::of(&[1, 2, 3]);
    small.health().reset_after = Some(Duration::from_secs(30));
    small.fail(&[2]);
    assert_eq!((small.passes(), small.weights()), (Some(30_000), vec![(1, 100), (2, 0), (3, 100)]));
    small.now += 30_000;
    assert_eq!((small.passes(), small.weights()), (None, vec![(1, 100), (3, 100)]));
    small.pass(&[2]);
    assert_eq!(small.weights(), [(1, 100), (2, 100), (3, 100)]);
}

// Passes followed each other for the whole trial of a file without a failing server.
#[test]
fn a_server_that_only_the_file_before_a_trial_has_makes_no_pass_due() {
    let mut small = Small::of(&[1, 2, 3]);
    small.health().reset_after = Some(Duration::from_secs(30));
    small.fail(&[2]);
    let before = small.desired.clone();
    small.has(&[1, 3]);
    small.now += 60_000;
    let of = Advance {
        desired: &small.desired,
        before: Some(&before),
        overrides: &small.overrides,
        pauses: &small.pauses,
        verdicts: small.verdicts.as_ref(),
        silent_for: 0,
        now: Clock { since_boot: small.now, wall: UNIX_EPOCH },
    };
    let in_force = small.in_force.advance(&of);
    assert!(in_force.of(&key(), &server(2)).is_some());
    assert_eq!(in_force.changes_in(&of), None);
}

#[test]
fn the_fallback_serves_in_place_of_all_and_where_none_is_to_serve() {
    let mut small = Small::of(&[1, 2]);
    small.health().fallback = Some((server(99), real(1)));
    small.fail(&[1]);
    assert_eq!(small.weights(), [(1, 0), (2, 100)]);
    small.fail(&[2]);
    assert_eq!(small.weights(), [(1, 0), (2, 0), (99, 1)]);
    small.pass(&[1]);
    assert_eq!(small.weights(), [(1, 100), (2, 0)]);
    small.desired.state.services[&key()].servers_mut().values_mut().for_each(|real| real.weight = 0);
    small.passes();
    assert_eq!(small.weights(), [(1, 0), (2, 0), (99, 1)]);
}

#[test]
fn all_checks_must_pass_and_of_several_printed_weights_the_least_counts() {
    let mut small = Small::of(&[1, 2]);
    let all = [check("one", Some(1)), check("two", Some(2))];
    small.health().checks = all.clone().into();
    let found = |verdict, weight| Finding { verdict, flapping: false, weight };
    let failing = |since_boot| {
        let since = UNIX_EPOCH.into();
        Verdict::Failing(Failure { detail: "x".into(), since, since_boot, failed: 3, fall: 3 })
    };
    let mut say = |one: Finding, two: Finding| {
        let probes = [small.probe(&all[0], 1), small.probe(&all[1], 1)];
        let findings = probes.into_iter().zip([one, two]).collect();
        small.verdicts = Some(Verdicts { findings, ..Verdicts::default() });
        small.passes();
        let health = small.in_force.of(&key(), &server(1)).unwrap();
        let why = match &health.state {
            ServerState::Failing(failing) => format!("{} {}", failing.check, failing.since_boot),
            ServerState::Passing | ServerState::Unproven | ServerState::Waiting => String::new(),
        };
        (why, small.weights()[0].1)
    };
    let weight = |weight| found(Verdict::Passing, Some(weight));
    assert_eq!(say(weight(ExecWeight::Percent(75)), weight(ExecWeight::Weight(60))), (String::new(), 60));
    // The one that failed first says why; when it passes again, the server keeps its place among those that fail.
    assert_eq!(say(found(failing(9), None), found(failing(7), None)), ("two 7".to_owned(), 0));
    assert_eq!(say(found(failing(9), None), found(Verdict::Unknown, None)), ("one 7".to_owned(), 0));
    assert_eq!(say(Finding::PASSING, found(Verdict::Unknown, None)), ("one 7".to_owned(), 0));
    assert_eq!(say(Finding::PASSING, Finding::PASSING), (String::new(), 100));
}

#[test]
fn what_checks_make_of_a_file_is_described_with_the_reasons() {
    let mut small = Small::of(&[1, 2, 3]);
    small.health().servers.insert(server(3), [].into());
    small.fail(&[1, 2]);
    let conditions = Conditions { health: small.in_force.clone(), ..Conditions::default() };
    let target = Target::new(&small.desired, &conditions);
    let health = target.health();
    let HealthReport { checked: _, servers, services } = health;
    let found: Vec<_> = servers.iter().map(|one| (one.server.1, one.place, one.full, one.weight)).collect();
    assert_eq!(
        (health.checked(), health.unknown(), services.as_slice()),
        (2, 0, &[(key(), ServicePlace::Guarded)][..])
    );
    assert_eq!(found, [(server(1), Place::Out, 100, 0), (server(2), Place::Kept, 100, 100)]);
    let reasons: Vec<(ServerKey, String)> = target
        .reasons()
        .map(|((_, server), cause)| match cause {
            Cause::Check(check, None) => (server, check.to_string()),
            Cause::Check(_, Some(_)) | Cause::Override(_) => (server, String::new()),
        })
        .collect();
    let text = "check web: refused, 3 of 3, since 1970-01-01T00:00:00Z".to_owned();
    assert_eq!(reasons, [(server(1), text)]);
    assert_eq!(small.weights(), [(1, 0), (2, 100), (3, 100)]);
}
