//! The history: what the daemon and the commands put there, and how it is shown.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::cli::{self, GOOD, lbd};
use crate::controller::Director;
use crate::daemon::file;
use lbd::history::{Counts, EventKind, HistoryEvent, Trigger};
use lbd::status::ChangedBy;
use lbd::store::Store;
use lbd::target::{Clock, Pause, Pauses, Period};

/// What is listed: number, cause, and what was done.
fn listed(store: &Store) -> Vec<(u64, String, [usize; 3])> {
    let history = store.load_history().unwrap();
    let one = history.entries().iter().map(|entry| {
        let Counts { added, edited, deleted } = entry.counts;
        (entry.number, entry.cause.to_string(), [added, edited, deleted])
    });
    one.collect()
}

#[test]
fn the_daemon_keeps_each_file_that_it_verified_and_writes_nothing_while_none_changes() {
    let mut director = Director::new();
    let (one, two) = (file(&[(1, 1)]), file(&[(1, 2), (2, 1)]));
    director.takes(&one);
    director.takes(&two);
    let changed = |number, counts| (number, "lbd run (file changed)".to_owned(), counts);
    let first = (1, "lbd run (start)".to_owned(), [2, 0, 0]);
    assert_eq!(listed(&director.store), [first.clone(), changed(2, [2, 1, 0])]);
    let index = director.directory.path().join("history/index.json");
    let before = fs::metadata(&index).unwrap().ino();
    director.meddle(1, 9);
    director.looks();
    director.takes(&two);
    assert_eq!(fs::metadata(&index).unwrap().ino(), before);
    // What a guard refuses, or what is not valid, was never verified.
    director.takes("version: 1\nclusters: []\n");
    director.hears(lbd::daemon::Event::File(crate::daemon::goal("version: 2\n", 9)));
    director.takes(&one);
    assert_eq!(listed(&director.store), [first, changed(2, [2, 1, 0]), changed(3, [0, 1, 1])]);
    // The first text is there once, beside the list and the events.
    assert_eq!(fs::read_dir(index.parent().unwrap()).unwrap().count(), 4);
    director.takes(&format!("{two}policy: {{ history: 1 }}\n"));
    assert_eq!(listed(&director.store), [changed(4, [2, 1, 0])]);
}

// "A full disk loses history, never a pass."
#[test]
fn a_history_that_cannot_be_written_stops_no_pass() {
    let mut director = Director::new();
    fs::write(director.directory.path().join("history"), "in the way").unwrap();
    director.takes(&file(&[(1, 1)]));
    assert_eq!(director.table(), [(1, 1)]);
    assert_eq!(director.store.verified_is(&file(&[(1, 1)])), Some(true));
    assert!(director.is_ready());
}

#[test]
fn the_list_marks_the_file_in_force_and_a_text_comes_back_as_it_was() {
    let directory = cli::directory(&[("a.yaml", GOOD)]);
    let store = Store::new(&directory.path().join("state"), None).unwrap();
    let run = |arguments: &[&str]| {
        let output = lbd(&directory, &[&["--state-dir", "state"], arguments].concat());
        (output.status, output.stdout, output.stderr)
    };
    let empty = "the history is empty; it begins with the next file that is verified";
    assert_eq!(run(&["history"]), (0, String::new(), format!("note: {empty}\n")));
    assert_eq!(run(&["history", "show", "1"]), (2, String::new(), format!("error: 1: {empty}\n")));
    let keep = |text: &str, by: &str| {
        let trigger = Trigger { command: ChangedBy::Apply, by: Some(by.into()), done: Counts::default() };
        store.note_verified(text, &trigger, Counts { added: 12, edited: 0, deleted: 3 }, 50).unwrap();
        store.save_verified(text).unwrap();
    };
    let hostile = "# \u{1b}]0;title\u{7}\n\tversion: 1\r\n";
    keep(hostile, "al\u{202e}ice");
    keep(GOOD, "bob");
    store.note_replaced("version: 1\n", "carol", 50).unwrap();
    let (status, text, stderr) = run(&["history"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((status, stderr.as_str(), lines.len()), (0, "", 4), "{text}");
    assert_eq!(lines[0], ["number", "time", "by", "changes", "sha-256"]);
    assert!(text.contains("replaced by carol, not verified  0 added, 0 edited, 0 deleted"), "{text}");
    assert_eq!(lines[2][..2], ["*", "2"], "{text}");
    assert_eq!(lines[3][2..6], ["lbd", "apply", "by", "al\\u{202e}ice"], "{text}");
    let (_, json, _) = run(&["history", "--output", "json"]);
    let document: Value = serde_json::from_str(&json).unwrap();
    let entry = &document["history"][1];
    assert_eq!((&document["version"], &document["history"][0]["verified"]), (&json!(1), &json!(false)));
    let keys =
        ["number", "cause", "command", "by", "added", "edited", "deleted", "verified", "in_force", "bytes"];
    let values = keys.map(|key| entry[key].clone());
    let expected = json!([2, "verified", "apply", "bob", 12, 0, 3, true, true, GOOD.len()]);
    assert_eq!(Value::from(values.to_vec()), expected);
    assert_eq!(entry["sha256"], json!(lbd::files::sha256(GOOD)));
    assert_eq!(run(&["history", "show", "1"]), (0, hostile.to_owned(), String::new()));
    fs::write(directory.path().join("state/verified.yaml"), "# kept by lbd, version 1, crc32 0\n").unwrap();
    let (status, text, stderr) = run(&["history"]);
    assert_eq!((status, text.lines().count(), text.contains("* ")), (0, 4, false), "{text}");
    assert_eq!(stderr, "warning: state/verified.yaml: its checksum does not match its content\n");
    let unknown = "error: 7: the history has no file of this number; it has 1 to 3 (`lbd history`)\n";
    for arguments in [&["history", "show", "7"][..], &["diff", "--against", "7"]] {
        assert_eq!(run(arguments), (2, String::new(), unknown.to_owned()), "{arguments:?}");
    }
}

/// Kind, text, clusters, counts and fields of each event.
fn events(store: &Store) -> Vec<Value> {
    let (events, skipped) = store.load_events().unwrap();
    assert_eq!(skipped, 0);
    let one = |event: HistoryEvent| {
        let Counts { added, edited, deleted } = event.counts.unwrap_or_default();
        json!([event.kind, event.text, event.clusters, [added, edited, deleted], event.fields])
    };
    events.into_iter().map(one).collect()
}

#[test]
fn a_pass_is_one_event_of_each_kind_with_its_fields_counted_and_what_is_in_sync_is_none() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    director.looks();
    let mut expected = vec![
        json!(["applied", "start", ["c1", "c2", "c3"], [6, 0, 0], { "service added": 3, "server added": 3 }]),
    ];
    assert_eq!(events(&director.store), expected);
    director.meddle(1, 9);
    director.meddle(3, 9);
    director.takes(&file(&[(1, 1), (2, 2), (3, 1)]));
    expected.push(json!(["applied", "file changed", ["c2"], [0, 1, 0], { "weight": 1 }]));
    expected.push(json!(["drift", "file changed", ["c1", "c3"], [0, 2, 0], { "weight": 2 }]));
    assert_eq!(events(&director.store), expected);
    let (all, _) = director.store.load_events().unwrap();
    assert_eq!(
        all[2].changes,
        [1, 3]
            .map(|number| format!("edit server 192.168.8.14:80 of tcp://10.0.0.{number}:80: weight: 9 -> 1"))
    );
    // A refusal is noted once, however often it is repeated.
    director.takes("version: 1\nclusters: []\n");
    director.looks();
    let refused = events(&director.store).split_off(3);
    assert!(refused.len() == 1 && refused[0][0] == "refused", "{refused:?}");
}

// A program that fights for many entries must not fill the disk.
#[test]
fn a_storm_of_drift_is_one_short_event_for_each_pass() {
    let mut director = Director::new();
    let all: Vec<(u8, u32)> = (1..=200).map(|number| (number, 1)).collect();
    director.takes(&file(&all));
    for _ in 0..3 {
        all.iter().for_each(|(number, _)| director.meddle(*number, 9));
        director.looks();
    }
    let events = events(&director.store).split_off(1);
    let drift = json!(["drift", "resync", [], [0, 200, 0], { "weight": 200 }]);
    let conflict = json!(["conflict", "another program keeps reverting what lbd repairs", [], [0, 200, 0], { "weight": 200 }]);
    assert_eq!(events, [drift.clone(), drift.clone(), drift, conflict]);
    let length = fs::metadata(director.directory.path().join("history/events.jsonl")).unwrap().len();
    assert!(length < 20_000, "{length}");
}

#[test]
fn conditions_that_end_by_themselves_are_events_once_also_where_the_history_cannot_be_written() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let history = director.directory.path().join("history");
    let set = |director: &Director, old: &str| {
        let now = Clock::now();
        let earlier = Clock { since_boot: 0, ..now };
        let mut pauses = Pauses::default();
        let pause = |cluster: &str, period| Pause {
            cluster: Some(cluster.into()),
            by: "alice".into(),
            reason: None,
            keep_checks: false,
            period,
        };
        pauses.add(pause(old, Period::new(earlier, Duration::from_millis(1))));
        pauses.add(pause("c9", Period::new(now, Duration::from_secs(60))));
        director.store.save_pauses(&pauses).unwrap();
    };
    set(&director, "c1");
    director.hears(lbd::daemon::Event::Conditions);
    director.looks();
    let events = events(&director.store).split_off(1);
    assert_eq!((events.len(), &events[0][0], &events[0][2]), (1, &json!("pause_ended"), &json!(["c1"])));
    let text = events[0][1].as_str().unwrap();
    assert!(text.starts_with("c1 by alice from 20") && text.ends_with("(its time is over)"), "{text}");
    fs::remove_dir_all(&history).unwrap();
    fs::write(&history, "in the way").unwrap();
    set(&director, "c2");
    director.hears(lbd::daemon::Event::Conditions);
    let left = director.store.load_pauses(Clock { since_boot: 0, ..Clock::now() }).unwrap();
    assert_eq!(left.iter().filter_map(|pause| pause.cluster.as_deref()).collect::<Vec<_>>(), ["c9"]);
}

#[test]
fn events_are_listed_by_time_and_cluster_and_nothing_in_them_acts_on_a_terminal() {
    let directory = cli::directory(&[]);
    let store = Store::new(&directory.path().join("state"), None).unwrap();
    let run = |arguments: &[&str]| {
        let output = lbd(&directory, &[&["--state-dir", "state", "history", "--events"], arguments].concat());
        (output.status, output.stdout, output.stderr)
    };
    assert_eq!(run(&[]), (0, String::new(), "note: there are no such events\n".to_owned()));
    let old = UNIX_EPOCH + Duration::from_secs(3_600);
    let drift = HistoryEvent {
        counts: Some(Counts { added: 0, edited: 3, deleted: 0 }),
        fields: [("weight".to_owned(), 3)].into(),
        changes: vec!["edit \u{1b}[2J".to_owned()],
        ..HistoryEvent::new(old, EventKind::Drift, "resync").of(Some("web"))
    };
    store.note_event(&drift).unwrap();
    let hostile = "\u{1b}]0;x\u{7}\n1970 forged";
    store
        .note_event(&HistoryEvent::new(SystemTime::now(), EventKind::PauseSet, hostile).by("al\nice"))
        .unwrap();
    let path = directory.path().join("state/history/events.jsonl");
    let torn = fs::read_to_string(&path).unwrap() + "{\"version\":1,";
    fs::write(path, torn).unwrap();
    let (status, text, stderr) = run(&[]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((status, lines.len()), (0, 4), "{text}");
    assert_eq!(stderr, "warning: 1 line torn, or from another version of lbd: not shown\n");
    assert_eq!(
        lines[..3],
        [
            "1970-01-01T01:00:00Z  drift repaired: resync; 0 added, 3 edited, 0 deleted (weight: 3)",
            "    edit \\x1b[2J",
            "    and 2 more"
        ]
    );
    assert!(lines[3].ends_with("Z  pause set by al\\nice: \\x1b]0;x\\x07\\n1970 forged"), "{text}");
    let shown = |arguments: &[&str]| {
        let (_, text, _) = run(&[arguments, &["-o", "json"]].concat());
        let document: Value = serde_json::from_str(&text).unwrap();
        let events = document["events"].as_array().unwrap().clone();
        events.into_iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), ["drift", "pause_set"]);
    assert_eq!(shown(&["--since", "1w"]), ["pause_set"]);
    assert_eq!(shown(&["web"]), ["drift", "pause_set"]);
    assert_eq!(shown(&["dns"]), ["pause_set"]);
    for (arguments, status) in [(&["--since", "soon"][..], 2), (&["--since=90"], 0), (&["--since=1d"], 0)] {
        assert_eq!(run(arguments).0, status, "{arguments:?}");
    }
    assert_eq!(lbd(&directory, &["history", "web"]).status, 2);
}
