//! The checker as a child of the daemon: who it is, what it may do, when it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

use lbd::health::{ProbeKey, ProbedCheck, Probes, RunDirs, SharedFiles, Verdict};
use lbd::kernel::namespace;
use lbd::model::{CheckKind, Exchange, Timing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{self, Netns};
use crate::running::{Daemon, soon};

/// Longer than any of this takes in a busy lab.
const PATIENCE: Duration = Duration::from_secs(15);

/// A port on which nobody listens, probed so often that there is a verdict soon.
fn closed_port() -> Probes {
    let milliseconds = Duration::from_millis;
    let timing = Timing {
        interval: milliseconds(200),
        timeout: milliseconds(100),
        fast: milliseconds(100),
        ..Timing::DEFAULT
    };
    let check = ProbedCheck {
        what: "1".to_owned().try_into().unwrap(),
        name: "web".into(),
        cluster: None,
        source: None,
        kind: CheckKind::Tcp(Exchange::default()),
        timing,
        targets: vec!["127.0.0.1:9".parse().unwrap()],
    };
    Probes { checks: vec![check] }
}

/// The lines of `/proc/PID/status`.
fn status(process: i32) -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line =
        |line: &str| line.split_once(":\t").map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
    Some(text.lines().filter_map(line).collect())
}

/// The checker of this daemon, if it runs.
pub(crate) fn checker_of(daemon: &Daemon) -> Option<i32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let parent = daemon.id().to_string();
    processes.into_iter().find(|process| {
        let is_child = status(*process).is_some_and(|status| status["PPid"] == parent);
        let words = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        is_child && words.split('\0').any(|word| word == "checker")
    })
}

#[test]
fn the_checker_is_nobody_without_a_capability_and_runs_while_there_is_something_to_probe() {
    let net = Netns::new();
    fs::set_permissions(net.path("."), Permissions::from_mode(0o755)).unwrap();
    net.write("desired.yaml", "version: 1\nclusters: []\n");
    let daemon = Daemon::start(&net);
    // The first pass writes down that nothing is to be probed, if anything is on disk.
    let is_passed = || {
        let status = net.lbd(&["-f", "desired.yaml", "status", "-o", "json"]).stdout;
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["daemon"]["status"]["last_pass"]
            .is_object()
    };
    assert!(soon(PATIENCE, is_passed).is_some(), "{}", daemon.log());
    assert_eq!(checker_of(&daemon), None);
    let files = SharedFiles::new(&RunDirs::new(&net.path("run")), namespace::cookie()).unwrap();
    let found = || {
        // (The daemon's first pass writes that nothing is to be probed, if something was before.)
        if files.load_probes().unwrap() != Some(closed_port()) {
            files.save_probes(&closed_port()).unwrap();
        }
        let Some(verdicts) = files.load_verdicts(1).unwrap() else { return false };
        let target = "127.0.0.1:9".parse().unwrap();
        let key = ProbeKey { what: "1".to_owned().try_into().unwrap(), target };
        let verdict = &verdicts.of(&key).verdict;
        matches!(verdict, Verdict::Failing(failure) if failure.detail.contains("refused"))
    };
    assert!(soon(PATIENCE, found).is_some(), "{}", daemon.log());

    let user = RunDirs::checking_user();
    let first = checker_of(&daemon).unwrap();
    let status = status(first).unwrap();
    let of = |name: &str| status[name].split_whitespace().collect::<Vec<_>>().join(" ");
    let [id, group] = [user.id, user.group].map(|number| [number.to_string().as_str(); 4].join(" "));
    assert_eq!([of("Uid"), of("Gid")], [id, group]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(of(set), "0000000000000000", "{set}");
    }
    assert_eq!(of("NoNewPrivs"), "1");
    // Of what the daemon has open it gets its log alone.
    let open = fs::read_dir(format!("/proc/{first}/fd")).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let of_state: Vec<_> = open.filter(|path| path.starts_with(net.state_dir())).collect();
    assert_eq!(of_state, [""; 0].map(std::path::PathBuf::from));
    let limits = fs::read_to_string(format!("/proc/{first}/limits")).unwrap();
    let files_limit: Vec<&str> =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(files_limit[3], files_limit[4]);
    let owner = |path: &std::path::Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    assert_eq!(owner(&files.dirs().daemon), (0, user.group, 0o750));
    assert_eq!(owner(&files.dirs().checker), (user.id, user.group, 0o750));

    // One that is killed is started again.
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    let is_other = || checker_of(&daemon).is_some_and(|process| process != first);
    assert!(soon(PATIENCE, is_other).is_some(), "{}", daemon.log());
    // It ends where nothing is to be probed, and runs again where something is.
    files.save_probes(&Probes::default()).unwrap();
    assert!(soon(PATIENCE, || checker_of(&daemon).is_none()).is_some(), "{}", daemon.log());
    files.save_probes(&closed_port()).unwrap();
    assert!(soon(PATIENCE, || checker_of(&daemon).is_some()).is_some(), "{}", daemon.log());
    // And it ends with its parent, however that ends.
    let last = checker_of(&daemon).unwrap();
    daemon.kill();
    assert!(soon(PATIENCE, || self::status(last).is_none()).is_some());
}

#[test]
fn a_checker_that_a_user_starts_stays_that_user_and_one_writes_the_verdicts() {
    const USER: u32 = 12_345;
    let net = Netns::new();
    fs::set_permissions(net.path("."), Permissions::from_mode(0o755)).unwrap();
    let dirs = RunDirs::new(&net.path("run"));
    fs::create_dir(&dirs.checker).unwrap();
    chown(&dirs.checker, Some(USER), Some(USER)).unwrap();
    let checker = || {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={USER}"), format!("--regid={USER}")]);
        command.args(["--clear-groups", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"]);
        command.arg(lab::lbd()).args(["checker", "--run-dir"]).arg(&dirs.daemon);
        command
    };
    let first = Daemon::spawn(&net, checker());
    first.wait_for("started as the checker");
    let status = status(first.id().try_into().unwrap()).unwrap();
    let of = |name: &str| status[name].split_whitespace().next().unwrap_or_default();
    assert_eq!(
        [of("Uid"), of("CapPrm"), of("CapAmb"), of("NoNewPrivs")],
        ["12345", "0000000000000000", "0000000000000000", "1"]
    );
    let second = lab::run(&mut checker());
    assert_eq!((second.status, second.stdout.as_str()), (2, ""));
    assert!(second.stderr.contains("another checker writes its verdicts there"), "{}", second.stderr);
    assert_eq!(first.stop().code(), Some(0));
}

// In a pipeline it had left the terminal, and Ctrl-C did not end it.
#[test]
fn a_user_who_is_not_root_keeps_the_terminal_in_lbd_check() {
    let net = Netns::new();
    fs::set_permissions(net.path("."), Permissions::from_mode(0o755)).unwrap();
    let check =
        "{ type: exec, port: 9, command: [/bin/sh, -c, 'cut -d \" \" -f 6 /proc/$PPID/stat; exit 1'] }";
    let file = format!(
        "version: 1\nclusters: [{{ name: web, listen: tcp://10.0.0.1:80, check: {check}, servers: [192.168.8.14] }}]\n"
    );
    net.write("desired.yaml", &file);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(lab::lbd());
    let output = lab::run(command.arg("-f").arg(net.path("desired.yaml")).arg("check"));
    let own = fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name: state, parent, process group, session.
    let session = own.rsplit_once(") ").unwrap().1.split(' ').nth(3).unwrap();
    assert!(output.stdout.contains(&format!("exit code 1: {session}\n")), "{output:?}");
}
