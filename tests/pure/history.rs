//! The history: what the daemon and the commands put there, and how it is shown.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::{Value, json};

use crate::cli::{self, GOOD, lbd};
use crate::controller::Director;
use crate::daemon::file;
use lbd::history::{Counts, Trigger};
use lbd::status::ChangedBy;
use lbd::store::Store;

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
    // The first text is there once.
    assert_eq!(fs::read_dir(index.parent().unwrap()).unwrap().count(), 3);
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
    assert!(director.store.is_verified(&file(&[(1, 1)])));
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
    let mut keep = |text: &str, by: &str| {
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
    let unknown = "error: 7: the history has no file of this number; it has 1 to 3 (`lbd history`)\n";
    for arguments in [&["history", "show", "7"][..], &["diff", "--against", "7"]] {
        assert_eq!(run(arguments), (2, String::new(), unknown.to_owned()), "{arguments:?}");
    }
}
