//! A pass from its outside: what it does to a kernel, what it remembers, and how it ends when things go wrong.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::error::Error;
use std::fs;

use crate::sealed::sealed;
use lbd::kernel::fake::Fake;
use lbd::model::{
    Desired, Forwarding, MaxDelete, Operation, Prune, RealServer, SchedulerFlags, SchedulerName, Scheduling,
    ServerKey, Servers, ServiceKey, ServiceOp, State, Table, Thresholds, VirtualService,
};
use lbd::reconcile::{Outcome, PassInput, Report, pass};
use lbd::store::Store;
use tempfile::TempDir;

const EINVAL: i32 = 22;

fn key(number: u8) -> ServiceKey {
    format!("tcp://10.0.0.{number}:80").parse().unwrap()
}

fn server(number: u8) -> ServerKey {
    ServerKey { address: [192, 168, 8, number].into(), port: 80 }
}

/// Services by the last byte of their address, each with servers by theirs, and weights.
fn desired(services: &[(u8, &[(u8, u32)])]) -> Desired {
    let scheduling = Scheduling {
        scheduler: SchedulerName::new("rr").unwrap(),
        flags: SchedulerFlags::default(),
        persistence: None,
        engine: None,
        one_packet: false,
    };
    let real = |&(number, weight): &(u8, u32)| {
        let real = RealServer { weight, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        (server(number), real)
    };
    let service = |(number, servers): &(u8, &[(u8, u32)])| {
        let servers: Servers = servers.iter().map(real).collect();
        (key(*number), VirtualService::new(scheduling.clone(), servers))
    };
    Desired {
        state: State { services: services.iter().map(service).collect(), ..State::default() },
        clusters: services
            .iter()
            .map(|(number, _)| (key(*number), format!("c{number}").into()))
            .collect::<Table<_, _>>()
            .into(),
        ..Desired::default()
    }
}

fn order(desired: &Desired) -> PassInput<'_> {
    PassInput::new(desired, "the file")
}

/// A kernel and a state directory, as a host has them, and what a command would read there as the last verified file.
struct Host {
    kernel: Fake,
    directory: TempDir,
    verified: Option<Desired>,
}

impl Host {
    fn with(services: &[(u8, &[(u8, u32)])]) -> Self {
        let kernel = Fake::with(desired(services).state.services);
        Self { kernel, directory: tempfile::tempdir().unwrap(), verified: None }
    }

    fn pass(&mut self, desired: &Desired) -> Report {
        let store = Store::new(self.directory.path(), None).unwrap();
        let verified = self.verified.as_ref().map(|verified| {
            let is_same = (&verified.state, &verified.clusters) == (&desired.state, &desired.clusters);
            if is_same { desired } else { verified }
        });
        let order = PassInput { verified, ..order(desired) };
        let report = pass(&mut self.kernel, &order, &store, None, &mut |_| {}).unwrap();
        if matches!(report.outcome, Outcome::Verified | Outcome::PartlyRefused(_)) {
            self.verified = Some(desired.clone());
        }
        report
    }

    /// The services that the kernel holds, by number.
    fn table(&self) -> Vec<u8> {
        let mut numbers: Vec<u8> =
            (0..=255).filter(|number| self.kernel.live.state.services.contains_key(&key(*number))).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Another boot: the table is empty, and what was owned before is owned no more.
    fn reboot(&mut self) {
        self.kernel.live = Default::default();
        let path = self.directory.path().join("state.json");
        let text = fs::read_to_string(&path).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        fs::write(path, sealed(&text.replace(boot.trim(), "another-boot"))).unwrap();
    }
}

fn texts<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Vec<String> {
    operations.into_iter().map(|edit| edit.to_string()).collect()
}

fn refusal(report: &Report) -> String {
    match &report.outcome {
        Outcome::Refused(guard_refusal) => guard_refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn failures(report: &Report) -> Vec<String> {
    report.failed.iter().map(|failed| format!("{}: {}", failed.operation, failed.refusal)).collect()
}

#[test]
fn the_second_pass_sends_nothing_and_writes_nothing() {
    let mut host = Host::with(&[]);
    let file = desired(&[(1, &[(14, 1), (15, 1)]), (2, &[])]);
    let first = host.pass(&file);
    assert_eq!(first.outcome, Outcome::Verified);
    assert_eq!(
        texts(&first.done),
        [
            "add service tcp://10.0.0.1:80",
            "add server 192.168.8.14:80 to tcp://10.0.0.1:80",
            "add server 192.168.8.15:80 to tcp://10.0.0.1:80",
            "add service tcp://10.0.0.2:80",
        ]
    );
    assert_eq!(host.kernel.live.state.services, file.state.services);
    let (executes, written) = (host.kernel.executes, modified(&host));
    let second = host.pass(&file);
    assert_eq!((second.outcome, second.done), (Outcome::Verified, vec![]));
    assert_eq!((host.kernel.executes, modified(&host)), (executes, written));
}

// A service that is new again may have a server that somebody fights over.
#[test]
fn a_server_that_is_to_wait_does_so_without_the_new_service_that_brings_it() {
    let mut host = Host::with(&[]);
    let file = desired(&[(1, &[(14, 1), (15, 1)]), (2, &[(20, 1)])]);
    let waits = |edit: &Operation| {
        edit.server() == Some(&server(15))
            || matches!(edit, Operation::Service(ServiceOp::Add { service, .. }) if *service == key(2))
    };
    let store = Store::new(host.directory.path(), None).unwrap();
    let order = PassInput { defers: Some(&waits), ..order(&file) };
    let report = pass(&mut host.kernel, &order, &store, None, &mut |_| {}).unwrap();
    assert_eq!(report.outcome, Outcome::Deferred);
    assert_eq!(
        texts(&report.done),
        ["add service tcp://10.0.0.1:80", "add server 192.168.8.14:80 to tcp://10.0.0.1:80"]
    );
    assert_eq!(
        texts(&report.last.deferred),
        [
            "add server 192.168.8.15:80 to tcp://10.0.0.1:80",
            "add service tcp://10.0.0.2:80",
            "add server 192.168.8.20:80 to tcp://10.0.0.2:80",
        ]
    );
    assert_eq!(host.pass(&file).outcome, Outcome::Verified);
    assert_eq!(host.kernel.live.state.services, file.state.services);
}

#[test]
fn of_a_new_service_what_is_not_refused_is_done() {
    let mut host = Host::with(&[]);
    host.kernel.refuse(|edit| (edit.server() == Some(&server(15))).then_some(EINVAL));
    let report = host.pass(&desired(&[(1, &[(14, 1), (15, 1), (16, 1)])]));
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        texts(&report.done),
        [
            "add service tcp://10.0.0.1:80",
            "add server 192.168.8.14:80 to tcp://10.0.0.1:80",
            "add server 192.168.8.16:80 to tcp://10.0.0.1:80",
        ]
    );
    let failed: Vec<&Operation> = report.failed.iter().map(|failed| &failed.operation).collect();
    assert_eq!(texts(failed), ["add server 192.168.8.15:80 to tcp://10.0.0.1:80"]);
}

fn modified(host: &Host) -> Vec<(String, std::time::SystemTime, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut files: Vec<_> = fs::read_dir(host.directory.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            (entry.file_name().into_string().unwrap(), metadata.modified().unwrap(), metadata.ino())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_never_in_the_file_is_left_alone_and_what_was_goes_with_it() {
    let mut host = Host::with(&[(9, &[(90, 1)])]);
    host.pass(&desired(&[(1, &[]), (2, &[]), (3, &[])]));
    let report = host.pass(&desired(&[(1, &[]), (2, &[])]));
    assert_eq!(texts(&report.done), ["delete service tcp://10.0.0.3:80"]);
    assert_eq!(report.last.foreign.keys().copied().collect::<Vec<_>>(), [key(9)]);
    assert_eq!(host.table(), [1, 2, 9]);
}

#[test]
fn a_service_that_was_there_is_adopted_and_edited_where_it_differs() {
    let mut host = Host::with(&[(1, &[(14, 1), (16, 1)]), (2, &[])]);
    let report = host.pass(&desired(&[(1, &[(14, 3), (15, 1)]), (2, &[])]));
    assert_eq!(
        texts(&report.done),
        [
            "add server 192.168.8.15:80 to tcp://10.0.0.1:80",
            "edit server 192.168.8.14:80 of tcp://10.0.0.1:80",
            "delete server 192.168.8.16:80 from tcp://10.0.0.1:80",
        ]
    );
    // Adopted is owned: it goes when the file drops it.
    host.pass(&desired(&[(1, &[(14, 3), (15, 1)])]));
    assert_eq!(host.table(), [1]);
}

#[test]
fn ownership_ends_when_an_entry_is_neither_in_the_file_nor_in_the_kernel() {
    let mut host = Host::with(&[]);
    host.pass(&desired(&[(1, &[]), (2, &[])]));
    host.pass(&desired(&[(1, &[])]));
    // Somebody else makes it anew.
    let theirs = desired(&[(2, &[])]).state.services;
    host.kernel.live.state.services.extend(theirs);
    let report = host.pass(&desired(&[(1, &[])]));
    assert_eq!((report.outcome, report.done), (Outcome::Verified, vec![]));
    assert_eq!(host.table(), [1, 2]);
}

#[test]
fn prune_says_what_may_be_deleted() {
    let with = |prune| {
        let mut file = desired(&[(1, &[])]);
        file.policy.prune = prune;
        file.policy.max_delete = MaxDelete::Percent(100);
        file
    };
    for (prune, left) in [(Prune::Never, &[1, 2, 9][..]), (Prune::Owned, &[1, 9]), (Prune::All, &[1])] {
        let mut host = Host::with(&[(9, &[])]);
        host.pass(&desired(&[(1, &[]), (2, &[])]));
        assert_eq!(host.pass(&with(prune)).outcome, Outcome::Verified);
        assert_eq!(host.table(), left, "{prune}");
    }
    // What `never` left behind is still lbd's when it may delete again.
    let mut host = Host::with(&[]);
    host.pass(&desired(&[(1, &[]), (2, &[])]));
    host.pass(&with(Prune::Never));
    host.pass(&with(Prune::Owned));
    assert_eq!(host.table(), [1]);
}

#[test]
fn an_emptied_file_needs_the_operators_word() {
    let mut host = Host::with(&[]);
    host.pass(&desired(&[(1, &[]), (2, &[])]));
    let mut empty = desired(&[]);
    let report = host.pass(&empty);
    assert!(
        refusal(&report).starts_with("the file has no clusters, and 2 virtual services would be deleted: ")
    );
    assert_eq!(report.done, []);
    assert_eq!(host.table(), [1, 2]);
    empty.policy.allow_empty = true;
    assert_eq!(host.pass(&empty).outcome, Outcome::Verified);
    assert_eq!(host.table(), Vec::<u8>::new());
    // What is gone by the operator's word is not asked for again.
    assert_eq!(host.pass(&desired(&[])).outcome, Outcome::Verified);
}

#[test]
fn an_emptied_file_after_a_reboot_is_still_refused() {
    let mut host = Host::with(&[]);
    host.pass(&desired(&[(1, &[]), (2, &[])]));
    host.reboot();
    assert!(
        refusal(&host.pass(&desired(&[]))).starts_with("the file has no clusters, and 2 virtual services")
    );
    let few = desired(&[(3, &[])]);
    assert!(refusal(&host.pass(&few)).starts_with("2 of 2 virtual services would be deleted ("));
    assert_eq!(host.kernel.live.state.services.len(), 0);
}

#[test]
fn a_change_that_deletes_more_than_allowed_is_refused() {
    let mut host = Host::with(&[]);
    host.pass(&desired(&[(1, &[]), (2, &[]), (3, &[]), (4, &[])]));
    let mut one = desired(&[(1, &[])]);
    assert!(refusal(&host.pass(&one)).starts_with("3 of 4 virtual services would be deleted ("));
    one.policy.max_delete = MaxDelete::Count(3);
    assert_eq!(host.pass(&one).outcome, Outcome::Verified);
    assert_eq!(host.table(), [1]);
}

#[test]
fn a_refused_operation_does_not_stop_the_others_and_is_named() {
    let mut host = Host::with(&[]);
    host.kernel.refuse(|operation| (operation.service() == Some(&key(1))).then_some(EINVAL));
    let report = host.pass(&desired(&[(1, &[(14, 1)]), (2, &[(24, 1)])]));
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        texts(&report.done),
        ["add service tcp://10.0.0.2:80", "add server 192.168.8.24:80 to tcp://10.0.0.2:80"]
    );
    assert_eq!(
        texts(report.failed.iter().map(|failed| &failed.operation)),
        ["add service tcp://10.0.0.1:80", "add server 192.168.8.14:80 to tcp://10.0.0.1:80"]
    );
    assert_eq!(report.failed[0].refusal.errno, EINVAL);
    // Asking again would not help: it was asked once.
    assert_eq!(host.kernel.executes, 1);
}

#[test]
fn servers_of_a_refused_service_say_so() {
    let mut host = Host::with(&[]);
    let is_service = |operation: &Operation| operation.server().is_none();
    host.kernel.refuse(move |operation| is_service(operation).then_some(2));
    let report = host.pass(&desired(&[(1, &[(14, 1)])]));
    assert_eq!(
        failures(&report)[1],
        "add server 192.168.8.14:80 to tcp://10.0.0.1:80: its virtual service was rejected"
    );
}

#[test]
fn the_serving_server_stays_while_its_successor_is_refused() {
    let mut host = Host::with(&[(1, &[(14, 1)])]);
    host.kernel.refuse(|operation| (operation.server() == Some(&server(15))).then_some(EINVAL));
    let report = host.pass(&desired(&[(1, &[(15, 1)])]));
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        failures(&report)[1],
        "delete server 192.168.8.14:80 from tcp://10.0.0.1:80: blocked: its replacement was rejected"
    );
    let left = &host.kernel.live.state.services.get(&key(1)).unwrap().servers;
    assert_eq!(left.keys().copied().collect::<Vec<_>>(), [server(14)]);
}

#[test]
fn who_writes_at_the_same_time_is_met_with_a_new_plan() {
    let mut host = Host::with(&[(2, &[(24, 1)])]);
    let mut once = false;
    host.kernel.before_execute(move |live| {
        if !std::mem::replace(&mut once, true) {
            // Adds what we are about to add, and removes what we are about to edit.
            live.state.services.extend(desired(&[(1, &[(99, 1)])]).state.services);
            live.state.services.shift_remove(&key(2));
        }
    });
    let file = desired(&[(1, &[(14, 1)]), (2, &[(24, 5)])]);
    let report = host.pass(&file);
    assert_eq!((&report.outcome, failures(&report)), (&Outcome::Verified, vec![]));
    assert_eq!(host.kernel.live.state.services, file.state.services);
}

#[test]
fn who_sets_it_back_each_time_is_named() {
    let mut host = Host::with(&[(1, &[(14, 7)])]);
    host.kernel.before_read(|live| {
        live.state.services = desired(&[(1, &[(14, 7)])]).state.services;
    });
    let report = host.pass(&desired(&[(1, &[(14, 1)])]));
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(
        failures(&report),
        [
            "edit server 192.168.8.14:80 of tcp://10.0.0.1:80: another program changes the same entry again and again; \
             find out which one manages IPVS here"
        ]
    );
    assert_eq!(host.kernel.executes, 3);
}

#[test]
fn what_was_cut_off_in_the_middle_is_read_again_and_finished() {
    let mut host = Host::with(&[]);
    host.kernel.break_execute(1, "no reply");
    let file = desired(&[(1, &[(14, 1)]), (2, &[(24, 1)])]);
    assert_eq!(host.pass(&file).outcome, Outcome::Verified);
    assert_eq!(host.kernel.live.state.services, file.state.services);
}

#[test]
fn a_crash_in_the_middle_leaves_nothing_that_nobody_owns() {
    let mut host = Host::with(&[]);
    for _ in 0..3 {
        host.kernel.break_execute(1, "no reply");
    }
    let store = Store::new(host.directory.path(), None).unwrap();
    let three = desired(&[(1, &[]), (2, &[]), (3, &[])]);
    assert!(pass(&mut host.kernel, &order(&three), &store, None, &mut |_| {}).is_err());
    assert_eq!(host.table(), [1, 2, 3]);
    // The file changes before any pass was verified.
    let mut one = desired(&[(1, &[])]);
    one.policy.max_delete = MaxDelete::Count(2);
    host.pass(&one);
    assert_eq!(host.table(), [1]);
}

#[test]
fn a_kernel_that_cannot_be_read_is_an_error() {
    let mut host = Host::with(&[]);
    host.kernel.break_read("no reply");
    let store = Store::new(host.directory.path(), None).unwrap();
    let error = pass(&mut host.kernel, &order(&desired(&[(1, &[])])), &store, None, &mut |_| {}).unwrap_err();
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("no reply"));
    assert_eq!(host.kernel.executes, 0);
}

#[test]
fn a_disk_that_takes_nothing_is_a_warning() {
    let mut host = Host::with(&[]);
    fs::write(host.directory.path().join("file"), "").unwrap();
    let store = Store::new(&host.directory.path().join("file/state"), None).unwrap();
    let report = pass(&mut host.kernel, &order(&desired(&[(1, &[])])), &store, None, &mut |_| {}).unwrap();
    assert_eq!(report.outcome, Outcome::Verified);
    let told = report.warnings.iter().any(|warning| warning.contains("will not remember this pass"));
    assert!(told, "{:?}", report.warnings);
}

#[test]
fn a_spoilt_record_is_a_warning_and_is_replaced() {
    let mut host = Host::with(&[(9, &[])]);
    fs::write(host.directory.path().join("state.json"), "{").unwrap();
    let report = host.pass(&desired(&[(1, &[])]));
    assert_eq!((report.outcome, report.warnings.len()), (Outcome::Verified, 1));
    assert_eq!(host.pass(&desired(&[(1, &[])])).warnings, Vec::<String>::new());
    assert_eq!(host.table(), [1, 9]);
}

#[test]
fn what_was_verified_is_kept_word_for_word() {
    let mut host = Host::with(&[]);
    host.pass(&desired(&[(1, &[])]));
    let kept = fs::read_to_string(host.directory.path().join("verified.yaml")).unwrap();
    let (head, text) = kept.split_once('\n').unwrap();
    assert!(head.starts_with("# kept by lbd, version 1, crc32 "), "{head}");
    assert_eq!(text, "the file");
    assert_eq!(
        Store::new(host.directory.path(), None).unwrap().load_verified(),
        Ok(Some("the file".to_owned()))
    );
}
