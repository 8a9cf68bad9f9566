//! Verdicts on a real kernel: what the checker writes reaches the table, and nothing else does; the test is the checker, and ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::{Duration, SystemTime};

use crate::lab::Netns;
use crate::running::{Daemon, soon};
use lbd::health::{Failure, Finding, Probes, RunDirs, SharedFiles, Verdict, Verdicts};
use lbd::kernel::namespace;
use lbd::target::Clock;
use serde_json::{Value, json};

/// Three servers with a check, of which one or another fails.
const FILE: &str = "\
version: 1
policy: { resync: 1h }
checks: { web: { type: http, port: 80, path: /healthz, host: www.example.com } }
clusters:
  - name: shop
    listen: tcp://10.0.0.1:80
    scheduler: wrr
    forward: nat
    check: web
    servers: [{ address: 192.168.8.14, weight: 3 }, { address: 192.168.8.15, weight: 3 }, { address: 192.168.8.16, weight: 3 }]
";

/// The checker, in the hands of a test.
struct Checker {
    files: SharedFiles,
}

impl Checker {
    fn of(net: &Netns) -> Self {
        let files = SharedFiles::new(&RunDirs::new(&net.path("run")), namespace::cookie()).unwrap();
        files.dirs().make_checker().unwrap();
        Self { files }
    }

    fn probes(&self) -> Probes {
        let mut probes = None;
        let are_there = || {
            probes = self.files.load_probes().unwrap();
            probes.is_some()
        };
        assert!(soon(Duration::from_secs(10), are_there).is_some(), "the daemon writes what is to be probed");
        probes.unwrap()
    }

    /// Says of which servers, by the last bytes of their addresses, that they fail, and of which that nothing is known yet.
    fn says(&self, failing: &[u8], unknown: &[u8]) {
        let (probes, now) = (self.probes(), Clock::now());
        let is_one = |of: &[u8], target: std::net::IpAddr| {
            of.iter().any(|last| target == std::net::IpAddr::from([192, 168, 8, *last]))
        };
        let failure = || Failure {
            detail: "status 503".into(),
            since: SystemTime::now().into(),
            since_boot: now.since_boot,
            failed: 3,
            fall: 3,
        };
        let mut findings = Verdicts::default().findings;
        for (probe, _) in probes.iter() {
            let verdict = match probe.target.ip() {
                ip if is_one(failing, ip) => Verdict::Failing(failure()),
                ip if is_one(unknown, ip) => Verdict::Unknown,
                _ => continue,
            };
            findings.insert(probe, Finding { verdict, ..Finding::PASSING });
        }
        let verdicts =
            Verdicts { probes: probes.hash(), at: now.since_boot, findings, ..Verdicts::default() };
        self.files.save_verdicts(&verdicts).unwrap();
    }
}

/// The weights of the servers, by the last bytes of their addresses, as ipvsadm sees them.
fn live(net: &Netns) -> Vec<(u8, u32)> {
    let server = |line: String| {
        let (_, rest) = line.split_once(" -r 192.168.8.")?;
        let (last, _) = rest.split_once(':')?;
        Some((last.parse().ok()?, rest.rsplit_once("-w ")?.1.trim().parse().ok()?))
    };
    let mut servers: Vec<(u8, u32)> = net.ipvsadm_save().into_iter().filter_map(server).collect();
    servers.sort_unstable();
    servers
}

fn becomes(net: &Netns, wanted: &[(u8, u32)]) -> bool {
    soon(Duration::from_secs(10), || live(net) == wanted).is_some()
}

/// A daemon that starts no checker.
fn start(net: &Netns) -> Daemon {
    Daemon::spawn(net, net.lbd_command(&["-f", "desired.yaml", "run", "--checker=none"]))
}

/// A daemon whose servers have all passed.
fn proven(net: &Netns, text: &str) -> (Daemon, Checker) {
    net.write("desired.yaml", text);
    let (daemon, checker) = (start(net), Checker::of(net));
    assert!(soon(Duration::from_secs(10), || live(net).len() >= 3).is_some(), "{}", daemon.log());
    checker.says(&[], &[]);
    (daemon, checker)
}

fn status(net: &Netns) -> (i32, Value) {
    let output = net.lbd(&["-f", "desired.yaml", "status", "-o", "json"]);
    (output.status, serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output:?}")))
}

#[test]
fn a_failing_server_gets_weight_0_and_its_own_back_and_what_another_program_does_to_it_is_drift() {
    let net = Netns::new();
    let (daemon, checker) = proven(&net, FILE);
    checker.says(&[15], &[]);
    assert!(becomes(&net, &[(14, 3), (15, 0), (16, 3)]), "{}", daemon.log());
    let (code, document) = status(&net);
    assert_eq!((code, &document["in_sync"]), (0, &json!(true)), "{document}");
    let failing = &document["health"]["servers"][0];
    assert_eq!(
        (&document["health"]["failing"], &failing["server"], &failing["state"], &failing["place"]),
        (&json!(1), &json!("192.168.8.15:80"), &json!("failing"), &json!("out"))
    );
    let text = net.lbd(&["-f", "desired.yaml", "status"]).stdout;
    assert!(text.contains("\nchecks: 1 of 3 checked servers failing\n"), "{text}");
    assert!(text.contains("weight 0 (quiesced) (failing)"), "{text}");
    assert!(text.contains("check web: status 503, 3 of 3, since "), "{text}");
    // It is the target: an edit by hand is taken back, and called drift.
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.15:80 -m -w 5");
    let diff = net.lbd(&["-f", "desired.yaml", "diff"]);
    assert!(diff.stdout.contains("check web: status 503"), "{diff:?}");
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    assert!(becomes(&net, &[(14, 3), (15, 0), (16, 3)]), "{}", daemon.log());
    daemon.wait_for("drift repaired: ");
    // What is exported is what the file says.
    let exported = net.lbd(&["export", "-o", "ipvsadm"]).stdout;
    assert!(exported.contains("-r 192.168.8.15:80 -m -w 3"), "{exported}");
    checker.says(&[], &[]);
    assert!(becomes(&net, &[(14, 3), (15, 3), (16, 3)]), "{}", daemon.log());
    let events = net.lbd(&["history", "--events"]).stdout;
    assert!(events.contains("check failed: 192.168.8.15:80 of tcp://10.0.0.1:80: check web: "), "{events}");
    assert!(events.contains("check passed: 192.168.8.15:80 of tcp://10.0.0.1:80"), "{events}");
}

#[test]
fn a_persistent_service_loses_the_failing_server_itself_and_gets_it_back() {
    let net = Netns::new();
    let text = FILE.replace("scheduler: wrr", "scheduler: wrr\n    persistence: 300s");
    let (daemon, checker) = proven(&net, &text);
    checker.says(&[15], &[]);
    assert!(becomes(&net, &[(14, 3), (16, 3)]), "{}", daemon.log());
    // It is still in the file, and neither foreign nor anything to be added.
    let (code, document) = status(&net);
    assert_eq!((code, &document["in_sync"], &document["foreign"]), (0, &json!(true), &json!([])));
    assert_eq!(net.lbd(&["-f", "desired.yaml", "diff"]).status, 0);
    checker.says(&[], &[]);
    assert!(becomes(&net, &[(14, 3), (15, 3), (16, 3)]), "{}", daemon.log());
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
}

#[test]
fn too_few_are_never_left_and_where_none_passes_all_serve_or_the_fallback() {
    let net = Netns::new();
    let (daemon, checker) = proven(&net, FILE);
    checker.says(&[15], &[]);
    assert!(becomes(&net, &[(14, 3), (15, 0), (16, 3)]), "{}", daemon.log());
    // Two of three have to serve: the younger verdict is kept in service.
    checker.says(&[15, 16], &[]);
    daemon.wait_for("too few servers pass, so that failing ones are kept in service: tcp://10.0.0.1:80");
    assert_eq!(live(&net), [(14, 3), (15, 0), (16, 3)]);
    let (code, document) = status(&net);
    assert_eq!((code, &document["health"]["kept_in_service"]), (1, &json!(1)));
    checker.says(&[14, 15, 16], &[]);
    daemon.wait_for("no server passes, so that all serve: tcp://10.0.0.1:80");
    assert!(becomes(&net, &[(14, 3), (15, 3), (16, 3)]), "{}", daemon.log());
    assert_eq!((status(&net).0, &status(&net).1["health"]["failing_open"]), (1, &json!(1)));
    // An edit of the list while all fail takes nothing out of service.
    let fallback = "    fallback: { address: 192.168.8.99, forward: nat }\n";
    net.write("desired.yaml", &format!("{FILE}{fallback}"));
    assert!(becomes(&net, &[(14, 0), (15, 0), (16, 0), (99, 1)]), "{}", daemon.log());
    checker.says(&[15, 16], &[]);
    assert!(
        soon(Duration::from_secs(10), || {
            let live = live(&net);
            live.contains(&(14, 3)) && !live.contains(&(99, 1))
        })
        .is_some(),
        "{}",
        daemon.log()
    );
    checker.says(&[], &[]);
    assert!(
        soon(Duration::from_secs(10), || live(&net)[..3] == [(14, 3), (15, 3), (16, 3)]).is_some(),
        "{}",
        daemon.log()
    );
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
}

#[test]
fn a_killed_daemon_a_gone_checker_and_a_reload_change_nothing_without_a_verdict() {
    let net = Netns::new();
    let (daemon, checker) = proven(&net, FILE);
    checker.says(&[15], &[]);
    let out = [(14, 3), (15, 0), (16, 3)];
    assert!(becomes(&net, &out), "{}", daemon.log());
    let length = daemon.log().len();
    daemon.kill();
    fs::remove_file(checker.files.verdicts_path()).unwrap();
    let daemon = start(&net);
    // The host is examined after the first pass.
    let is_passed = || daemon.log_since(length).contains("forwarding-off");
    assert!(soon(Duration::from_secs(10), is_passed).is_some(), "{}", daemon.log());
    assert_eq!(live(&net), out);
    // Another interval and another name: the verdict stays, also while the checker knows the new probes only in part.
    net.write(
        "desired.yaml",
        &FILE.replace("web: {", "www: { interval: 7s,").replace("check: web", "check: www"),
    );
    let before = checker.probes().hash();
    assert!(soon(Duration::from_secs(10), || checker.probes().hash() != before).is_some());
    checker.says(&[], &[14, 15, 16]);
    assert_eq!((live(&net), status(&net).0), (out.to_vec(), 0));
    // Another path is another check: each server stays where it is until its first result.
    net.write("desired.yaml", &FILE.replace("/healthz", "/ready"));
    let before = checker.probes().hash();
    assert!(soon(Duration::from_secs(10), || checker.probes().hash() != before).is_some());
    checker.says(&[], &[14, 15, 16]);
    assert_eq!(live(&net), out);
    // The younger verdict is kept in service, and the one before the edit is not forgotten.
    checker.says(&[14], &[15, 16]);
    daemon.wait_for("too few servers pass, so that failing ones are kept in service: tcp://10.0.0.1:80");
    assert_eq!(live(&net), out);
    // Without a check, all have the weights of the file at once; that is no success.
    net.write("desired.yaml", &FILE.replace("    check: web\n", ""));
    assert!(becomes(&net, &[(14, 3), (15, 3), (16, 3)]), "{}", daemon.log());
    daemon.wait_for("no longer checked: tcp://10.0.0.1:80");
    assert!(!daemon.log().contains("enough servers pass again"), "{}", daemon.log());
}

#[test]
fn a_hostile_file_of_verdicts_changes_nothing_and_is_named() {
    let net = Netns::new();
    let (daemon, checker) = proven(&net, FILE);
    let path = checker.files.verdicts_path();
    for content in ["", "{}", "{\"version\": 2, \"crc32\": \"00000000\"}", "\u{1b}[2J"] {
        fs::write(&path, content).unwrap();
    }
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    daemon.wait_for("verdicts.json");
    assert_eq!(live(&net), [(14, 3), (15, 3), (16, 3)]);
    assert!(!daemon.log().contains('\u{1b}'), "{}", daemon.log());
    fs::remove_file(&path).unwrap();
    checker.says(&[14], &[]);
    assert!(becomes(&net, &[(14, 0), (15, 3), (16, 3)]), "{}", daemon.log());
}

#[test]
fn a_trial_in_which_a_server_that_passed_fails_is_rolled_back_at_once() {
    let net = Netns::new();
    let (daemon, checker) = proven(&net, FILE);
    net.write("new.yaml", &FILE.replace("weight: 3 }]", "weight: 5 }]"));
    let lbd = |words: &str| {
        let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
        net.lbd(&all)
    };
    let tried = lbd("try new.yaml --for 1h");
    assert_eq!((tried.status, live(&net)), (0, vec![(14, 3), (15, 3), (16, 5)]), "{tried:?}");
    daemon.wait_for("a trial has begun: new.yaml by ");
    // A failure is no fault of the trial where the server had failed before; this one had not.
    checker.says(&[15], &[]);
    let why =
        "192.168.8.15:80 of tcp://10.0.0.1:80 fails since it began: check web: status 503, 3 of 3, since ";
    daemon.wait_for(&format!("is rolled back: {why}"));
    assert!(becomes(&net, &[(14, 3), (15, 0), (16, 3)]), "{}", daemon.log());
    daemon.wait_for(&format!("the trial is over (rolled back: {why}"));
    assert_eq!((lbd("confirm").status, net.path("state/trial.json").exists()), (2, false));
    let events = lbd("history --events").stdout;
    assert!(events.contains(why), "{events}");
    // Where it is wanted all the same, the trial goes on.
    checker.says(&[], &[]);
    assert!(becomes(&net, &[(14, 3), (15, 3), (16, 3)]), "{}", daemon.log());
    assert_eq!(lbd("try new.yaml --for 1h --keep-going").status, 0);
    checker.says(&[15], &[]);
    assert!(becomes(&net, &[(14, 3), (15, 0), (16, 5)]), "{}", daemon.log());
}
