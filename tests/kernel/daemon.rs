//! The daemon on a real kernel: the file is changed, the kernel is changed, the daemon is stopped and killed; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::lab::Netns;
use crate::running::{self, Daemon, printed, soon};
use nix::sys::signal::Signal;

/// A desired file: services on these last bytes of their address, each with one server of this weight.
fn file(policy: &str, services: &[(u8, u32)]) -> String {
    let cluster = |(number, weight): &(u8, u32)| {
        format!(
            "  - {{ name: c{number}, listen: 'tcp://10.0.0.{number}:80', forward: nat, servers: [{{ address: \
             192.168.8.14, weight: {weight} }}] }}\n"
        )
    };
    let clusters: String = services.iter().map(cluster).collect();
    let clusters = if clusters.is_empty() { " []\n".to_owned() } else { format!("\n{clusters}") };
    format!("version: 1\npolicy: {{ {policy} }}\nclusters:{clusters}")
}

/// What `ipvsadm -Sn` shows then.
fn rules(services: &[(u8, u32)]) -> Vec<String> {
    let add = services.iter().map(|(number, _)| format!("-A -t 10.0.0.{number}:80 -s wlc"));
    let servers = services
        .iter()
        .map(|(number, weight)| format!("-a -t 10.0.0.{number}:80 -r 192.168.8.14:80 -m -w {weight}"));
    let mut rules: Vec<String> = add.chain(servers).collect();
    rules.sort();
    rules
}

/// Looks only when it must: the file is seen changing, and nothing else.
const SELDOM: &str = "resync: 1h";
/// Drift is seen soon.
const OFTEN: &str = "resync: 1s";

/// A daemon that has brought the table about.
fn serving(net: &Netns, policy: &str, services: &[(u8, u32)]) -> Daemon {
    net.write("desired.yaml", &file(policy, services));
    let daemon = Daemon::start(net);
    assert!(becomes(net, services), "{}", daemon.log());
    daemon
}

/// Whether the table is, or becomes within some seconds, this one, as ipvsadm sees it.
fn becomes(net: &Netns, services: &[(u8, u32)]) -> bool {
    // The lab is slow while others work: what has to happen at once is measured where it matters.
    let weights = |services: &[(u8, u32)]| {
        let line = |(number, weight): &(u8, u32)| {
            (format!("TCP 0A0000{number:02X}:0050 wlc"), vec![format!("C0A8080E:0050 Masq {weight}")])
        };
        services.iter().map(line).collect::<running::Table>()
    };
    soon(Duration::from_secs(10), || printed() == weights(services)).is_some()
        && net.ipvsadm_save() == rules(services)
}

// Every way of changing a file, and how soon each is seen, is tested without a kernel: `tests/pure/watch.rs`.
#[test]
fn the_table_follows_the_file_written_in_place_and_replaced_and_led_elsewhere() {
    let net = Netns::new();
    fs::create_dir(net.path("a")).unwrap();
    let real = net.write("a/desired.yaml", &file(SELDOM, &[(1, 1)]));
    let link = net.path("desired.yaml");
    symlink("a/desired.yaml", &link).unwrap();
    let daemon = Daemon::start(&net);
    assert!(becomes(&net, &[(1, 1)]), "{}", daemon.log());
    let ways: [&dyn Fn(&str); 4] = [
        &|text| fs::write(&link, text).unwrap(),
        &|text| fs::rename(net.write("a/new", text), &real).unwrap(),
        &|text| {
            // As a config map is mounted.
            let directory = tempfile::tempdir_in(net.path("a")).unwrap().keep();
            fs::write(directory.join("desired.yaml"), text).unwrap();
            symlink(&directory, net.path("..data")).unwrap();
            symlink("..data/desired.yaml", net.path("next")).unwrap();
            fs::rename(net.path("next"), &link).unwrap();
        },
        &|text| {
            fs::remove_file(&link).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            fs::write(&link, text).unwrap();
        },
    ];
    for (way, weight) in ways.iter().zip(2..) {
        way(&file(SELDOM, &[(1, weight)]));
        assert!(becomes(&net, &[(1, weight)]), "{weight}: {}", daemon.log());
    }
}

#[test]
fn a_directory_that_comes_late_is_waited_for() {
    let net = Netns::new();
    symlink("late/desired.yaml", net.path("desired.yaml")).unwrap();
    let daemon = Daemon::start(&net);
    daemon.wait_for("the file is not valid");
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());
    fs::create_dir(net.path("late")).unwrap();
    net.write("late/desired.yaml", &file(SELDOM, &[(1, 1)]));
    assert!(becomes(&net, &[(1, 1)]), "{}", daemon.log());
}

#[test]
fn a_file_that_is_being_written_is_never_read_half() {
    let net = Netns::new();
    let policy = "resync: 1s, max_delete: 100%, allow_empty: true";
    let all = |weight| [(1, weight), (2, weight), (3, weight), (4, weight)];
    let daemon = serving(&net, policy, &all(1));
    let before = printed();
    let text = file(policy, &all(2));
    // Valid, and without the last two.
    let middle = text.find("  - { name: c3").unwrap();
    net.write("half.yaml", &text[..middle]);
    assert_eq!(net.lbd(&["-f", "half.yaml", "validate"]).status, 0);
    let mut writer = File::create(net.path("desired.yaml")).unwrap();
    writer.write_all(&text.as_bytes()[..middle]).unwrap();
    // Longer than from one look at the kernel to the next.
    let pause = Instant::now();
    while pause.elapsed() < Duration::from_secs(2) {
        assert_eq!(printed(), before, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    writer.write_all(&text.as_bytes()[middle..]).unwrap();
    drop(writer);
    assert!(becomes(&net, &all(2)), "{}", daemon.log());
}

#[test]
fn drift_is_repaired_at_the_next_look_and_logged() {
    let net = Netns::new();
    let daemon = serving(&net, OFTEN, &[(1, 1), (2, 1)]);
    let length = daemon.log().len();
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.14:80 -m -w 9; ipvsadm -D -t 10.0.0.2:80");
    assert!(becomes(&net, &[(1, 1), (2, 1)]), "{}", daemon.log());
    daemon.wait_for("drift repaired: add server");
    let log = daemon.log_since(length);
    let drift: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("drift repaired: ")).map(|(_, told)| told).collect();
    assert!(drift.iter().all(|line| log.contains(line)) && log.contains("weight: 9 -> 1"), "{log}");
    let mut drift: Vec<&str> =
        drift.iter().map(|line| line.split(" service=").next().unwrap().trim()).collect();
    drift.sort_unstable();
    assert_eq!(
        drift,
        [
            "add server 192.168.8.14:80 to tcp://10.0.0.2:80",
            "add service tcp://10.0.0.2:80",
            "edit server 192.168.8.14:80 of tcp://10.0.0.1:80",
        ],
        "{log}"
    );
}

// keepalived, when its services were taken out of its file, emptied the table: connections were refused for 27 s.
#[test]
fn an_emptied_table_and_a_lost_service_are_back_soon_however_long_the_resync_is() {
    let net = Netns::new();
    let six = "  - { name: six, listen: 'tcp://[fd00::1]:80', forward: nat, servers: ['fd00::14'] }\n";
    net.write("desired.yaml", &(file(SELDOM, &[(1, 1), (2, 1)]) + six));
    let daemon = Daemon::start(&net);
    daemon.wait_for("applied: add server [fd00::14]:80");
    let all = net.ipvsadm_save();
    assert_eq!(all.len(), 6, "{all:?}");
    // A server alone is left to the resync.
    for lost in ["-C", "-D -t 10.0.0.2:80", "-D -t [fd00::1]:80"] {
        net.sh(&format!("ipvsadm -d -t 10.0.0.1:80 -r 192.168.8.14:80; ipvsadm {lost}"));
        let back = soon(Duration::from_secs(20), || net.ipvsadm_save() == all);
        assert!(back.is_some(), "{lost}: {:?}\n{}", net.ipvsadm_save(), daemon.log());
    }
    let log = daemon.log();
    let mut repairs = log.lines().filter(|line| line.contains("drift repaired: "));
    assert!(repairs.all(|line| line.contains("reason=\"services gone\"")), "{log}");
}

#[test]
fn a_daemon_in_sync_says_nothing_and_writes_nothing() {
    let net = Netns::new();
    let daemon = serving(&net, OFTEN, &[(1, 1), (2, 1)]);
    let state = || {
        let mut files: Vec<_> = fs::read_dir(net.state_dir())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        files.sort();
        files
    };
    std::thread::sleep(Duration::from_secs(2));
    let (length, files) = (daemon.log().len(), state());
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!((daemon.log_since(length).as_str(), state()), ("", files));
}

#[test]
fn sighup_reconciles_at_once() {
    let net = Netns::new();
    let daemon = serving(&net, SELDOM, &[(1, 1), (2, 1)]);
    net.sh("ipvsadm -e -t 10.0.0.2:80 -r 192.168.8.14:80 -m -w 9");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 9)]));
    daemon.signal(Signal::SIGHUP);
    assert!(becomes(&net, &[(1, 1), (2, 1)]), "{}", daemon.log());
    assert!(daemon.log().contains("reason=\"requested\""), "{}", daemon.log());
}

#[test]
fn a_bad_file_changes_nothing_is_named_and_what_was_good_is_kept() {
    let net = Netns::new();
    let daemon = serving(&net, OFTEN, &[(1, 1), (2, 1)]);
    let status = net.lbd(&["-f", "desired.yaml", "status"]);
    assert_eq!(status.status, 0, "{status:?}");
    for (text, words) in [
        ("version: 1\nclusters: [{ name: web }]\n", "desired.yaml:2:12: `listen` is missing"),
        ("version: 1\nclusters: [\n", "desired.yaml:"),
    ] {
        let length = daemon.log().len();
        net.write("desired.yaml", text);
        assert!(
            soon(Duration::from_secs(10), || daemon.log_since(length).contains("the file is not valid"))
                .is_some(),
            "{}",
            daemon.log()
        );
        let status = net.lbd(&["-f", "desired.yaml", "status"]);
        assert_eq!(status.status, 1, "{status:?}");
        assert!(status.stdout.contains(&format!("bad file: {words}")), "{}", status.stdout);
        assert!(status.stdout.contains("the daemon keeps the last good state: "), "{}", status.stdout);
        assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 1)]));
        net.sh("ipvsadm -D -t 10.0.0.2:80");
        assert!(becomes(&net, &[(1, 1), (2, 1)]), "{}", daemon.log());
        let length = daemon.log().len();
        net.write("desired.yaml", &file(OFTEN, &[(1, 1), (2, 1)]));
        assert!(
            soon(Duration::from_secs(10), || daemon.log_since(length).contains("the file is valid again"))
                .is_some(),
            "{}",
            daemon.log()
        );
    }
    fs::remove_file(net.path("desired.yaml")).unwrap();
    daemon.wait_for("there is no such file");
    assert_eq!(net.lbd(&["-f", "desired.yaml", "status"]).status, 1);
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 1)]));
}

#[test]
fn an_emptied_file_waits_for_the_operators_word() {
    let net = Netns::new();
    let daemon = serving(&net, OFTEN, &[(1, 1), (2, 1)]);
    net.write("desired.yaml", &file(OFTEN, &[]));
    daemon.wait_for("the file is refused");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 1)]));
    let status = net.lbd(&["-f", "desired.yaml", "status"]);
    assert_eq!(status.status, 1, "{status:?}");
    assert!(status.stdout.contains("refused: the file has no clusters"), "{}", status.stdout);
    net.sh("ipvsadm -D -t 10.0.0.2:80");
    assert!(becomes(&net, &[(1, 1), (2, 1)]), "{}", daemon.log());
    assert_eq!(net.lbd(&["-f", "desired.yaml", "apply"]).status, 3);

    let apply = net.lbd(&["-f", "desired.yaml", "apply", "--allow-empty"]);
    assert_eq!(apply.status, 0, "{apply:?}");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new(), "the daemon put it back:\n{}", daemon.log());
    let status = net.lbd(&["-f", "desired.yaml", "status"]);
    assert_eq!(status.status, 0, "{status:?}");
}

#[test]
fn a_second_daemon_is_refused_and_told_who_is_there() {
    let net = Netns::new();
    let daemon = serving(&net, SELDOM, &[(1, 1)]);
    let second = net.lbd(&["-f", "desired.yaml", "run"]);
    assert_eq!(second.status, 2, "{second:?}");
    let words = format!("another daemon runs already (process {})", daemon.id());
    assert!(second.stderr.contains(&words), "{}", second.stderr);
    assert!(daemon.stop().success());
}

// It said "verified", and the daemon undid it half a minute later.
#[test]
fn apply_with_another_file_than_the_daemons_changes_nothing_unless_it_is_forced() {
    let net = Netns::new();
    let daemon = serving(&net, SELDOM, &[(1, 1)]);
    net.write("other.yaml", &file(SELDOM, &[(1, 5)]));
    symlink("desired.yaml", net.path("link.yaml")).unwrap();
    let kept = fs::canonicalize(net.path("")).unwrap().join("desired.yaml");
    let says = format!("process {} keeps {} and will undo this", daemon.id(), kept.display());
    let apply = net.lbd(&["-f", "other.yaml", "apply"]);
    assert_eq!((apply.status, apply.stdout.as_str()), (2, ""), "{apply:?}");
    assert!(apply.stderr.starts_with(&format!("error: {says}; nothing was changed; ")), "{apply:?}");
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 1)]));
    for same in ["desired.yaml", "link.yaml"] {
        let apply = net.lbd(&["-f", same, "apply"]);
        assert_eq!((apply.status, apply.stderr.contains("will undo")), (0, false), "{apply:?}");
    }
    let apply = net.lbd(&["-f", "other.yaml", "apply", "--force"]);
    assert_eq!((apply.status, apply.stderr.contains(&format!("warning: {says}\n"))), (0, true), "{apply:?}");
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 5)]));
    assert!(daemon.stop().success());
    net.write("other.yaml", &file(SELDOM, &[(1, 6)]));
    assert_eq!(net.lbd(&["-f", "other.yaml", "apply"]).status, 0);
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 6)]));
}

// `lbd status` ended with 0 while the daemon was dead.
#[test]
fn status_names_a_daemon_that_died_and_with_require_daemon_one_that_was_stopped() {
    let net = Netns::new();
    let status = |more: &[&str]| {
        let mut arguments = vec!["-f", "desired.yaml", "status"];
        arguments.extend(more);
        net.lbd(&arguments)
    };
    let daemon = serving(&net, SELDOM, &[(1, 1)]);
    daemon.wait_for("watching");
    assert_eq!([status(&[]).status, status(&["--require-daemon"]).status], [0, 0], "{:?}", status(&[]));
    assert!(daemon.stop().success());
    let stopped = status(&[]);
    assert_eq!([stopped.status, status(&["--require-daemon"]).status], [0, 1], "{stopped:?}");
    assert!(stopped.stdout.contains("\ndaemon: not running since 20"), "{stopped:?}");
    assert!(stopped.stdout.contains("Z, when a signal stopped it\n"), "{stopped:?}");

    let daemon = serving(&net, SELDOM, &[(1, 2)]);
    assert!(soon(Duration::from_secs(10), || status(&["--require-daemon"]).status == 0).is_some());
    let words = format!("Z or later: process {} ended without being stopped; ", daemon.id());
    daemon.kill();
    let died = status(&[]);
    assert_eq!((died.status, died.stdout.contains("in sync: ")), (1, true), "{died:?}");
    assert!(died.stdout.contains(&words), "{died:?}");
    let document = status(&["-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&document.stdout).unwrap();
    let daemon = &document["daemon"];
    assert_eq!(
        (&document["in_sync"], &daemon["running"], &daemon["died"]),
        (&true.into(), &false.into(), &true.into())
    );
    assert!(daemon["not_running_since"].is_string(), "{daemon}");
}

#[test]
fn sigterm_ends_it_well_and_leaves_the_table() {
    let net = Netns::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // Empty, so that the right table tells that the daemon is up and heeds signals.
        net.sh("ipvsadm -C");
        let daemon = serving(&net, SELDOM, &[(1, 1), (2, 5)]);
        daemon.signal(signal);
        assert_eq!(daemon.stop().code(), Some(0));
        assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 5)]));
    }
}

#[test]
fn teardown_waits_for_the_daemons_end_and_takes_away_only_what_is_lbds() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.9.9.9:80 -s rr; ipvsadm -a -t 10.9.9.9:80 -r 192.168.8.99 -m");
    net.write("desired.yaml", &file(SELDOM, &[(1, 1), (2, 1)]));
    let daemon = Daemon::start(&net);
    let foreign = ["-A -t 10.9.9.9:80 -s rr", "-a -t 10.9.9.9:80 -r 192.168.8.99:80 -m -w 1"];
    let both = {
        let mut both = rules(&[(1, 1), (2, 1)]);
        both.extend(foreign.map(str::to_owned));
        both.sort();
        both
    };
    assert!(soon(Duration::from_secs(10), || net.ipvsadm_save() == both).is_some(), "{}", daemon.log());
    let teardown = net.lbd(&["teardown", "--yes"]);
    assert_eq!(teardown.status, 2, "{teardown:?}");
    assert!(teardown.stderr.contains(&format!("process {}", daemon.id())), "{}", teardown.stderr);
    assert_eq!(net.ipvsadm_save(), both);
    assert!(daemon.stop().success());
    // Nobody can be asked here.
    assert_eq!(net.lbd(&["teardown"]).status, 2);
    assert_eq!(net.ipvsadm_save(), both);
    let teardown = net.lbd(&["teardown", "--yes"]);
    assert_eq!(teardown.status, 0, "{teardown:?}");
    assert_eq!(net.ipvsadm_save(), foreign);
    // And nothing comes back at the next boot without a file.
    fs::remove_file(net.path("desired.yaml")).unwrap();
    assert_eq!(net.lbd(&["-f", "desired.yaml", "restore"]).status, 2);
    assert_eq!(net.ipvsadm_save(), foreign);
}

#[test]
fn restore_takes_the_file_else_the_last_verified_state_else_nothing() {
    let net = Netns::new();
    net.write("desired.yaml", "version: 1\nclusters: [\n");
    let restore = net.lbd(&["-f", "desired.yaml", "restore"]);
    assert_eq!(restore.status, 2, "{restore:?}");
    assert!(restore.stderr.contains("no state was ever verified"), "{}", restore.stderr);
    assert_eq!(net.ipvsadm_save(), Vec::<String>::new());

    net.write("desired.yaml", &file(SELDOM, &[(1, 1), (2, 1)]));
    let restore = net.lbd(&["-f", "desired.yaml", "restore"]);
    assert_eq!((restore.status, restore.stderr.as_str()), (0, ""), "{restore:?}");
    assert!(restore.stdout.starts_with("restored from desired.yaml\n"), "{}", restore.stdout);
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 1)]));

    // A boot empties the table; a file that is not valid, does not exist, or would empty the director is passed over.
    for text in [Some("version: 1\nclusters: [\n".to_owned()), None, Some(file(SELDOM, &[]))] {
        net.sh("ipvsadm -C");
        match &text {
            Some(text) => drop(net.write("desired.yaml", text)),
            None => fs::remove_file(net.path("desired.yaml")).unwrap(),
        }
        let restore = net.lbd(&["-f", "desired.yaml", "restore"]);
        assert_eq!(restore.status, 0, "{text:?}: {restore:?}");
        assert!(
            restore.stderr.contains("restored from the last state that was verified, not from the file"),
            "{}",
            restore.stderr
        );
        assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 1)]), "{text:?}");
    }
}

#[test]
fn a_daemon_that_was_killed_goes_on_where_the_table_is() {
    let net = Netns::new();
    let daemon = serving(&net, SELDOM, &[(1, 1), (2, 1)]);
    daemon.kill();
    assert_eq!(net.ipvsadm_save(), rules(&[(1, 1), (2, 1)]));
    net.sh("ipvsadm -D -t 10.0.0.1:80");
    // What it owned before it still owns: a service that left the file meanwhile goes.
    let daemon = serving(&net, SELDOM, &[(1, 1), (3, 1)]);
    // What another program deleted meanwhile is drift; what the file changed is not.
    for words in [
        "WARN pass: drift repaired: add service tcp://10.0.0.1:80 (changed while no daemon ran)",
        "WARN pass: drift repaired: add server 192.168.8.14:80 to tcp://10.0.0.1:80 (changed while no daemon ran)",
        "INFO pass: applied: add service tcp://10.0.0.3:80",
        "INFO pass: applied: delete service tcp://10.0.0.2:80",
    ] {
        daemon.wait_for(words);
    }
    let status = || net.lbd(&["-f", "desired.yaml", "status"]).stdout;
    let words = "start: verified; 4 added, 0 edited, 1 deleted; 2 of them repaired what another program had changed\n";
    assert!(soon(Duration::from_secs(10), || status().contains(words)).is_some(), "{}", status());
    assert!(daemon.stop().success());
}

#[test]
fn a_state_directory_that_takes_nothing_is_survived_and_told() {
    for options in ["ro", "size=4k,nr_inodes=2"] {
        let net = Netns::new();
        net.sh(&format!("mkdir state; mount -t tmpfs -o {options} none state"));
        net.write("desired.yaml", &file(OFTEN, &[(1, 1), (2, 1)]));
        let daemon = Daemon::start(&net);
        let serves = becomes(&net, &[(1, 1), (2, 1)]);
        let drift = serves && {
            net.sh("ipvsadm -D -t 10.0.0.2:80");
            becomes(&net, &[(1, 1), (2, 1)])
        };
        let log = daemon.log();
        drop(daemon);
        net.sh("umount state");
        assert!(serves && drift, "{options}: {log}");
        // Told once, not at every look.
        for file in ["lock", "state.json", "verified.yaml"] {
            assert_eq!(log.matches(&format!("/state/{file}: ")).count(), 1, "{options}: {log}");
        }
    }
}

#[test]
fn a_spoilt_record_is_told_and_harms_nobody() {
    let net = Netns::new();
    net.sh("ipvsadm -A -t 10.9.9.9:80 -s rr");
    serving_beside(&net).kill();
    fs::write(net.path("state/state.json"), "{\"version\":1,").unwrap();
    let daemon = serving_beside(&net);
    daemon.wait_for("not a record of lbd");
    assert!(net.ipvsadm_save().contains(&"-A -t 10.9.9.9:80 -s rr".to_owned()));
    assert!(daemon.stop().success());
    let record = fs::read_to_string(net.path("state/state.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&record).unwrap();
}

/// A daemon beside a service of somebody else.
fn serving_beside(net: &Netns) -> Daemon {
    net.write("desired.yaml", &file(SELDOM, &[(1, 1)]));
    let daemon = Daemon::start(net);
    daemon.wait_for("watching the desired file");
    assert!(soon(Duration::from_secs(10), || printed().len() == 2).is_some(), "{}", daemon.log());
    daemon
}
