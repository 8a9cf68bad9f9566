//! A pass over what stands beside the table: settings, timeouts, sync daemons and marks, and what is put back in the end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use lbd::config::{Source, load};
use lbd::kernel::fake::Fake;
use lbd::model::{
    Desired, Kind, Mark, Operation, ReplaceMarks, State, SyncDaemon, SyncLink, SyncRole, Timeouts,
};
use lbd::reconcile::{self, Outcome, PassInput, Report, pass};
use lbd::store::{Record, Store};
use tempfile::TempDir;

const EINVAL: i32 = 22;

/// A kernel and a state directory, as a host has them.
struct Host {
    kernel: Fake,
    directory: TempDir,
}

fn file(text: &str) -> Desired {
    load(&Source::new("desired.yaml", format!("version: 1\n{text}")))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

impl Host {
    /// A host as it boots: no forwarding, the kernel's timeouts.
    fn new() -> Self {
        let mut kernel = Fake::default();
        for (name, value) in [
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.eth0.forwarding", "0"),
            ("net.ipv4.vs.conntrack", "0"),
            ("net.ipv4.vs.drop_entry", "0"),
        ] {
            kernel.live.state.sysctls.insert(name.into(), value.into());
        }
        kernel.live.state.timeouts = Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) };
        Self { kernel, directory: tempfile::tempdir().unwrap() }
    }

    fn store(&self) -> Store {
        Store::new(self.directory.path(), None).unwrap()
    }

    fn record(&self) -> Record {
        self.store().load().unwrap()
    }

    fn pass(&mut self, desired: &Desired) -> Report {
        let order = PassInput::new(desired, "the file");
        let store = self.store();
        pass(&mut self.kernel, &order, &store, None, &mut |_| {}).unwrap()
    }

    fn done(&mut self, desired: &Desired) -> Vec<String> {
        let report = self.pass(desired);
        assert_eq!(report.outcome, Outcome::Verified, "{:?}", report.failed);
        report.done.iter().map(|edit| edit.to_string()).collect()
    }

    fn setting(&self, name: &str) -> &str {
        &self.kernel.live.state.sysctls[name]
    }

    fn foreign_sync(&mut self, role: SyncRole) -> SyncDaemon {
        let daemon = SyncDaemon {
            role,
            interface: "eth9".into(),
            id: 9,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        self.kernel.live.state.sync.push(daemon.clone());
        daemon
    }
}

const NONE: &str = "clusters: []\npolicy: { allow_empty: true }\n";

#[test]
fn settings_come_first_marks_after_their_service_and_a_second_pass_does_nothing() {
    let mut host = Host::new();
    let desired = file(
        "sysctls: { net.ipv4.conf.eth0.forwarding: 0, net.ipv4.ip_forward: 1 }
timeouts: { tcp: 10m }
sync: [{ role: master, interface: eth1 }]
marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.13, ports: [80, 443] }] }]
clusters: [{ name: web, listen: fwmark://10, servers: [192.168.8.7] }]
",
    );
    assert_eq!(
        host.done(&desired),
        [
            "set net.ipv4.ip_forward to 1",
            "set net.ipv4.conf.eth0.forwarding to 0",
            "set the timeouts",
            "add service fwmark://10",
            "add server 192.168.8.7:0 to fwmark://10",
            "start sync master on eth1",
            "add mark rules",
        ]
    );
    assert_eq!(
        (host.setting("net.ipv4.ip_forward"), host.setting("net.ipv4.conf.eth0.forwarding")),
        ("1", "0")
    );
    let executes = host.kernel.executes;
    assert_eq!(host.done(&desired), [] as [&str; 0]);
    assert_eq!(host.kernel.executes, executes);
}

#[test]
fn what_was_found_before_the_first_change_is_put_back_in_the_end() {
    let mut host = Host::new();
    let before = host.kernel.live.state.clone();
    host.done(&file(
        "sysctls: { net.ipv4.ip_forward: 1, net.ipv4.vs.drop_entry: 1 }
timeouts: { tcp: 10m }
sync: [{ role: master, interface: eth1 }]
marks: [{ mark: 10, match: [{ address: 10.0.0.13 }] }]
clusters: [{ name: web, listen: fwmark://10, forward: nat, servers: [192.168.8.7] }]
",
    ));
    // The kernel's own switching is not what was found, nor is what an earlier file asked for.
    host.kernel.live.state.sysctls.insert("net.ipv4.vs.drop_entry".into(), "2".into());
    host.done(&file(
        "sysctls: { net.ipv4.vs.drop_entry: 3 }
timeouts: { tcp: 5m, udp: 1m }
clusters: [{ name: web, listen: tcp://10.0.0.13:80, forward: fullnat, servers: [192.168.8.7] }]
policy: { max_delete: 100% }
",
    ));
    assert_eq!(host.setting("net.ipv4.vs.conntrack"), "1");
    let record = host.record();
    assert_eq!(record.changed.sysctls.len(), 3, "{:?}", record.changed);
    host.done(&reconcile::after_teardown(&record));
    assert_eq!(host.kernel.live.state, before);
    assert_eq!(host.record(), Record::default());
}

#[test]
fn a_sync_daemon_that_somebody_else_started_is_left_alone() {
    let mut host = Host::new();
    let foreign = host.foreign_sync(SyncRole::Backup);
    let report = host.pass(&file(NONE));
    assert_eq!((report.outcome, &report.last.foreign_sync), (Outcome::Verified, &vec![foreign]));
    // One that is in the file is adopted, edited, and stopped when it leaves the file.
    let adopted = file(&format!("sync: [{{ role: backup, interface: eth1 }}]\n{NONE}"));
    assert_eq!(host.done(&adopted), ["restart sync backup on eth1"]);
    assert_eq!(host.done(&file(NONE)), ["stop sync backup"]);
}

#[test]
fn what_is_bound_to_an_interface_waits_for_it_and_keeps_nothing_from_being_verified() {
    let mut host = Host::new();
    host.kernel.live.absent.insert("eth1".into());
    let desired = file(
        "sysctls: { net.ipv4.conf.eth1.rp_filter: 0, net.ipv4.ip_forward: 1 }
sync: [{ role: master, interface: eth1 }]
clusters: [{ name: web, listen: tcp://10.0.0.13:80, servers: [192.168.8.7] }]
",
    );
    let report = host.pass(&desired);
    let waiting: Vec<String> = report.last.awaiting_link.iter().map(ToString::to_string).collect();
    assert_eq!(
        (report.outcome, waiting.join("; ").as_str(), report.last.is_in_sync()),
        (Outcome::Verified, "set net.ipv4.conf.eth1.rp_filter to 0; start sync master on eth1", true)
    );
    host.kernel.live.absent.clear();
    host.kernel.live.state.sysctls.insert("net.ipv4.conf.eth1.rp_filter".into(), "1".into());
    assert_eq!(host.done(&desired), ["set net.ipv4.conf.eth1.rp_filter to 0", "start sync master on eth1"]);
}

const PORTS: &str = "net.ipv4.vs.sync_ports";

/// A file with so many threads, and these sync daemons.
fn with_ports(ports: u32, roles: &[&str]) -> Desired {
    let sync: Vec<String> = roles.iter().map(|role| format!("{{ role: {role}, interface: eth1 }}")).collect();
    file(&format!("sysctls: {{ {PORTS}: {ports} }}\nsync: [{}]\n{NONE}", sync.join(", ")))
}

#[test]
fn another_number_of_threads_takes_a_restart_of_all_daemons_after_the_setting() {
    let mut host = Host::new();
    host.kernel.live.state.sysctls.insert(PORTS.into(), "1".into());
    host.done(&with_ports(2, &["master", "backup"]));
    assert_eq!(host.kernel.live.state.sync_threads, Some(2));
    let four = with_ports(4, &["master", "backup"]);
    let order = PassInput::new(&four, "");
    let (store, mut impacts) = (host.store(), Vec::new());
    let report = pass(&mut host.kernel, &order, &store, None, &mut |comparison| {
        impacts.extend(comparison.plan.operations().filter_map(|operation| comparison.impact(operation)));
    })
    .unwrap();
    let done: Vec<String> = report.done.iter().map(|edit| edit.to_string()).collect();
    assert_eq!(
        done,
        [
            "set net.ipv4.vs.sync_ports to 4",
            "restart sync master on eth1 (for 4 threads)",
            "restart sync backup on eth1 (for 4 threads)",
        ]
    );
    assert_eq!(
        impacts,
        ["loses what the other director sends or gets while the daemon starts again"; 2].map(str::to_owned)
    );
    assert_eq!((report.outcome, host.kernel.live.state.sync_threads), (Outcome::Verified, Some(4)));
    assert_eq!(host.done(&four), [] as [&str; 0]);
    // One that goes is stopped before the other one starts again, or that would have as many threads as before.
    let one = with_ports(8, &["backup"]);
    assert_eq!(
        host.done(&one),
        [
            "set net.ipv4.vs.sync_ports to 8",
            "stop sync master",
            "restart sync backup on eth1 (for 8 threads)"
        ]
    );
    // Where another program has changed the setting meanwhile, there is nothing to set, and all the same a restart.
    host.kernel.live.state.sync_threads = Some(2);
    assert_eq!(host.done(&one), ["restart sync backup on eth1 (for 8 threads)"]);
}

#[test]
fn no_daemon_is_interrupted_for_threads_that_it_cannot_get() {
    let mut host = Host::new();
    host.kernel.live.state.sysctls.insert(PORTS.into(), "1".into());
    host.done(&with_ports(2, &["master"]));
    // The setting is rejected.
    host.kernel.refuse(|operation| (operation.kind() == Kind::Sysctl).then_some(EINVAL));
    let report = host.pass(&with_ports(4, &["master"]));
    let failed: Vec<String> = report.failed.iter().map(|failed| failed.operation.to_string()).collect();
    assert_eq!(failed, ["set net.ipv4.vs.sync_ports to 4", "restart sync master on eth1 (for 4 threads)"]);
    assert_eq!((report.outcome, report.done.len()), (Outcome::Failed, 0));
    // The other daemon waits for its interface, or is not lbd's.
    let mut host = Host::new();
    host.kernel.live.state.sysctls.insert(PORTS.into(), "1".into());
    host.done(&with_ports(2, &["master", "backup"]));
    host.kernel.live.down.insert("eth1".into());
    assert_eq!(host.done(&with_ports(4, &["master", "backup"])), ["set net.ipv4.vs.sync_ports to 4"]);
    // One that has never run keeps no other one from it.
    let mut host = Host::new();
    host.kernel.live.state.sysctls.insert(PORTS.into(), "1".into());
    host.kernel.live.down.insert("eth1".into());
    host.done(&with_ports(2, &["master", "backup"]));
    assert_eq!(
        host.done(&with_ports(4, &["master", "backup"])),
        ["set net.ipv4.vs.sync_ports to 4", "restart sync backup on eth1 (for 4 threads)"]
    );
    let mut host = Host::new();
    host.kernel.live.state.sysctls.insert(PORTS.into(), "1".into());
    host.foreign_sync(SyncRole::Backup);
    host.kernel.live.state.sync_threads = Some(1);
    assert_eq!(
        host.done(&with_ports(4, &["master"])),
        ["set net.ipv4.vs.sync_ports to 4", "start sync master on eth1"]
    );
}

#[test]
fn a_daemon_on_an_interface_that_is_gone_is_restarted_once_there_is_another_one() {
    let mut host = Host::new();
    let both = file(&format!(
        "sync: [{{ role: master, interface: eth1 }}, {{ role: backup, interface: eth1 }}]\n{NONE}"
    ));
    host.kernel.live.indices.insert("eth1".into(), 5);
    host.done(&both);
    let link = |index| Some(SyncLink { interface: "eth1".into(), index });
    assert_eq!(host.record().changed.master_link, link(5));
    let restarts = ["master", "backup"]
        .map(|role| format!("restart sync {role} on eth1 (the interface that it ran on is gone)"));
    // It was made again between two looks.
    host.kernel.live.indices.insert("eth1".into(), 9);
    host.kernel.live.state.stale_sync.push(SyncRole::Backup);
    assert_eq!(host.done(&both), restarts);
    assert_eq!((host.record().changed.master_link, host.done(&both)), (link(9), vec![]));
    // It goes, and comes later.
    host.kernel.live.indices.clear();
    host.kernel.live.absent.insert("eth1".into());
    host.kernel.live.state.stale_sync.push(SyncRole::Backup);
    let report = host.pass(&both);
    let waiting: Vec<String> = report.last.awaiting_link.iter().map(ToString::to_string).collect();
    assert_eq!(
        (report.outcome, waiting.as_slice(), report.done.len()),
        (Outcome::Verified, &restarts[..], 0)
    );
    host.kernel.live.absent.clear();
    host.kernel.live.indices.insert("eth1".into(), 12);
    assert_eq!(host.done(&both), restarts);
    // What is refused is tried again.
    host.kernel.live.indices.insert("eth1".into(), 13);
    host.kernel.refuse_nth(0, EINVAL);
    assert_eq!((host.pass(&both).outcome, host.record().changed.master_link), (Outcome::Failed, link(12)));
    assert_eq!(host.done(&both), restarts[..1]);
    host.done(&file(NONE));
    assert_eq!(host.record().changed.master_link, None);
}

#[test]
fn a_setting_that_the_kernel_does_not_have_fails_alone() {
    let mut host = Host::new();
    let desired = file(
        "sysctls: { net.ipv4.no_such: 1, net.ipv4.ip_forward: 1 }
clusters: [{ name: web, listen: tcp://10.0.0.13:80, servers: [192.168.8.7] }]
",
    );
    let report = host.pass(&desired);
    assert_eq!(report.outcome, Outcome::Failed);
    let failed: Vec<String> = report.failed.iter().map(|failed| failed.operation.to_string()).collect();
    assert_eq!(failed, ["set net.ipv4.no_such to 1"]);
    assert_eq!((host.setting("net.ipv4.ip_forward"), host.kernel.live.state.services.len()), ("1", 1));
}

#[test]
fn a_table_of_marks_that_lbd_never_had_is_not_looked_at_and_one_that_it_has_goes_with_the_last_mark() {
    let mut host = Host::new();
    host.kernel.live.state.marks =
        file("marks: [{ mark: 5, match: [{ protocol: udp }] }]\nclusters: []").state.marks;
    assert_eq!(host.done(&file(NONE)), [] as [&str; 0]);
    let desired = file(
        "marks: [{ mark: 10, match: [{ protocol: tcp }] }]
clusters: [{ name: web, listen: fwmark://10, servers: [192.168.8.7] }]
",
    );
    assert_eq!(
        host.done(&desired),
        ["add service fwmark://10", "add server 192.168.8.7:0 to fwmark://10", "edit mark rules"]
    );
    host.kernel.live.state.strays.push("rule tcp dport 22 drop in prerouting".into());
    let report = host.pass(&desired);
    let Some(Operation::Marks(ReplaceMarks { from, to, strays })) = report.done.first() else {
        panic!("{report:?}")
    };
    let marks = desired.state.marks.as_slice();
    assert_eq!((&**from, &**to, strays.len()), (marks, marks, 1));
    let parts = report.done[0].parts();
    assert_eq!((parts.len(), parts[0].name.as_deref()), (1, Some("rule tcp dport 22 drop in prerouting")));
    assert_eq!(host.done(&file(NONE)), ["delete mark rules", "delete service fwmark://10"]);
    assert_eq!(host.kernel.live.state.marks, Vec::<Mark>::new());
}

/// The way of the packets is about to change: while the new one is refused, the old one stays.
#[test]
fn a_service_whose_packets_shall_get_a_mark_stays_while_the_mark_is_refused() {
    let mut host = Host::new();
    let tcp = |port| format!("{{ name: c{port}, listen: tcp://10.0.0.13:{port}, servers: [192.168.8.7] }}");
    host.done(&file(&format!("clusters: [{}, {}]", tcp(80), tcp(81))));
    let marked = "policy: { max_delete: 100% }
marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.0/24, ports: [80] }] }]
clusters: [{ name: web, listen: fwmark://10, servers: [192.168.8.7] }]
";
    host.kernel.refuse(|operation| (operation.kind() == Kind::Mark).then_some(EINVAL));
    let report = host.pass(&file(marked));
    assert_eq!(report.outcome, Outcome::Failed);
    let listeners = |state: &State| {
        let mut keys: Vec<String> = state.services.keys().map(ToString::to_string).collect();
        keys.sort();
        keys
    };
    assert_eq!(listeners(&host.kernel.live.state), ["fwmark://10", "tcp://10.0.0.13:80"]);
}

#[test]
fn a_table_of_marks_that_cannot_be_seen_stays_in_mind() {
    let mut host = Host::new();
    host.done(&file(
        "marks: [{ mark: 10, match: [{ protocol: tcp }] }]
clusters: [{ name: web, listen: fwmark://10, servers: [192.168.8.7] }]
",
    ));
    host.kernel.live.nftables_error = Some("nft is not installed".into());
    host.kernel.live.state.marks.clear();
    let report = host.pass(&reconcile::after_teardown(&host.record()));
    let told = ["lbd's own nftables table may still be there: nft is not installed"];
    assert_eq!(
        (report.outcome, report.warnings.as_slice()),
        (Outcome::Verified, told.map(str::to_owned).as_slice())
    );
    assert!(host.record().changed.filter);
}
