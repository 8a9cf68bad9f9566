//! Passes under verdicts: the fallback drains when it leaves, the guards look at file and overrides, and what ends a trial.

use std::collections::BTreeMap;
use std::time::Duration;

use super::director::{Cluster, FALLBACK, desired, last_byte, server, service};
use lbd::health::{Failure, Finding, Probes, Verdict, Verdicts};
use lbd::kernel::fake::Fake;
use lbd::model::{Connections, Desired, MinServing, OnFailure};
use lbd::reconcile::{self, Outcome, PassInput, Report};
use lbd::store::Store;
use lbd::target::{Advance, Allowed, Clock, Conditions, InForce, Overrides, Pauses, Period, Settings, Trial};
use tempfile::TempDir;

struct Lab {
    kernel: Fake,
    directory: TempDir,
    conditions: Conditions,
    now: Clock,
}

impl Lab {
    fn new() -> Self {
        Self {
            kernel: Fake::default(),
            directory: tempfile::tempdir().unwrap(),
            conditions: Conditions::default(),
            now: Clock::now(),
        }
    }

    fn store(&self) -> Store {
        Store::new(self.directory.path(), None).unwrap()
    }

    /// A checker says that these servers fail, and all others pass.
    fn fail(&mut self, file: &Desired, numbers: &[u8]) {
        self.now.since_boot += 1_000;
        let failure = Failure {
            detail: "refused".into(),
            since: self.now.wall.into(),
            since_boot: self.now.since_boot,
            failed: 3,
            fall: 3,
        };
        let finding = Finding { verdict: Verdict::Failing(failure), ..Finding::PASSING };
        let fails = |target: &std::net::SocketAddr| {
            numbers.iter().any(|number| server(*number).address == target.ip())
        };
        let probes = Probes::of(file);
        let failing = probes.iter().filter(|(probe, _)| fails(&probe.target));
        let verdicts = Verdicts {
            findings: failing.map(|(probe, _)| (probe, finding.clone())).collect(),
            ..Verdicts::default()
        };
        self.conditions.health = self.conditions.health.advance(&Advance {
            desired: file,
            before: None,
            overrides: &Overrides::NONE,
            pauses: &Pauses::NONE,
            verdicts: Some(&verdicts),
            silent_for: 0,
            now: self.now,
        });
    }

    fn pass(&mut self, file: &Desired, verified: &Desired) -> Report {
        let store = self.store();
        self.conditions.drains = store.load_drains().unwrap();
        let order = PassInput {
            verified: Some(verified),
            conditions: &self.conditions,
            now: self.now,
            ..PassInput::new(file, "text")
        };
        reconcile::pass(&mut self.kernel, &order, &store, None, &mut |_| {}).unwrap()
    }

    /// What a pass does, each with its reason without the times.
    fn does(&mut self, file: &Desired) -> Vec<String> {
        let report = self.pass(file, file);
        assert_eq!(report.outcome, Outcome::Verified);
        let reason = |of| report.last.reason(of).map(ToString::to_string).unwrap_or_default();
        let line = |of| {
            format!("{of} {}", reason(of).split(", since").next().unwrap().split(" until").next().unwrap())
        };
        report.done.iter().map(line).collect()
    }
}

fn of(cluster: Cluster) -> Desired {
    desired(&BTreeMap::from([(1, cluster)]))
}

fn two(fallback: bool) -> Cluster {
    let mut cluster = Cluster::new(fallback, OnFailure::Quiesce);
    cluster.servers.retain(|number, _| *number <= 2);
    cluster
}

#[test]
fn the_fallback_enters_first_and_drains_as_a_server_that_leaves_the_file() {
    let (mut lab, file) = (Lab::new(), of(two(true)));
    lab.fail(&file, &[]);
    lab.does(&file);
    lab.fail(&file, &[1, 2]);
    assert_eq!(
        lab.does(&file),
        [
            "add server 192.168.8.99:80 to tcp://10.0.0.1:80 fallback: no server passes its checks",
            "edit server 192.168.8.1:80 of tcp://10.0.0.1:80 check every5: refused, 3 of 3",
            "edit server 192.168.8.2:80 of tcp://10.0.0.1:80 check every5: refused, 3 of 3",
        ]
    );
    assert_eq!(lab.does(&file), [""; 0]);
    let connections = Connections { active: 1, packets: 1, ..Connections::default() };
    lab.kernel.live.connections.insert((service(1), server(FALLBACK)), connections);
    lab.fail(&file, &[2]);
    assert_eq!(
        lab.does(&file),
        [
            "edit server 192.168.8.1:80 of tcp://10.0.0.1:80 ",
            "edit server 192.168.8.99:80 of tcp://10.0.0.1:80 fallback: it serves no more; drains",
        ]
    );
    assert_eq!(lab.does(&file), [""; 0]);
    // It serves again before it has drained.
    lab.fail(&file, &[1, 2]);
    assert_eq!(lab.does(&file).len(), 2);
    lab.fail(&file, &[]);
    assert_eq!(lab.does(&file).len(), 3);
    lab.kernel.live.connections.clear();
    assert_eq!(lab.does(&file), ["delete server 192.168.8.99:80 from tcp://10.0.0.1:80 drained"]);
    assert!(lab.store().load_drains().unwrap().is_empty());
}

#[test]
fn what_checks_take_out_is_no_change_of_the_file_for_the_guards() {
    let mut lab = Lab::new();
    let with = |min_serving| {
        let mut file = of(Cluster { min_serving, ..two(false) });
        file.allow_empty.clear();
        file
    };
    let (before, file) = (with(MinServing::DEFAULT), with(MinServing::Count(0)));
    lab.fail(&before, &[]);
    lab.does(&before);
    lab.fail(&before, &[1, 2]);
    let report = lab.pass(&file, &before);
    assert_eq!((report.outcome, report.done.len()), (Outcome::Verified, 2));
    let numbers = lab.kernel.live.state.services[&service(1)].servers.keys().map(last_byte);
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_checks_have_taken_out_of_the_table_stays_out_while_that_cannot_be_read() {
    let mut lab = Lab::new();
    let file = of(Cluster { on_failure: OnFailure::Remove, ..two(false) });
    lab.fail(&file, &[]);
    lab.does(&file);
    lab.fail(&file, &[1]);
    lab.does(&file);
    let why = || "in-force.json: its checksum does not match".to_owned();
    lab.conditions = Conditions { unreadable: Some(why()), ..Conditions::default() };
    let report = lab.pass(&file, &file);
    assert_eq!((report.outcome, report.done.len()), (Outcome::Unverified(why()), 0));
    // A service that serves nobody gets its servers.
    lab.kernel.live.state.services[&service(1)].servers_mut().clear();
    let report = lab.pass(&file, &file);
    assert_eq!((report.outcome, report.done.len()), (Outcome::Verified, 2));
}

#[test]
fn a_part_of_the_file_counts_its_own_checked_servers() {
    let mut lab = Lab::new();
    let file = desired(&BTreeMap::from([(1, two(false)), (2, two(false))]));
    let mut last = lab.pass(&file, &file).last;
    assert_eq!((last.health.checked(), last.health.unknown()), (4, 4));
    last.limit(&|cluster| cluster == "c1");
    assert_eq!((last.health.checked(), last.health.unknown()), (2, 2));
}

#[test]
fn a_trial_must_not_go_on_where_a_server_fails_that_passed_when_it_began() {
    let (mut lab, file) = (Lab::new(), of(two(false)));
    lab.fail(&file, &[]);
    lab.fail(&file, &[1]);
    lab.now.since_boot += 1_000;
    lab.conditions.trial = Some(Trial {
        file: "new.yaml".into(),
        desired: "desired.yaml".into(),
        by: "alice".into(),
        reason: None,
        period: Period::new(lab.now, Duration::from_secs(60)),
        sha256: String::new(),
        desired_sha256: String::new(),
        allowed: Allowed::default(),
        fragment: None,
        keep_going: false,
        verified: false,
        added: Vec::new(),
        settings: Settings::default(),
        ended: None,
    });
    // One had failed before, and one has never passed.
    assert_eq!(reconcile::failed_server(&file, &lab.conditions), None);
    lab.fail(&file, &[1, 2]);
    let failed = reconcile::failed_server(&file, &lab.conditions).map(|(server, _)| server);
    assert_eq!(failed, Some((service(1), server(2))));
    lab.conditions.health = InForce::NONE;
    lab.fail(&file, &[1, 2]);
    assert_eq!(reconcile::failed_server(&file, &lab.conditions), None);
}
