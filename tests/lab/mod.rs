//! What a kernel test needs: a network namespace of its own, commands run in it, lbd, and eyes that are not lbd's.
//!
//! ```ignore
//! use crate::lab::Netns;
//! #[test]
//! fn a_removed_server_comes_back() {
//!     let net = Netns::new();
//!     net.sh("ipvsadm -A -t 10.0.0.1:80 -s rr");
//!     assert_eq!(net.ipvsadm_save(), ["-A -t 10.0.0.1:80 -s rr"]);
//! }
//! ```
//! The IPVS table belongs to the network namespace, and a thread can have one of its own, so tests run in parallel.
// Each test binary has its own copy of this module and uses what it needs of it.
#![allow(dead_code)]
// A helper stops its test at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use nix::sched::{CloneFlags, unshare};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A network namespace for the calling thread, with `lo` up and a directory for its files; gone with the test.
///
/// Programs started by this thread run in it, and netlink sockets that it opens belong to it. A thread that
/// the test starts later inherits it; one that was there before does not.
pub(crate) struct Netns {
    files: TempDir,
}

/// What a finished program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// The exit status; 128 + N for signal N.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Netns {
    /// Moves the calling thread into a new namespace.
    #[track_caller]
    pub(crate) fn new() -> Self {
        // Without the runner these tests would change the table of the machine that they are started on.
        assert!(
            std::env::var_os("LAB").is_some(),
            "kernel tests run inside the lab: use cargo test (see .cargo/config.toml), \
             or as root, on a host with IPVS, LAB=host cargo test"
        );
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own");
        let net = Self { files: tempfile::tempdir().expect("a temporary directory") };
        // Without any address that is up, the kernel takes no IPv4 server.
        net.program("ip", &["link", "set", "lo", "up"]);
        // The module comes with the lab; on a bare host the first test loads it.
        if !Path::new("/proc/net/ip_vs").exists() {
            net.program("modprobe", &["ip_vs"]);
        }
        net
    }

    /// Gives it what a director needs, so that lbd has nothing to warn of: forwarding, and virtual addresses of its own.
    #[track_caller]
    pub(crate) fn ready(&self) {
        self.sh("echo 1 > /proc/sys/net/ipv4/ip_forward; ip route add local 10.0.0.0/8 dev lo");
    }

    /// A path in this test's own directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a file into this test's own directory, whole.
    #[track_caller]
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("writing a test's file");
        path
    }

    /// Runs a shell command and returns its standard output; a failure ends the test and shows all it said.
    #[track_caller]
    pub(crate) fn sh(&self, command: &str) -> String {
        let output = self.try_sh(command);
        assert_eq!(output.status, 0, "`{command}` failed:\n{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs a program without a shell, which would cost as much again, and returns its standard output; a failure ends
    /// the test.
    #[track_caller]
    fn program(&self, name: &str, arguments: &[&str]) -> String {
        let output = run(Command::new(name).args(arguments).current_dir(self.files.path()));
        assert_eq!(output.status, 0, "{name} {arguments:?} failed:\n{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs a shell command whose failure is of interest.
    #[track_caller]
    pub(crate) fn try_sh(&self, command: &str) -> Output {
        run(Command::new("sh").args(["-ec", command]).current_dir(self.files.path()))
    }

    /// The table as `ipvsadm -Sn` tells it, as sorted lines (services come in no order). Thresholds are not in it.
    #[track_caller]
    pub(crate) fn ipvsadm_save(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.program("ipvsadm", &["-Sn"]).lines().map(|line| line.trim_end().to_owned()).collect();
        lines.sort();
        lines
    }

    /// The whole table with every attribute, read by a netlink client that shares no code with lbd.
    #[track_caller]
    pub(crate) fn table(&self) -> serde_json::Value {
        let dump = run(python().arg("dump"));
        assert_eq!(dump.status, 0, "ipvsnl.py dump failed:\n{}", dump.stderr);
        serde_json::from_str(&dump.stdout).expect("ipvsnl.py writes JSON")
    }

    /// Where lbd keeps its state in this test.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Runs lbd with this test's state directory.
    #[track_caller]
    pub(crate) fn lbd<A: AsRef<str>>(&self, args: &[A]) -> Output {
        run(&mut self.lbd_command(args))
    }

    /// lbd, ready to be started: for a daemon, or with another environment.
    pub(crate) fn lbd_command<A: AsRef<str>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(lbd());
        command.args(self.lbd_arguments(args)).current_dir(self.files.path());
        command
    }

    /// Runs lbd while somebody else listens, and returns the requests that the kernel got meanwhile, by command:
    /// `{"ipvs": {"GET_SERVICE": 2}, "nftables": {}, "writes": 0}`.
    #[track_caller]
    pub(crate) fn lbd_overheard<A: AsRef<str>>(&self, args: &[A]) -> (Output, serde_json::Value) {
        let report = self.path("overheard.json");
        let output = run(python()
            .arg("count")
            .arg(&report)
            .arg(lbd())
            .args(self.lbd_arguments(args))
            .current_dir(self.files.path()));
        assert_ne!(output.status, 125, "nobody could listen:\n{}", output.stderr);
        let heard = std::fs::read_to_string(report).expect("the listener's report");
        (output, serde_json::from_str(&heard).expect("ipvsnl.py writes JSON"))
    }

    fn lbd_arguments<A: AsRef<str>>(&self, args: &[A]) -> Vec<String> {
        let mut all: Vec<String> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        // Only these verbs remember anything.
        let stateful = [
            "run",
            "diff",
            "apply",
            "restore",
            "teardown",
            "status",
            "pause",
            "resume",
            "drain",
            "weight",
            "undo",
            "overrides",
            "edit",
            "history",
            "rollback",
            "edit",
            "try",
            "confirm",
            "cancel",
            "export",
            "connections",
            "zero",
        ];
        if all.iter().any(|arg| stateful.contains(&arg.as_str())) {
            all.push("--state-dir".to_owned());
            all.push(self.state_dir().to_str().expect("a plain path").to_owned());
            all.push("--run-dir".to_owned());
            all.push(self.path("run").to_str().expect("a plain path").to_owned());
        }
        all
    }
}

/// The program under test: what cargo built, or the file that the environment's `LBD` names. `tests/run` names the program
/// that is shipped, which starts three times as fast in here as one that is not optimised.
pub(crate) fn lbd() -> String {
    std::env::var("LBD").unwrap_or_else(|_| env!("CARGO_BIN_EXE_lbd").to_owned())
}

fn python() -> Command {
    // By its full path: a version manager's shim in PATH takes seconds in here. And without what the site adds to it.
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-IS").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/ipvsnl.py"));
    command
}

#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    use std::os::unix::process::ExitStatusExt;
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let status = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
    Output {
        status: status.expect("an exit status or a signal"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Services of all kinds with most of their fields set, timeouts and a sync daemon, by other programs than lbd.
pub(crate) const SOME_OF_EVERYTHING: &str = "ipvsadm -A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0
        ipvsadm -a -t 10.0.0.1:80 -r 10.9.0.1:81 -m -w 5 -x 100 -y 50
        ipvsadm -A -u [fd00::1]:53 -s mh -b mh-port -o -p 60 -M 64 --pe sip
        ipvsadm -a -u [fd00::1]:53 -r [fd00::2]:53 -i --tun-type gue --tun-port 6080 --tun-csum
        ipvsadm -A -f 7 -s sh
        ipvsadm -a -f 7 -r 10.9.0.3 -g
        ipvsadm -a -f 7 -r 10.9.0.4 -g -w 0
        ipvsadm --set 1000 60 30
        ip link add eth1 type dummy
        ip addr add 10.3.3.3/24 dev eth1
        ip link set eth1 up
        ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7";

/// The lab boots the kernel that was requested. On a host's own kernel (LAB=host) none is.
#[track_caller]
pub(crate) fn assert_kernel_is_the_one_asked_for() {
    let running = Netns::new().sh("uname -r");
    let asked = std::env::var("LAB_KERNEL").unwrap_or_else(|_| running.trim().to_owned());
    assert_eq!(running.trim(), asked);
}
