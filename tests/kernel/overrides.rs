//! Overrides on a real kernel: set beside a running daemon, without one, and what the other commands make of them; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::lab::{Netns, Output};
use crate::running::{Daemon, soon};
use serde_json::{Value, json};

const FILE: &str = "\
version: 1
policy: { resync: 1h }
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [192.168.8.14, { address: 192.168.8.15, weight: 3 }] }
  - { name: dns, listen: 'udp://10.0.0.1:53', scheduler: rr, servers: [192.168.8.14] }
";

/// What `ipvsadm -Sn` shows of the servers: those of the web with these weights, if they are there, and that of the name service.
fn servers(web: [Option<u32>; 2], dns: u32) -> Vec<String> {
    let of_web = [14, 15].into_iter().zip(web);
    let lines = of_web.filter_map(|(number, weight)| {
        Some(format!("-a -t 10.0.0.1:80 -r 192.168.8.{number}:80 -g -w {}", weight?))
    });
    lines.chain([format!("-a -u 10.0.0.1:53 -r 192.168.8.14:53 -g -w {dns}")]).collect()
}

fn live(net: &Netns) -> Vec<String> {
    net.ipvsadm_save().into_iter().filter(|line| line.starts_with("-a")).collect()
}

fn becomes(net: &Netns, wanted: &[String]) -> bool {
    soon(Duration::from_secs(10), || live(net) == wanted).is_some()
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

#[test]
fn a_server_is_drained_and_weighted_beside_the_daemon_and_comes_back_when_that_ends() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    let daemon = Daemon::start(&net);
    assert!(becomes(&net, &servers([Some(1), Some(3)], 1)), "{}", daemon.log());
    let drained = lbd(&net, "drain 192.168.8.14 --for 1h --reason upgrade --yes --wait");
    assert_eq!((drained.status, live(&net)), (0, servers([Some(0), Some(3)], 0)), "{drained:?}");
    assert!(drained.stdout.ends_with("\n192.168.8.14: no connections are left\n"), "{drained:?}");
    let status = lbd(&net, "status -o json");
    let document: Value = serde_json::from_str(&status.stdout).unwrap();
    let overridden = &document["overridden"][0];
    assert_eq!(
        (status.status, &document["in_sync"], &overridden["name"]),
        (0, &json!(true), &json!("192.168.8.14"))
    );
    assert_eq!((&overridden["by"], &overridden["reason"]), (&json!("root"), &json!("upgrade")));
    let text = lbd(&net, "status").stdout;
    assert!(
        text.lines().nth(1).unwrap().starts_with("override: 192.168.8.14 is drained by root from "),
        "{text}"
    );
    // What lbd has taken out of service is not what the file would say.
    let exported = lbd(&net, "export -o ipvsadm");
    let lines: Vec<&str> = exported.stdout.lines().filter(|line| line.starts_with("-a")).collect();
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines.sort();
    assert_eq!((exported.status, lines), (0, servers([Some(1), Some(3)], 1)));
    assert!(lbd(&net, "export -o ipvsadm --as-is").stdout.contains("-r 192.168.8.14:80 -g -w 0"));
    // The file is above none of it, and the daemon's next edit leaves it alone.
    net.write("desired.yaml", &FILE.replace("weight: 3", "weight: 4"));
    assert!(becomes(&net, &servers([Some(0), Some(4)], 0)), "{}", daemon.log());
    assert_eq!(lbd(&net, "undo 192.168.8.14").status, 0);
    assert!(becomes(&net, &servers([Some(1), Some(4)], 1)), "{}", daemon.log());
    assert_eq!(lbd(&net, "weight web/192.168.8.15 9 --for 1s").status, 0);
    assert!(becomes(&net, &servers([Some(1), Some(9)], 1)), "{}", daemon.log());
    assert!(becomes(&net, &servers([Some(1), Some(4)], 1)), "{}", daemon.log());
    daemon.wait_for("override is over: web/192.168.8.15 has weight 9");
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
}

#[test]
fn without_a_daemon_the_command_or_the_next_apply_brings_an_override_and_restore_heeds_it() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    assert_eq!(lbd(&net, "apply").status, 0);
    assert_eq!(lbd(&net, "drain web/192.168.8.14 --hard").status, 0);
    assert_eq!(live(&net), servers([Some(1), Some(3)], 1));
    let diff = lbd(&net, "diff -o json");
    let document: Value = serde_json::from_str(&diff.stdout).unwrap();
    let operation = &document["operations"][0];
    assert_eq!(
        (diff.status, &operation["action"], &operation["reason"]["kind"]),
        (1, &json!("delete"), &json!("drain"))
    );
    let text = operation["reason"]["text"].as_str().unwrap();
    assert!(text.starts_with("web/192.168.8.14 is taken out of the table by root from "), "{text}");
    assert_eq!((lbd(&net, "apply").status, live(&net)), (0, servers([None, Some(3)], 1)));
    assert_eq!(lbd(&net, "diff").status, 0);
    net.sh("ipvsadm -C");
    assert_eq!((lbd(&net, "restore").status, live(&net)), (0, servers([None, Some(3)], 1)));
    assert_eq!((lbd(&net, "undo --all --apply").status, live(&net)), (0, servers([Some(1), Some(3)], 1)));
    assert_eq!(
        (lbd(&net, "weight web/192.168.8.15 7 --apply").status, live(&net)),
        (0, servers([Some(1), Some(7)], 1))
    );
    assert_eq!((lbd(&net, "teardown --yes").status, lbd(&net, "overrides").stdout.as_str()), (0, ""));
}

#[test]
fn a_file_that_takes_the_last_server_beside_a_drained_one_is_refused_and_the_override_named() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    assert_eq!(lbd(&net, "apply").status, 0);
    assert_eq!(lbd(&net, "drain web/192.168.8.14 --apply").status, 0);
    net.write("desired.yaml", &FILE.replace(", { address: 192.168.8.15, weight: 3 }", ""));
    let refused = lbd(&net, "apply");
    assert_eq!((refused.status, live(&net)), (3, servers([Some(0), Some(3)], 1)), "{refused:?}");
    assert!(
        refused.stderr.contains("\nnote: in force: web/192.168.8.14 is drained by root from "),
        "{refused:?}"
    );
}
