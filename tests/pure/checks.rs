//! What the daemon does about verdicts, with a kernel, a clock and a checker of the test's own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::controller::Director;
use crate::daemon::goal;
use lbd::daemon::{DaemonAction, Event, Goal};
use lbd::health::{Failure, Finding, Probes, RunDirs, SharedFiles, Verdict, Verdicts};
use lbd::model::{
    Check, CheckKind, Exchange, Health, MinServing, OnFailure, ServiceHealth, ServiceKey, Timing,
};
use lbd::status::PassReason;
use lbd::target::{Pause, Pauses, Period};

/// One service with servers of these last bytes of their addresses and of weight 3, all of them checked.
fn checked(servers: &[u8], revision: u64) -> Goal {
    let servers: Vec<String> =
        servers.iter().map(|last| format!("{{ address: 192.168.8.{last}, weight: 3 }}")).collect();
    let text = format!(
        "version: 1\nclusters:\n  - {{ name: c1, listen: 'tcp://10.0.0.1:80', forward: nat, servers: [{}] }}\n",
        servers.join(", ")
    );
    let goal = goal(&text, revision).unwrap();
    let check = Check {
        name: "web".into(),
        address: None,
        port: None,
        source: None,
        timing: Timing::DEFAULT,
        kind: CheckKind::Tcp(Exchange::default()),
    };
    let service = ServiceHealth {
        checks: [Arc::new(check)].into(),
        servers: Default::default(),
        on_failure: OnFailure::Quiesce,
        reset_after: None,
        min_serving: MinServing::DEFAULT,
        fallback: None,
        slow_start: None,
    };
    let mut desired = (*goal.desired).clone();
    let services = desired.state.services.keys().map(|key| (*key, service.clone())).collect();
    desired.health = Arc::new(Health { services });
    Goal { desired: Arc::new(desired), ..goal }
}

/// The same, with more that the file says of the health of each service.
fn with(goal: Goal, change: impl Fn(&mut ServiceHealth)) -> Goal {
    let mut desired = (*goal.desired).clone();
    let mut health = (*desired.health).clone();
    health.services.values_mut().for_each(change);
    desired.health = Arc::new(health);
    Goal { desired: Arc::new(desired), ..goal }
}

/// So many seconds pass, in each of which the checker says the same.
fn beats(director: &mut Director, seconds: u32, failing: &[u8]) {
    for _ in 0..seconds {
        director.passes_in(Duration::from_millis(900));
        hears(director, failing);
    }
}

fn files(director: &Director) -> SharedFiles {
    let files = SharedFiles::new(&RunDirs::new(&director.directory.path().join("run")), None).unwrap();
    files.dirs().make_checker().unwrap();
    files
}

/// The checker says which servers fail; without an event.
fn says(director: &Director, failing: &[u8]) {
    let files = files(director);
    let probes: Probes = files.load_probes().unwrap().unwrap();
    let now = director.clock();
    let mut verdicts = Verdicts { probes: probes.hash(), at: now.since_boot, ..Verdicts::default() };
    for (probe, _) in probes.iter() {
        if failing.iter().any(|last| probe.target.ip() == std::net::IpAddr::from([192, 168, 8, *last])) {
            let failure = Failure {
                detail: "connection refused".into(),
                since: now.wall.into(),
                since_boot: now.since_boot,
                failed: 3,
                fall: 3,
            };
            let finding = Finding { verdict: Verdict::Failing(failure), ..Finding::PASSING };
            verdicts.findings.insert(probe, finding);
        }
    }
    files.save_verdicts(&verdicts).unwrap();
}

/// The same, and the daemon hears of it as soon as it may.
fn hears(director: &mut Director, failing: &[u8]) {
    says(director, failing);
    announced(director);
}

/// The daemon gets the event, and time for its pass.
fn announced(director: &mut Director) {
    director.hears(Event::Verdicts);
    director.passes_in(Duration::from_millis(100));
}

/// The weights of the servers, by the last bytes of their addresses.
fn weights(director: &Director) -> Vec<(u8, u32)> {
    let kernel = director.kernel.0.lock().unwrap();
    let key: ServiceKey = "tcp://10.0.0.1:80".parse().unwrap();
    let servers = &kernel.live.state.services.get(&key).unwrap().servers;
    let last = |ip| match ip {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => 0,
    };
    let mut weights: Vec<(u8, u32)> =
        servers.iter().map(|(key, real)| (last(key.address), real.weight)).collect();
    weights.sort_unstable();
    weights
}

/// Another program gives the server at this place another weight.
fn meddle(director: &Director, place: usize, weight: u32) {
    let mut kernel = director.kernel.0.lock().unwrap();
    let key: ServiceKey = "tcp://10.0.0.1:80".parse().unwrap();
    let service = kernel.live.state.services.get_mut(&key).unwrap();
    service.servers_mut().get_index_mut(place).unwrap().1.weight = weight;
}

/// Everything is paused but what checks do.
fn pauses(director: &mut Director) {
    let mut pauses = Pauses::default();
    pauses.add(Pause {
        cluster: None,
        by: "alice".into(),
        reason: None,
        keep_checks: true,
        period: Period::new(director.clock(), Duration::from_secs(3_600)),
    });
    director.store.save_pauses(&pauses).unwrap();
    director.hears(Event::Conditions);
}

fn reads(director: &Director) -> usize {
    director.kernel.0.lock().unwrap().reads
}

/// A daemon whose servers have all passed.
fn proven(servers: &[u8]) -> Director {
    let mut director = Director::new();
    director.hears(Event::File(Ok(checked(servers, 1))));
    hears(&mut director, &[]);
    director
}

#[test]
fn a_verdict_is_carried_out_without_a_reading_of_the_table_and_noted_once() {
    let mut director = proven(&[14, 15, 16]);
    let before = reads(&director);
    hears(&mut director, &[15]);
    assert_eq!((weights(&director), reads(&director)), (vec![(14, 3), (15, 0), (16, 3)], before));
    let status = director.status();
    assert_eq!((status.health.checked, status.health.failing), (3, 1));
    assert_eq!(status.last_pass.unwrap().reason, PassReason::Checks);
    assert!(status.line(None).ends_with("; checks: 1 of 3 checked servers failing"), "{}", status.line(None));
    hears(&mut director, &[]);
    assert_eq!((weights(&director), reads(&director)), (vec![(14, 3), (15, 3), (16, 3)], before));
    let (events, _) = director.store.load_events().unwrap();
    let noted: Vec<String> = events.iter().map(|event| event.kind.to_string()).collect();
    assert_eq!(noted, ["applied", "applied", "check failed", "applied", "check passed"]);
    // The next reading of the table finds nothing to do, and no drift.
    let executes = director.executes();
    director.looks();
    assert_eq!(director.executes(), executes);
}

#[test]
fn a_heartbeat_is_no_reason_for_a_pass_and_puts_no_resync_off() {
    let mut director = proven(&[14, 15]);
    let counts = |director: &Director| {
        let kernel = director.kernel.0.lock().unwrap();
        (kernel.executes, kernel.reads, kernel.glances)
    };
    let (executes, reads, glances) = counts(&director);
    for _ in 0..4 {
        director.passes_in(Duration::from_secs(10));
        hears(&mut director, &[]);
    }
    assert_eq!(counts(&director), (executes, reads, glances + 1));
}

#[test]
fn another_process_of_the_daemon_goes_on_with_the_verdicts_in_force_without_a_checker() {
    let mut director = proven(&[14, 15, 16]);
    hears(&mut director, &[15]);
    fs::remove_file(files(&director).verdicts_path()).unwrap();
    let mut director = director.restarts();
    director.hears(Event::File(Ok(checked(&[14, 15, 16], 1))));
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3)]);
    // A server that is new waits, and serves when no checker comes.
    director.hears(Event::File(Ok(checked(&[14, 15, 16, 17], 2))));
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3), (17, 0)]);
    for _ in 0..20 {
        director.looks();
    }
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3), (17, 3)]);
    assert!(director.status().health.not_known);
    // Its verdict is not forgotten when a checker comes.
    hears(&mut director, &[15]);
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3), (17, 3)]);
    assert!(!director.status().health.not_known && director.status().health.silent.is_none());
}

#[test]
fn verdicts_that_cannot_be_read_change_no_weight() {
    let mut director = proven(&[14, 15, 16]);
    hears(&mut director, &[15]);
    fs::write(director.directory.path().join("run/in-force.json"), "{}").unwrap();
    let mut director = director.restarts();
    says(&director, &[14]);
    director.hears(Event::File(Ok(checked(&[14, 15, 16], 1))));
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3)]);
    // The way out.
    fs::remove_file(director.directory.path().join("run/in-force.json")).unwrap();
    director.looks();
    assert_eq!(weights(&director), [(14, 0), (15, 3), (16, 3)]);
}

#[test]
fn verdicts_that_change_together_are_one_pass_in_100_ms() {
    let mut director = proven(&[14, 15, 16, 17, 18]);
    let executes = director.executes();
    for failing in [&[14][..], &[14, 15], &[14, 15, 16]] {
        says(&director, failing);
        director.hears(Event::Verdicts);
        director.passes_in(Duration::from_millis(30));
    }
    // The first at once, the others together.
    assert_eq!(director.executes() - executes, 1);
    director.passes_in(Duration::from_millis(100));
    assert_eq!(director.executes() - executes, 2);
    assert_eq!(weights(&director), [(14, 0), (15, 0), (16, 3), (17, 3), (18, 3)]);
    assert_eq!((director.status().health.failing, director.status().health.kept), (3, 1));
}

#[test]
fn a_slow_start_and_a_reset_come_by_themselves() {
    let mut director = Director::new();
    let of = |revision| {
        with(checked(&[14, 15], revision), |health| {
            health.slow_start = Some(Duration::from_secs(9));
            health.reset_after = Some(Duration::from_secs(5));
        })
    };
    director.hears(Event::File(Ok(of(1))));
    hears(&mut director, &[]);
    hears(&mut director, &[14]);
    assert_eq!(weights(&director), [(14, 0), (15, 3)]);
    beats(&mut director, 5, &[14]);
    assert_eq!(weights(&director), [(15, 3)]);
    let before = reads(&director);
    hears(&mut director, &[]);
    assert_eq!(weights(&director), [(14, 1), (15, 3)]);
    beats(&mut director, 4, &[]);
    assert_eq!(weights(&director), [(14, 2), (15, 3)]);
    beats(&mut director, 6, &[]);
    assert_eq!((weights(&director), reads(&director)), (vec![(14, 3), (15, 3)], before));
}

// A repair of what another program keeps reverting is deferred; a verdict is not.
#[test]
fn what_a_verdict_does_is_no_conflict_and_is_not_deferred() {
    let mut director = proven(&[14, 15, 16]);
    for _ in 0..4 {
        meddle(&director, 0, 9);
        says(&director, &[]);
        director.hears(Event::Reload);
    }
    assert_eq!((director.status().conflicts.len(), weights(&director)[0].1), (1, 9));
    hears(&mut director, &[14]);
    assert_eq!(weights(&director), [(14, 0), (15, 3), (16, 3)]);
}

#[test]
fn what_the_kernel_rejects_is_left_to_a_whole_pass() {
    let mut director = proven(&[14, 15, 16]);
    director.kernel.0.lock().unwrap().refuse_nth(0, 12);
    hears(&mut director, &[15]);
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3)]);
    let (events, _) = director.store.load_events().unwrap();
    assert!(events.iter().any(|event| event.kind.to_string() == "check failed"), "{events:?}");
}

#[test]
fn what_is_removed_from_the_run_directory_is_written_again() {
    let mut director = proven(&[14, 15, 16]);
    hears(&mut director, &[15]);
    let run = director.directory.path().join("run");
    let what = |director: &Director| {
        (director.store.load_health().unwrap(), fs::read_to_string(run.join("probes.json")).unwrap())
    };
    let before = what(&director);
    for file in ["in-force.json", "in-force-changes.json", "probes.json"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    director.hears(Event::Reload);
    assert_eq!(what(&director), before);
    assert_eq!(weights(&director), [(14, 3), (15, 0), (16, 3)]);
}

// A checker of an older lbd went on with its old probes, and `status` said that all pass.
#[test]
fn a_checker_that_goes_on_with_other_probes_is_like_one_that_is_gone() {
    let mut director = proven(&[14, 15]);
    let other = |director: &Director| {
        let at = director.clock().since_boot;
        let other = Verdicts { probes: "another".to_owned(), at, ..Verdicts::default() };
        files(director).save_verdicts(&other).unwrap();
    };
    for _ in 0..5 {
        director.passes_in(Duration::from_secs(10));
        other(&director);
        announced(&mut director);
    }
    let silent = director.status().health.silent.clone().unwrap();
    assert!(silent.contains("the checker has not read what is to be probed"), "{silent}");
    assert!(!director.status().health.not_known);
    for _ in 0..26 {
        director.passes_in(Duration::from_secs(10));
        other(&director);
        announced(&mut director);
    }
    let health = director.status().health.to_string();
    let says = format!("health of 2 servers is not known: {silent}");
    assert!(health.ends_with(&says), "{health}");
    hears(&mut director, &[]);
    assert_eq!(director.status().health.silent, None);
}

#[test]
fn a_verdict_that_comes_while_the_first_pass_runs_is_taken_in_after_it() {
    let mut director = Director::new();
    let actions = director.controller.handle(Event::File(Ok(checked(&[14, 15], 1))), director.now);
    let job = actions.into_iter().find_map(|action| match action {
        DaemonAction::StartPass(job) => Some(job),
        _ => None,
    });
    let pass = director.passes.run(&job.unwrap(), |_| (), || ());
    says(&director, &[14]);
    director.controller.handle(Event::Verdicts, director.now);
    director.hears(Event::PassEnded(Box::new(pass)));
    assert_eq!(weights(&director), [(14, 0), (15, 3)]);
}

// A weight 0 that an operator had set by hand in the pause came back to the file's at the next pass.
#[test]
fn in_a_pause_that_keeps_checks_they_change_only_what_they_have_made_themselves() {
    let mut director = proven(&[14, 15, 16, 17, 18]);
    hears(&mut director, &[15]);
    pauses(&mut director);
    meddle(&director, 0, 0);
    director.hears(Event::Reload);
    hears(&mut director, &[]);
    assert_eq!(weights(&director), [(14, 0), (15, 3), (16, 3), (17, 3), (18, 3)]);
    // One that fails is taken out, whatever it was, and comes back.
    meddle(&director, 2, 7);
    hears(&mut director, &[16]);
    assert_eq!(weights(&director), [(14, 0), (15, 3), (16, 0), (17, 3), (18, 3)]);
    // But no more than may be, what was taken out by hand among them.
    hears(&mut director, &[16, 17]);
    assert_eq!(weights(&director), [(14, 0), (15, 3), (16, 0), (17, 3), (18, 3)]);
    hears(&mut director, &[]);
    // What checks have put back is not theirs any more.
    meddle(&director, 1, 0);
    director.hears(Event::Reload);
    assert_eq!(weights(&director), [(14, 0), (15, 0), (16, 3), (17, 3), (18, 3)]);
    director.store.save_pauses(&Pauses::default()).unwrap();
    director.hears(Event::Conditions);
    assert_eq!(weights(&director), [14, 15, 16, 17, 18].map(|last| (last, 3)));
}

// The server stayed at nine tenths of its weight until the pause ended.
#[test]
fn in_a_pause_that_keeps_checks_a_slow_start_comes_to_its_end() {
    let mut director = Director::new();
    let goal = with(checked(&[14, 15], 1), |health| health.slow_start = Some(Duration::from_secs(9)));
    director.hears(Event::File(Ok(goal.clone())));
    hears(&mut director, &[]);
    hears(&mut director, &[14]);
    pauses(&mut director);
    // What the kernel rejects is done later, also by another process of the daemon.
    director.kernel.0.lock().unwrap().refuse_nth(0, 12);
    hears(&mut director, &[]);
    let mut director = director.restarts();
    director.hears(Event::File(Ok(goal)));
    assert_eq!(weights(&director), [(14, 1), (15, 3)]);
    beats(&mut director, 10, &[]);
    assert_eq!(weights(&director), [(14, 3), (15, 3)]);
}

// With its first check in the file, `status` said that nothing had come from the checker for an hour, and ended with 1.
#[test]
fn a_checker_that_had_nothing_to_do_counts_as_silent_from_the_first_probes_on() {
    let mut director = proven(&[14, 15]);
    let none = "version: 1\nclusters: [{ name: c1, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14, 192.168.8.15] }]\n";
    director.hears(Event::File(goal(none, 2)));
    director.passes_in(Duration::from_secs(3_600));
    director.hears(Event::File(Ok(checked(&[14, 15], 3))));
    let silent_for = |director: &Director| {
        let (now, known) = (director.clock(), director.store.load_health().unwrap());
        director.store.hear(None, 2, &known, now).silent_for(now)
    };
    let silent =
        |director: &Director| (silent_for(director) < 1_000, director.status().health.silent.clone());
    assert_eq!(silent(&director), (true, None));
    director.looks();
    assert_eq!(director.status().health.silent, None);
    for _ in 0..4 {
        director.passes_in(Duration::from_secs(10));
    }
    let silent = director.status().health.silent.clone().unwrap();
    assert!(silent.ends_with("; `systemctl status lbd-check` shows why"), "{silent}");
}

// At a terminal, and in a container, there is no unit to look at.
#[test]
fn a_checker_that_the_daemon_starts_itself_has_its_reasons_in_the_log_of_the_daemon() {
    let mut director = Director::new();
    director.passes = director.passes.with_child_checker(true);
    director.hears(Event::File(Ok(checked(&[14, 15], 1))));
    for _ in 0..4 {
        director.passes_in(Duration::from_secs(10));
    }
    let health = director.status().health.clone();
    let silent = health.silent.unwrap();
    assert!(silent.ends_with("; the log of the daemon, which has started it, has the reason"), "{silent}");
    assert!(health.is_child);
}
