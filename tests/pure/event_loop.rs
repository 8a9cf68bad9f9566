//! The daemon's loop on virtual time: what it does when, with everything around it in the hands of the test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::daemon::{Shared, file, goal};
use lbd::daemon::{Controller, DaemonAction, Environment, Event, Looked, Notice, Passes, run};
use lbd::kernel::Kernel;
use lbd::kernel::fake::Fake;
use lbd::model::ServiceKey;
use lbd::store::Store;
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

/// How often the service manager wants a sign of life.
const WATCHDOG: Duration = Duration::from_secs(30);

/// The host around the loop: what happens when, how long passes take, and what the loop did.
struct Stage {
    begin: Instant,
    /// What happens, by the time since the begin; the earliest first
    script: Vec<(Duration, Event)>,
    kernel: Shared,
    passes: Passes,
    _directory: TempDir,
    /// How long each pass takes, one after the other; the last for all that follow
    takes: Vec<Duration>,
    /// How long each look for lost services takes
    look_takes: Duration,
    /// What another program does to the kernel before each pass and before each look
    meddler: fn(&DaemonAction, &mut Fake),
    /// Who has the lock when a pass begins, and for how long: each for one pass
    lock: Vec<(&'static str, Duration)>,
    /// Whether a pass that runs makes progress all the time
    progresses: bool,
    did: Vec<(Duration, String)>,
}

impl Stage {
    fn new(script: Vec<(u64, Event)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let kernel = Shared::default();
        let connected = kernel.clone();
        let connect = Box::new(move || Ok(Box::new(connected.clone()) as Box<dyn Kernel>));
        Self {
            begin: Instant::now(),
            script: script.into_iter().map(|(at, event)| (Duration::from_millis(at), event)).collect(),
            kernel,
            passes: Passes::new(connect, store, None),
            _directory: directory,
            takes: vec![Duration::from_millis(10)],
            look_takes: Duration::ZERO,
            meddler: |_, _| (),
            lock: Vec::new(),
            progresses: true,
            did: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        Instant::now() - self.begin
    }

    fn happens(&mut self, after: Duration, event: Event) {
        let at = self.now() + after;
        let place = self.script.iter().position(|(other, _)| *other > at).unwrap_or(self.script.len());
        self.script.insert(place, (at, event));
    }

    fn did(&mut self, what: impl Into<String>) {
        let now = self.now();
        self.did.push((now, what.into()));
    }

    /// What the loop did, by its milliseconds.
    fn story(&self) -> Vec<(u64, &str)> {
        self.did.iter().map(|(at, what)| (at.as_millis() as u64, what.as_str())).collect()
    }

    /// When it did something.
    fn times(&self, what: &str) -> Vec<u64> {
        self.story().into_iter().filter(|(_, did)| *did == what).map(|(at, _)| at).collect()
    }
}

impl Environment for Stage {
    async fn event(&mut self) -> Event {
        match self.script.first() {
            Some((at, _)) => sleep_until(self.begin + *at).await,
            None => std::future::pending().await,
        }
        self.script.remove(0).1
    }

    fn progress(&self) -> u64 {
        if self.progresses { self.now().as_millis() as u64 } else { 0 }
    }

    fn perform(&mut self, action: DaemonAction) {
        if matches!(action, DaemonAction::StartPass(_) | DaemonAction::Look(_)) {
            (self.meddler)(&action, &mut self.kernel.0.lock().unwrap());
        }
        match action {
            DaemonAction::Look(look) => {
                self.did(format!("look: {look:?}"));
                let looked = Looked { cost: self.look_takes, ..self.passes.look(look) };
                self.happens(self.look_takes, Event::Looked(looked));
            }
            DaemonAction::StartPass(job) => {
                self.did(format!("pass: {}", job.reason));
                let takes = if self.takes.len() > 1 { self.takes.remove(0) } else { self.takes[0] };
                let mut locked = Duration::ZERO;
                if !self.lock.is_empty() {
                    let (holder, time) = self.lock.remove(0);
                    self.happens(Duration::ZERO, Event::PassWaitsForLock(holder.to_owned()));
                    locked = time;
                }
                self.happens(locked, Event::PassStarted);
                let pass = self.passes.run(&job, |holder| panic!("{holder} has the lock"), || ());
                self.happens(locked + takes, Event::PassEnded(Box::new(pass)));
            }
            DaemonAction::Notify(Notice::Ready(line)) => {
                self.did(format!("READY {}", line.split(';').next().unwrap()))
            }
            DaemonAction::Notify(Notice::Status(line)) => {
                self.did(format!("STATUS {}", line.split(';').next().unwrap()))
            }
            DaemonAction::Notify(Notice::Reloading) => self.did("RELOADING"),
            DaemonAction::Notify(Notice::Alive) => self.did("WATCHDOG"),
            DaemonAction::Notify(Notice::Stopping) => self.did("STOPPING"),
            DaemonAction::ReadFile => self.did("read the file"),
            DaemonAction::ExamineHost(_)
            | DaemonAction::WriteStatus(_)
            | DaemonAction::CheckFile
            | DaemonAction::NoteEvent(_)
            | DaemonAction::AwaitLinks(_)
            | DaemonAction::LogInvalid(_) => {}
        }
    }
}

/// Runs the loop until it ends by itself, from the begin of a clock that stands still unless everybody waits.
fn played(script: Vec<(u64, Event)>, watchdog: Option<Duration>, prepare: impl FnOnce(&mut Stage)) -> Stage {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut stage = Stage::new(script);
        prepare(&mut stage);
        let controller = Controller::new("desired.yaml".into(), watchdog, || 0.0, stage.begin);
        run(controller, &mut stage).await;
        stage
    })
}

fn reading(services: &[(u8, u32)], revision: u64) -> Event {
    Event::File(goal(&file(services), revision))
}

/// The weight of a service's server in the kernel.
fn weight(stage: &Stage, number: u8) -> Option<u32> {
    let key: ServiceKey = format!("tcp://10.0.0.{number}:80").parse().unwrap();
    let kernel = stage.kernel.0.lock().unwrap();
    Some(kernel.live.state.services.get(&key)?.servers.values().next()?.weight)
}

#[test]
fn ready_is_said_when_the_table_was_verified_and_each_reload_is_answered() {
    let script = vec![
        (5, reading(&[(1, 1)], 1)),
        (1_000, Event::Reload),
        (1_050, reading(&[(1, 1)], 1)),
        (2_000, Event::Stop),
    ];
    let stage = played(script, None, |_| ());
    let ready = |line: &(u64, &str)| line.1.starts_with("READY in sync");
    let said: Vec<u64> = stage.story().iter().filter(|line| ready(line)).map(|line| line.0).collect();
    assert_eq!(said, [15, 1_010]);
    assert_eq!(stage.times("RELOADING"), [1_000]);
    assert_eq!(stage.times("read the file"), [1_000]);
    assert_eq!(stage.times("STOPPING"), [2_000]);
    assert_eq!(weight(&stage, 1), Some(1));
}

#[test]
fn without_a_file_the_first_pass_does_not_wait_for_ever() {
    let stage = played(vec![(8_000, Event::Stop)], None, |_| ());
    assert_eq!(stage.times("pass: start")[0], 5_000);
}

// An edit of the file was not taken up, and SIGTERM took 27 s, while an `lbd apply` wrote to a pager.
#[test]
fn while_another_process_has_the_lock_everything_is_heard_and_a_signal_ends_it_at_once() {
    let script = vec![
        (0, reading(&[(1, 1)], 1)),
        (10_000, reading(&[(1, 2)], 2)),
        (10_100, reading(&[(1, 3)], 3)),
        (11_000, Event::Reload),
        (12_000, Event::Stop),
    ];
    let stage = played(script, Some(WATCHDOG), |stage| {
        stage.lock = vec![
            ("process 7, lbd apply", Duration::ZERO),
            ("process 7, lbd apply", Duration::from_secs(600)),
        ];
    });
    assert_eq!(stage.times("STATUS waiting for the lock, which process 7, lbd apply has"), [0, 10_000]);
    assert_eq!(stage.times("RELOADING"), [11_000]);
    assert_eq!(stage.times("STOPPING"), [12_000]);
}

#[test]
fn what_happens_during_a_pass_is_merged_into_the_one_after_it() {
    let script = vec![
        (0, reading(&[(1, 1)], 1)),
        (1_000, reading(&[(1, 2)], 2)),
        // While that pass runs:
        (1_100, reading(&[(1, 3)], 3)),
        (1_200, Event::Link),
        (1_300, reading(&[(1, 4)], 4)),
        (1_400, Event::Reload),
        (9_000, Event::Stop),
    ];
    let stage = played(script, None, |stage| {
        stage.takes = vec![Duration::from_millis(10), Duration::from_secs(2), Duration::from_millis(10)];
    });
    let passes: Vec<_> = stage.story().into_iter().filter(|(_, what)| what.starts_with("pass")).collect();
    assert_eq!(passes, [(0, "pass: start"), (1_000, "pass: file changed"), (3_000, "pass: file changed")]);
    // The reload is answered by the pass that began after it, whatever else that one is for.
    let ready = stage.story().into_iter().filter(|(_, what)| what.starts_with("READY")).map(|(at, _)| at);
    assert_eq!(ready.collect::<Vec<_>>(), [10, 3_010]);
    assert_eq!(weight(&stage, 1), Some(4));
}

#[test]
fn the_first_signal_waits_for_the_pass_that_runs_and_the_second_for_nothing() {
    let run_for = |script: Vec<(u64, Event)>| {
        played(script, None, |stage| stage.takes = vec![Duration::from_secs(20)]).times("STOPPING")
    };
    let begin = || (0, reading(&[(1, 1)], 1));
    assert_eq!(run_for(vec![begin(), (1_000, Event::Stop)]), [20_000]);
    assert_eq!(run_for(vec![begin(), (1_000, Event::Stop), (1_500, Event::Stop)]), [1_500]);
    assert_eq!(run_for(vec![begin(), (30_000, Event::Stop)]), [30_000]);
}

#[test]
fn the_watchdog_is_fed_during_a_long_pass_that_makes_progress_and_not_during_one_that_is_stuck() {
    let script = || vec![(0, reading(&[(1, 1)], 1)), (300_000, Event::Stop), (300_001, Event::Stop)];
    let long = |progresses| {
        let prepare = |stage: &mut Stage| {
            stage.takes = vec![Duration::from_secs(1_000)];
            stage.progresses = progresses;
        };
        played(script(), Some(WATCHDOG), prepare).times("WATCHDOG")
    };
    let working = long(true);
    assert!(working.windows(2).all(|pair| pair[1] - pair[0] <= 30_000), "{working:?}");
    assert!(working.last().is_some_and(|last| *last >= 270_000), "{working:?}");
    let stuck = long(false);
    assert!(stuck.iter().all(|at| *at < 30_000) && !stuck.is_empty(), "{stuck:?}");
}

#[test]
fn an_idle_daemon_feeds_the_watchdog_and_looks_at_each_interval() {
    let stage = played(vec![(0, reading(&[(1, 1)], 1)), (95_000, Event::Stop)], Some(WATCHDOG), |_| ());
    assert_eq!(stage.times("pass: resync"), [30_010, 60_020, 90_030]);
    assert!(stage.times("WATCHDOG").windows(2).all(|pair| pair[1] - pair[0] <= 30_000));
}

#[test]
fn a_kernel_that_fails_is_asked_again_with_growing_pauses() {
    let stage = played(vec![(0, reading(&[(1, 1)], 1)), (20_000, Event::Stop)], None, |stage| {
        stage.kernel.0.lock().unwrap().schedulers.clear();
    });
    assert_eq!(stage.times("pass: retry"), [1_010, 3_020, 7_030, 15_040]);
}

#[test]
fn a_changed_packet_filter_is_looked_at_soon_and_not_all_the_time() {
    let text = "version: 1\nmarks: [{ mark: 10, match: [{ address: 10.0.0.1 }] }]\nclusters: [{ name: a, listen: fwmark://10, \
                servers: [192.168.8.14] }]\n";
    let mut script = vec![(0, Event::File(goal(text, 1)))];
    script.extend((0..100).map(|number| (5_000 + number, Event::Ruleset)));
    script.push((29_000, Event::Stop));
    let stage = played(script, None, |stage| stage.takes = vec![Duration::from_millis(50)]);
    let looks = stage.times("pass: nftables changed");
    assert_eq!(looks[0], 5_000);
    assert!((1..=2).contains(&(looks.len() - 1)), "{looks:?}");
}

#[test]
fn lost_services_are_looked_for_each_second_but_not_while_a_pass_runs() {
    let script = vec![(0, reading(&[(1, 1)], 1)), (2_500, Event::Reload), (9_000, Event::Stop)];
    let stage = played(script, None, |stage| {
        stage.takes = vec![Duration::from_millis(10), Duration::from_secs(3)];
        stage.look_takes = Duration::from_millis(8);
    });
    assert_eq!(stage.times("look: Lists"), [1_010, 6_500]);
    assert_eq!(stage.times("look: Numbers"), [2_018, 7_508, 8_516]);
    // There is nothing to lose.
    let stage = played(vec![(0, reading(&[], 1)), (9_000, Event::Stop)], None, |_| ());
    assert!(stage.story().iter().all(|(_, what)| !what.starts_with("look")), "{:?}", stage.story());
}

fn seldom(text: &str) -> Event {
    Event::File(goal(&format!("policy: {{ resync: 1h }}\n{text}"), 1))
}

// keepalived emptied the table: connections were refused for 27 s.
#[test]
fn a_lost_service_is_back_at_the_next_look_however_long_the_resync_is() {
    let script = vec![(0, seldom(&file(&[(1, 1), (2, 1)]))), (60_000, Event::Stop)];
    let stage = played(script, None, |stage| {
        stage.meddler = |action, kernel| {
            // Once; and a server that is gone is none.
            let services = &mut kernel.live.state.services;
            match action {
                DaemonAction::Look(_) if kernel.looks.len() == 5 => services.clear(),
                DaemonAction::Look(_) => {
                    let servers = services.values_mut().map(|service| service.servers_mut());
                    servers.for_each(|servers| servers.clear());
                }
                _ => {}
            }
        };
    });
    let passes = stage.story().into_iter().filter(|(_, what)| what.starts_with("pass"));
    assert_eq!(passes.collect::<Vec<_>>(), [(0, "pass: start"), (6_010, "pass: services gone")]);
    assert_eq!(stage.kernel.0.lock().unwrap().live.state.services.len(), 2);
}

#[test]
fn who_empties_the_table_again_and_again_is_fought_less_and_less_often() {
    let passes = |meddler: fn(&DaemonAction, &mut Fake)| {
        let script = vec![(0, seldom(&file(&[(1, 1)]))), (600_000, Event::Stop)];
        played(script, None, |stage| stage.meddler = meddler).times("pass: services gone")
    };
    // Each second, for ever: the third repair is a conflict.
    let emptied = passes(|action, kernel| {
        if matches!(action, DaemonAction::Look(_)) {
            kernel.live.state.services.clear();
        }
    });
    assert_eq!(emptied, [1_010, 2_020, 3_030, 4_040, 64_050, 184_060, 424_070]);
    // And fills it again before lbd reads it: as often as lbd would look without that.
    let refilled = passes(|action, kernel| match action {
        DaemonAction::Look(_) => kernel.live.state.services.clear(),
        _ => kernel.live.state.services = goal(&file(&[(1, 1)]), 1).unwrap().desired.state.services.clone(),
    });
    let each_half_minute: Vec<u64> = (0..20).map(|number| 1_010 + number * 30_010).collect();
    assert_eq!(refilled, each_half_minute);
    // And the kernel refuses to have it again: a retry with pauses of its own.
    let refused = passes(|action, kernel| {
        if matches!(action, DaemonAction::Look(_)) {
            kernel.live.state.services.clear();
            kernel.schedulers.clear();
        }
    });
    assert_eq!(refused, [1_010]);
}
