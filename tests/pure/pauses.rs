//! Pauses: what a pass leaves as it is, what the daemon does when they begin and end, and what the commands say.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use crate::cli::{self, lbd};
use crate::controller::Director;
use crate::daemon::file;
use lbd::daemon::Event;
use lbd::status::{PassOutcome, PassReason};
use lbd::store::Store;
use lbd::target::{Clock, Pause, Pauses, Period};
use serde_json::{Value, json};

/// Pauses everything (`None`) or clusters for so many seconds, as `lbd pause` does.
fn pause(director: &mut Director, clusters: &[Option<&str>], seconds: u64) {
    let period = Period::new(director.clock(), Duration::from_secs(seconds));
    let mut pauses = Pauses::default();
    for cluster in clusters {
        pauses.add(Pause {
            cluster: cluster.map(str::to_owned),
            by: "alice".into(),
            reason: Some("why".into()),
            keep_checks: false,
            period,
        });
    }
    director.store.save_pauses(&pauses).unwrap();
    director.hears(Event::Conditions);
}

fn resume(director: &mut Director) {
    director.store.save_pauses(&Pauses::default()).unwrap();
    director.hears(Event::Conditions);
}

#[test]
fn while_everything_is_paused_nothing_is_written_and_afterwards_all_of_it_is_at_once() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    pause(&mut director, &[None], 3_600);
    let executes = director.executes();
    director.meddle(1, 9);
    director.looks();
    director.takes(&file(&[(1, 1), (2, 2), (3, 3)]));
    assert_eq!((director.table(), director.executes()), (vec![(1, 9), (2, 1)], executes));
    let status = director.status_on_disk();
    let [paused] = status.paused.as_slice() else { panic!("{:?}", status.paused) };
    assert!(paused.starts_with("everything by alice from 20") && paused.ends_with(": why"), "{paused}");
    assert_eq!(status.line(None), format!("paused: {paused}"));
    assert_eq!(status.last_pass.unwrap().outcome, PassOutcome::Paused);
    resume(&mut director);
    assert_eq!(director.table(), [(1, 1), (2, 2), (3, 3)]);
    let status = director.status_on_disk();
    assert_eq!((status.paused.len(), status.conflicts.len()), (0, 0));
    let pass = status.last_pass.unwrap();
    assert_eq!((pass.reason, pass.outcome), (PassReason::Condition, PassOutcome::Verified));
    assert_eq!((pass.added, pass.edited, pass.deleted), (2, 2, 0));
}

#[test]
fn a_paused_cluster_stays_as_it_is_and_the_others_are_kept() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (4, 1)]));
    pause(&mut director, &[Some("c1"), Some("c3")], 3_600);
    director.meddle(1, 9);
    director.meddle(2, 9);
    director.takes(&file(&[(1, 2), (2, 2), (3, 1), (4, 2)]));
    assert_eq!(director.table(), [(1, 9), (2, 2), (4, 2)]);
    assert_eq!(director.status_on_disk().last_pass.unwrap().outcome, PassOutcome::Paused);
    resume(&mut director);
    assert_eq!(director.table(), [(1, 2), (2, 2), (3, 1), (4, 2)]);
}

#[test]
fn a_pause_ends_by_itself_and_the_daemon_is_ready_meanwhile() {
    let mut director = Director::new();
    pause(&mut director, &[None], 20);
    director.takes(&file(&[(1, 1)]));
    assert_eq!((director.is_ready(), director.table()), (true, vec![]));
    // Sooner than the next resync, which would come after 30 s.
    let left = director.controller.next_pass().unwrap() - director.now;
    assert_eq!(left, Duration::from_secs(20));
    director.looks();
    assert_eq!(director.table(), [(1, 1)]);
    assert_eq!(director.status_on_disk().last_pass.unwrap().reason, PassReason::Condition);
}

#[test]
fn conditions_that_cannot_be_read_keep_weights_and_deletions_and_nothing_else() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let path = director.directory.path().join("pauses.json");
    fs::write(&path, "{").unwrap();
    director.hears(Event::Conditions);
    let allowed = "policy: { max_delete: 100% }\n";
    director.takes(&format!("{}{allowed}", file(&[(1, 5), (3, 1)])));
    assert_eq!(director.table(), [(1, 1), (2, 1), (3, 1)]);
    let status = director.status_on_disk();
    let [failed] = status.failed.as_slice() else { panic!("{:?}", status.failed) };
    let name = path.display().to_string();
    assert!(failed.contains(&name) && failed.contains("`lbd resume` removes the file"), "{failed}");
    resume(&mut director);
    assert_eq!(director.table(), [(1, 5), (3, 1)]);
    assert_eq!(director.status_on_disk().failed, Vec::<String>::new());
}

#[test]
fn pause_and_resume_say_what_they_did_and_reject_what_is_not_there() {
    let directory = cli::directory(&[("a.yaml", cli::GOOD)]);
    let run = |arguments: &[&str]| {
        let all: Vec<&str> =
            ["-f", "a.yaml", "--state-dir", "state"].iter().chain(arguments).copied().collect();
        let output = lbd(&directory, &all);
        (output.status, output.stdout, output.stderr)
    };
    let nothing = |text: &str| (0, String::new(), format!("note: {text}\n"));
    assert_eq!(run(&["resume"]), nothing("nothing is paused"));
    let (status, stdout, stderr) = run(&["pause", "web", "--for", "90s", "--reason", "new \u{202e}kernel"]);
    assert_eq!((status, stderr.as_str()), (0, "note: no daemon runs; `lbd apply` is refused meanwhile\n"));
    let beginning = "paused: web by ";
    assert!(stdout.starts_with(beginning) && stdout.ends_with(": new \\u{202e}kernel\n"), "{stdout}");
    let pauses =
        Store::new(&directory.path().join("state"), None).unwrap().load_pauses(Clock::now()).unwrap();
    let [pause] = pauses.iter().collect::<Vec<_>>()[..] else { panic!("{pauses:?}") };
    let left = pause.period.left(Clock::now()).unwrap();
    assert!((80_000..=90_000).contains(&left), "{left}");
    let (status, _, stderr) = run(&["pause", "wbe"]);
    assert_eq!((status, stderr.as_str()), (2, "error: wbe: no cluster has this name; did you mean `web`?\n"));
    for (time, is_valid) in
        [("0", false), ("31d", false), ("30d", true), ("-1", false), ("soon", false), ("5", true)]
    {
        assert_eq!(run(&["pause", &format!("--for={time}")]).0 == 0, is_valid, "{time}");
    }
    // That of everything stays.
    let (status, stdout, stderr) = run(&["resume", "web"]);
    assert!((status, stdout.as_str().starts_with("no longer paused: web by ")) == (0, true), "{stdout}");
    assert!(stderr.starts_with("note: still paused: everything by "), "{stderr}");
    assert_eq!(run(&["resume"]).0, 0);
    assert_eq!(run(&["resume"]), nothing("nothing is paused"));
}

#[test]
fn a_pause_in_json_has_its_parts() {
    let period = Period::new(Clock { since_boot: 5, wall: std::time::UNIX_EPOCH }, Duration::from_secs(60));
    let pause = Pause { cluster: None, by: "alice".into(), reason: None, keep_checks: false, period };
    let written: Value = serde_json::to_value(pause).unwrap();
    assert_eq!(
        written,
        json!({
            "cluster": null, "by": "alice", "reason": null, "since": "1970-01-01T00:00:00Z",
            "until": "1970-01-01T00:01:00Z", "end": 60_005
        })
    );
}
