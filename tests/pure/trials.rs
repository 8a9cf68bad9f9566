//! Trials: the way back is the old state, whatever both files say, and what the daemon does while one is under way.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::controller::Director;
use crate::daemon::file;
use crate::generate;
use lbd::daemon::Event;
use lbd::files::{beside, sha256};
use lbd::history::EventKind;
use lbd::kernel::fake::Fake;
use lbd::model::{
    Connections, Desired, Family, Operation, Policy, Prune, ServerOp, ServiceKey, ServiceOp, State, Timeouts,
};
use lbd::ownership::Owned;
use lbd::reconcile::{self, Outcome, PassInput, Report};
use lbd::status::PassOutcome;
use lbd::store::Store;
use lbd::target::{Allowed, Clock, Period, Settings, TRIAL_COPY, Trial, TrialEnd, refuses_clients};
use proptest::prelude::*;

fn trial(text: &str, seconds: u64) -> Trial {
    Trial {
        file: "new.yaml".into(),
        desired: "desired.yaml".into(),
        by: "alice".into(),
        reason: None,
        period: Period::new(Clock::now(), Duration::from_secs(seconds)),
        sha256: sha256(text),
        desired_sha256: String::new(),
        allowed: Allowed::default(),
        fragment: None,
        keep_going: false,
        verified: false,
        added: Vec::new(),
        settings: Settings::default(),
        ended: None,
    }
}

/// Begins a trial of a file as `lbd try` does, beside the daemon.
fn begin(director: &mut Director, text: &str, seconds: u64) {
    director.store.save_trial(&trial(text, seconds)).unwrap();
    follow(director, text);
}

/// Lets the daemon follow the trial on disk, of this text.
fn follow(director: &mut Director, text: &str) {
    let path = director.directory.path().join("desired.yaml");
    fs::write(&path, "the desired file").unwrap();
    beside::create(&beside::beside(&path, TRIAL_COPY), &fs::metadata(&path).unwrap(), text.as_bytes())
        .unwrap();
    director.hears(Event::Conditions);
}

fn end(director: &mut Director) {
    let trial = director.store.load_trial().unwrap().unwrap();
    director.store.end_trial(&trial, TrialEnd::Cancelled { by: "bob".into() }).unwrap();
    director.hears(Event::Conditions);
}

#[test]
fn the_daemon_follows_the_file_of_a_trial_and_then_the_desired_one_which_may_have_changed() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    begin(&mut director, &file(&[(1, 5), (3, 1)]), 3_600);
    assert_eq!(director.table(), [(1, 5), (2, 0), (3, 1)]);
    assert!(director.store.load_trial().unwrap().unwrap().verified);
    let status = director.status_on_disk();
    let trial = status.trial.clone().unwrap();
    assert!(trial.starts_with("new.yaml by alice from 20"), "{trial}");
    assert!(
        status.line(None).starts_with("in sync with the trial of new.yaml by alice"),
        "{}",
        status.line(None)
    );
    // What others change is put back, and the desired file waits.
    director.meddle(3, 9);
    director.looks();
    director.takes(&file(&[(1, 7)]));
    assert_eq!(director.table(), [(1, 5), (2, 0), (3, 1)]);
    assert_eq!(director.store.load_verified().unwrap().unwrap(), file(&[(1, 1), (2, 1)]));
    director.takes(&file(&[(1, 7), (2, 1)]));
    end(&mut director);
    assert_eq!(director.table(), [(1, 7), (2, 1)]);
    let status = director.status_on_disk();
    assert_eq!((status.trial.clone(), status.conflicts.len()), (None, 0));
    assert_eq!(status.last_pass.unwrap().outcome, PassOutcome::Verified);
    assert_eq!(director.store.load_trial().unwrap(), None);
    let (events, _) = director.store.load_events().unwrap();
    let of_trial = events.iter().filter(|event| event.text.starts_with("new.yaml by alice from "));
    let of_trial: Vec<_> = of_trial.map(|event| (event.kind, event.by.as_deref())).collect();
    assert_eq!(of_trial, [(EventKind::TrialCancelled, Some("bob"))]);
}

// It was deleted at the end of the trial, and its connections were cut.
#[test]
fn what_drains_and_is_in_the_file_of_a_trial_drains_again_after_the_trial() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let server = ("tcp://10.0.0.2:80".parse().unwrap(), "192.168.8.14:80".parse().unwrap());
    let connections = Connections { active: 1, ..Connections::default() };
    director.kernel.0.lock().unwrap().live.connections.insert(server, connections);
    director.takes(&file(&[(1, 1)]));
    assert_eq!(director.table(), [(1, 1), (2, 0)]);
    let drains = director.store.load_drains().unwrap();
    begin(&mut director, &file(&[(1, 1), (2, 1)]), 3_600);
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    end(&mut director);
    assert_eq!((director.table(), director.store.load_drains().unwrap()), (vec![(1, 1), (2, 0)], drains));
}

#[test]
fn a_trial_ends_by_itself_and_no_guard_keeps_what_it_added() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    let many: Vec<(u8, u32)> = (1..=20).map(|number| (number, 1)).collect();
    begin(&mut director, &file(&many), 20);
    assert_eq!(director.table(), many);
    // Sooner than the next resync, which would come after 30 s.
    let left = director.controller.next_pass().unwrap() - director.now;
    assert!((15..=20).contains(&left.as_secs()), "{left:?}");
    // The test's clock does not move that of the trial.
    end(&mut director);
    assert_eq!(director.table(), [(1, 1)]);
    assert_eq!(director.status_on_disk().refused_in_part, None);
}

#[test]
fn a_trial_that_must_not_go_on_is_ended_by_the_daemon() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let ended = |director: &Director| director.store.load_trial().unwrap();
    // A guard refuses it, which `lbd try` would have found out.
    begin(&mut director, &file(&[]), 3_600);
    assert_eq!((director.table(), ended(&director)), (vec![(1, 1), (2, 1)], None));
    // Its copy is another file.
    begin(&mut director, &file(&[(1, 1), (2, 5)]), 3_600);
    end(&mut director);
    let copy = beside::beside(&director.directory.path().join("desired.yaml"), TRIAL_COPY);
    fs::write(&copy, file(&[(1, 66)])).unwrap();
    director.store.save_trial(&trial(&file(&[(1, 5)]), 3_600)).unwrap();
    director.hears(Event::Conditions);
    assert_eq!((director.table(), ended(&director)), (vec![(1, 1), (2, 1)], None));
    // The kernel refuses the server that was to serve.
    director.kernel.0.lock().unwrap().refuse(|operation| {
        matches!(operation, Operation::Server(ServerOp::Add { service, .. }) if service.to_string().contains("10.0.0.3"))
            .then_some(22)
    });
    begin(&mut director, &file(&[(1, 1), (2, 1), (3, 1)]), 3_600);
    assert_eq!((director.table(), ended(&director)), (vec![(1, 1), (2, 1)], None));
}

// On a full disk each pass began the trial anew, and took it back.
#[test]
fn a_trial_whose_end_cannot_be_written_down_does_not_begin_again() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let has_room = Arc::new(AtomicBool::new(false));
    let room = Arc::clone(&has_room);
    director.kernel.0.lock().unwrap().refuse(move |operation| {
        let is_new = matches!(operation, Operation::Server(ServerOp::Add { service, .. }) if service.to_string().contains("10.0.0.3"));
        (is_new && !room.load(Ordering::Relaxed)).then_some(22)
    });
    let text = file(&[(1, 1), (2, 1), (3, 1)]);
    director.store.save_trial(&trial(&text, 3_600)).unwrap();
    // What would be renamed cannot be created.
    fs::create_dir(director.directory.path().join("trial.json.new")).unwrap();
    follow(&mut director, &text);
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    has_room.store(true, Ordering::Relaxed);
    director.hears(Event::Conditions);
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    assert_eq!(director.store.load_trial().unwrap().unwrap().ended, None);
    // With room again, it is written down.
    fs::remove_dir(director.directory.path().join("trial.json.new")).unwrap();
    director.hears(Event::Conditions);
    assert_eq!((director.table(), director.store.load_trial().unwrap()), (vec![(1, 1), (2, 1)], None));
}

#[test]
fn the_exceptions_of_a_trial_are_not_those_of_the_one_before_it() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let text = file(&[]);
    begin(&mut director, &text, 3_600);
    assert_eq!((director.table(), director.store.load_trial().unwrap()), (vec![(1, 1), (2, 1)], None));
    let allowed = Allowed { empty: true, deletes: true };
    director.store.save_trial(&Trial { allowed, ..trial(&text, 3_600) }).unwrap();
    director.hears(Event::Conditions);
    assert_eq!(director.table(), [(1, 0), (2, 0)]);
}

#[test]
fn a_restarted_daemon_goes_on_with_the_trial() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    begin(&mut director, &file(&[(1, 5), (2, 1)]), 3_600);
    let mut director = director.restarts();
    director.takes(&file(&[(1, 1), (2, 1)]));
    assert_eq!((director.table(), director.is_ready()), (vec![(1, 5), (2, 1)], true));
    end(&mut director);
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    assert_eq!(director.status_on_disk().conflicts, Vec::<String>::new());
}

/// A desired file of a state; the guards have tests of their own.
fn desired(state: &State, prune: Prune) -> Desired {
    let clusters: Owned = state.services.keys().map(|key| (*key, "c".into())).collect();
    Desired {
        state: state.clone(),
        clusters: clusters.into(),
        policy: Policy {
            prune,
            allow_empty: true,
            max_delete: lbd::model::MaxDelete::Percent(100),
            ..Policy::default()
        },
        ..Desired::default()
    }
}

fn pass(kernel: &mut Fake, store: &Store, desired: &Desired, verified: Option<&Desired>) -> Report {
    let conditions = store.load_conditions(Clock::now());
    let order = PassInput { conditions: &conditions, verified, ..PassInput::new(desired, "a file") };
    reconcile::pass(kernel, &order, store, None, &mut |_| {}).unwrap()
}

/// A kernel that has each setting that a file can name.
fn kernel(states: [&State; 2]) -> Fake {
    let mut kernel = Fake::default();
    for name in states.iter().flat_map(|state| state.sysctls.keys()) {
        kernel.live.state.sysctls.insert(name.clone(), "0".into());
    }
    kernel.live.state.timeouts = Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) };
    kernel.schedulers.extend(lbd::model::SchedulerName::new("my-own_mod.ule"));
    kernel
}

/// The services, or the servers of services whose scheduler lets them be quiesced, that operations delete.
fn deleted(done: &[Operation], kernel: &Fake) -> Vec<String> {
    let refuses = |service: &ServiceKey| {
        kernel.live.state.services.get(service).is_some_and(|service| refuses_clients(&service.scheduling))
    };
    let is_deleted = |operation: &&Operation| match operation {
        Operation::Service(ServiceOp::Delete { .. }) => true,
        // A sync daemon comes before servers of another family.
        Operation::Server(ServerOp::Delete { service, server }) => {
            !refuses(service) && Family::of(server.address) == service.family()
        }
        _ => false,
    };
    done.iter().filter(is_deleted).map(ToString::to_string).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_way_back_from_a_trial_is_the_state_before_it(
        (old, new) in (generate::state(), generate::state()), prune in 0..9_usize, passes in 1..3_usize,
    ) {
        let policies = [Prune::Owned, Prune::All, Prune::Never];
        let (before, tried) = (desired(&old, policies[prune / 3]), desired(&new, policies[prune % 3]));
        // In memory, where it is cheap to be sure of the disk.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let mut kernel = kernel([&old, &new]);
        prop_assert_eq!(pass(&mut kernel, &store, &before, None).outcome, Outcome::Verified);
        let (state, record) = (kernel.live.state.clone(), store.load().unwrap());
        store.save_trial(&trial("new", 3_600)).unwrap();
        let mut is_verified = false;
        for _ in 0..passes {
            let report = pass(&mut kernel, &store, &tried, Some(&before));
            is_verified = report.outcome == Outcome::Verified;
            for operation in &report.done {
                let is_quiesced = matches!(operation, Operation::Server(ServerOp::Edit { service, server, .. })
                    if !new.services.get(service).is_some_and(|of| of.servers.contains_key(server)));
                let reason = report.last.reason(operation).map(|reason| reason.kind());
                prop_assert!(!is_quiesced || reason == Some("trial"), "{}", operation);
            }
            // A service that is left alone may keep a sync daemon from running.
            prop_assert!(is_verified || tried.policy.prune == Prune::Never, "{:?}", report.failed);
            prop_assert_eq!(deleted(&report.done, &kernel), Vec::<String>::new());
        }
        for (key, service) in &new.services {
            let live = &kernel.live.state.services[key];
            prop_assert_eq!(&live.scheduling, &service.scheduling);
            prop_assert!(service.servers.iter().all(|(server, real)| live.servers.get(server) == Some(real)));
            prop_assert!(live.servers.iter().all(|(server, real)| service.servers.contains_key(server) || real.weight == 0));
        }
        let trial = store.load_trial().unwrap().unwrap();
        prop_assert_eq!(trial.verified, is_verified);
        prop_assert_eq!(store.load_verified().unwrap(), Some("a file".to_owned()));
        store.end_trial(&trial, TrialEnd::RolledBack { why: "why".into() }).unwrap();
        let report = pass(&mut kernel, &store, &before, Some(&before));
        prop_assert_eq!(&report.outcome, &Outcome::Verified, "{:?}", report.failed);
        prop_assert_eq!(&kernel.live.state, &state);
        let after = store.load().unwrap();
        prop_assert_eq!((after.owned, after.verified), (record.owned, record.verified));
        prop_assert_eq!(store.load_trial().unwrap(), None);
        prop_assert!(pass(&mut kernel, &store, &before, Some(&before)).done.is_empty());
    }
}
