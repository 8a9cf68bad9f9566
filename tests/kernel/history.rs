//! The history on a real kernel: what was verified is listed, compared and brought back; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use serde_json::{Value, json};

use crate::lab::{Netns, Output};

const FILE: &str = "\
version: 1
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [{ address: 192.168.8.14, weight: 1 }] }
";

/// What `ipvsadm -Sn` shows with this weight.
fn rules(weight: u32) -> Vec<String> {
    vec!["-A -t 10.0.0.1:80 -s rr".to_owned(), format!("-a -t 10.0.0.1:80 -r 192.168.8.14:80 -g -w {weight}")]
}

fn with(weight: u32) -> String {
    FILE.replace("weight: 1", &format!("weight: {weight}"))
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

/// Number, command, user, edits and whether it is in force, the newest first.
fn listed(net: &Netns) -> Value {
    let list = lbd(net, "history -o json");
    let document: Value = serde_json::from_str(&list.stdout).unwrap();
    let entries = document["history"].as_array().unwrap().iter();
    let keys = ["number", "command", "by", "edited", "in_force"];
    entries.map(|entry| keys.iter().map(|key| entry[*key].clone()).collect::<Value>()).collect()
}

#[test]
fn each_applied_file_is_listed_and_compared_with_the_kernel() {
    let net = Netns::new();
    for weight in [1, 3] {
        net.write("desired.yaml", &with(weight));
        assert_eq!((lbd(&net, "apply").status, net.ipvsadm_save()), (0, rules(weight)));
    }
    assert_eq!(lbd(&net, "apply").status, 0);
    assert_eq!(listed(&net), json!([[2, "apply", "root", 1, true], [1, "apply", "root", 0, false]]));
    let shown = lbd(&net, "history show 1");
    assert_eq!((shown.status, shown.stdout.as_str()), (0, FILE));
    let diff = lbd(&net, "diff --against 1");
    assert_eq!(diff.status, 1);
    let note = "note: compared with file 1 of the history: this is what `lbd rollback 1` would do\n";
    assert!(diff.stderr.starts_with(note), "{diff:?}");
    assert!(diff.stdout.contains("\n  ~ server 192.168.8.14:80  weight: 3 -> 1\n"), "{diff:?}");
    assert_eq!(lbd(&net, "diff --against 2").status, 0);
    // What is torn down is in no history, and the history stays.
    assert_eq!(lbd(&net, "teardown --yes").status, 0);
    assert_eq!(listed(&net), json!([[2, "apply", "root", 1, false], [1, "apply", "root", 0, false]]));
    assert_eq!(fs::read_dir(net.path("state/history")).unwrap().count(), 3);
}
