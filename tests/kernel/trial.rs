//! Trials on a real kernel: what is tried is in the kernel, and gone without a trace unless it was confirmed; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::lab::{Netns, Output};
use crate::running::{Daemon, soon};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const OLD: &str = "\
version: 1
policy: { resync: 1h }
timeouts: { tcp: 700 }
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [192.168.8.14, 192.168.8.15] }
  - { name: dns, listen: 'udp://10.0.0.1:53', scheduler: rr, servers: [192.168.8.15] }
";

const NEW: &str = "\
version: 1
policy: { resync: 1h }
timeouts: { tcp: 700, udp: 77 }
sysctls: { net.ipv4.vs.drop_entry: 1 }
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: wlc, servers: [{ address: 192.168.8.15, weight: 3 }, 192.168.8.16] }
  - { name: mail, listen: 'tcp://10.0.0.1:25', scheduler: rr, servers: [192.168.8.17] }
";

/// A host on which the old file was applied, with another beside it.
fn host() -> Netns {
    let net = Netns::new();
    net.write("desired.yaml", OLD);
    net.write("new.yaml", NEW);
    let applied = lbd(&net, "apply");
    assert_eq!(applied.status, 0, "{applied:?}");
    net
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

/// The table, the timeouts and the setting that only the new file names.
fn state(net: &Netns) -> (Vec<String>, String) {
    (net.ipvsadm_save(), net.sh("ipvsadm -Ln --timeout; cat /proc/sys/net/ipv4/vs/drop_entry"))
}

/// What the table is with the new file, with what it takes away or without it.
fn table(with_old: bool) -> Vec<String> {
    let mut lines = vec![
        "-A -t 10.0.0.1:25 -s rr",
        "-A -t 10.0.0.1:80 -s wlc",
        "-a -t 10.0.0.1:25 -r 192.168.8.17:25 -g -w 1",
        "-a -t 10.0.0.1:80 -r 192.168.8.15:80 -g -w 3",
        "-a -t 10.0.0.1:80 -r 192.168.8.16:80 -g -w 1",
    ];
    if with_old {
        lines.extend([
            "-A -u 10.0.0.1:53 -s rr",
            "-a -t 10.0.0.1:80 -r 192.168.8.14:80 -g -w 0",
            "-a -u 10.0.0.1:53 -r 192.168.8.15:53 -g -w 0",
        ]);
    }
    lines.sort_unstable();
    lines.into_iter().map(str::to_owned).collect()
}

/// `lbd try` where no daemon runs, in the background.
fn start(net: &Netns, words: &str) -> Child {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    let mut command = net.lbd_command(&all);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

fn is_tried(net: &Netns) -> bool {
    soon(Duration::from_secs(10), || net.ipvsadm_save() == table(true)).is_some()
}

fn hidden(net: &Netns) -> Vec<String> {
    let entries = fs::read_dir(net.path(".")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn what_is_confirmed_beside_a_daemon_is_the_desired_file_and_what_it_took_away_goes() {
    let net = host();
    let file = net.path("desired.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let daemon = Daemon::start(&net);
    daemon.wait_for("started");
    let refused = lbd(&net, "try new.yaml --for 1h");
    assert_eq!(refused.status, 0, "{refused:?}");
    assert_eq!(net.ipvsadm_save(), table(true));
    daemon.wait_for("a trial has begun: new.yaml by ");
    let second = lbd(&net, "try new.yaml");
    assert_eq!(second.status, 3, "{second:?}");
    assert!(second.stderr.contains("a trial is under way: new.yaml by "), "{second:?}");
    let paused = lbd(&net, "pause");
    assert_eq!((paused.status, paused.stderr.contains("a trial is under way")), (3, true), "{paused:?}");
    // The kernel is as the file of the trial wants it.
    let status = lbd(&net, "status -o json");
    let document: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!((status.status, &document["in_sync"]), (0, &json!(true)), "{status:?}");
    assert_eq!(
        (&document["trial"]["file"], &document["trial"]["verified"]),
        (&json!("new.yaml"), &json!(true))
    );
    let diff = lbd(&net, "diff");
    assert!(diff.status == 0 && diff.stderr.contains("this is about its file: new.yaml by "), "{diff:?}");
    assert_eq!(lbd(&net, "apply").status, 0);
    let exported = lbd(&net, "export -o ipvsadm");
    let mut exported: Vec<&str> = exported.stdout.lines().collect();
    exported.sort_unstable();
    assert_eq!(exported, table(false));
    let confirmed = lbd(&net, "confirm");
    assert_eq!(confirmed.status, 0, "{confirmed:?}");
    assert_eq!(net.ipvsadm_save(), table(false));
    let metadata = fs::metadata(&file).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), NEW);
    assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o640, 1));
    assert_eq!((hidden(&net), net.path("state/trial.json").exists()), (vec![], false));
    daemon.wait_for("the trial is over (");
    assert_eq!(lbd(&net, "status").status, 0);
    assert_eq!(net.ipvsadm_save(), table(false));
    assert_eq!(net.sh("cat /proc/sys/net/ipv4/vs/drop_entry"), "1\n");
}

#[test]
fn what_is_cancelled_beside_a_daemon_leaves_the_state_before_it_and_a_changed_file_waited() {
    let net = host();
    let before = state(&net);
    let daemon = Daemon::start(&net);
    daemon.wait_for("started");
    assert_eq!(lbd(&net, "try new.yaml --for 1h").status, 0);
    daemon.wait_for("a trial has begun: ");
    net.write("desired.yaml", &OLD.replace("192.168.8.14", "192.168.8.18"));
    daemon.wait_for("the desired file has changed, and waits for the end of the trial of new.yaml");
    let status = lbd(&net, "status");
    assert!(
        status.stdout.contains("\nthe desired file has changed, and waits for the end of the trial\n"),
        "{status:?}"
    );
    let refused = lbd(&net, "confirm");
    assert_eq!(refused.status, 3, "{refused:?}");
    assert!(
        refused.stdout.contains("  + server 192.168.8.18:80")
            && refused.stdout.contains("  - server 192.168.8.14:80"),
        "{refused:?}"
    );
    assert_eq!(net.ipvsadm_save(), table(true));
    net.write("desired.yaml", &format!("{OLD}# a comment\n"));
    let commented = lbd(&net, "confirm");
    assert_eq!((commented.status, commented.stdout.as_str()), (3, ""), "{commented:?}");
    assert!(commented.stderr.contains("only in what the kernel does not know"), "{commented:?}");
    net.write("desired.yaml", OLD);
    let length = daemon.log().len();
    let cancelled = lbd(&net, "cancel");
    assert_eq!((cancelled.status, state(&net)), (0, before.clone()), "{cancelled:?}");
    daemon.wait_for("the trial is over (");
    assert_eq!((lbd(&net, "status").status, state(&net)), (0, before));
    assert!(!daemon.log_since(length).contains("drift"), "{}", daemon.log());
    assert_eq!((hidden(&net), net.path("state/trial.json").exists()), (vec![], false));
    let nothing = lbd(&net, "cancel");
    assert_eq!((nothing.status, nothing.stderr.as_str()), (0, "note: no trial is under way\n"));
    assert_eq!(lbd(&net, "confirm").status, 2);
}

#[test]
fn the_time_of_a_trial_ends_it_with_a_daemon_and_without_one() {
    let net = host();
    let before = state(&net);
    let alone = lbd(&net, "try new.yaml --for 1");
    let error = &alone.stderr;
    assert_eq!((alone.status, state(&net)), (2, before.clone()), "{error}");
    assert!(alone.stdout.contains("\nunder trial: new.yaml by "), "{alone:?}");
    assert!(error.contains("note: no daemon runs: this command keeps the trial, ignores SIGHUP"), "{error}");
    assert!(error.contains("error: the trial is rolled back: its time is over\n"), "{error}");

    let daemon = Daemon::start(&net);
    daemon.wait_for("started");
    assert_eq!(lbd(&net, "try new.yaml --for 1").status, 0);
    let is_back = soon(Duration::from_secs(10), || state(&net) == before);
    assert!(is_back.is_some(), "{}", daemon.log());
    daemon.wait_for("the trial is over (its time is over): new.yaml by ");
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
}

#[test]
fn a_trial_whose_command_was_killed_is_taken_back_by_the_next_pass_after_its_end() {
    let net = host();
    let before = state(&net);
    let mut alone = start(&net, "try new.yaml --for 1h");
    assert!(is_tried(&net));
    alone.kill().unwrap();
    alone.wait().unwrap();
    let apply = lbd(&net, "apply");
    assert!(apply.status == 0 && apply.stderr.contains("this applies its file: new.yaml by "), "{apply:?}");
    assert_eq!(net.ipvsadm_save(), table(true));
    // At boot, too, it is the desired file that is brought back.
    assert_eq!((lbd(&net, "restore").status, state(&net)), (0, before.clone()));

    let alone = start(&net, "try new.yaml --for 1h");
    assert!(is_tried(&net));
    // A lost session does not end it.
    signal(&alone, Signal::SIGHUP);
    signal(&alone, Signal::SIGTERM);
    let output = alone.wait_with_output().unwrap();
    assert_eq!((output.status.code(), state(&net)), (Some(2), before));

    let alone = start(&net, "try new.yaml --for 1h");
    assert!(is_tried(&net));
    assert_eq!(lbd(&net, "confirm").status, 0);
    let output = alone.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_of_the_history_is_tried_and_confirmed_and_the_one_that_it_replaces_is_kept() {
    let net = host();
    net.write("desired.yaml", NEW);
    assert_eq!(lbd(&net, "apply --allow-deletes --drain=0").status, 0);
    let before = state(&net);
    let alone = lbd(&net, "rollback 1 --for 1 --yes");
    assert_eq!((alone.status, state(&net)), (2, before), "{alone:?}");
    assert!(alone.stdout.contains("\nunder trial: file 1 of the history by "), "{alone:?}");
    let daemon = Daemon::start(&net);
    daemon.wait_for("started");
    // It was never verified, and is not lost.
    let unverified = NEW.replace("192.168.8.17", "192.168.8.18");
    assert_eq!(lbd(&net, "rollback 1 --for 1h --yes").status, 0);
    net.write("desired.yaml", &unverified);
    assert_eq!((lbd(&net, "confirm").status, lbd(&net, "confirm --over").status), (3, 0));
    assert_eq!(fs::read_to_string(net.path("desired.yaml")).unwrap(), OLD);
    assert_eq!(lbd(&net, "history show 3").stdout, unverified);
    let events = lbd(&net, "history --events").stdout;
    for event in ["trial begun", "trial timed out", "trial confirmed"] {
        assert!(events.contains(event), "{event}: {events}");
    }
}

#[test]
fn nothing_but_what_root_has_tried_is_installed() {
    let net = host();
    let daemon = Daemon::start(&net);
    daemon.wait_for("started");
    let file = net.path("desired.yaml");
    let copy = net.path(".desired.yaml.trial");
    let is_not_installed = |why: &str| {
        let output = lbd(&net, "confirm");
        assert_eq!((output.status, output.stderr.contains(why)), (2, true), "{output:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), OLD);
    };
    // The daemon, which ends a trial whose copy is not in order, must have read it before.
    let try_it = |before: usize| {
        assert_eq!(lbd(&net, "try new.yaml --for 1h").status, 0);
        let begun = || daemon.log().matches("a trial has begun: ").count() > before;
        assert!(soon(Duration::from_secs(10), begun).is_some(), "{}", daemon.log());
    };
    try_it(0);
    net.sh("ln .desired.yaml.trial second");
    is_not_installed("has more than one hard link");
    net.sh("rm second; chown 1000 .desired.yaml.trial");
    is_not_installed("belongs to user 1000");
    net.sh("chown 0 .desired.yaml.trial; sed -i s/192.168.8.17/192.168.8.66/ .desired.yaml.trial");
    is_not_installed("is another file than the trial began with");
    fs::remove_file(&copy).unwrap();
    symlink("new.yaml", &copy).unwrap();
    is_not_installed(".desired.yaml.trial: ");
    // The user that the daemon runs as may write whatever it likes in the state directory.
    assert_eq!(lbd(&net, "cancel").status, 0);
    try_it(1);
    net.sh("cp .desired.yaml.trial.json notes; chmod 777 .");
    is_not_installed("can be written by other users");
    net.sh("chmod 700 .; cp state/trial.json forged");
    assert_eq!(lbd(&net, "cancel").status, 0);
    net.sh("cp forged state/trial.json; cp new.yaml .desired.yaml.trial");
    is_not_installed(".desired.yaml.trial.json: ");
}

#[test]
fn a_trial_that_cannot_go_well_is_not_begun_or_ends_at_once() {
    let net = host();
    let before = state(&net);
    let is_refused = |words: &str, status: i32, why: &str| {
        let output = lbd(&net, words);
        assert_eq!((output.status, output.stderr.contains(why)), (status, true), "{output:?}");
        assert_eq!(state(&net), before);
        assert_eq!((hidden(&net), net.path("state/trial.json").exists()), (vec![], false), "{output:?}");
    };
    is_refused(
        "try none.yaml",
        2,
        "none.yaml: there is no such file; `lbd try` takes a complete desired file",
    );
    net.write("empty.yaml", "version: 1\nclusters: []\n");
    is_refused("try empty.yaml", 3, "refused, nothing was changed: the file has no clusters");
    // The kernel has no such scheduler.
    net.write(
        "bad.yaml",
        &NEW.replace(
            "tcp://10.0.0.1:25', scheduler: rr",
            "tcp://10.0.0.1:25', scheduler: 'module:none-such'",
        ),
    );
    is_refused(
        "try bad.yaml",
        2,
        "error: the trial is rolled back: no usable server was left in tcp://10.0.0.1:25",
    );
    assert_eq!(lbd(&net, "pause web").status, 0);
    is_refused("try new.yaml", 3, "paused: web by ");
    assert_eq!(lbd(&net, "resume").status, 0);
    net.sh("ipvsadm -A -t 10.0.0.1:25 -s rr");
    let foreign = lbd(&net, "try new.yaml");
    assert_eq!(
        (foreign.status, foreign.stderr.contains("another program has put")),
        (3, true),
        "{foreign:?}"
    );
    net.sh("ipvsadm -D -t 10.0.0.1:25; mkdir elsewhere; mv desired.yaml elsewhere; ln -s elsewhere/desired.yaml .");
    is_refused("try new.yaml", 2, "in another directory");
}

#[test]
fn no_trial_is_left_without_an_end() {
    let net = host();
    let before = state(&net);
    // Where nothing can be shown, the command keeps it all the same.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut unseen = net.lbd_command(&["-f", "desired.yaml", "try", "new.yaml", "--for", "1"]);
    assert_eq!(unseen.stdout(full).stderr(Stdio::null()).status().unwrap().code(), Some(2));
    assert_eq!(state(&net), before);
    // Without a daemon it would end with a file that nobody has applied.
    net.write("desired.yaml", &OLD.replace("192.168.8.14", "192.168.8.18"));
    let unverified = lbd(&net, "try new.yaml");
    assert_eq!((unverified.status, state(&net)), (2, before.clone()), "{unverified:?}");
    assert!(
        unverified.stderr.contains("the desired file is not the one that was verified last"),
        "{unverified:?}"
    );
    net.write("desired.yaml", OLD);
    // A full disk loses the event, not the confirmation; and the desired file may be gone.
    let daemon = Daemon::start(&net);
    daemon.wait_for("started");
    let other = net.lbd(&["-f", "other.yaml", "try", "new.yaml"]);
    assert!(other.status == 2 && other.stderr.contains("name that file with -f"), "{other:?}");
    assert_eq!(lbd(&net, "try new.yaml --for 1h").status, 0);
    fs::create_dir(net.path("state/trial.json.new")).unwrap();
    fs::remove_file(net.path("desired.yaml")).unwrap();
    let removed = lbd(&net, "confirm");
    assert!(removed.status == 3 && removed.stderr.contains("the desired file was removed"), "{removed:?}");
    let confirmed = lbd(&net, "confirm --over");
    assert_eq!(fs::read_to_string(net.path("desired.yaml")).unwrap(), NEW);
    assert_eq!((confirmed.status, net.ipvsadm_save()), (0, table(false)), "{confirmed:?}");
    assert!(!net.path("state/trial.json").exists());
}

#[test]
fn what_cannot_be_read_of_a_trial_is_removed_wherever_the_desired_file_is() {
    let net = host();
    let before = state(&net);
    net.write("state/trial.json", "{");
    net.sh("mkdir elsewhere; mv desired.yaml elsewhere; ln -s elsewhere/desired.yaml .");
    let status = lbd(&net, "status");
    assert!(format!("{status:?}").contains("`lbd cancel` removes the file"), "{status:?}");
    let cancelled = lbd(&net, "cancel");
    assert_eq!((cancelled.status, state(&net)), (0, before), "{cancelled:?}");
    assert!(!net.path("state/trial.json").exists());
}
