//! Two operators at once: what each of them sets is in force afterwards, and nothing of the other's is lost; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::lab::Netns;
use crate::running::{Daemon, soon};
use serde_json::Value;

const SERVERS: [u8; 4] = [1, 2, 3, 4];

fn file() -> String {
    let servers = SERVERS.map(|number| format!("192.168.8.{number}")).join(", ");
    let cluster = |name: &str, address: u8| {
        format!(
            "\n  - {{ name: {name}, listen: 'tcp://10.0.0.{address}:80', scheduler: rr, servers: [{servers}] }}"
        )
    };
    format!("version: 1\npolicy: {{ resync: 1h }}\nclusters:{}{}\n", cluster("web", 1), cluster("shop", 2))
}

/// Runs commands at the same time; all of them succeed.
fn at_once(net: &Netns, commands: &[String]) {
    let spawn = |command: &String| -> Child {
        let words: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(command.split(' ')).collect();
        net.lbd_command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = commands.iter().map(spawn).collect();
    for (child, command) in children.into_iter().zip(commands) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What `status` names in a list, by this key.
fn named(net: &Netns, list: &str, key: &str) -> BTreeSet<String> {
    let status = net.lbd(&["-f", "desired.yaml", "status", "-o", "json"]);
    let document: Value = serde_json::from_str(&status.stdout).unwrap();
    let rows = document[list].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}

fn quiesced(net: &Netns) -> usize {
    net.ipvsadm_save().iter().filter(|line| line.ends_with(" -w 0")).count()
}

#[test]
fn what_operators_set_at_the_same_time_is_all_in_force() {
    let net = Netns::new();
    net.write("desired.yaml", &file());
    let daemon = Daemon::start(&net);
    assert!(soon(Duration::from_secs(10), || net.ipvsadm_save().len() == 10).is_some(), "{}", daemon.log());
    let names = |cluster: &str| SERVERS.map(|number| format!("{cluster}/192.168.8.{number}"));
    let drains: Vec<String> =
        names("web").iter().map(|name| format!("drain {name} --for 1h --yes")).collect();
    let weights: Vec<String> = names("shop").iter().map(|name| format!("weight {name} 7 --for 1h")).collect();
    at_once(&net, &[drains, weights].concat());
    assert_eq!(named(&net, "overridden", "name"), names("web").into_iter().chain(names("shop")).collect());
    assert!(soon(Duration::from_secs(10), || quiesced(&net) == 4).is_some(), "{}", daemon.log());

    // One ends what the other's command does not touch, and others pause and resume meanwhile.
    let undone = names("web").map(|name| format!("undo {name}"));
    let pauses = ["pause web --for 1h", "pause shop --for 1h"].map(str::to_owned);
    at_once(&net, &[undone.as_slice(), &pauses].concat());
    assert_eq!(named(&net, "overridden", "name"), names("shop").into_iter().collect());
    let both = ["shop", "web"].map(str::to_owned);
    assert_eq!(named(&net, "paused", "cluster"), both.into_iter().collect());
    at_once(&net, &["resume web", "resume shop"].map(str::to_owned));
    assert_eq!(named(&net, "paused", "cluster"), BTreeSet::new());
    assert!(soon(Duration::from_secs(10), || quiesced(&net) == 0).is_some(), "{}", daemon.log());
    assert!(daemon.stop().success());
}
