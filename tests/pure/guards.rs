//! The guards from the outside: a file is applied as the commands do it, in one boot and across boots, with and without its record.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use crate::sealed::sealed;
use crate::tables::file;
use lbd::config::{Source, load};
use lbd::kernel::fake::Fake;
use lbd::model::{Desired, MaxDelete, Policy, RealServer, ServiceKey};
use lbd::reconcile::{Outcome, PassInput, Report, pass};
use lbd::store::Store;
use tempfile::TempDir;

/// A kernel and a state directory, as a host has them.
struct Host {
    kernel: Fake,
    directory: TempDir,
}

fn desired(text: &str) -> Desired {
    load(&Source::new("desired.yaml", text)).unwrap_or_else(|problems| panic!("{problems}"))
}

const SERVERS: &str = "192.168.8.14, 192.168.8.15";

fn two() -> String {
    file("", &[("web", 80, SERVERS), ("shop", 443, SERVERS)])
}

impl Host {
    fn new() -> Self {
        Self { kernel: Fake::default(), directory: tempfile::tempdir().unwrap() }
    }

    /// What `lbd apply` does.
    fn apply(&mut self, text: &str) -> Report {
        self.apply_with(text, |_| {})
    }

    /// The same with options.
    fn apply_with(&mut self, text: &str, allow: impl FnOnce(&mut Policy)) -> Report {
        let mut desired = desired(text);
        allow(&mut desired.policy);
        let store = Store::new(self.directory.path(), None).unwrap();
        let verified = store.load_verified().unwrap();
        let other = verified.as_ref().filter(|verified| *verified != text).map(|text| self::desired(text));
        let verified = verified.as_ref().map(|_| other.as_ref().unwrap_or(&desired));
        let order = PassInput { verified, ..PassInput::new(&desired, text) };
        pass(&mut self.kernel, &order, &store, None, &mut |_| {}).unwrap()
    }

    /// Somebody adds services by hand, with these ports.
    fn by_hand(&mut self, ports: &[u16]) {
        for port in ports {
            let made = desired(&file("", &[("x", *port, SERVERS)])).state.services;
            self.kernel.live.state.services.extend(made);
        }
    }

    /// The ports of the services that the kernel has, each with the weights of its servers.
    fn table(&self) -> Vec<(u16, Vec<u32>)> {
        let row = |(service, of): (&ServiceKey, &lbd::model::VirtualService)| {
            (
                service.default_server_port(),
                of.servers.values().map(|server: &RealServer| server.weight).collect(),
            )
        };
        let mut table: Vec<_> = self.kernel.live.state.services.iter().map(row).collect();
        table.sort();
        table
    }

    fn ports(&self) -> Vec<u16> {
        self.table().into_iter().map(|(port, _)| port).collect()
    }

    fn edit_record(&self, edit: impl FnOnce(String) -> String) {
        let path = self.directory.path().join("state.json");
        let text = fs::read_to_string(&path).unwrap();
        let edited = edit(text.clone());
        assert_ne!(edited, text);
        fs::write(path, edited).unwrap();
    }
}

fn refused(report: &Report) -> String {
    match &report.outcome {
        Outcome::Refused(guard_refusal) => guard_refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn refused_in_part(report: &Report) -> String {
    match &report.outcome {
        Outcome::PartlyRefused(guard_refusal) => guard_refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn texts(report: &Report) -> Vec<String> {
    report.done.iter().map(|edit| edit.to_string()).collect()
}

/// What can have happened between two passes, and how it happens.
type Happening = (&'static str, fn(&mut Host));
const BETWEEN: [Happening; 6] = [
    ("nothing", |_| {}),
    ("another boot", |host| {
        host.kernel.live = Default::default();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        host.edit_record(|text| sealed(&text.replace(boot.trim(), "another-boot")));
    }),
    ("another network namespace", |host| {
        host.kernel.live = Default::default();
        host.edit_record(|text| sealed(&text.replace("\"namespace\": \"", "\"namespace\": \"1")));
    }),
    ("a spoilt record", |host| host.edit_record(|text| text[..text.len() / 2].to_owned())),
    ("a record that is gone", |host| fs::remove_file(host.directory.path().join("state.json")).unwrap()),
    ("a spoilt record and another boot", |host| {
        host.kernel.live = Default::default();
        host.edit_record(|_| "{".to_owned());
    }),
];

/// Accidents of a file, and how what the guard says begins.
fn accidents() -> [(String, &'static str); 5] {
    let quiesced = "{ address: 192.168.8.14, weight: 0 }, { address: 192.168.8.15, weight: 0 }";
    [
        (file("", &[]), "the file has no clusters, and 2 virtual services would be deleted: "),
        (file("", &[("web", 80, ""), ("shop", 443, "")]), "2 virtual services would lose the last server"),
        (
            file("", &[("web", 80, quiesced), ("shop", 443, quiesced)]),
            "2 virtual services would lose the last server",
        ),
        (file("", &[("other", 8080, SERVERS)]), "2 of 2 virtual services would be deleted"),
        (
            file("max_delete: 40%", &[("web", 80, "192.168.8.14"), ("shop", 443, "192.168.8.14")]),
            "2 of 4 real servers would be deleted",
        ),
    ]
}

// An emptied file was taken, "verified" and kept for the next boot once the record was spoilt; `servers: []` and weights of
// 0 everywhere always were.
#[test]
fn an_accident_of_the_file_is_refused_in_every_pass() {
    for (between, happens) in BETWEEN {
        for (accident, says) in accidents() {
            let mut host = Host::new();
            assert_eq!(host.apply(&two()).outcome, Outcome::Verified);
            happens(&mut host);
            let (table, executes) = (host.table(), host.kernel.executes);
            for _ in 0..2 {
                let report = host.apply(&accident);
                assert!(refused(&report).starts_with(says), "{between}: {}", refused(&report));
                assert_eq!((host.table(), host.kernel.executes), (table.clone(), executes), "{between}");
            }
            let kept = Store::new(host.directory.path(), None).unwrap().load_verified();
            assert_eq!(kept, Ok(Some(two())), "{between}");
            let report = host.apply_with(&accident, |policy| {
                policy.allow_empty = true;
                policy.max_delete = MaxDelete::Percent(100);
            });
            assert_eq!(report.outcome, Outcome::Verified, "{between}");
            // By the operator's word it is what there is, and no more an accident.
            assert_eq!(host.apply(&accident).outcome, Outcome::Verified, "{between}");
        }
    }
}

#[test]
fn everyday_changes_are_refused_in_no_pass() {
    let quiesced = "{ address: 192.168.8.14, weight: 0 }, 192.168.8.15";
    let ports = "'192.168.8.14:8080', '192.168.8.15:8080'";
    for (between, happens) in BETWEEN {
        for text in [
            file("max_delete: 0%", &[("web", 8080, SERVERS), ("shop", 8443, SERVERS)]),
            file("max_delete: 0%", &[("a", 80, SERVERS), ("b", 443, SERVERS)]),
            file("max_delete: 0%", &[("web", 80, ports), ("shop", 443, ports)]),
            file("max_delete: 0%", &[("web", 80, quiesced), ("shop", 443, quiesced)]),
            file("", &[("web", 80, "192.168.8.14"), ("shop", 443, "192.168.8.14"), ("new", 81, "")]),
            file("", &[("web", 80, SERVERS)]),
            file("", &[("web", 80, SERVERS), ("shop", 443, "")])
                .replace("name: shop,", "name: shop, allow_empty: true,"),
        ] {
            let mut host = Host::new();
            host.apply(&two());
            happens(&mut host);
            assert_eq!(host.apply(&text).outcome, Outcome::Verified, "{between}: {text}");
        }
    }
}

// `prune: all` and `clusters: []`, which the package installs, deleted three services made by hand: "verified".
#[test]
fn a_file_that_is_the_whole_table_and_empty_deletes_nothing_made_by_hand() {
    let mut host = Host::new();
    host.by_hand(&[1, 2, 3]);
    let empty = file("prune: all", &[]);
    for _ in 0..2 {
        let report = host.apply(&empty);
        assert!(
            refused_in_part(&report).contains("would delete 3 virtual services that never were in the file")
        );
        assert_eq!((texts(&report), host.ports(), host.kernel.executes), (vec![], vec![1, 2, 3], 0));
        assert!(!report.last.is_in_sync());
        assert_eq!(report.last.foreign.len(), 3);
    }
    // Nor does a file that gets clusters afterwards, however many.
    let clusters: Vec<(String, u16)> = (100..110).map(|port| (format!("c{port}"), port)).collect();
    let clusters: Vec<(&str, u16, &str)> =
        clusters.iter().map(|(name, port)| (name.as_str(), *port, SERVERS)).collect();
    refused_in_part(&host.apply(&file("prune: all", &clusters)));
    assert_eq!(host.ports().len(), 13);
    let report =
        host.apply_with(&file("prune: all", &clusters), |policy| policy.max_delete = MaxDelete::Percent(100));
    assert_eq!((report.outcome, host.ports().len()), (Outcome::Verified, 10));

    let mut host = Host::new();
    host.by_hand(&[1, 2, 3]);
    assert_eq!(host.apply_with(&empty, |policy| policy.allow_empty = true).outcome, Outcome::Verified);
    assert_eq!(host.ports(), [] as [u16; 0]);
}

#[test]
fn services_made_by_hand_keep_nothing_else_from_being_repaired_and_deleted() {
    let all = |clusters: &[(&str, u16, &str)]| file("prune: all", clusters);
    let mut host = Host::new();
    host.apply(&all(&[("web", 80, SERVERS), ("shop", 443, SERVERS)]));
    host.by_hand(&[1, 2, 3]);
    let web: ServiceKey = "tcp://10.0.0.1:80".parse().unwrap();
    host.kernel.live.state.services.shift_remove(&web);
    // Repair.
    let report = host.apply(&all(&[("web", 80, SERVERS), ("shop", 443, SERVERS)]));
    assert_eq!(
        refused_in_part(&report),
        "`prune: all` would delete 3 of 5 virtual services, none of which ever was in the file (tcp://10.0.0.1:1, \
         tcp://10.0.0.1:2, tcp://10.0.0.1:3), and `policy.max_delete` is 50%; if that is meant, run `lbd apply \
         --allow-deletes`, or raise `policy.max_delete` in the file"
    );
    assert_eq!(texts(&report)[0], "add service tcp://10.0.0.1:80");
    assert_eq!(host.ports(), [1, 2, 3, 80, 443]);
    // A change with a deletion.
    let report = host.apply(&all(&[("web", 80, "192.168.8.14, 192.168.8.16")]));
    refused_in_part(&report);
    assert_eq!(
        texts(&report),
        [
            "add server 192.168.8.16:80 to tcp://10.0.0.1:80",
            "delete server 192.168.8.15:80 from tcp://10.0.0.1:80",
            "delete service tcp://10.0.0.1:443",
        ]
    );
    assert_eq!(host.ports(), [1, 2, 3, 80]);
    // It was verified, and the next accident is measured by it.
    assert!(refused(&host.apply(&all(&[]))).starts_with("the file has no clusters, and 4 virtual services"));
    // One that comes later beside many is cleaned away as before.
    let report =
        host.apply_with(&all(&[("web", 80, SERVERS)]), |policy| policy.max_delete = MaxDelete::Percent(100));
    assert_eq!((report.outcome, host.ports()), (Outcome::Verified, vec![80]));
    host.by_hand(&[9]);
    assert_eq!(host.apply(&all(&[("web", 80, SERVERS)])).outcome, Outcome::Verified);
    assert_eq!(host.ports(), [80]);
}

// Of ten new services and three made by hand, the share was small enough once the new ones were there.
#[test]
fn the_first_file_of_a_director_made_by_hand_deletes_nothing_in_its_second_round() {
    let mut host = Host::new();
    host.by_hand(&[1, 2, 3]);
    let four =
        file("prune: all", &[("a", 81, SERVERS), ("b", 82, SERVERS), ("c", 83, SERVERS), ("d", 84, SERVERS)]);
    for _ in 0..3 {
        let report = host.apply(&four);
        assert!(
            refused_in_part(&report)
                .starts_with("`prune: all` would delete 3 of 3 virtual services, none of which ever was")
        );
        assert_eq!(host.ports(), [1, 2, 3, 81, 82, 83, 84]);
    }
}
