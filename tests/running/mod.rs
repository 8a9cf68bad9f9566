//! lbd as a running daemon, in the hands of a test: started, signalled, listened to, and gone with the test.

// Each test binary has its own copy of this module and uses what it needs of it.
#![allow(dead_code)]
// A helper stops its test at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub(crate) mod table;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lab::Netns;

/// `lbd run` on the test's `desired.yaml`.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it, and does not wait for its first pass.
    pub(crate) fn start(net: &Netns) -> Self {
        Self::spawn(net, net.lbd_command(&["-f", "desired.yaml", "run"]))
    }

    /// Starts one that runs only while the test has nothing to do, so that the test can strike at any moment.
    pub(crate) fn start_idle(net: &Netns) -> Self {
        let lbd = net.lbd_command(&["-f", "desired.yaml", "run"]);
        let mut idle = Command::new("chrt");
        idle.args(["--idle", "0"]).arg(lbd.get_program()).args(lbd.get_args());
        idle.current_dir(lbd.get_current_dir().unwrap());
        Self::spawn(net, idle)
    }

    /// Starts one as systemd does: as another user, with no more than CAP_NET_ADMIN.
    pub(crate) fn start_as(net: &Netns, user: u32) -> Self {
        let lbd = net.lbd_command(&["-f", "desired.yaml", "run"]);
        let mut command = Command::new("setpriv");
        let user = [format!("--reuid={user}"), format!("--regid={user}")];
        command.args(user).args(["--clear-groups", "--inh-caps=+net_admin", "--ambient-caps=+net_admin"]);
        command.arg(lbd.get_program()).args(lbd.get_args()).current_dir(lbd.get_current_dir().unwrap());
        Self::spawn(net, command)
    }

    /// Starts what a test has prepared.
    pub(crate) fn spawn(net: &Netns, mut command: Command) -> Self {
        let log = net.path("daemon.log");
        // One log for all daemons of a test, one after the other.
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stderr(file).spawn().unwrap();
        Self { child, log }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would, as far as a process can tell.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// The lines that the log has got since it was so long.
    pub(crate) fn log_since(&self, length: usize) -> String {
        self.log()[length..].to_owned()
    }

    /// Waits until the log holds some words.
    #[track_caller]
    pub(crate) fn wait_for(&self, words: &str) {
        let said = soon(Duration::from_secs(10), || self.log().contains(words));
        assert!(said.is_some(), "the daemon never said {words:?}:\n{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so, and gives how long that took.
pub(crate) fn soon(patience: Duration, is_so: impl FnMut() -> bool) -> Option<Duration> {
    soon_by(Duration::from_millis(5), patience, is_so)
}

/// The same, with a look at so many intervals.
pub(crate) fn soon_by(
    interval: Duration,
    patience: Duration,
    mut is_so: impl FnMut() -> bool,
) -> Option<Duration> {
    let start = Instant::now();
    loop {
        if is_so() {
            return Some(start.elapsed());
        }
        if start.elapsed() > patience {
            return None;
        }
        std::thread::sleep(interval);
    }
}

/// A table as the kernel prints it: each service with its sorted servers, without the connections.
pub(crate) type Table = BTreeMap<String, Vec<String>>;

/// The table of this thread's network namespace, as the kernel prints it: quicker than ipvsadm, and no more lbd's word.
pub(crate) fn printed() -> Table {
    let text = fs::read_to_string("/proc/thread-self/net/ip_vs").unwrap();
    let mut table = Table::new();
    let mut last = String::new();
    // The first lines are the head.
    for line in text.lines().skip(3) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["->", address, forward, weight, _, _] = words[..] {
            table.get_mut(&last).unwrap().push(format!("{address} {forward} {weight}"));
        } else {
            last = words.join(" ");
            table.insert(last.clone(), Vec::new());
        }
    }
    table.values_mut().for_each(|servers| servers.sort());
    table
}
