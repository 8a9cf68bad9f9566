//! Drains: what becomes of the servers that leave the file, on virtual time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::controller::Director;
use crate::daemon;
use crate::log;
use lbd::config::{Source, load};
use lbd::daemon::Event;
use lbd::kernel::Look;
use lbd::kernel::fake::Fake;
use lbd::model::{Connections, Desired, Operation, SchedulerName, ServerKey, ServiceKey};
use lbd::reconcile::{self, Outcome, PassInput, Report};
use lbd::store::Store;
use lbd::target::{Clock, Departure, Drains, Pause, Pauses, Period};

/// A director whose time passes as a test likes.
struct Lab {
    kernel: Fake,
    store: Store,
    directory: tempfile::TempDir,
    verified: Option<Desired>,
    now: Clock,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        Self { kernel: Fake::default(), store, directory, verified: None, now: Clock::now() }
    }

    fn after(&mut self, seconds: u64) {
        self.now.since_boot += seconds * 1_000;
        self.now.wall += Duration::from_secs(seconds);
    }

    fn pass(&mut self, text: &str, departure: Departure) -> Report {
        let desired = load(&Source::new("desired.yaml", text)).unwrap();
        let conditions = self.store.load_conditions(self.now);
        let order = PassInput {
            verified: self.verified.as_ref(),
            conditions: &conditions,
            departure,
            now: self.now,
            ..PassInput::new(&desired, text)
        };
        let report = reconcile::pass(&mut self.kernel, &order, &self.store, None, &mut |_| {}).unwrap();
        if report.outcome == Outcome::Verified {
            self.verified = Some(desired);
        }
        report
    }

    /// What a pass does: each operation with its reason.
    fn does(&mut self, text: &str) -> Vec<String> {
        said(&self.pass(text, Departure::Drain))
    }

    /// Gives a server of a service these connections: active, inactive, persistent, and packets.
    fn connect(
        &mut self,
        service: &str,
        server: &str,
        [active, inactive, persistent]: [u32; 3],
        packets: u64,
    ) {
        let key: (ServiceKey, ServerKey) = (service.parse().unwrap(), server.parse().unwrap());
        self.kernel.live.connections.insert(key, Connections { active, inactive, persistent, packets });
    }

    fn draining(&self) -> Vec<String> {
        let drains = self.store.load_drains().unwrap();
        drains.iter().map(|((service, server), _)| format!("{server} of {service}")).collect()
    }
}

/// The operations of a pass, each with its reason without the times.
fn said(report: &Report) -> Vec<String> {
    let reason = |operation: &Operation| {
        let reason = report.last.reason(operation)?.to_string();
        Some(format!(" ({})", reason.split(" until").next()?))
    };
    report.done.iter().map(|of| format!("{of}{}", reason(of).unwrap_or_default())).collect()
}

const WEB: &str = "tcp://10.0.0.1:80";
const BOTH: &str =
    "{ name: web, listen: tcp://10.0.0.1:80, forward: nat, servers: [192.168.8.1, 192.168.8.2] }";
const ONE: &str = "{ name: web, listen: tcp://10.0.0.1:80, forward: nat, servers: [192.168.8.2] }";
const SERVER: &str = "192.168.8.1:80";
const DRAINS: &str = "edit server 192.168.8.1:80 of tcp://10.0.0.1:80 (left the file; drains)";
const GONE: &str = "delete server 192.168.8.1:80 from tcp://10.0.0.1:80";

fn file(clusters: &[&str]) -> String {
    let clusters: String = clusters.iter().map(|cluster| format!("\n  - {cluster}")).collect();
    format!("version: 1\npolicy: {{ max_delete: 100%, allow_empty: true }}\nclusters:{clusters}\n")
}

#[test]
fn a_server_without_connections_goes_at_once_and_one_with_some_when_they_are_gone_or_quiet() {
    let mut lab = Lab::new();
    lab.does(&file(&[BOTH]));
    assert_eq!(lab.does(&file(&[ONE])), [GONE]);

    lab.does(&file(&[BOTH]));
    lab.connect(WEB, SERVER, [2, 1, 0], 100);
    assert_eq!(lab.does(&file(&[ONE])), [DRAINS]);
    assert_eq!(lab.draining(), ["192.168.8.1:80 of tcp://10.0.0.1:80"]);
    lab.after(200);
    assert_eq!(lab.does(&file(&[ONE])), [""; 0]);
    // All are closed but one, which is half closed, and gets packets for a while.
    lab.connect(WEB, SERVER, [0, 1, 0], 200);
    lab.does(&file(&[ONE]));
    lab.after(9);
    lab.connect(WEB, SERVER, [0, 1, 0], 201);
    assert_eq!(lab.does(&file(&[ONE])), [""; 0]);
    lab.after(9);
    assert_eq!(lab.does(&file(&[ONE])), [""; 0]);
    // Another one becomes active in between.
    lab.connect(WEB, SERVER, [1, 1, 0], 201);
    assert_eq!(lab.does(&file(&[ONE])), [""; 0]);
    lab.connect(WEB, SERVER, [0, 2, 0], 201);
    assert_eq!(lab.does(&file(&[ONE])), [""; 0]);
    lab.after(10);
    // Without counters nothing is known to be quiet.
    lab.kernel.live.counters_rest = true;
    assert_eq!(lab.does(&file(&[ONE])), [""; 0]);
    lab.kernel.live.counters_rest = false;
    assert_eq!(lab.does(&file(&[ONE])), [format!("{GONE} (drained)")]);
    assert_eq!(lab.draining(), [""; 0]);
}

#[test]
fn a_drain_ends_at_its_deadline_which_no_later_pass_moves() {
    let mut lab = Lab::new();
    lab.does(&file(&[BOTH]));
    lab.connect(WEB, SERVER, [3, 4, 0], 0);
    lab.does(&file(&[ONE]));
    lab.after(299);
    // Another file, and another drain time.
    let other = ONE.replace("forward: nat", "forward: nat, drain: 1h, scheduler: rr");
    assert_eq!(lab.does(&file(&[&other])), ["edit service tcp://10.0.0.1:80"]);
    lab.after(1);
    assert_eq!(lab.does(&file(&[&other])), [format!("{GONE} (deadline: 7 connections are cut)")]);
    assert_eq!(lab.does(&file(&[&other])), [""; 0]);
}

#[test]
fn what_is_back_in_the_file_is_one_edit_and_goes_on_with_its_first_end_where_no_pass_verified_that() {
    let mut lab = Lab::new();
    lab.does(&file(&[BOTH]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    lab.does(&file(&[ONE]));
    lab.after(60);
    assert_eq!(lab.does(&file(&[BOTH])), ["edit server 192.168.8.1:80 of tcp://10.0.0.1:80"]);
    assert_eq!(lab.draining(), [""; 0]);

    lab.does(&file(&[ONE]));
    lab.after(60);
    // Back, but the kernel refuses something else of that file.
    let unknown = "{ name: new, listen: tcp://10.0.0.9:80, forward: nat, scheduler: 'module:other', servers: [192.168.8.9] }";
    let report = lab.pass(&file(&[BOTH, unknown]), Departure::Drain);
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(lab.does(&file(&[ONE])), [DRAINS]);
    lab.after(240);
    assert_eq!(lab.does(&file(&[ONE])), [format!("{GONE} (deadline: 1 connection is cut)")]);
}

// Where a pause or a refusal of the kernel kept files from being verified for hours, what left again was cut at once.
#[test]
fn what_leaves_again_after_its_first_end_drains_again_though_no_pass_verified_a_file_meanwhile() {
    let mut lab = Lab::new();
    let other = |weight: u32| {
        format!(
            "{{ name: other, listen: tcp://10.0.0.5:80, forward: nat, servers: [{{ address: 192.168.8.7, weight: {weight} }}] }}"
        )
    };
    lab.does(&file(&[BOTH, &other(1)]));
    let mut pauses = Pauses::NONE;
    let period = Period::new(lab.now, Duration::from_secs(36_000));
    pauses.add(Pause {
        cluster: Some("other".into()),
        by: "alice".into(),
        reason: None,
        keep_checks: false,
        period,
    });
    lab.store.save_pauses(&pauses).unwrap();
    for back in [60, 600] {
        lab.connect(WEB, SERVER, [1, 0, 0], 0);
        assert_eq!(lab.does(&file(&[ONE, &other(2)])), [DRAINS]);
        lab.after(back);
        lab.connect(WEB, SERVER, [u32::from(back < 300), 0, 0], 0);
        lab.does(&file(&[ONE, &other(2)]));
        assert_eq!(lab.does(&file(&[BOTH, &other(2)])).len(), 1);
        lab.after(3_600);
        assert_eq!(lab.does(&file(&[BOTH, &other(2)])), [""; 0]);
    }
    // One that begins with weight 0 already needs no operation.
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    let zero = BOTH.replace("[192.168.8.1", "[{ address: 192.168.8.1, weight: 0 }");
    lab.does(&file(&[&zero, &other(2)]));
    assert_eq!(lab.does(&file(&[ONE, &other(2)])), [""; 0]);
    assert_eq!(lab.draining(), ["192.168.8.1:80 of tcp://10.0.0.1:80"]);
}

#[test]
fn udp_drains_only_where_the_file_says_so_and_has_inactive_connections_only() {
    let mut lab = Lab::new();
    let servers = |more: &str, servers: &str| {
        file(&[&format!(
            "{{ name: dns, listen: udp://10.0.0.1:53, forward: nat, {more}servers: [{servers}] }}"
        )])
    };
    let both = "192.168.8.1, 192.168.8.2";
    let (dns, server) = ("udp://10.0.0.1:53", "192.168.8.1:53");
    lab.connect(dns, server, [0, 5, 0], 0);
    lab.does(&servers("", both));
    let gone = "delete server 192.168.8.1:53 from udp://10.0.0.1:53";
    assert_eq!(lab.does(&servers("", "192.168.8.2")), [gone]);
    lab.does(&servers("drain: 30s, ", both));
    lab.connect(dns, server, [0, 5, 0], 0);
    let drains = "edit server 192.168.8.1:53 of udp://10.0.0.1:53 (left the file; drains)";
    assert_eq!(lab.does(&servers("", "192.168.8.2")), [drains]);
    lab.after(29);
    assert_eq!(lab.does(&servers("", "192.168.8.2")), [""; 0]);
    lab.connect(dns, server, [0, 0, 0], 0);
    assert_eq!(lab.does(&servers("", "192.168.8.2")), [format!("{gone} (drained)")]);
}

#[test]
fn clients_with_a_persistence_template_keep_a_server_unless_the_kernel_lets_them_go() {
    let mut lab = Lab::new();
    let tied = |cluster: &str| file(&[&cluster.replace("forward: nat", "forward: nat, persistence: 600")]);
    lab.does(&tied(BOTH));
    lab.connect(WEB, SERVER, [0, 0, 2], 0);
    assert_eq!(lab.does(&tied(ONE)), [DRAINS]);
    // At least as long as the clients are tied.
    lab.after(599);
    assert_eq!(lab.does(&tied(ONE)), [""; 0]);
    lab.kernel.live.expire_quiescent_template = true;
    assert_eq!(lab.does(&tied(ONE)), [format!("{GONE} (drained)")]);
}

#[test]
fn what_would_refuse_its_clients_with_weight_0_is_deleted_at_once_and_says_why() {
    let mut lab = Lab::new();
    for (scheduler, fallback, drains) in [
        ("sh", "", false),
        ("mh", "", false),
        ("dh", "", false),
        ("sh", "sh-fallback", true),
        ("mh", "mh-fallback", true),
    ] {
        let with = |cluster: &str| {
            let words = format!("forward: nat, scheduler: {scheduler}, scheduler_flags: [{fallback}]");
            file(&[&cluster.replace("forward: nat", &words)])
        };
        lab.does(&with(BOTH));
        lab.connect(WEB, SERVER, [1, 0, 0], 0);
        let expected = match drains {
            true => DRAINS.to_owned(),
            false => format!("{GONE} (not drained: {scheduler} refuses the clients of a server of weight 0)"),
        };
        assert_eq!(lab.does(&with(ONE)), [expected], "{scheduler} {fallback}");
        lab.pass(&with(ONE), Departure::DrainFor(Duration::ZERO));
    }
}

// `lbd drain --wait` returned when a server happened to have no connection before the daemon took it out of service.
#[test]
fn a_server_that_is_waited_for_has_drained_when_it_has_no_connections_and_gets_no_new_ones() {
    let mut lab = Lab::new();
    lab.does(&file(&[BOTH]));
    let server = (WEB.parse().unwrap(), SERVER.parse().unwrap());
    let waits = |lab: &Lab, waiting: &mut Drains| {
        waiting.take_out_ended(&reconcile::live_connections(&lab.kernel.live), lab.now);
        !waiting.is_empty()
    };
    let mut waiting = Drains::waiting_for(&[server], lab.now);
    assert!(waits(&lab, &mut waiting));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    lab.does(&file(&[&BOTH.replace("[192.168.8.1", "[{ address: 192.168.8.1, weight: 0 }")]));
    assert!(waits(&lab, &mut waiting));
    lab.connect(WEB, SERVER, [0, 0, 0], 0);
    assert!(!waits(&lab, &mut waiting));
    let mut waiting = Drains::waiting_for(&[server], lab.now);
    lab.does(&file(&[ONE]));
    assert!(!waits(&lab, &mut waiting));
}

// Its clients would get no other server anyway, and another program's change of a scheduler must not cut connections.
#[test]
fn a_scheduler_that_refuses_clients_cuts_no_connections_where_its_service_leaves_or_another_program_has_set_it()
 {
    let mut lab = Lab::new();
    let other = "{ name: other, listen: tcp://10.0.0.2:80, forward: nat, servers: [192.168.8.3] }";
    let sh = BOTH.replace("forward: nat", "forward: nat, scheduler: sh");
    lab.does(&file(&[&sh, other]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    let without = "delete server 192.168.8.2:80 from tcp://10.0.0.1:80";
    assert_eq!(lab.does(&file(&[other])), [DRAINS, without]);
    lab.after(300);
    assert_eq!(
        lab.does(&file(&[other])),
        ["delete service tcp://10.0.0.1:80 (deadline: 1 connection is cut)"]
    );

    lab.does(&file(&[BOTH, other]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    assert_eq!(lab.does(&file(&[ONE, other])), [DRAINS]);
    let service = lab.kernel.live.state.services.get_mut(&WEB.parse::<ServiceKey>().unwrap()).unwrap();
    Arc::make_mut(&mut service.scheduling).scheduler = SchedulerName::new("sh").unwrap();
    assert_eq!(lab.does(&file(&[ONE, other])), ["edit service tcp://10.0.0.1:80"]);
    assert_eq!(lab.draining(), ["192.168.8.1:80 of tcp://10.0.0.1:80"]);
    // The file itself: then its clients would be refused.
    let refused = format!("{GONE} (not drained: sh refuses the clients of a server of weight 0)");
    let one = ONE.replace("forward: nat", "forward: nat, scheduler: sh");
    assert_eq!(lab.does(&file(&[&one, other])), ["edit service tcp://10.0.0.1:80", refused.as_str()]);
}

// The kernel would have refused the sync daemon for as long as the server drained.
#[test]
fn a_server_of_another_family_does_not_drain_beside_a_sync_daemon() {
    let mut lab = Lab::new();
    let with = |servers: &str| {
        format!("{{ name: web, listen: tcp://10.0.0.1:80, servers: [192.168.8.2{servers}] }}")
    };
    let six = ", { address: 'fd00:8::1', forward: tun }";
    let (server, gone) = ("[fd00:8::1]:80", "delete server [fd00:8::1]:80 from tcp://10.0.0.1:80");
    lab.does(&file(&[&with(six)]));
    lab.connect(WEB, server, [1, 0, 0], 0);
    let sync = "sync: [{ role: master, interface: lo }]\n";
    let did = lab.does(&format!("{}{sync}", file(&[&with("")])));
    let why = "the kernel runs no sync daemon beside a server of another family than its service's";
    assert_eq!(did, [format!("{gone} (not drained: {why})"), "start sync master on lo".to_owned()]);
}

#[test]
fn a_cluster_that_leaves_keeps_its_services_and_a_new_one_takes_them_over_in_place() {
    let mut lab = Lab::new();
    let other = "{ name: other, listen: tcp://10.0.0.2:80, forward: nat, servers: [192.168.8.3] }";
    lab.does(&file(&[BOTH, other]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    // The one without connections goes at once.
    let without = "delete server 192.168.8.2:80 from tcp://10.0.0.1:80";
    assert_eq!(lab.does(&file(&[other])), [DRAINS, without]);
    assert_eq!(lab.does(&file(&[other])), [""; 0]);
    let new = "{ name: new, listen: tcp://10.0.0.1:80, scheduler: rr, forward: nat, servers: [192.168.8.7] }";
    assert_eq!(
        lab.does(&file(&[other, new])),
        ["edit service tcp://10.0.0.1:80", "add server 192.168.8.7:80 to tcp://10.0.0.1:80"]
    );
    lab.connect(WEB, SERVER, [0, 0, 0], 0);
    assert_eq!(lab.does(&file(&[other, new])), [format!("{GONE} (drained)")]);
    // The service goes with its last server.
    lab.connect(WEB, "192.168.8.7:80", [1, 0, 0], 0);
    lab.does(&file(&[other]));
    lab.after(300);
    let gone = "delete service tcp://10.0.0.1:80 (deadline: 1 connection is cut)";
    assert_eq!(lab.does(&file(&[other])), [gone]);
}

#[test]
fn the_mark_rules_of_a_cluster_that_left_stay_unless_the_file_gives_their_packets_to_another() {
    let mut lab = Lab::new();
    let marks = "marks:
  - { mark: 10, match: [{ protocol: tcp, address: 10.0.0.1, ports: [80] }, { protocol: tcp, address: 10.0.0.2, ports: [80] }] }
";
    let marked = "{ name: marked, listen: fwmark://10, forward: nat, servers: [192.168.8.1] }";
    let other = "{ name: other, listen: tcp://10.0.0.3:80, forward: nat, servers: [192.168.8.3] }";
    lab.does(&format!("{}{marks}", file(&[marked, other])));
    lab.connect("fwmark://10", "192.168.8.1:0", [1, 0, 0], 0);
    let moved = "{ name: moved, listen: tcp://10.0.0.1:80, forward: nat, servers: [192.168.8.1] }";
    let did = lab.does(&file(&[moved, other]));
    assert_eq!(
        did,
        [
            "add service tcp://10.0.0.1:80",
            "add server 192.168.8.1:80 to tcp://10.0.0.1:80",
            "edit server 192.168.8.1:0 of fwmark://10 (left the file; drains)",
            "edit mark rules"
        ]
    );
    let rules = |lab: &Lab| {
        let all = lab.kernel.live.state.marks.iter().flat_map(|mark| &mark.matches);
        all.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(rules(&lab), ["{ protocol: tcp, address: 10.0.0.2, ports: [80] }"]);
    lab.connect("fwmark://10", "192.168.8.1:0", [0, 0, 0], 0);
    assert_eq!(
        lab.does(&file(&[moved, other])),
        ["delete mark rules", "delete service fwmark://10 (drained)"]
    );
    assert_eq!(rules(&lab), [""; 0]);
}

// Without its rule, the packets of an established connection would be dropped as invalid.
#[test]
fn packets_that_are_not_tracked_stay_so_until_their_cluster_has_drained() {
    let mut lab = Lab::new();
    let untracked = BOTH.replace("forward: nat", "forward: dr, untracked: true");
    let other = "{ name: other, listen: tcp://10.0.0.3:80, forward: nat, servers: [192.168.8.3] }";
    lab.does(&file(&[&untracked, other]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    let rules = lab.kernel.live.state.untracked.clone();
    assert_eq!(rules.len(), 1);
    lab.does(&file(&[other]));
    assert_eq!(lab.kernel.live.state.untracked, rules);
    assert_eq!(lab.does(&file(&[other])), [""; 0]);
    lab.after(300);
    lab.does(&file(&[other]));
    assert_eq!(lab.kernel.live.state.untracked, []);
}

#[test]
fn what_never_was_in_the_file_is_deleted_at_once_and_with_never_a_cluster_stays_as_it_is() {
    let mut lab = Lab::new();
    lab.does(&file(&[ONE]));
    let added = lab.kernel.live.state.services.get_mut(&WEB.parse::<ServiceKey>().unwrap()).unwrap();
    let real = *added.servers.values().next().unwrap();
    added.servers_mut().insert(SERVER.parse().unwrap(), real);
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    assert_eq!(lab.does(&file(&[ONE])), [GONE]);
    // Somebody else's change of what drains is drift: put back.
    lab.does(&file(&[BOTH]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    lab.does(&file(&[ONE]));
    let service = lab.kernel.live.state.services.get_mut(&WEB.parse::<ServiceKey>().unwrap()).unwrap();
    service.servers_mut().get_mut(&SERVER.parse::<ServerKey>().unwrap()).unwrap().weight = 9;
    assert_eq!(lab.does(&file(&[ONE])), [DRAINS]);

    let mut lab = Lab::new();
    let never = |clusters: &[&str]| file(clusters).replace("allow_empty", "prune: never, allow_empty");
    lab.does(&never(&[BOTH]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    assert_eq!(
        lab.does(&never(&["{ name: a, listen: tcp://10.0.0.5:80, forward: nat, servers: [192.168.8.1] }"]))
            .len(),
        2
    );
    assert_eq!(lab.kernel.live.state.services[&WEB.parse::<ServiceKey>().unwrap()].servers.len(), 2);
    assert_eq!(lab.draining(), [""; 0]);
}

#[test]
fn the_guards_count_a_server_when_it_leaves_and_not_again_when_it_has_drained() {
    let mut lab = Lab::new();
    let strict = |clusters: &[&str]| file(clusters).replace(", allow_empty: true", "").replace("100%", "40%");
    let clusters: Vec<String> = (1..=5)
        .map(|n| {
            format!("{{ name: c{n}, listen: tcp://10.0.0.{n}:80, forward: nat, servers: [192.168.8.1] }}")
        })
        .collect();
    let clusters: Vec<&str> = clusters.iter().map(String::as_str).collect();
    lab.does(&strict(&clusters));
    for number in 1..=5 {
        lab.connect(&format!("tcp://10.0.0.{number}:80"), SERVER, [1, 0, 0], 0);
    }
    let refused = lab.pass(&strict(&clusters[3..]), Departure::Drain);
    assert!(matches!(refused.outcome, Outcome::Refused(_)), "{:?}", refused.outcome);
    assert_eq!((lab.draining(), refused.last.draining), (vec![], Drains::NONE));
    assert_eq!(lab.does(&strict(&clusters[2..])).len(), 2);
    // Two of three are draining, and one more may leave.
    assert_eq!(lab.does(&strict(&clusters[3..])).len(), 1);
    lab.after(300);
    assert_eq!(lab.does(&strict(&clusters[3..])).len(), 3);
    // The last usable server of a service that stays.
    let empty = "{ name: c4, listen: tcp://10.0.0.4:80, forward: nat, servers: [] }";
    let refused = lab.pass(&strict(&[empty, clusters[4]]), Departure::Drain);
    assert!(matches!(refused.outcome, Outcome::Refused(_)), "{:?}", refused.outcome);
}

#[test]
fn in_a_pause_no_drain_begins_and_an_unreadable_file_of_drains_keeps_everything_until_it_is_removed() {
    let mut lab = Lab::new();
    lab.does(&file(&[BOTH]));
    lab.connect(WEB, SERVER, [1, 0, 0], 0);
    let mut pauses = Pauses::NONE;
    let period = Period::new(lab.now, Duration::from_secs(3_600));
    pauses.add(Pause {
        cluster: Some("web".into()),
        by: "alice".into(),
        reason: None,
        keep_checks: false,
        period,
    });
    lab.store.save_pauses(&pauses).unwrap();
    let new = "{ name: new, listen: tcp://10.0.0.5:80, forward: nat, servers: [192.168.8.7] }";
    assert_eq!(lab.does(&file(&[ONE, new])).len(), 2);
    assert_eq!(lab.draining(), [""; 0]);
    lab.after(3_000);
    lab.store.save_pauses(&Pauses::NONE).unwrap();
    assert_eq!(lab.does(&file(&[ONE, new])), [DRAINS]);
    lab.after(299);
    assert_eq!(lab.does(&file(&[ONE, new])), [""; 0]);

    fs::write(lab.directory.path().join("drains.json"), "{").unwrap();
    lab.after(10);
    let report = lab.pass(&file(&[ONE, new]), Departure::Drain);
    assert!(
        matches!(&report.outcome, Outcome::Unverified(reason) if reason.contains("`lbd apply --drain=0`"))
    );
    assert_eq!(said(&report), [""; 0]);
    lab.store.save_drains(&Drains::NONE).unwrap();
    assert_eq!(lab.does(&file(&[ONE, new])), [GONE]);
}

#[test]
fn the_daemon_looks_at_what_drains_and_ends_it_as_soon_as_its_connections_are_gone() {
    let mut director = Director::new();
    director.takes(&daemon::file(&[(1, 1), (2, 1)]));
    let server = ("tcp://10.0.0.1:80".parse().unwrap(), "192.168.8.14:80".parse().unwrap());
    let connect = |director: &Director, active: u32| {
        let connections = Connections { active, ..Connections::default() };
        director.kernel.0.lock().unwrap().live.connections.insert(server, connections);
    };
    connect(&director, 1);
    director.takes(&daemon::file(&[(2, 1)]));
    assert_eq!(director.table(), [(1, 0), (2, 1)]);
    let looked = director.passes.look(Look::Numbers);
    assert!(!looked.has_drained);
    director.hears(Event::Looked(looked));
    assert_eq!(director.table(), [(1, 0), (2, 1)]);
    connect(&director, 0);
    let looked = director.passes.look(Look::Numbers);
    assert!(looked.has_drained);
    let lines = log::of(|| director.hears(Event::Looked(looked)));
    assert_eq!(lines, ["INFO applied: delete service tcp://10.0.0.1:80"]);
    assert_eq!(director.table(), [(2, 1)]);
    assert!(!director.passes.look(Look::Numbers).has_drained);
}

// What is known of its connections changes with each pass, and excused what another program did to it.
#[test]
fn another_programs_change_of_what_drains_is_drift() {
    let mut director = Director::new();
    director.takes(&daemon::file(&[(1, 1), (2, 1)]));
    let server = ("tcp://10.0.0.1:80".parse().unwrap(), "192.168.8.14:80".parse().unwrap());
    let connect = |director: &Director, packets: u64| {
        let connections = Connections { inactive: 1, packets, ..Connections::default() };
        director.kernel.0.lock().unwrap().live.connections.insert(server, connections);
    };
    connect(&director, 1);
    let lines = log::of(|| {
        director.takes(&daemon::file(&[(2, 1)]));
    });
    assert!(!lines.iter().any(|line| line.contains("drift")), "{lines:?}");
    connect(&director, 2);
    director.meddle(1, 9);
    let lines = log::of(|| director.hears(Event::Reload));
    assert!(lines.iter().any(|line| line.starts_with("WARN drift repaired: edit server ")), "{lines:?}");
    assert_eq!(director.table(), [(1, 0), (2, 1)]);
}

// A full disk must not cut the connections of what drains.
#[test]
fn a_daemon_that_cannot_write_its_drains_down_remembers_them() {
    let mut director = Director::new();
    director.takes(&daemon::file(&[(1, 1), (2, 1)]));
    let server = ("tcp://10.0.0.1:80".parse().unwrap(), "192.168.8.14:80".parse().unwrap());
    let connections = Connections { active: 1, ..Connections::default() };
    director.kernel.0.lock().unwrap().live.connections.insert(server, connections);
    let drains = director.directory.path().join("drains.json");
    director.takes(&daemon::file(&[(2, 1)]));
    fs::remove_file(&drains).unwrap();
    director.hears(Event::Reload);
    assert_eq!(director.table(), [(1, 0), (2, 1)]);
    assert!(drains.exists());
}

// A pause of one cluster keeps a file from being verified, and the others go on.
#[test]
fn what_leaves_a_file_that_no_pass_could_verify_drains_too() {
    let mut director = Director::new();
    director.takes(&daemon::file(&[(1, 1), (2, 1)]));
    let mut pauses = Pauses::NONE;
    let period = Period::new(Clock::now(), Duration::from_secs(3_600));
    pauses.add(Pause {
        cluster: Some("c2".into()),
        by: "alice".into(),
        reason: None,
        keep_checks: false,
        period,
    });
    director.store.save_pauses(&pauses).unwrap();
    director.meddle(2, 5);
    director.takes(&daemon::file(&[(1, 1), (2, 1), (3, 1)]));
    assert_eq!(director.table(), [(1, 1), (2, 5), (3, 1)]);
    let server = ("tcp://10.0.0.3:80".parse().unwrap(), "192.168.8.14:80".parse().unwrap());
    let connections = Connections { active: 1, ..Connections::default() };
    director.kernel.0.lock().unwrap().live.connections.insert(server, connections);
    director.takes(&daemon::file(&[(1, 1), (2, 1)]));
    assert_eq!(director.table(), [(1, 1), (2, 5), (3, 0)]);
}
