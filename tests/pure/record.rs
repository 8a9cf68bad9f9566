//! What a pass does where the record of what lbd owns cannot be read, or is not what was written.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::daemon::{Shared, file, goal};
use crate::sealed::sealed;
use lbd::daemon::{Controller, DaemonAction, Event, Goal, Notice, Passes};
use lbd::kernel::{Kernel, namespace};
use lbd::model::ServiceKey;
use lbd::reconcile::{Outcome, PassInput, Report, pass};
use lbd::store::Store;
use tempfile::TempDir;
use tokio::time::Instant;

/// A kernel and a state directory, as a host has them.
struct Host {
    kernel: Shared,
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        Self { kernel: Shared::default(), directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn store(&self) -> Store {
        Store::new(self.directory.path(), namespace::cookie()).unwrap()
    }

    fn applies(&self, services: &[(u8, u32)]) -> Report {
        let Goal { text, desired, .. } =
            goal(&format!("{}policy: {{ max_delete: 100% }}\n", file(services)), 1).unwrap();
        let order = PassInput::new(&desired, &text);
        pass(&mut self.kernel.clone(), &order, &self.store(), None, &mut |_| {}).unwrap()
    }

    /// The weights by service.
    fn table(&self) -> Vec<(u8, u32)> {
        let kernel = self.kernel.0.lock().unwrap();
        let weight = |number: u8| {
            let key: ServiceKey = format!("tcp://10.0.0.{number}:80").parse().unwrap();
            let service = kernel.live.state.services.get(&key)?;
            Some((number, service.servers.values().next().map_or(0, |server| server.weight)))
        };
        (0..=255).filter_map(weight).collect()
    }
}

// One failed opening of the record was taken for "nothing owned", overwritten with that, and called "verified".
#[test]
fn a_record_that_cannot_be_read_stops_deletions_and_the_word_verified_and_nothing_else() {
    let host = Host::new();
    assert_eq!(host.applies(&[(1, 1), (2, 1)]).outcome, Outcome::Verified);
    let verified = fs::read(host.path("verified.yaml")).unwrap();
    for make in ["mkdir", "mkfifo", "ln -s /dev/zero", "newer"] {
        fs::rename(host.path("state.json"), host.path("kept")).unwrap();
        let path = host.path("state.json").display().to_string();
        if make == "newer" {
            fs::write(&path, "{ \"version\": 99 }").unwrap();
        } else {
            let made = std::process::Command::new("sh").args(["-c", &format!("{make} {path}")]).status();
            assert!(made.unwrap().success());
        }
        // One goes, one is edited, one comes.
        let report = host.applies(&[(2, 5), (3, 1)]);
        let Outcome::Unverified(reason) = &report.outcome else { panic!("{make}: {:?}", report.outcome) };
        assert!(reason.contains("state.json: "), "{reason}");
        assert!(reason.contains("remove"), "{reason}");
        assert_eq!(host.table(), [(1, 1), (2, 5), (3, 1)], "{make}");
        assert_eq!(fs::read(host.path("verified.yaml")).unwrap(), verified, "{make}");
        let is_as_it_was = if make == "mkdir" { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        is_as_it_was.unwrap();
        fs::rename(host.path("kept"), host.path("state.json")).unwrap();
        assert_eq!(host.applies(&[(1, 1), (2, 1)]).outcome, Outcome::Verified);
        assert_eq!(host.table(), [(1, 1), (2, 1), (3, 1)]);
        host.kernel
            .0
            .lock()
            .unwrap()
            .live
            .state
            .services
            .shift_remove(&"tcp://10.0.0.3:80".parse::<ServiceKey>().unwrap());
    }
    // Read again, it knows what was lbd's.
    assert_eq!(host.applies(&[(2, 1)]).outcome, Outcome::Verified);
    assert_eq!(host.table(), [(2, 1)]);
}

#[test]
fn a_spoilt_record_is_kept_under_another_name_and_made_again() {
    let host = Host::new();
    host.applies(&[(1, 1), (2, 1)]);
    // As a flipped bit does: a service becomes its neighbour.
    let text = fs::read_to_string(host.path("state.json")).unwrap().replace("10.0.0.2:80", "10.0.0.3:80");
    let bytes = text.into_bytes();
    fs::write(host.path("state.json"), &bytes).unwrap();
    let report = host.applies(&[(1, 1), (2, 1)]);
    assert_eq!((report.outcome, report.warnings.len()), (Outcome::Verified, 1));
    assert!(report.warnings[0].contains("its checksum does not match its content"), "{}", report.warnings[0]);
    assert_eq!(fs::read(host.path("state.json.bad")).unwrap(), bytes);
    let again = host.applies(&[(1, 1)]);
    assert_eq!((again.outcome, again.warnings), (Outcome::Verified, vec![]));
    assert_eq!(host.table(), [(1, 1)]);
}

#[test]
fn a_record_that_names_a_namespace_by_its_inode_number_alone_is_bound_to_it_by_the_next_pass() {
    let host = Host::new();
    host.applies(&[(1, 1), (2, 1)]);
    let record = || -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(host.path("state.json")).unwrap()).unwrap()
    };
    let cookie = serde_json::json!(namespace::cookie());
    assert_eq!(record()["cookie"], cookie);
    // As an older lbd wrote it.
    let mut older = record();
    older.as_object_mut().unwrap().remove("cookie");
    fs::write(host.path("state.json"), sealed(&older.to_string())).unwrap();
    assert_eq!(host.applies(&[(1, 1), (2, 1)]).outcome, Outcome::Verified);
    assert_eq!(record()["cookie"], cookie);
    // What it owned is still lbd's.
    assert_eq!(host.applies(&[(1, 1)]).outcome, Outcome::Verified);
    assert_eq!(host.table(), [(1, 1)]);
    // Another namespace with the same number owns none of it.
    let mut another = record();
    another["cookie"] = serde_json::json!(u64::MAX);
    another["owned"]["tcp://10.0.0.9:80"] = serde_json::json!("web");
    fs::write(host.path("state.json"), sealed(&another.to_string())).unwrap();
    let owned = host.store().load().unwrap().owned.len();
    assert_eq!(owned, if cookie.is_null() { 2 } else { 0 });
}

#[test]
fn a_daemon_without_its_record_is_ready_says_so_and_tries_again() {
    let host = Host::new();
    host.applies(&[(1, 1), (2, 1)]);
    fs::rename(host.path("state.json"), host.path("kept")).unwrap();
    fs::create_dir(host.path("state.json")).unwrap();

    let kernel = host.kernel.clone();
    let connect = Box::new(move || Ok(Box::new(kernel.clone()) as Box<dyn Kernel>));
    let mut passes = Passes::new(connect, host.store(), None);
    let now = Instant::now();
    let mut controller = Controller::new("desired.yaml".into(), None, || 0.0, now);
    let text = format!("{}policy: {{ max_delete: 100% }}\n", file(&[(1, 7)]));
    let mut notices = Vec::new();
    let mut actions = controller.handle(Event::File(goal(&text, 1)), now);
    while let Some(action) = (!actions.is_empty()).then(|| actions.remove(0)) {
        match action {
            DaemonAction::StartPass(job) => {
                let pass = passes.run(&job, |_| (), || ());
                actions.extend(controller.handle(Event::PassEnded(Box::new(pass)), now));
            }
            DaemonAction::Notify(notice) => notices.push(notice),
            _ => {}
        }
    }
    assert_eq!(host.table(), [(1, 7), (2, 1)]);
    assert_eq!(controller.deadline() - now, Duration::from_secs(1));
    let problem = format!(
        "not verified, and nothing is deleted: {}: is a directory, not a regular file; remove it",
        host.path("state.json").display()
    );
    assert_eq!(controller.status().failed, std::slice::from_ref(&problem));
    assert_eq!(notices, [Notice::Ready(format!("not in sync, trying again: {problem}"))]);

    fs::remove_dir(host.path("state.json")).unwrap();
    fs::rename(host.path("kept"), host.path("state.json")).unwrap();
    let later = controller.deadline();
    for action in controller.wake(0, later) {
        if let DaemonAction::StartPass(job) = action {
            let pass = passes.run(&job, |_| (), || ());
            controller.handle(Event::PassEnded(Box::new(pass)), later);
        }
    }
    assert_eq!((host.table(), controller.status().failed.len()), (vec![(1, 7)], 0));
}
