//! What monitoring reads: the whole text for a small table, names that hold anything, and what the daemon counts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::controller::Director;
use crate::daemon::file;
use crate::tables::{server, service};
use lbd::config::{Source, load};
use lbd::health::{Failure, ProbeResults};
use lbd::kernel::{Live, TableStatistics};
use lbd::metrics::{self, Format, PassCounts, PassEnd, ServiceNumbers, Snapshot};
use lbd::model::{Connections, Counters, Desired, Durations, Kind, Statistics};
use lbd::reconcile::{ServerStatus, StateDiff};
use lbd::report::{DaemonReport, Observed, ShownStatistics};
use lbd::status::{HealthSummary, HostFindings, PassOutcome, PassReason, Presence, Status, Warning};
use lbd::store::Record;
use lbd::target::{Failing, Place, ServerHealth, ServerReport, ServerState};

const FILE: &str = "\
version: 1
checks: { web: { type: tcp } }
defaults: { forward: nat }
clusters:
  - name: web
    listen: tcp://10.0.0.13:80
    check: web
    servers: [192.168.8.14, 192.168.8.15, { address: 192.168.8.16, weight: 0 }, 192.168.8.17]
  - name: dns
    listen: udp://10.0.0.13:53
    servers: [192.168.8.14]
";

const WEB: &str = "tcp://10.0.0.13:80";

fn counted(first: u64) -> Statistics {
    let counters = Counters {
        connections: first,
        incoming_packets: first + 1,
        outgoing_packets: first + 2,
        incoming_bytes: first + 3,
        outgoing_bytes: u64::MAX,
    };
    Statistics { counters, rates: Counters::default() }
}

fn statistics() -> TableStatistics {
    TableStatistics {
        services: [(service(WEB), counted(10))].into(),
        servers: [((service(WEB), server("192.168.8.14:80")), counted(7))].into(),
        totals: Some(counted(100)),
        are_stopped: false,
    }
}

fn durations(millis: &[u64]) -> Durations {
    let mut durations = Durations::default();
    millis.iter().for_each(|millis| durations.add(Duration::from_millis(*millis)));
    durations
}

fn passes() -> PassCounts {
    PassCounts {
        passes: BTreeMap::from([
            ((PassReason::File, PassEnd::Full(PassOutcome::PartlyRefused)), 1),
            ((PassReason::Resync, PassEnd::Unchanged), 2),
        ]),
        durations: durations(&[2, 3, 100_000]),
        last_verified: Some(UNIX_EPOCH + Duration::from_millis(1_795_460_685_500)),
        drift_repairs: BTreeMap::from([(Kind::Server, 3)]),
    }
}

/// What is exported where a daemon runs: a server is missing, another one is failing, one is quiesced; there is a foreign service, and a whole
/// cluster is not there.
fn snapshot(statistics: Option<&TableStatistics>, passes: Option<PassCounts>, has_servers: bool) -> Snapshot {
    let desired = load(&Source::new("desired.yaml", FILE)).unwrap();
    let mut live = Live { state: desired.state.clone(), ..Live::default() };
    let web = service(WEB);
    live.state.services.get_mut(&web).unwrap().servers_mut().shift_remove(&server("192.168.8.17:80"));
    let dns = live.state.services.shift_remove(&service("udp://10.0.0.13:53")).unwrap();
    live.state.services.insert(service("udp://10.0.0.99:53"), dns);
    let connections = Connections { active: 5, inactive: 2, persistent: 0, packets: 0 };
    live.connections.insert((web, server("192.168.8.14:80")), connections);
    let mut comparison = StateDiff::new(live.clone(), &desired, None, &Record::default());
    comparison.health.servers.push(failing());
    let warning = |code, cause| Warning::new(code, ["x"].into_iter(), cause, "");
    let warnings =
        vec![warning("forwarding-off", "one"), warning("forwarding-off", "two"), warning("strict", "")];
    let status = Status {
        conflicts: vec!["one".into()],
        host: Some(HostFindings::new(warnings, [])),
        ..Status::default()
    };
    let presence = Presence::Running("process 7".into());
    let observed = Observed {
        file: "desired.yaml".into(),
        file_problem: None,
        file_sha256: Some("0a1b".into()),
        waits: false,
        verified_sha256: None,
        daemon: DaemonReport { presence, status: Some(status), last_change: None },
        unknown: None,
        comparison: &comparison,
        health: HealthSummary { checked: 4, failing: 1, kept: 1, ..HealthSummary::default() },
        probes: Some(ProbeResults { passed: 40, failed: 3, durations: durations(&[1, 5]) }),
        live: &live,
        desired: &desired,
        statistics: statistics.map(shown),
    };
    Snapshot::of(&observed, passes, has_servers)
}

fn shown(statistics: &TableStatistics) -> ShownStatistics {
    ShownStatistics { table: statistics.clone(), counters: true, rates: false, is_exact: false }
}

fn failing() -> ServerReport {
    let since = SystemTime::UNIX_EPOCH.into();
    let failure = Failure { detail: "refused".into(), since, since_boot: 0, failed: 3, fall: 3 };
    let failing =
        Failing { check: "web".into(), failure, since_boot: 0, passed_until: None, is_reset: false };
    let health = ServerHealth::new(ServerState::Failing(Arc::new(failing)));
    let server = (service(WEB), server("192.168.8.15:80"));
    ServerReport { server, health, place: Place::Kept, full: 1, weight: 1 }
}

/// Without the lines that say what a metric means.
fn without_help(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("# HELP ")).map(|line| format!("{line}\n")).collect()
}

fn text_of(snapshot: Snapshot, format: Format) -> String {
    let mut text = Vec::new();
    metrics::write(&mut text, snapshot, format).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_text_of_a_small_table() {
    let snapshot = snapshot(Some(&statistics()), Some(passes()), true);
    let text = text_of(snapshot.clone(), Format::Prometheus);
    assert!(text.starts_with(&format!(
        "# HELP lbd_build_info The version of lbd\n# TYPE lbd_build_info gauge\nlbd_build_info{{version=\"{}\"}} 1\n",
        env!("CARGO_PKG_VERSION")
    )));
    let text = without_help(&text);
    let (_, text) = text.split_once("# TYPE lbd_in_sync").unwrap();
    assert_eq!(format!("# TYPE lbd_in_sync{text}"), include_str!("../data/metrics.txt"));
}

#[test]
fn openmetrics_has_the_same_numbers_in_its_own_form() {
    let snapshot = snapshot(Some(&statistics()), Some(passes()), true);
    let prometheus = without_help(&text_of(snapshot.clone(), Format::Prometheus));
    let openmetrics = without_help(&text_of(snapshot, Format::OpenMetrics));
    for line in [
        "# TYPE lbd_build info",
        "# TYPE lbd_file info",
        "lbd_file_info{sha256=\"0a1b\"} 1",
        "# TYPE lbd_passes counter",
        "# TYPE lbd_service_connections counter",
    ] {
        assert!(openmetrics.lines().any(|other| other == line), "{line}\n{openmetrics}");
    }
    assert!(openmetrics.ends_with("\n# EOF\n"));
    // Numbers may be written otherwise.
    let samples = |text: &str| {
        let of = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse::<f64>().unwrap().to_bits())
        };
        text.lines().filter(|line| !line.starts_with('#')).map(of).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(samples(&openmetrics), samples(&prometheus));
}

#[test]
fn without_servers_none_of_them_has_a_number_and_stopped_counters_are_no_zeros() {
    let stopped = TableStatistics { are_stopped: true, ..statistics() };
    let text = text_of(snapshot(Some(&stopped), None, false), Format::Prometheus);
    let begins = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(begins("lbd_kernel_counters_running 0") && begins("lbd_kernel_connections_total 100"));
    assert!(begins("lbd_service_servers{"), "{text}");
    for absent in ["lbd_server_", "lbd_check_up", "lbd_service_connections_total", "lbd_pass", "lbd_drift"] {
        assert!(!begins(absent), "{text}");
    }
    // Nothing is known of counters.
    let text = text_of(snapshot(None, None, true), Format::Prometheus);
    assert!(!text.contains("_connections_total") && !text.contains("lbd_kernel_"), "{text}");
}

#[test]
fn a_cluster_may_have_any_name() {
    let file =
        "version: 1\nclusters: [{ name: 'a\"b\\c={x} ä', listen: 'tcp://10.0.0.1:80', servers: [] }]\n";
    let snapshot = snapshot_of(&load(&Source::new("desired.yaml", file)).unwrap());
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = text_of(snapshot.clone(), format);
        let line =
            r#"lbd_service_servers{cluster="a\"b\\c={x} ä",service="tcp://10.0.0.1:80",state="serving"} 0"#;
        assert!(text.lines().any(|other| other == line), "{text}");
    }
    // A line break cannot come from a file, and would stay in its line all the same.
    let [service] = <[ServiceNumbers; 1]>::try_from(snapshot.services).unwrap();
    let services = vec![ServiceNumbers { cluster: "a\nb".into(), ..service }];
    let text = text_of(Snapshot { services, ..Snapshot::default() }, Format::Prometheus);
    assert!(text.lines().all(|line| line.starts_with("lbd_") || line.starts_with("# ")), "{text}");
}

/// Where the kernel has what the file says, and nothing else is known.
fn snapshot_of(desired: &Desired) -> Snapshot {
    let live = Live { state: desired.state.clone(), ..Live::default() };
    let comparison = StateDiff::new(live.clone(), desired, None, &Record::default());
    let observed = Observed {
        file: String::new(),
        file_problem: None,
        file_sha256: None,
        waits: false,
        verified_sha256: None,
        daemon: DaemonReport { presence: Presence::Absent, status: None, last_change: None },
        unknown: None,
        comparison: &comparison,
        health: HealthSummary::default(),
        probes: None,
        live: &live,
        desired,
        statistics: None,
    };
    Snapshot::of(&observed, None, false)
}

// A text of 61 MB was in memory twice when the string that it was in had to grow.
#[test]
fn a_text_is_written_in_short_pieces_and_no_longer_than_they_are_taken() {
    struct Pieces {
        longest: usize,
        all: usize,
        most: usize,
    }
    impl io::Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.longest = bytes.len().max(self.longest);
            self.all += bytes.len();
            if self.all > self.most { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let service = |number| ServiceNumbers {
        cluster: format!("cluster-{number}").into(),
        service: format!("tcp://10.0.{}.{}:443", number / 250, number % 250).into(),
        counters: Some(counted(1 << 20).counters),
        servers: [1; ServerStatus::ALL.len()],
        each: Vec::new(),
    };
    let snapshot = Snapshot { services: (0..1_000).map(service).collect(), ..Snapshot::default() };
    let text = text_of(snapshot.clone(), Format::Prometheus);
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 1_000 * 11 + 16);
    for (most, is_whole) in [(usize::MAX, true), (text.len() / 2, false)] {
        let mut pieces = Pieces { longest: 0, all: 0, most };
        let written = metrics::write(&mut pieces, snapshot.clone(), Format::Prometheus);
        assert!(pieces.longest <= 64 << 10, "{}", pieces.longest);
        assert_eq!(written.map_err(|error| error.kind()).is_ok(), is_whole);
        assert_eq!(pieces.all == text.len(), is_whole);
    }
}

#[test]
fn the_daemon_counts_its_passes_and_what_they_repair() {
    let mut director = Director::new();
    let counters = director.controller.counters();
    assert_eq!(counters.counts(), PassCounts::default());
    director.takes(&file(&[(1, 1), (2, 1)]));
    director.meddle(2, 9);
    director.looks();
    director.looks();
    // A guard refuses it, and what was good is kept.
    director.takes(&file(&[]));
    director.kernel.0.lock().unwrap().break_read("no reply");
    let verified_at = director.clock().wall;
    director.looks();
    let PassCounts { passes, durations, last_verified, drift_repairs } = counters.counts();
    let full = |reason, outcome| (reason, PassEnd::Full(outcome));
    assert_eq!(
        passes,
        BTreeMap::from([
            (full(PassReason::Start, PassOutcome::Verified), 1),
            (full(PassReason::Resync, PassOutcome::Verified), 1),
            (full(PassReason::Resync, PassOutcome::Failed), 1),
            (full(PassReason::File, PassOutcome::Refused), 1),
            ((PassReason::Resync, PassEnd::Unchanged), 1),
        ])
    );
    assert_eq!((durations.count(), drift_repairs), (4, BTreeMap::from([(Kind::Server, 1)])));
    assert_eq!(last_verified, Some(verified_at));
}
