//! When the daemon examines the host, and what it says of what it finds, with a clock and a host of the test's own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::daemon::{Shared, file, goal};
use crate::log;
use lbd::daemon::{Controller, DaemonAction, Event, Examination, Notice, Passes};
use lbd::kernel::Kernel;
use lbd::status::{HostFindings, Warning};
use lbd::store::Store;
use tempfile::TempDir;
use tokio::time::Instant;

/// The state machine with passes that take no time, and examinations that end when the test says so.
struct Director {
    begin: Instant,
    now: Instant,
    controller: Controller,
    passes: Passes,
    _directory: TempDir,
    /// What was done, by the seconds since the begin
    did: Vec<(u64, &'static str)>,
    /// The line for the service manager
    line: String,
}

impl Director {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let kernel = Shared::default();
        let passes =
            Passes::new(Box::new(move || Ok(Box::new(kernel.clone()) as Box<dyn Kernel>)), store, None);
        let now = Instant::now();
        let controller = Controller::new("desired.yaml".into(), None, || 0.0, now);
        Self {
            begin: now,
            now,
            controller,
            passes,
            _directory: directory,
            did: Vec::new(),
            line: String::new(),
        }
    }

    /// One whose file is in the kernel, and whose host is being examined.
    fn examining() -> Self {
        let mut director = Self::new();
        director.hears(Event::File(goal(&file(&[(1, 1)]), 1)));
        assert_eq!(director.takes(), [(0, "pass"), (0, "examine")]);
        director
    }

    fn did(&mut self, what: &'static str) {
        self.did.push(((self.now - self.begin).as_secs(), what));
    }

    fn hears(&mut self, event: Event) {
        let actions = self.controller.handle(event, self.now);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<DaemonAction>) {
        for action in actions {
            match action {
                DaemonAction::StartPass(job) => {
                    self.did("pass");
                    let pass = self.passes.run(&job, |holder| panic!("{holder} has the lock"), || ());
                    self.hears(Event::PassEnded(Box::new(pass)));
                }
                DaemonAction::ExamineHost(_) => self.did("examine"),
                DaemonAction::Notify(Notice::Status(line) | Notice::Ready(line)) => self.line = line,
                DaemonAction::Notify(_)
                | DaemonAction::Look(_)
                | DaemonAction::WriteStatus(_)
                | DaemonAction::AwaitLinks(_)
                | DaemonAction::NoteEvent(_)
                | DaemonAction::ReadFile
                | DaemonAction::CheckFile
                | DaemonAction::LogInvalid(_) => {}
            }
        }
    }

    /// What was done since the last time.
    fn takes(&mut self) -> Vec<(u64, &'static str)> {
        std::mem::take(&mut self.did)
    }

    /// Everything that is due until so many seconds after the begin.
    fn waits_until(&mut self, seconds: u64) {
        let until = self.begin + Duration::from_secs(seconds);
        while self.controller.deadline() <= until {
            assert!(self.controller.deadline() > self.now, "it does not rest");
            self.now = self.controller.deadline();
            let actions = self.controller.wake(0, self.now);
            self.perform(actions);
        }
        self.now = until;
    }

    fn finds(&mut self, warnings: &[(&str, &str)], not_examined: &[&str], cost: Duration) {
        let warning = |(code, subject): &(&str, &str)| {
            Warning::new(code, std::iter::once(*subject), "is not right", "mend it")
        };
        let findings = HostFindings::new(
            warnings.iter().map(warning).collect(),
            not_examined.iter().map(|text| (*text).to_owned()),
        );
        self.hears(Event::Examined(Box::new(Examination { findings, undecided: Vec::new(), cost })));
    }
}

const QUICK: Duration = Duration::from_millis(10);

#[test]
fn the_host_is_examined_when_a_pass_has_ended_and_at_the_resync() {
    let mut director = Director::examining();
    // One that hangs delays no pass, and there is never a second one.
    director.waits_until(70);
    assert_eq!(director.takes(), [(30, "pass"), (60, "pass")]);
    director.finds(&[], &[], QUICK);
    director.waits_until(105);
    assert_eq!(director.takes(), [(90, "pass"), (100, "examine")]);
}

#[test]
fn without_a_file_nothing_is_examined() {
    let mut director = Director::new();
    director.hears(Event::File(goal("version: 2\n", 1)));
    director.waits_until(65);
    assert_eq!(director.takes(), [(0, "pass"), (30, "pass"), (60, "pass")]);
}

#[test]
fn what_the_file_asks_for_meanwhile_is_examined_next() {
    let mut director = Director::examining();
    director.waits_until(5);
    director.hears(Event::File(goal(&file(&[(1, 2)]), 2)));
    director.waits_until(6);
    director.finds(&[], &[], Duration::from_millis(100));
    director.waits_until(10);
    assert_eq!(director.takes(), [(5, "pass"), (8, "examine")]);
}

// Ten thousand firewall rules take a second to list.
#[test]
fn an_examination_that_takes_long_is_rare() {
    let mut director = Director::examining();
    let second = Duration::from_secs(1);
    director.finds(&[], &[], second);
    director.waits_until(10);
    director.hears(Event::File(goal(&file(&[(1, 2)]), 2)));
    director.waits_until(25);
    assert_eq!(director.takes(), [(10, "pass"), (20, "examine")]);
    director.finds(&[], &[], second);
    director.waits_until(400);
    let examined = director.takes().into_iter().filter(|(_, what)| *what == "examine");
    // A full pass comes at each tenth resync, and else it is due after 200 seconds.
    assert_eq!(examined.collect::<Vec<_>>(), [(225, "examine")]);
}

// The operator looks whether it is mended.
#[test]
fn a_reload_examines_at_once_whatever_it_takes() {
    let mut director = Director::examining();
    director.waits_until(1);
    director.hears(Event::Reload);
    let second = Duration::from_secs(1);
    director.finds(&[], &[], second);
    assert_eq!(director.takes(), [(1, "pass"), (1, "examine")]);
    director.finds(&[], &[], second);
    director.waits_until(2);
    director.hears(Event::Reload);
    assert_eq!(director.takes(), [(2, "pass"), (2, "examine")]);
}

#[test]
fn a_warning_is_logged_when_it_appears_and_when_it_is_over() {
    let mut director = Director::examining();
    let mut at = 0;
    let mut logged = |director: &mut Director, warnings: &[(&str, &str)], not_examined: &[&str]| {
        at += 40;
        director.waits_until(at);
        log::of(|| director.finds(warnings, not_examined, QUICK))
    };
    let count = |director: &Director| director.line.rsplit_once(")").unwrap().1.to_owned();
    let first = logged(&mut director, &[("a", "10.0.0.1")], &["the rules of nftables: no permission"]);
    assert_eq!(
        first,
        ["WARN 10.0.0.1: is not right; mend it", "INFO not examined: the rules of nftables: no permission"]
    );
    assert_eq!(count(&director), "; 1 warning");
    let again = logged(&mut director, &[("a", "10.0.0.2")], &["the rules of nftables: no permission"]);
    assert_eq!((again, count(&director).as_str()), (vec![], "; 1 warning"));
    let both = logged(&mut director, &[("a", "10.0.0.2"), ("b", "lo")], &[]);
    assert_eq!(both, ["WARN lo: is not right; mend it"]);
    assert_eq!(count(&director), "; 2 warnings");
    let over = logged(&mut director, &[], &[]);
    assert_eq!(over, ["INFO no longer: 10.0.0.2: is not right", "INFO no longer: lo: is not right"]);
    assert_eq!(count(&director), "");
}
