//! What the commands print of large changes and of many warnings: each thing once, with how many more there are.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{Output, directory, lbd};

/// A file with a service, an export with the service and servers more than the file has, and services that it does not have.
fn large() -> TempDir {
    let file = "\
version: 1
policy: { prune: all, max_delete: 100% }
clusters:
  - { name: web, listen: 'tcp://10.0.0.13:80', scheduler: sh, forward: nat, servers: [192.168.8.14, 192.168.8.15] }
";
    let mut live = String::from("-A -t 10.0.0.13:80 -s sh\n");
    for number in 15..=115 {
        writeln!(live, "-a -t 10.0.0.13:80 -r 192.168.8.{number}:80 -m -w 1").unwrap();
    }
    live +=
        "-A -t 10.0.0.14:80 -s rr\n-A -t 10.0.0.15:80 -s rr\n-a -t 10.0.0.15:80 -r 192.168.8.14:80 -m -w 1\n";
    live += "-a -t 10.0.0.15:80 -r 192.168.8.100:80 -m -w 1\n-a -t 10.0.0.15:80 -r 192.168.8.20:80 -m -w 1\n";
    live += "-a -t 10.0.0.15:80 -r 192.168.8.9:80 -m -w 1\n";
    directory(&[("a.yaml", file), ("live", &live)])
}

fn diff(directory: &TempDir, more: &[&str]) -> Output {
    let mut arguments = vec!["-f", "a.yaml", "diff", "--live", "live"];
    arguments.extend(more);
    lbd(directory, &arguments)
}

// JSON had the sentence 101 times, and so had the text.
#[test]
fn what_many_operations_do_is_one_sentence_with_their_numbers() {
    let directory = large();
    let text = diff(&directory, &[]).stdout;
    let sentences: Vec<&str> = text.lines().filter(|line| line.contains("maps some clients")).collect();
    assert_eq!(
        sentences,
        ["      maps some clients to another server (so do 100 more operations)"],
        "{text}"
    );
    let json: Value = serde_json::from_str(&diff(&directory, &["-o", "json"]).stdout).unwrap();
    let impacts = json["impacts"].as_array().unwrap();
    assert_eq!(impacts.len(), 3, "{impacts:?}");
    let shared = &impacts[0];
    assert_eq!(
        (&shared["operation"], &shared["message"]),
        (&json!(0), &json!("maps some clients to another server"))
    );
    let numbers: Vec<u64> =
        shared["operations"].as_array().unwrap().iter().map(|of| of.as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), 101);
    for number in numbers {
        let operation = &json["operations"][usize::try_from(number).unwrap()];
        assert_eq!(
            (&operation["kind"], &operation["service"]),
            (&json!("server"), &json!("tcp://10.0.0.13:80"))
        );
    }
}

// It said how many servers go, and not which.
#[test]
fn a_service_that_is_deleted_names_its_servers() {
    let directory = large();
    let text = diff(&directory, &[]).stdout;
    for expected in [
        "tcp://10.0.0.14:80\n  - service\n      refuses new connections, and takes 0 servers with it\n",
        "tcp://10.0.0.15:80\n  - service\n      refuses new connections, and takes 4 servers (192.168.8.9:80, 192.168.8.14:80, \
         192.168.8.20:80 and 1 more) with it\n",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let json: Value = serde_json::from_str(&diff(&directory, &["-o", "json"]).stdout).unwrap();
    let deleted = |operation: &&Value| operation["action"] == "delete" && operation["kind"] == "service";
    let deleted: Vec<&Value> = json["operations"].as_array().unwrap().iter().filter(deleted).collect();
    let servers = ["192.168.8.9:80", "192.168.8.14:80", "192.168.8.20:80", "192.168.8.100:80"];
    let mut expected = [
        json!({ "action": "delete", "kind": "service", "service": "tcp://10.0.0.14:80", "servers": [] }),
        json!({ "action": "delete", "kind": "service", "service": "tcp://10.0.0.15:80", "servers": servers }),
    ];
    let mut deleted: Vec<Value> = deleted.into_iter().cloned().collect();
    let name = |operation: &Value| operation["service"].to_string();
    deleted.sort_by_key(name);
    expected.sort_by_key(name);
    assert_eq!(deleted, expected);
    let commands = diff(&directory, &["-o", "ipvsadm"]).stdout;
    assert_eq!(commands.lines().filter(|line| line.starts_with("ipvsadm -D ")).count(), 2, "{commands}");
}

// The same 300 characters came at each `diff` and each `apply`.
#[test]
fn warnings_are_short_unless_all_of_them_is_asked_for() {
    let mut file = String::from("version: 1\nclusters:\n");
    for number in 1..=5 {
        writeln!(file, "  - {{ name: c{number}, listen: 'tcp://10.0.0.{number}:80', servers: [] }}").unwrap();
    }
    let directory = directory(&[("a.yaml", &file), ("live", &file)]);
    let cause = "has no servers, and refuses every connection";
    let named = |last: &str| format!("tcp://10.0.0.1:80, tcp://10.0.0.2:80, tcp://10.0.0.3:80{last}");
    let way_out = "add one, or write `allow_empty: true` in its cluster if that is meant";
    let short = format!("warning: {}: {cause}; {way_out}\n", named(" and 2 more"));
    let full = format!("warning: {}: {cause}; {way_out}\n", named(", tcp://10.0.0.4:80, tcp://10.0.0.5:80"));
    let note = |command| format!("{short}note: `{command}` shows the warnings in full\n");
    for (arguments, expected) in [
        (&["validate"][..], note("lbd validate --verbose")),
        (&["validate", "--verbose"], full.clone()),
        (&["diff", "--live", "live"], note("lbd diff --verbose")),
        (&["diff", "--live", "live", "--verbose"], full),
    ] {
        let output = lbd(&directory, &[&["-f", "a.yaml"], arguments].concat());
        assert_eq!((output.status, output.stderr), (0, expected), "{arguments:?}");
    }
    let json: Value =
        serde_json::from_str(&lbd(&directory, &["-f", "a.yaml", "validate", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 5);
}
