//! The real ipvsadm takes what lbd writes in its words, and prints what lbd says that it prints.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::generate;
use crate::lab::Netns;
use lbd::ipvsadm::{command, read, save};
use lbd::model::{SchedulerName, State};
use lbd::plan::plan;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Runs a script in a shell that stops at the first failure, and gives what it printed.
fn sh(script: &str) -> String {
    let mut shell = Command::new("sh")
        .arg("-e")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let done = shell.wait_with_output().unwrap();
    assert!(done.status.success(), "{script}\n{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Loads rules into an empty table.
fn restore(rules: &str) {
    sh(&format!("ipvsadm -C\nipvsadm -R <<'END'\n{rules}END\n"));
}

/// A random state that ipvsadm can set: with schedulers that the lab's kernel has, and times that it accepts.
fn state() -> impl Strategy<Value = State> {
    generate::state().prop_map(|mut state| {
        for service in state.services.values_mut() {
            let scheduling = service.scheduling_mut();
            if !["rr", "wrr", "wlc", "sh", "mh"].contains(&scheduling.scheduler.as_str()) {
                scheduling.scheduler = SchedulerName::new("lc").unwrap();
            }
            // ipvsadm has no word for it: see `save`.
            scheduling.flags.flag_3 &= !["sh", "mh"].contains(&scheduling.scheduler.as_str());
            if let Some(persistence) = &mut scheduling.persistence {
                persistence.timeout = persistence.timeout.min(2_678_400);
            }
        }
        state
    })
}

/// What `ipvsadm -Sn` prints of the rules that lbd saves: without limits, and great marks with a minus sign.
fn as_ipvsadm_prints(rules: &str) -> BTreeSet<String> {
    let without_limits = |line: &str| line.split(" -x ").next().unwrap().to_owned();
    rules.lines().map(|line| without_limits(line).replace("-f 4294967295", "-f -1")).collect()
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

#[test]
fn commands_lead_from_one_table_to_another_and_saved_rules_are_those_of_ipvsadm() {
    let _net = Netns::new();
    let mut runner = TestRunner::deterministic();
    for round in 0..12 {
        let (from, to) = (state(), state()).new_tree(&mut runner).unwrap().current();
        // Of IPVS alone, and without the interfaces that sync daemons want.
        let services =
            |state: State| State { services: generate::without_fullnat(&state).services, ..State::default() };
        let (from, to) = (services(from), services(to));
        restore(&save(&from));
        assert_eq!(lines(&sh("ipvsadm -Sn")), as_ipvsadm_prints(&save(&from)));

        let script: Vec<_> = plan(&from, &to).operations().filter_map(command).collect();
        sh(&script.join("\n"));
        let printed = sh("ipvsadm -Sn");
        assert_eq!(lines(&printed), as_ipvsadm_prints(&save(&to)), "{}", script.join("\n"));

        // What ipvsadm prints, by number and by name, reads back as the same table but for the limits.
        let mut known = to.clone();
        for service in known.services.values_mut() {
            service.servers_mut().values_mut().for_each(|server| server.thresholds = Default::default());
        }
        // (Addresses by name, too, where the lab knows one; lbd asks for numbers there. It is slow: it asks for names.)
        let named = (round < 2).then(|| sh("ipvsadm -S").replace("localhost", "127.0.0.1"));
        for printed in std::iter::once(printed).chain(named) {
            let parsed = read(&printed);
            assert_eq!(parsed.problems, []);
            assert_eq!(parsed.state.services, known.services, "{printed}");
        }
    }
}

#[test]
fn limits_are_set_changed_and_taken_away() {
    let _net = Netns::new();
    let limits = || {
        let table = sh("ipvsadm -Ln --thresholds | grep -e '->' | grep -v Remote");
        table.split_whitespace().skip(2).take(2).collect::<Vec<_>>().join(" ")
    };
    let rules = |limits: &str| format!("-A -f 77 -s rr\n-a -f 77 -r 127.0.0.1:1 -m -w 1{limits}\n");
    let steps = [" -x 100 -y 50", " -x 7", "", " -x 2147483647 -y 2147483647"];
    for pair in steps.windows(2) {
        let [from, to] = pair else { continue };
        let (from, to) = (rules(from), rules(to));
        // Each state is written and read once more on its way.
        restore(&save(&read(&from).state));
        let operations = plan(&read(&from).state, &read(&to).state);
        sh(&operations.operations().filter_map(command).collect::<Vec<_>>().join("\n"));
        let wanted =
            to.split(" -w 1").nth(1).unwrap().split_whitespace().filter(|word| !word.starts_with('-'));
        let wanted: Vec<_> = wanted.chain(["0", "0"]).take(2).collect();
        assert_eq!(limits(), wanted.join(" "), "{to}");
    }
}

// The oracle: what ipvsadm makes of a file is what lbd makes of it.
#[test]
fn a_converted_file_makes_the_table_that_ipvsadm_makes_of_it() {
    let net = Netns::new();
    net.sh("ip link add eth1 type dummy && ip link set eth1 up");
    let text = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/import/ipvsadm");
        std::fs::read_to_string(format!("{folder}/{name}.conf")).unwrap()
    };
    // Refused, or taken in ipvsadm's own way.
    let own = "-A -t 10.0.0.13:80 -s RR\n-A -t 10.1:81 -p 0\n-A -t 10.0.0.13:80 -s rr\n-a -r 192.168.8.1 -t 10.0.0.13:80 -m\n\
        -A -M 64 -t [fd00::1]:80 -p 9\n-a -t [fd00::1]:80 -r fd00::2 -m\n-a -t [fd00::1]:80 -r [fd00::3] -m\n\
        -E -t 10.0.0.13:80 -s wrr -p\n-A -t 10.0.0.13:80 -s lc\n-A -t 10.2:82\n-t 10.0.0.14:80 -A\n";
    let names = ["18-edits", "01-save-n", "06-long-options", "09-clustered-letters", "15-scheduler-flags"];
    // The lab's kernel does not have this scheduler.
    net.write("rules", &names.map(text).concat().replace("--scheduler nq", "--scheduler rr"));
    // (Servers of another family than their service are in no file with a sync daemon.)
    net.write("own", &(text("12-ipv6") + own));
    net.write("script", &text("21-command-prefixes"));
    for (file, run) in [
        ("rules", "ipvsadm -R < rules"),
        // Each line by itself, since at the first one that it refuses `ipvsadm -R` ends.
        ("own", "while read -r line; do echo \"$line\" | ipvsadm -R; done < own"),
        ("script", "bash script"),
    ] {
        let clean =
            "ipvsadm -C; ipvsadm --stop-daemon master || true; ipvsadm --set 900 120 300; rm -rf state";
        net.sh(clean);
        net.sh(&format!("{{ {run}; }} >/dev/null 2>&1 || true"));
        let theirs = (net.ipvsadm_save(), net.table());
        net.sh(clean);
        let export = net.lbd(&["export", "--from", file]);
        net.write("desired.yaml", &export.stdout);
        let apply = net.lbd(&["-f", "desired.yaml", "apply"]);
        assert_eq!(apply.status, 0, "{file}: {export:?} {apply:?}");
        assert_eq!((net.ipvsadm_save(), net.table()), theirs, "{file}: {export:?}");
    }
}
