//! Strangers, stopped commands and broken state files against a daemon and root's commands, on a real kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::lab::{self, Netns, Output};
use crate::running::{Daemon, printed, soon, soon_by};
use lbd::config::{Source, load};
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{Kernel, KernelError};
use lbd::model::State;
use lbd::plan::plan;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than any of this takes in a busy lab, and shorter than for ever.
const PATIENCE: Duration = Duration::from_secs(15);
/// A user without any rights.
const NOBODY: u32 = 65534;
/// As user lbd: the owner of the state directory.
const LBD: u32 = 12345;

/// Services on these ports of one address, each with one server of this weight.
fn file(policy: &str, ports: impl IntoIterator<Item = u16>, weight: u32) -> String {
    let cluster = |port: u16| {
        format!(
            "  - {{ name: c{port}, listen: 'tcp://10.0.0.1:{port}', forward: nat, servers: [{{ address: 192.168.8.14, \
             weight: {weight} }}] }}\n"
        )
    };
    let clusters: String = ports.into_iter().map(cluster).collect();
    format!("version: 1\npolicy: {{ {policy} }}\nclusters:\n{clusters}")
}

/// What the kernel prints of such a service.
fn service(port: u16) -> String {
    format!("TCP 0A000001:{port:04X} wlc")
}

/// What it prints of its server.
fn server(port: u16, weight: u32) -> Vec<String> {
    vec![format!("C0A8080E:{port:04X} Masq {weight}")]
}

fn has(port: u16, weight: u32) -> bool {
    printed().get(&service(port)) == Some(&server(port, weight))
}

fn becomes(port: u16, weight: u32) -> Option<Duration> {
    soon(PATIENCE, || has(port, weight))
}

/// Everybody may look into the test's own directory: what keeps a stranger out has to be lbd's doing.
fn open_to_all(net: &Netns) {
    fs::set_permissions(net.path("."), Permissions::from_mode(0o755)).unwrap();
}

/// Removes it under a daemon that may write a file into it just now.
#[track_caller]
fn remove_state_directory(net: &Netns) {
    assert!(soon(PATIENCE, || fs::remove_dir_all(net.state_dir()).is_ok()).is_some());
}

/// A daemon that has brought about what the file says: one service.
#[track_caller]
fn serving(net: &Netns, policy: &str) -> Daemon {
    net.write("desired.yaml", &file(policy, [80], 1));
    let daemon = Daemon::start(net);
    assert!(becomes(80, 1).is_some(), "{}", daemon.log());
    daemon
}

/// The same as systemd starts it, with a service on each of these ports: its user owns the state directory, and has no
/// more than CAP_NET_ADMIN.
#[track_caller]
fn unprivileged(ports: &[u16]) -> (Netns, Daemon) {
    let net = Netns::new();
    open_to_all(&net);
    fs::create_dir(net.state_dir()).unwrap();
    chown(net.state_dir(), Some(LBD), Some(LBD)).unwrap();
    net.write("desired.yaml", &file("resync: 1s", ports.iter().copied(), 1));
    let daemon = Daemon::start_as(&net, LBD);
    assert!(ports.iter().all(|port| becomes(*port, 1).is_some()), "{}", daemon.log());
    (net, daemon)
}

/// A command of a user without any rights.
fn as_nobody(net: &Netns, command: &str) -> Output {
    net.try_sh(&format!("exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups sh -c '{command}'"))
}

/// Runs a command that must come to an end.
fn ends(net: &Netns, args: &[&str]) -> Output {
    let began = Instant::now();
    let output = net.lbd(args);
    assert!(began.elapsed() < PATIENCE, "{args:?} took {:?}", began.elapsed());
    assert!(!output.stderr.contains("panicked"), "{args:?}: {}", output.stderr);
    output
}

/// How many services ipvsadm sees: of a long table, the kernel's own print leaves some out between two of its pages.
fn services(net: &Netns) -> usize {
    net.ipvsadm_save().iter().filter(|line| line.starts_with("-A")).count()
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

// F1: `flock` needed only a descriptor for reading, and anybody had one.
#[test]
fn a_user_without_rights_takes_no_lock() {
    let net = Netns::new();
    open_to_all(&net);
    // As an older lbd, or systemd without StateDirectoryMode, made it.
    fs::create_dir(net.state_dir()).unwrap();
    fs::set_permissions(net.state_dir(), Permissions::from_mode(0o755)).unwrap();
    fs::write(net.state_dir().join("lock"), "").unwrap();
    let daemon = serving(&net, "resync: 1s");
    for lock in ["lock", "daemon.lock"] {
        let taken = as_nobody(&net, &format!("flock -n {}/{lock} echo taken", net.state_dir().display()));
        assert!(taken.stdout.is_empty() && taken.stderr.contains("Permission denied"), "{taken:?}");
        assert_eq!(fs::metadata(net.state_dir().join(lock)).unwrap().mode() & 0o7777, 0o600);
    }
    // The directory itself can be locked, and that means nothing.
    let mut stranger = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "flock"])
        .arg(net.state_dir())
        .args(["sleep", "60"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    net.sh("ipvsadm -C");
    assert!(becomes(80, 1).is_some(), "{}", daemon.log());
    assert_eq!(ends(&net, &["-f", "desired.yaml", "apply"]).status, 0);
    let began = Instant::now();
    assert!(daemon.stop().success());
    assert!(began.elapsed() < PATIENCE);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// Whether the daemon has written the status of a pass.
fn has_reported(net: &Netns) -> bool {
    let status = fs::read_to_string(net.state_dir().join("status.json"));
    status.is_ok_and(|status| status.contains("\"outcome\": "))
}

#[test]
fn a_state_directory_and_its_files_have_their_modes_whatever_the_umask() {
    for umask in ["000", "077"] {
        let net = Netns::new();
        net.write("desired.yaml", &file("resync: 1h", [80], 1));
        let lbd = lab::lbd();
        net.sh(&format!("umask {umask}; {lbd} -f desired.yaml --state-dir state apply > /dev/null 2>&1"));
        let mode = |name: &str| fs::metadata(net.state_dir().join(name)).unwrap().mode() & 0o7777;
        assert_eq!((mode("."), mode("lock")), (0o700, 0o600), "{umask}");
        assert_eq!((mode("state.json"), mode("verified.yaml")), (0o644, 0o644), "{umask}");
    }
}

#[test]
fn whoever_may_not_look_into_the_state_directory_is_told_so_once() {
    let net = Netns::new();
    open_to_all(&net);
    net.write("desired.yaml", &file("resync: 1h", [80], 1));
    assert_eq!(ends(&net, &["-f", "desired.yaml", "apply"]).status, 0);
    let status = as_nobody(&net, &format!("{} -f desired.yaml --state-dir state status", lab::lbd()));
    assert_eq!(status.status, 2, "{status:?}");
    let first = "warning: state: not allowed to enter it; run lbd as root\n";
    assert!(status.stderr.starts_with(first), "{}", status.stderr);
    assert_eq!(status.stderr.matches("not allowed to enter it").count(), 1, "{}", status.stderr);
}

// F2: user lbd linked `lock` to /etc/shadow, and root's `lbd restore` left 13 bytes of it.
#[test]
fn whoever_owns_the_state_directory_makes_root_write_nowhere_else() {
    let net = Netns::new();
    net.write("desired.yaml", &file("resync: 1h", [80], 1));
    let victim = net.write("victim", "precious");
    for name in [
        "lock",
        "daemon.lock",
        "state.json",
        "state.json.new",
        "verified.yaml",
        "verified.yaml.new",
        "status.json",
        "last_change.json",
        "last_change.json.new",
        "history",
    ] {
        // A file that exists is truncated, one that does not is made: the second for what was opened to be made.
        let targets: &[&str] = if name.ends_with("lock") { &["victim", "nologin"] } else { &["victim"] };
        for target in targets {
            let _ = fs::remove_dir_all(net.state_dir());
            fs::create_dir(net.state_dir()).unwrap();
            chown(net.state_dir(), Some(LBD), Some(LBD)).unwrap();
            symlink(net.path(target), net.state_dir().join(name)).unwrap();
            for command in
                [vec!["apply"], vec!["restore"], vec!["diff"], vec!["status"], vec!["teardown", "--yes"]]
            {
                let args: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(command).collect();
                ends(&net, &args);
            }
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
            assert!(!net.path("nologin").exists(), "{name}");
        }
    }
}

// F3 (a): root ran `lbd apply` with umask 027, and the daemon forgot what it owned for ever.
#[test]
fn roots_umask_does_not_take_the_record_from_the_daemon() {
    let (net, daemon) = unprivileged(&[80, 81]);
    net.write("other.yaml", &file("resync: 1s", [80, 81], 2));
    let lbd = lab::lbd();
    net.sh(&format!("umask 077; {lbd} -f other.yaml --state-dir state apply --force > /dev/null 2>&1"));
    for (name, mode) in
        [("state.json", 0o644), ("verified.yaml", 0o644), ("history/index.json", 0o644), ("lock", 0o600)]
    {
        let metadata = fs::metadata(net.state_dir().join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (LBD, LBD, mode), "{name}");
    }
    net.write("desired.yaml", &file("resync: 1s", [80], 1));
    assert!(soon(PATIENCE, || printed().len() == 1).is_some(), "{}", daemon.log());
    assert!(daemon.stop().success());
}

// F3 (b): one failed opening of the record, and all was forgotten, and "verified".
#[test]
fn a_record_that_cannot_be_read_for_a_while_loses_nothing() {
    let (net, daemon) = unprivileged(&[80, 81]);
    let record = net.state_dir().join("state.json");
    // What the daemon writes last.
    assert!(soon(PATIENCE, || has_reported(&net)).is_some());
    // As an older lbd's root left it.
    chown(&record, Some(0), Some(0)).unwrap();
    fs::set_permissions(&record, Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&record).unwrap();
    // One goes, one is edited, one comes.
    net.write("desired.yaml", &file("resync: 1s", [80, 82], 5));
    assert!(becomes(82, 5).is_some() && becomes(80, 5).is_some(), "{}", daemon.log());
    daemon.wait_for("not verified, and nothing is deleted");
    assert!(has(81, 1));
    assert_eq!(fs::read(&record).unwrap(), before);
    let status = ends(&net, &["-f", "desired.yaml", "status"]);
    assert!(status.stdout.contains("state.json: Permission denied"), "{}", status.stdout);
    chown(&record, Some(LBD), Some(LBD)).unwrap();
    // What went from the file is still known to be lbd's, and goes at the next try.
    assert!(soon(PATIENCE * 2, || !printed().contains_key(&service(81))).is_some(), "{}", daemon.log());
    daemon.wait_for("in sync again");
    assert!(daemon.stop().success());
}

// F6: a FIFO as a state file stopped root's commands, /dev/zero filled the memory.
#[test]
fn what_is_no_file_in_the_state_directory_is_named_and_never_waited_for() {
    let net = Netns::new();
    net.write("desired.yaml", &file("resync: 1h", [80], 1));
    assert_eq!(ends(&net, &["-f", "desired.yaml", "apply"]).status, 0);
    let commands: [&[&str]; 5] = [&["diff"], &["status"], &["apply"], &["restore"], &["teardown", "--yes"]];
    for name in ["state.json", "verified.yaml", "status.json", "lock", "daemon.lock"] {
        // Each kind is told apart by the unit tests of `files`.
        let kinds: &[&str] =
            if name == "state.json" { &["mkfifo", "mkdir", "ln -s /dev/zero"] } else { &["mkfifo"] };
        for make in kinds {
            let path = net.state_dir().join(name);
            net.sh(&format!("rm -rf {0}; {make} {0}", path.display()));
            for command in commands {
                let args: Vec<&str> = ["-f", "desired.yaml"].iter().chain(command).copied().collect();
                let output = ends(&net, &args);
                // Whoever needs the record says what to remove, and does not call anything verified.
                if name == "state.json" && matches!(command[0], "apply" | "restore" | "teardown") {
                    assert_eq!(output.status, 2, "{name} {make} {args:?}: {output:?}");
                    assert!(output.stderr.contains("not a regular file; remove it"), "{output:?}");
                    assert!(has(80, 1), "{name} {make} {args:?}");
                }
            }
            net.sh(&format!("rm -rf {}", path.display()));
            assert_eq!(ends(&net, &["-f", "desired.yaml", "apply"]).status, 0, "{name} {make}");
        }
    }
}

// F5: `lbd apply | less` beside a daemon stopped it.
#[test]
fn an_apply_whose_reader_does_not_read_stops_nobody() {
    let net = Netns::new();
    let daemon = serving(&net, "resync: 1h, max_delete: 100%");
    net.write("big.yaml", &file("resync: 1h, max_delete: 100%", (80..1280).chain([80]).skip(1), 1));
    let mut apply = net
        .lbd_command(&["-f", "big.yaml", "apply", "--force"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(soon_by(Duration::from_millis(500), PATIENCE * 2, || services(&net) == 1200).is_some());
    // The plan is longer than a pipe holds: it stands in its output now.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(apply.try_wait().unwrap(), None);
    net.write("desired.yaml", &file("resync: 1h, max_delete: 100%", [80], 7));
    assert!(becomes(80, 7).is_some(), "{}", daemon.log());
    let began = Instant::now();
    assert!(daemon.stop().success());
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    apply.kill().unwrap();
    apply.wait().unwrap();
}

// F5: an `apply` that was stopped by Ctrl-Z had the lock, and the daemon waited for it.
#[test]
fn a_stopped_apply_loses_the_lock_and_at_most_one_batch_of_it_comes_late() {
    let net = Netns::new();
    let policy = "resync: 1h, max_delete: 100%";
    let daemon = serving(&net, policy);
    net.write("big.yaml", &file(policy, 80..4080, 1));
    let apply = net
        .lbd_command(&["-f", "big.yaml", "apply", "--force"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let has_lock = format!("process {}, lbd apply", apply.id());
    let lock = net.state_dir().join("lock");
    let taken = || fs::read_to_string(&lock).is_ok_and(|holder| holder.trim() == has_lock);
    assert!(soon(PATIENCE, taken).is_some());
    signal(&apply, Signal::SIGSTOP);
    let reached = printed().len();
    assert!(reached < 4000, "it was done before it was stopped");
    net.write("desired.yaml", &file(policy, [80], 7));
    let waited = becomes(80, 7).unwrap_or_else(|| panic!("{}", daemon.log()));
    assert!(
        daemon.log().contains(&format!("waiting for the lock, which {has_lock} has")),
        "{}",
        daemon.log()
    );
    // What the daemon had taken away, and what the command had still on its way.
    assert!(soon(PATIENCE, || printed().len() == 1).is_some(), "{}", daemon.log());
    signal(&apply, Signal::SIGCONT);
    let output = apply.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("another process has taken over the lock"), "{stderr}");
    let late = services(&net) - 1;
    assert!(late <= 320, "{late} services came late");
    println!(
        "stopped after {reached} of 4000 services: the daemon went on after {waited:?}, {late} services came late"
    );
    assert!(daemon.stop().success());
}

#[test]
fn between_two_batches_a_lost_lock_ends_what_is_written() {
    let net = Netns::new();
    let desired = load(&Source::new("big", file("resync: 1h", 80..1080, 1))).unwrap();
    let operations = plan(&State::default(), &desired.state).grow;
    let mut kernel = Ipvs::connect().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    kernel.set_permit(Some(Arc::new(move || count.fetch_add(1, Ordering::Relaxed) < 2)));
    let writes = kernel.traffic().writes;
    assert!(matches!(kernel.execute(&operations), Err(KernelError::NotPermitted)));
    // Two batches of 320 messages, two messages for each service.
    assert_eq!((asked.load(Ordering::Relaxed), kernel.traffic().writes - writes), (3, 640));
    assert_eq!(services(&net), 320);
}

// F9: the user of the daemon may not make /var/lib/lbd again.
#[test]
fn a_state_directory_that_cannot_come_back_is_named_and_repair_goes_on() {
    let (net, daemon) = unprivileged(&[80]);
    assert!(soon(PATIENCE, || has_reported(&net)).is_some());
    remove_state_directory(&net);
    net.sh("ipvsadm -C");
    assert!(becomes(80, 1).is_some(), "{}", daemon.log());
    daemon.wait_for("the state directory was removed, and cannot be created again");
    let status = ends(&net, &["-f", "desired.yaml", "status"]);
    assert!(status.stderr.contains("there is no state directory"), "{status:?}");
    assert!(!net.state_dir().exists());
    assert!(daemon.stop().success());
}

// F9: the state directory was removed under a running daemon; a second one started beside it.
#[test]
fn a_state_directory_that_was_removed_comes_back_with_its_lock() {
    let net = Netns::new();
    let daemon = serving(&net, "resync: 1s");
    remove_state_directory(&net);
    net.sh("ipvsadm -C");
    assert!(becomes(80, 1).is_some(), "{}", daemon.log());
    daemon.wait_for("the state directory was removed; lbd has created it again");
    for name in ["daemon.lock", "state.json", "verified.yaml", "status.json"] {
        let path = net.state_dir().join(name);
        assert!(soon(PATIENCE, || path.exists()).is_some(), "{name}: {}", daemon.log());
    }
    let second = ends(&net, &["-f", "desired.yaml", "run"]);
    assert_eq!(second.status, 2, "{second:?}");
    assert!(second.stderr.contains(&format!("(process {})", daemon.id())), "{}", second.stderr);
    assert!(daemon.stop().success());
}

#[test]
fn too_few_descriptors_are_an_error_and_no_panic() {
    let net = Netns::new();
    net.write("desired.yaml", &file("resync: 1h", [80], 1));
    let lbd = lab::lbd();
    for limit in [6, 7, 12, 16, 24] {
        for command in ["run", "apply", "status"] {
            let output = net.try_sh(&format!(
                "ulimit -n {limit}; exec {lbd} -f desired.yaml --state-dir state {command}"
            ));
            assert_eq!(output.status, 2, "{limit} {command}: {output:?}");
            assert!(output.stderr.contains("ulimit -n"), "{limit} {command}: {output:?}");
        }
    }
    assert!(!Path::new(&net.state_dir()).exists() && printed().is_empty());
}

// `nft` may take 20 s: SIGTERM waited for it, whatever came after.
#[test]
fn a_second_signal_ends_a_daemon_whose_nft_hangs() {
    let net = Netns::new();
    fs::create_dir(net.path("bin")).unwrap();
    let nft = net.write("bin/nft", "#!/bin/sh\necho began >> \"$0.log\"\nexec sleep 60\n");
    fs::set_permissions(&nft, Permissions::from_mode(0o755)).unwrap();
    net.write(
        "desired.yaml",
        "version: 1\nmarks: [{ mark: 10, match: [{ address: 10.0.0.1 }] }]\nclusters: [{ name: a, listen: 'fwmark://10', servers: [192.168.8.14] }]\n",
    );
    let mut lbd = net.lbd_command(&["-f", "desired.yaml", "run"]);
    lbd.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", net.path("bin").display()));
    let daemon = Daemon::spawn(&net, lbd);
    assert!(soon(PATIENCE, || net.path("bin/nft.log").exists()).is_some(), "{}", daemon.log());
    let began = Instant::now();
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for("stopping after the running pass; a second signal stops lbd at once");
    assert!(daemon.stop().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

// Two daemons with two state directories repaired each other's work without a word.
#[test]
fn a_second_daemon_in_the_same_network_namespace_is_warned_of() {
    let net = Netns::new();
    let daemon = serving(&net, "resync: 1h");
    assert!(!daemon.log().contains("another lbd daemon"), "{}", daemon.log());
    let mut lbd = net.lbd_command(&["-f", "desired.yaml"]);
    lbd.args(["run", "--state-dir", "other"]);
    let second = Daemon::spawn(&net, lbd);
    second.wait_for("another lbd daemon seems to run in this network namespace");
    assert!(soon(PATIENCE, || net.path("other/status.json").exists()).is_some(), "{}", second.log());
    assert!(second.stop().success() && daemon.stop().success());
}

// F5: teardown's question had both locks until it was answered.
#[test]
fn while_teardown_asks_nobody_waits_for_it() {
    let net = Netns::new();
    net.write("desired.yaml", &file("resync: 1h", [80, 81], 1));
    assert_eq!(ends(&net, &["-f", "desired.yaml", "apply"]).status, 0);
    let ask = |answer: &str, meanwhile: &dyn Fn()| {
        let lbd = lab::lbd();
        // That of the time before has the question, too.
        let _ = fs::remove_file(net.path("typescript"));
        let mut teardown = Command::new("script")
            .args(["-qefc", &format!("{lbd} --state-dir state teardown"), "typescript"])
            .current_dir(net.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let asked = || fs::read_to_string(net.path("typescript")).is_ok_and(|text| text.contains("[y/N]"));
        assert!(soon(PATIENCE, asked).is_some());
        for lock in ["lock", "daemon.lock"] {
            net.sh(&format!("flock -n state/{lock} true"));
        }
        meanwhile();
        teardown.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        let status = teardown.wait().unwrap().code();
        (status, fs::read_to_string(net.path("typescript")).unwrap())
    };
    let is_left =
        |ports: &[u16]| printed() == ports.iter().map(|port| (service(*port), server(*port, 1))).collect();
    let (status, said) = ask("n\n", &|| ());
    assert_eq!((status, is_left(&[80, 81])), (Some(2), true), "{said}");
    // What was shown is what is done, or nothing is.
    let (status, said) = ask("y\n", &|| drop(net.sh("ipvsadm -D -t 10.0.0.1:81")));
    assert_eq!((status, is_left(&[80])), (Some(2), true), "{said}");
    assert!(said.contains("something has changed since this was shown; nothing was removed"), "{said}");
    let (status, said) = ask("y\n", &|| ());
    assert_eq!((status, is_left(&[])), (Some(0), true), "{said}");
}
