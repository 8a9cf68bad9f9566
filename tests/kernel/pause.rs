//! Pauses on a real kernel: what the daemon and the commands do while everything or a cluster is paused; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::lab::{Netns, Output};
use crate::running::{Daemon, soon};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const FILE: &str = "\
version: 1
policy: { resync: 1h }
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [192.168.8.14] }
  - { name: dns, listen: 'udp://10.0.0.1:53', scheduler: rr, servers: [192.168.8.15] }
";

/// What `ipvsadm -Sn` shows with these weights.
fn rules(web: u32, dns: u32) -> Vec<String> {
    vec![
        "-A -t 10.0.0.1:80 -s rr".to_owned(),
        "-A -u 10.0.0.1:53 -s rr".to_owned(),
        format!("-a -t 10.0.0.1:80 -r 192.168.8.14:80 -g -w {web}"),
        format!("-a -u 10.0.0.1:53 -r 192.168.8.15:53 -g -w {dns}"),
    ]
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

fn becomes(net: &Netns, web: u32, dns: u32) -> bool {
    soon(Duration::from_secs(10), || net.ipvsadm_save() == rules(web, dns)).is_some()
}

fn meddle(net: &Netns) {
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.14 -g -w 5; ipvsadm -e -u 10.0.0.1:53 -r 192.168.8.15 -g -w 5");
}

#[test]
fn while_lbd_is_paused_others_may_change_the_table_and_when_it_goes_on_it_repairs_it() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    let daemon = Daemon::start(&net);
    assert!(becomes(&net, 1, 1), "{}", daemon.log());
    let paused = lbd(&net, "pause --for 1h --reason upgrade");
    assert_eq!((paused.status, paused.stderr.as_str()), (0, ""), "{paused:?}");
    meddle(&net);
    let length = daemon.log().len();
    daemon.signal(Signal::SIGHUP);
    // The daemon reads the file anew, and has looked at the kernel by then.
    net.write("desired.yaml", &FILE.replace("192.168.8.15]", "{ address: 192.168.8.15, weight: 3 }]"));
    daemon.wait_for("paused, nothing is written: everything by ");
    let apply = lbd(&net, "apply -o json");
    let (document, error): (Value, _) = (serde_json::from_str(&apply.stdout).unwrap(), &apply.stderr);
    assert_eq!((apply.status, &document["in_sync"], &document["operations"]), (3, &json!(false), &json!([])));
    assert_eq!(
        (&document["paused"][0]["cluster"], &document["paused"][0]["reason"]),
        (&Value::Null, &json!("upgrade"))
    );
    assert_eq!(document["left_out"].as_array().unwrap().len(), 2, "{document}");
    assert!(error.starts_with("error: refused, nothing was changed: paused: everything by "), "{error}");
    assert_eq!(net.ipvsadm_save(), rules(5, 5));
    let status = lbd(&net, "status");
    let lines: Vec<&str> = status.stdout.lines().take(2).collect();
    assert_eq!(
        (status.status, lines[0]),
        (1, "not in sync: 0 to add, 0 to edit, 0 to delete, 2 left out (`lbd diff` shows them)")
    );
    assert!(
        lines[1].starts_with("paused: everything by ") && lines[1].ends_with(": upgrade"),
        "{}",
        status.stdout
    );
    let diff = lbd(&net, "diff");
    assert_eq!(diff.status, 1, "{diff:?}");
    assert!(diff.stdout.contains("\n  ~ server 192.168.8.14:80  weight: 5 -> 1\n"), "{}", diff.stdout);

    assert_eq!(lbd(&net, "resume").status, 0);
    assert!(becomes(&net, 1, 3), "{}", daemon.log());
    daemon.wait_for("no longer paused: everything by ");
    // What others did meanwhile was allowed to them.
    assert!(!daemon.log_since(length).contains("drift"), "{}", daemon.log());
    assert_eq!(lbd(&net, "status").status, 0);
}

#[test]
fn a_cluster_is_paused_alone_and_what_is_forced_or_restored_heeds_no_pause() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    assert_eq!(lbd(&net, "apply").status, 0);
    assert_eq!(lbd(&net, "pause web").status, 0);
    assert_eq!((lbd(&net, "status").status, lbd(&net, "status dns").status), (1, 0));
    let says = |words: &str| {
        lbd(&net, words).stderr.contains("\nnote: paused: it comes into force when the pause ends")
    };
    assert_eq!([says("drain web/192.168.8.14 --yes"), says("drain dns --yes")], [true, false]);
    assert_eq!(lbd(&net, "undo --all").status, 0);
    meddle(&net);
    let apply = lbd(&net, "apply");
    assert_eq!((apply.status, net.ipvsadm_save()), (3, rules(5, 1)));
    assert!(
        apply.stderr.contains("\nerror: refused in part, the rest is done: paused: web by "),
        "{apply:?}"
    );
    assert_eq!((lbd(&net, "apply --force").status, net.ipvsadm_save()), (0, rules(1, 1)));
    // Nothing of the paused cluster is to be done.
    assert_eq!(lbd(&net, "apply").status, 0);
    assert_eq!(lbd(&net, "pause").status, 0);
    assert_eq!(lbd(&net, "apply").status, 3);
    meddle(&net);
    assert_eq!((lbd(&net, "restore").status, net.ipvsadm_save()), (0, rules(1, 1)));
    assert_eq!((lbd(&net, "teardown --yes").status, net.ipvsadm_save()), (0, Vec::<String>::new()));
    assert!(!net.path("state/pauses.json").exists() && lbd(&net, "status").status == 1);
}
