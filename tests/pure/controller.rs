//! What the daemon does pass by pass, with a kernel and a clock of the test's own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use crate::daemon::{Shared, file, goal};
use crate::log;
use crate::sealed::sealed;
use lbd::config::{Source, load};
use lbd::daemon::{Controller, DaemonAction, Event, Notice, Passes};
use lbd::health::{RunDirs, SharedFiles};
use lbd::kernel::fake::Fake;
use lbd::kernel::{Kernel, Look, Loss};
use lbd::model::{Link, ServiceKey};
use lbd::status::{ChangedBy, LastChange, PassOutcome, PassReason, Status};
use lbd::store::Store;
use lbd::target::Clock;
use tempfile::TempDir;
use tokio::time::Instant;

/// The daemon without its loop: each pass is carried out as soon as it is ordered, and takes no time.
pub(crate) struct Director {
    pub(crate) kernel: Shared,
    pub(crate) controller: Controller,
    pub(crate) passes: Passes,
    pub(crate) store: Store,
    pub(crate) now: Instant,
    /// When it was started, by the time of the loop and by the clocks of its passes, which go on together
    started: (Instant, Clock),
    clock: Arc<Mutex<Clock>>,
    pub(crate) directory: TempDir,
    /// What was ordered beside passes and writings of the status
    awaited: Vec<Link>,
    notices: Vec<Notice>,
    revision: u64,
}

impl Director {
    pub(crate) fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap(), Shared::default())
    }

    /// A daemon that is started on what another one, or a test, left.
    fn on(directory: TempDir, kernel: Shared) -> Self {
        let shared = SharedFiles::new(&RunDirs::new(&directory.path().join("run")), None).unwrap();
        let store = Store::new(directory.path(), None).unwrap().with_shared_files(shared);
        let connect = kernel.clone();
        let connect = Box::new(move || Ok(Box::new(connect.clone()) as Box<dyn Kernel>));
        let clock = Arc::new(Mutex::new(Clock::now()));
        let (reads, started) = (Arc::clone(&clock), (Instant::now(), *clock.lock().unwrap()));
        let lock = store.lock_daemon("run").unwrap();
        let passes =
            Passes::new(connect, store.clone(), Some(lock)).with_file(&directory.path().join("desired.yaml"));
        let passes = passes.with_clock(Box::new(move || *reads.lock().unwrap()));
        let now = started.0;
        let controller = Controller::new("desired.yaml".into(), None, || 0.0, now);
        let (awaited, notices) = (Vec::new(), Vec::new());
        Self {
            kernel,
            controller,
            passes,
            store,
            now,
            started,
            clock,
            directory,
            awaited,
            notices,
            revision: 0,
        }
    }

    /// The file as it is now; gives how long the next pass waits.
    pub(crate) fn takes(&mut self, text: &str) -> Duration {
        self.reads(text);
        self.until_next_pass()
    }

    fn until_next_pass(&self) -> Duration {
        self.controller.next_pass().unwrap() - self.now
    }

    fn reads(&mut self, text: &str) {
        self.revision += 1;
        self.hears(Event::File(goal(text, self.revision)));
    }

    pub(crate) fn hears(&mut self, event: Event) {
        let actions = self.controller.handle(event, self.now);
        self.perform(actions);
    }

    /// The next pass comes because its time has; gives how long the one after it waits.
    pub(crate) fn looks(&mut self) -> Duration {
        self.now = self.controller.next_pass().unwrap();
        let actions = self.controller.wake(0, self.now);
        assert!(actions.iter().any(|action| matches!(action, DaemonAction::StartPass(_))), "no pass was due");
        self.perform(actions);
        self.until_next_pass()
    }

    /// So much time passes, with all passes that are due meanwhile.
    pub(crate) fn passes_in(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.controller.next_pass().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            let actions = self.controller.wake(0, self.now);
            self.perform(actions);
        }
        self.now = end;
    }

    /// The clocks at this time of the loop.
    pub(crate) fn clock(&self) -> Clock {
        let (began, Clock { since_boot, wall }) = self.started;
        let since = self.now - began;
        Clock { since_boot: since_boot + u64::try_from(since.as_millis()).unwrap(), wall: wall + since }
    }

    fn perform(&mut self, actions: Vec<DaemonAction>) {
        for action in actions {
            match action {
                DaemonAction::StartPass(job) => {
                    *self.clock.lock().unwrap() = self.clock();
                    let pass = self.passes.run(&job, |holder| panic!("{holder} has the lock"), || ());
                    self.hears(Event::PassEnded(Box::new(pass)));
                }
                DaemonAction::WriteStatus(status) => self.store.save_status(&status).unwrap(),
                // A history that cannot be written stops nothing.
                DaemonAction::NoteEvent(event) => drop(self.store.note_event(&event)),
                DaemonAction::AwaitLinks(links) => self.awaited = links,
                DaemonAction::Notify(notice) => self.notices.push(notice),
                // Looks for lost services have tests of their own.
                DaemonAction::Look(_)
                | DaemonAction::ExamineHost(_)
                | DaemonAction::ReadFile
                | DaemonAction::CheckFile
                | DaemonAction::LogInvalid(_) => {}
            }
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.notices.iter().any(|notice| matches!(notice, Notice::Ready(_)))
    }

    pub(crate) fn status(&self) -> &Status {
        self.controller.status()
    }

    /// Another process of the daemon goes on where this one was.
    pub(crate) fn restarts(self) -> Self {
        let Self { kernel, passes, directory, .. } = self;
        drop(passes);
        Self::on(directory, kernel)
    }

    /// `lbd apply` with its options, beside the daemon.
    fn operator_applies(&self, text: &str) {
        let mut allowed = (*goal(text, 0).unwrap().desired).clone();
        allowed.policy.max_delete = lbd::model::MaxDelete::Percent(100);
        allowed.policy.allow_empty = true;
        let order = lbd::reconcile::PassInput::new(&allowed, text);
        lbd::reconcile::pass(&mut self.kernel.clone(), &order, &self.store, None, &mut |_| {}).unwrap();
    }

    /// The weights by service, as the kernel has them.
    pub(crate) fn table(&self) -> Vec<(u8, u32)> {
        let kernel = self.kernel.0.lock().unwrap();
        let key = |number: u8| format!("tcp://10.0.0.{number}:80").parse::<ServiceKey>().unwrap();
        let weight = |number: u8| {
            let service = kernel.live.state.services.get(&key(number))?;
            Some((number, service.servers.values().next().map_or(0, |server| server.weight)))
        };
        (0..=255).filter_map(weight).collect()
    }

    /// Somebody else sets the weight of a service's server.
    pub(crate) fn meddle(&self, number: u8, weight: u32) {
        let mut kernel = self.kernel.0.lock().unwrap();
        let key: ServiceKey = format!("tcp://10.0.0.{number}:80").parse().unwrap();
        let service = kernel.live.state.services.get_mut(&key).unwrap();
        service.servers_mut().values_mut().next().unwrap().weight = weight;
    }

    pub(crate) fn executes(&self) -> usize {
        self.kernel.0.lock().unwrap().executes
    }

    pub(crate) fn status_on_disk(&self) -> Status {
        self.store.load_status().unwrap().unwrap()
    }
}

#[test]
fn a_file_is_brought_about_and_drift_is_repaired_at_the_next_look() {
    let mut director = Director::new();
    assert!(!director.is_ready());
    assert_eq!(director.takes(&file(&[(1, 1), (2, 1)])), Duration::from_secs(30));
    assert!(director.is_ready());
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    director.meddle(2, 9);
    director.looks();
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    let pass = director.status().last_pass.unwrap();
    assert_eq!((pass.reason, pass.outcome, pass.edited), (PassReason::Resync, PassOutcome::Verified, 1));
}

#[test]
fn in_sync_nothing_is_executed_and_nothing_is_written() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    let (executes, status) = (director.executes(), director.status_on_disk());
    fs::remove_file(director.directory.path().join("status.json")).unwrap();
    for _ in 0..10 {
        director.looks();
    }
    assert_eq!(director.executes(), executes);
    assert!(!director.directory.path().join("status.json").exists(), "{status:?} was written again");
}

#[test]
fn a_bad_file_changes_nothing_and_what_was_good_is_kept_and_repaired() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    let bad = "desired.yaml:2:12: `listen` is missing in an entry of `clusters` (and 1 more; `lbd validate` shows them)";
    director.reads("version: 1\nclusters: [{ name: web }]\n");
    assert_eq!(director.table(), [(1, 1)]);
    assert_eq!(director.status_on_disk().bad_file.as_deref(), Some(bad));
    director.meddle(1, 9);
    director.looks();
    assert_eq!(director.table(), [(1, 1)]);
    director.takes(&file(&[(1, 2)]));
    assert_eq!((director.table(), director.status_on_disk().bad_file), (vec![(1, 2)], None));
}

#[test]
fn a_refused_change_waits_in_sight_and_what_was_good_is_kept_and_repaired() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    director.takes(&file(&[]));
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    let refused = director.status_on_disk().refused.unwrap();
    assert_eq!(
        refused,
        "the file has no clusters, and 2 virtual services would be deleted: tcp://10.0.0.1:80 (c1), tcp://10.0.0.2:80 \
         (c2); if that is meant, run `lbd apply --allow-empty`, or write `policy: { allow_empty: true }` in the file; the \
         daemon accepts what `lbd apply` has applied"
    );
    director.meddle(1, 9);
    director.looks();
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
    // The operator's word.
    director.takes(&format!("{}policy: {{ allow_empty: true }}\n", file(&[])));
    assert_eq!((director.table(), director.status_on_disk().refused), (vec![], None));
}

#[test]
fn after_a_reboot_with_a_bad_file_the_last_verified_state_is_kept() {
    let mut before = Director::new();
    before.takes(&file(&[(1, 1)]));
    before.kernel = Shared::default();
    let mut director = before.restarts();
    director.takes("version: 2\nclusters: []\n");
    assert_eq!(director.table(), [(1, 1)]);
    assert!(director.is_ready());
    assert!(
        director
            .status()
            .line(None)
            .starts_with("bad file, keeping the last good state: desired.yaml:1:10: ")
    );
}

#[test]
fn without_any_good_state_nothing_is_touched_and_the_daemon_is_not_ready() {
    let mut director = Director::new();
    director.takes("version: 2\n");
    director.looks();
    assert!(!director.is_ready());
    assert_eq!(director.executes(), 0);
}

#[test]
fn what_fails_is_tried_again_with_growing_pauses_until_it_succeeds() {
    let mut director = Director::new();
    director.kernel.0.lock().unwrap().refuse_nth(0, 22);
    director.kernel.0.lock().unwrap().schedulers.clear();
    let mut pauses = vec![director.takes(&file(&[(1, 1)]))];
    for _ in 0..7 {
        pauses.push(director.looks());
    }
    let full = [1, 2, 4, 8, 16, 30, 30, 30];
    for (pause, full) in pauses.iter().zip(full) {
        let (least, most) = (Duration::from_millis(full * 800), Duration::from_secs(full));
        assert!((least..=most).contains(pause), "{pauses:?}");
    }
    let failed = &director.status().failed;
    assert!(
        failed[0].starts_with("add service tcp://10.0.0.1:80: this kernel cannot load scheduler `wlc`"),
        "{failed:?}"
    );
    let (retry_at, now) = (director.status_on_disk().retry_at.unwrap(), director.clock().wall);
    assert!((now.into()..=(now + Duration::from_secs(31)).into()).contains(&retry_at), "{retry_at}");
    director.kernel.0.lock().unwrap().schedulers = Fake::default().schedulers;
    assert_eq!(director.looks(), Duration::from_secs(30));
    let status = director.status_on_disk();
    assert_eq!((director.table(), status.failed.len(), status.retry_at), (vec![(1, 1)], 0, None));
}

#[test]
fn a_kernel_that_cannot_be_read_is_asked_again_and_no_change_is_taken_for_done() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    director.kernel.0.lock().unwrap().break_read("no reply");
    director.kernel.0.lock().unwrap().break_read("no reply");
    // An accident of a file, while the guards cannot see the table.
    let pause = director.takes(&file(&[]));
    assert!(pause <= Duration::from_secs(1), "{pause:?}");
    assert_eq!(
        director.status().failed,
        ["the netlink socket fails; what was requested last may or may not be done: no reply"]
    );
    director.looks();
    director.looks();
    assert_eq!(director.table(), [(1, 1), (2, 1), (3, 1)]);
    assert!(director.status().refused.is_some());
}

#[test]
fn who_sets_an_entry_back_each_time_is_fought_less_and_less_often() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let mut repaired_at = Vec::new();
    for look in 0..64 {
        director.meddle(1, 9);
        if look == 20 {
            director.meddle(2, 9);
        }
        let before = director.executes();
        director.looks();
        if director.table()[0] == (1, 1) {
            repaired_at.push(look);
        }
        // Another entry is repaired at once all the same.
        assert_eq!(director.table()[1], (2, 1), "{look}");
        assert!(director.executes() - before <= 1);
    }
    assert_eq!(repaired_at, [0, 1, 2, 4, 8, 16, 32]);
    assert_eq!(director.status().conflicts, ["192.168.8.14:80 of tcp://10.0.0.1:80"]);
    // A new file is a new beginning.
    director.takes(&file(&[(1, 5), (2, 1)]));
    assert_eq!(director.table(), [(1, 5), (2, 1)]);
    assert_eq!(director.status().conflicts, Vec::<String>::new());
}

#[test]
fn the_operators_own_apply_lets_a_refused_file_through() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    let one = file(&[(1, 1)]);
    director.takes(&one);
    assert!(director.status().refused.is_some());
    director.operator_applies(&one);
    director.looks();
    assert_eq!((director.table(), director.status().refused.clone()), (vec![(1, 1)], None));
}

// It was the daemon's own last pass, although `lbd apply` had changed the table since.
#[test]
fn the_line_of_the_service_manager_has_the_last_change_by_any_command() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    let line = |director: &Director| match director.notices.last().unwrap() {
        Notice::Ready(line) | Notice::Status(line) => line.clone(),
        other => panic!("{other:?}"),
    };
    let own = director.store.load_last_change().unwrap().unwrap();
    assert_eq!(line(&director), format!("in sync; last change {} (start)", own.at));
    director.operator_applies(&file(&[(1, 2)]));
    let at = UNIX_EPOCH + Duration::from_secs(1_795_460_685);
    let change = LastChange { at: at.into(), by: ChangedBy::Apply, edited: 1, added: 0, ..own };
    director.store.save_last_change(&change).unwrap();
    director.takes(&file(&[(1, 2)]));
    assert_eq!(line(&director), "in sync; last change 2026-11-23T19:04:45Z (lbd apply)");
    // Nothing is known of it any more: what was known stays.
    fs::remove_file(director.directory.path().join("last_change.json")).unwrap();
    director.hears(Event::Reload);
    assert_eq!(line(&director), "in sync; last change 2026-11-23T19:04:45Z (lbd apply)");
}

#[test]
fn what_waits_for_an_interface_is_told_and_done_when_it_is_there() {
    let mut director = Director::new();
    director.kernel.0.lock().unwrap().live.absent.insert("eth1".into());
    let text = format!("{}sync: [{{ role: backup, interface: eth1, id: 7 }}]\n", file(&[(1, 1)]));
    assert_eq!(director.takes(&text), Duration::from_secs(30));
    assert!(director.is_ready());
    assert_eq!(director.awaited, [Link { interface: "eth1".into(), up: false }]);
    let status = director.status_on_disk();
    assert_eq!(status.waiting, ["start sync backup on eth1 when interface eth1 is there"]);
    assert!(
        status.line(None).ends_with("waiting: start sync backup on eth1 when interface eth1 is there"),
        "{}",
        status.line(None)
    );
    director.kernel.0.lock().unwrap().live.absent.clear();
    director.hears(Event::Link);
    assert_eq!(director.awaited, []);
    assert_eq!(director.status_on_disk().waiting, [] as [&str; 0]);
    assert_eq!(director.kernel.0.lock().unwrap().live.state.sync.len(), 1);
    let pass = director.status().last_pass.unwrap();
    assert_eq!((pass.reason, pass.outcome, pass.added), (PassReason::Link, PassOutcome::Verified, 1));
}

// It was logged as drift, with a warning, though nobody had changed it.
#[test]
fn a_setting_that_waited_for_its_interface_is_no_drift() {
    const NAME: &str = "net.ipv4.conf.eth1.rp_filter";
    let mut director = Director::new();
    director.kernel.0.lock().unwrap().live.absent.insert("eth1".into());
    director.takes(&format!("{}sysctls: {{ {NAME}: 0 }}\n", file(&[(1, 1)])));
    let set = |director: &Director| {
        let live = &mut director.kernel.0.lock().unwrap().live;
        live.absent.clear();
        live.state.sysctls.insert(NAME.into(), "1".into());
    };
    set(&director);
    let logged = log::of(|| director.hears(Event::Link));
    assert_eq!(logged, [format!("INFO applied: set {NAME} to 0")]);
    // What is changed after that is drift.
    set(&director);
    let logged = log::of(|| {
        director.looks();
    });
    assert_eq!(logged, [format!("WARN drift repaired: set {NAME} to 0")]);
    assert_eq!(director.status().conflicts, Vec::<String>::new());
}

#[test]
fn a_look_that_fails_finds_nothing_nor_does_one_while_a_command_has_the_lock() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    director.kernel.0.lock().unwrap().live.state.services.clear();
    director.kernel.0.lock().unwrap().break_read("no reply");
    let lock = director.store.lock("apply", |_| ()).unwrap();
    let mut finds = || director.passes.look(Look::Lists).loss;
    assert_eq!([finds(), finds()], [Loss::None; 2]);
    drop(lock);
    assert_eq!(finds(), Loss::Certain);
}

// They were logged as plain additions.
#[test]
fn what_was_changed_while_no_daemon_ran_is_drift_unless_the_file_changed_it() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    let mut director = director.restarts();
    director.meddle(1, 9);
    director.meddle(2, 9);
    let logged = log::of(|| director.reads(&file(&[(1, 1), (2, 5), (3, 5), (4, 1)])));
    let service = |number: u8| format!("192.168.8.14:80 of tcp://10.0.0.{number}:80");
    assert_eq!(
        logged,
        [
            format!("WARN drift repaired: edit server {} (changed while no daemon ran)", service(1)),
            format!("INFO applied: edit server {}", service(2)),
            format!("INFO applied: edit server {}", service(3)),
            "INFO applied: add service tcp://10.0.0.4:80".to_owned(),
            "INFO applied: add server 192.168.8.14:80 to tcp://10.0.0.4:80".to_owned(),
        ]
    );
    let change = director.store.load_last_change().unwrap().unwrap();
    assert_eq!((change.added, change.edited, change.drift), (2, 3, 1));
    // With a bad file it is what was verified last that is kept.
    let mut director = director.restarts();
    director.meddle(3, 9);
    let logged = log::of(|| director.reads("version: 2\n"));
    assert_eq!(
        logged,
        [format!("WARN drift repaired: edit server {} (changed while no daemon ran)", service(3))]
    );
    // While it runs, the file and another program may change it at once.
    director.takes(&file(&[(1, 1), (2, 5), (3, 5), (4, 1)]));
    director.meddle(4, 9);
    let logged = log::of(|| director.reads(&file(&[(1, 2), (2, 5), (3, 5), (4, 1)])));
    assert_eq!(
        logged,
        [
            format!("INFO applied: edit server {}", service(1)),
            format!("WARN drift repaired: edit server {}", service(4))
        ]
    );
}

#[test]
fn what_is_missing_after_a_reboot_is_no_drift() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    let record = director.directory.path().join("state.json");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let text = fs::read_to_string(&record).unwrap();
    assert!(text.contains(boot.trim()), "{text}");
    fs::write(record, sealed(&text.replace(boot.trim(), "another"))).unwrap();
    director.kernel = Shared::default();
    let mut director = director.restarts();
    let logged = log::of(|| director.reads(&file(&[(1, 1)])));
    assert_eq!(
        logged,
        [
            "INFO applied: add service tcp://10.0.0.1:80",
            "INFO applied: add server 192.168.8.14:80 to tcp://10.0.0.1:80"
        ]
    );
}

#[test]
fn a_kernel_at_rest_is_glanced_at_and_read_whole_every_tenth_time() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1)]));
    let counts = |director: &Director| {
        let kernel = director.kernel.0.lock().unwrap();
        (kernel.reads, kernel.glances)
    };
    let (reads, glances) = counts(&director);
    for _ in 0..20 {
        director.looks();
    }
    assert_eq!(counts(&director), (reads + 2, glances + 18));
    // What a glance sees is read and repaired in the same pass.
    director.meddle(1, 9);
    director.looks();
    assert_eq!(director.table(), [(1, 1)]);
    // Whoever asks gets a full look.
    let (reads, glances) = counts(&director);
    director.hears(Event::Reload);
    assert_eq!(counts(&director), (reads + 1, glances));
}

#[test]
fn an_edit_of_the_file_is_in_the_kernel_before_the_table_is_read() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    // Somebody else was there, too: the plan for what is edited is made from the kernel's word.
    director.meddle(2, 7);
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    director.kernel.0.lock().unwrap().before_read(move |live| {
        let weights = live.state.services.values().flat_map(|service| service.servers.values());
        seen.lock().unwrap().push(weights.map(|server| server.weight).collect::<Vec<_>>());
    });
    director.takes(&file(&[(1, 5), (2, 1)]));
    // At the first reading the edit is there, and the drift still, too.
    assert_eq!(shown.lock().unwrap().first(), Some(&vec![5, 7]));
    assert_eq!(director.table(), [(1, 5), (2, 1)]);
    let pass = director.status().last_pass.unwrap();
    assert_eq!((pass.reason, pass.outcome, pass.edited), (PassReason::File, PassOutcome::Verified, 2));
}

#[test]
fn where_a_service_goes_a_guard_is_heard_before_anything_is_edited() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    let executes = director.executes();
    director.takes(&file(&[(1, 5)]));
    assert_eq!(director.executes(), executes);
    assert_eq!(director.table(), [(1, 1), (2, 1), (3, 1)]);
}

// An edit of weights is carried out before the table is read: the guards are heard before that, too.
#[test]
fn the_last_usable_server_of_a_service_stays_until_the_operator_says_so() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    let executes = director.executes();
    director.takes(&file(&[(1, 1), (2, 0)]));
    let refused = director.status_on_disk().refused.unwrap();
    assert!(
        refused.starts_with("1 virtual service would lose the last server with a weight above 0: "),
        "{refused}"
    );
    assert_eq!((director.executes(), director.table()), (executes, vec![(1, 1), (2, 1)]));
    // A restart, and the same file again, change nothing.
    let mut director = director.restarts();
    director.takes(&file(&[(1, 1), (2, 0)]));
    director.takes(&file(&[(1, 1), (2, 0)]));
    assert_eq!((director.status_on_disk().refused, director.executes()), (Some(refused), executes));
    assert!(director.is_ready());
    // In the file's own words.
    director.takes(&file(&[(1, 1), (2, 0)]).replace("name: c2", "name: c2\n    allow_empty: true"));
    assert_eq!((director.status_on_disk().refused, director.table()), (None, vec![(1, 1), (2, 0)]));
}

#[test]
fn what_the_operator_applied_is_what_the_next_change_is_compared_with() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    let quiesced = file(&[(1, 0), (2, 0), (3, 1)]);
    director.takes(&quiesced);
    assert!(director.status().refused.is_some());
    director.operator_applies(&quiesced);
    // The file changes once more before the daemon has looked.
    director.takes(&file(&[(1, 0), (2, 0), (3, 7)]));
    assert_eq!((director.table(), director.status().refused.clone()), (vec![(1, 0), (2, 0), (3, 7)], None));
    // Drift is still repaired, and the next accident still refused.
    director.meddle(1, 5);
    director.looks();
    director.takes(&file(&[(1, 0), (2, 0), (3, 0)]));
    assert_eq!(director.table(), [(1, 0), (2, 0), (3, 7)]);
}

#[test]
fn services_made_by_hand_that_are_too_many_to_delete_leave_the_daemon_ready_and_repairing() {
    let mut director = Director::new();
    let made = load(&Source::new("x", file(&[(7, 1), (8, 1), (9, 1)]))).unwrap().state.services;
    director.kernel.0.lock().unwrap().live.state.services.extend(made);
    let all = |services: &[(u8, u32)]| format!("policy: {{ prune: all }}\n{}", file(services));
    director.takes(&all(&[(1, 1), (2, 1)]));
    assert!(director.is_ready());
    let by_hand = [(7, 1), (8, 1), (9, 1)];
    let table = |services: &[(u8, u32)]| [services, &by_hand].concat();
    assert_eq!(director.table(), table(&[(1, 1), (2, 1)]));
    let status = director.status_on_disk();
    let text = status.refused_in_part.clone().unwrap();
    assert!(
        text.starts_with("`prune: all` would delete 3 of 3 virtual services, none of which ever was in"),
        "{text}"
    );
    assert_eq!((status.refused.as_ref(), status.failed.len()), (None, 0));
    assert_eq!(status.line(None), format!("not in sync, deletions refused: {text}"));
    assert_eq!(status.last_pass.unwrap().outcome, PassOutcome::PartlyRefused);
    // The file is followed and kept.
    director.takes(&all(&[(1, 5), (2, 1)]));
    director.meddle(2, 9);
    director.looks();
    assert_eq!(director.table(), table(&[(1, 5), (2, 1)]));
    assert_eq!(director.status_on_disk().refused_in_part, Some(text));
    // So it is after a restart, and until they are gone.
    let mut director = director.restarts();
    director.takes(&all(&[(1, 5), (2, 1)]));
    assert_eq!(director.table(), table(&[(1, 5), (2, 1)]));
    director.operator_applies(&all(&[(1, 5), (2, 1)]));
    director.hears(Event::Reload);
    assert_eq!((director.table(), director.status_on_disk().refused_in_part), (vec![(1, 5), (2, 1)], None));
}

#[test]
fn a_port_and_a_name_that_change_are_no_deletion() {
    let mut director = Director::new();
    let one = |name: &str, port: u16| {
        format!(
            "version: 1\nclusters:\n  - {{ name: {name}, listen: 'tcp://10.0.0.1:{port}', forward: nat, servers: \
             [192.168.8.14] }}\n"
        )
    };
    for (name, port) in [("web", 80), ("web", 8080), ("shop", 8080), ("shop", 80)] {
        director.takes(&one(name, port));
        assert_eq!(director.status().refused, None, "{name} {port}");
        let kernel = director.kernel.0.lock().unwrap();
        let ports: Vec<u16> =
            kernel.live.state.services.keys().map(ServiceKey::default_server_port).collect();
        assert_eq!(ports, [port]);
    }
}

// `lbd rollback` renames the file and applies it; a pass that was due before the daemon had read it put the old table back for a moment.
#[test]
fn what_another_process_has_applied_is_not_undone_before_the_desired_file_was_read() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    director.operator_applies(&file(&[(1, 5), (2, 1)]));
    let lines = log::of(|| director.hears(Event::Reload));
    assert_eq!((director.table(), lines), (vec![(1, 5), (2, 1)], vec![]));
    director.takes(&file(&[(1, 5), (2, 1)]));
    assert_eq!(director.table(), [(1, 5), (2, 1)]);
    // Where the desired file is another one, it is undone.
    director.operator_applies(&file(&[(1, 7), (2, 1)]));
    director.hears(Event::Reload);
    assert_eq!(director.table(), [(1, 7), (2, 1)]);
    director.looks();
    assert_eq!(director.table(), [(1, 5), (2, 1)]);
    director.meddle(1, 9);
    director.hears(Event::Reload);
    assert_eq!(director.table(), [(1, 5), (2, 1)]);
}
