//! Whatever stands in a name, in a file or in the daemon's last words: no output of lbd does anything to a terminal.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use lbd::config::{self, Source};
use lbd::connections::{Belonging, ConnectionCounts};
use lbd::escape;
use lbd::health::Failure;
use lbd::ipvsadm;
use lbd::kernel::connections::{ConnectionEntry, VirtualEnd};
use lbd::kernel::{Live, Refusal, TableStatistics};
use lbd::metrics;
use lbd::model::{
    Desired, EngineName, Forwarding, Mark, MarkMatch, Operation, Prefix, Protocol, RealServer,
    SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers, ServiceKey, State, Statistics, SyncDaemon,
    SyncRole, Table, Thresholds, VirtualService,
};
use lbd::reconcile::{Failed, Outcome, Report, StateDiff};
use lbd::report::{self, DaemonReport, DeletedServers, Observed, Output, ShownStatistics, TableQuestion};
use lbd::status::{
    HealthSummary, HostFindings, LastPass, PassOutcome, PassReason, Presence, Status, Warning, Writer,
};
use lbd::store::Record;
use lbd::target::{
    Allowed, CheckReason, Clock, Failing, Pause, Period, Place, Reason, ServerHealth, ServerReport,
    ServerState, Settings, Trial,
};
use proptest::prelude::*;

/// What others may write somewhere: anything, and often what means something.
fn evil() -> impl Strategy<Value = String> {
    let pieces = [
        "\u{1b}[2J",
        "\u{1b}]0;title\u{7}",
        "\u{1b}[31m",
        "\u{1b}",
        "\n",
        "\r",
        "\t",
        "\0",
        "\u{7f}",
        "\u{9b}2J",
        "\u{85}",
        "\u{202e}",
        "\u{2066}",
        "\u{200b}",
        "\u{2028}",
        "\u{feff}",
        "\u{e0041}",
        "m",
        "in sync: 2",
        "$(id)",
        "`id`",
        "'",
        "\"",
        "\\",
        " ",
        "eth0",
        "ü",
        "🦀",
        "# ",
        ": ",
        "- ",
    ];
    let piece = prop_oneof![4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written on a terminal.
fn shown(write: impl FnOnce(&mut Output) -> io::Result<()>) -> String {
    let collected = Collected::default();
    write(&mut Output::new(Box::new(collected.clone()), true)).unwrap();
    String::from_utf8(mem::take(&mut *collected.0.lock().unwrap())).unwrap()
}

/// What a file or a pipe gets of it.
fn piped(write: impl FnOnce(&mut Output) -> io::Result<()>) -> String {
    let collected = Collected::default();
    write(&mut Output::new(Box::new(collected.clone()), false)).unwrap();
    String::from_utf8(mem::take(&mut *collected.0.lock().unwrap())).unwrap()
}

/// What a terminal acts on in this text, but for the ends of lines.
fn harmful(text: &str) -> Vec<char> {
    text.chars().filter(|letter| *letter != '\n' && escape::is_harmful(*letter)).collect()
}

/// A text without the styles that lbd itself uses: they begin `ESC [`, hold digits, and end with `m`.
fn unstyled(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (style, rest) = part.split_once('m').unwrap();
        assert!(style.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{text:?}");
        plain.push_str(rest);
    }
    plain
}

/// Each place of a director in which a string of others can stand.
struct Strings<'a> {
    cluster: &'a str,
    interface: &'a str,
    setting: (&'a str, &'a str),
    said: &'a str,
    scheduler: &'a str,
}

fn service(port: u16) -> ServiceKey {
    format!("tcp://10.0.0.13:{port}").parse().unwrap()
}

fn virtual_service(scheduler: &str, weight: u32) -> VirtualService {
    let scheduling = Scheduling {
        scheduler: SchedulerName::from_kernel(scheduler),
        flags: SchedulerFlags::default(),
        persistence: None,
        engine: Some(EngineName::from_kernel(scheduler)),
        one_packet: false,
    };
    let server = ServerKey { address: "192.168.8.14".parse().unwrap(), port: 80 };
    let of = RealServer { weight, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
    VirtualService::new(scheduling, [(server, of)].into_iter().collect::<Servers>())
}

fn sync(role: SyncRole, interface: &str) -> SyncDaemon {
    SyncDaemon {
        role,
        interface: interface.into(),
        id: 1,
        max_length: None,
        group: None,
        port: None,
        ttl: None,
    }
}

fn mark(number: u32, interface: &str) -> Mark {
    let packets = MarkMatch {
        protocol: None,
        address: None,
        ports: vec![],
        source: None,
        interface: Some(interface.into()),
    };
    Mark { mark: number, matches: vec![packets] }
}

fn live(of: &Strings<'_>) -> Live {
    let services =
        [(service(80), virtual_service(of.scheduler, 1)), (service(81), virtual_service(of.scheduler, 1))];
    let state = State {
        services: services.into_iter().collect(),
        marks: vec![mark(10, of.interface)],
        strays: vec![of.said.into()],
        sysctls: [(of.setting.0.into(), format!("is {}", of.said))].into_iter().collect(),
        sync: vec![sync(SyncRole::Backup, of.interface)],
        ..State::default()
    };
    Live {
        state,
        absent: [format!("{}2", of.interface)].into_iter().collect(),
        nftables_error: Some(of.said.into()),
        ..Live::default()
    }
}

fn comparison(of: &Strings<'_>) -> StateDiff {
    let services = [(service(80), virtual_service(of.scheduler, 3)), (service(82), virtual_service("rr", 1))];
    let state = State {
        services: services.into_iter().collect(),
        marks: vec![mark(11, of.interface)],
        sysctls: [(of.setting.0.into(), format!("shall be {}", of.setting.1))].into_iter().collect(),
        sync: vec![sync(SyncRole::Master, &format!("{}2", of.interface))],
        ..State::default()
    };
    let clusters: Table<ServiceKey, _> =
        [(service(80), of.cluster.into()), (service(82), of.cluster.into())].into_iter().collect();
    let desired = Desired { clusters: clusters.into(), state, ..Desired::default() };
    // A service that was verified and is gone: what the guards say names its cluster.
    let gone = service(83);
    let verified = Desired {
        state: State {
            services: [(gone, virtual_service("rr", 1))].into_iter().collect(),
            ..State::default()
        },
        clusters: [(gone, of.cluster.into())].into_iter().collect::<Table<_, _>>().into(),
        ..Desired::default()
    };
    let mut comparison = StateDiff::new(live(of), &desired, Some(&verified), &Record::default());
    let period = Period::new(Clock { since_boot: 0, wall: SystemTime::UNIX_EPOCH }, Duration::from_secs(1));
    let (cluster, reason) = (Some(of.cluster.into()), Some(of.said.into()));
    comparison.pauses.add(Pause {
        cluster,
        by: of.said.into(),
        reason: reason.clone(),
        keep_checks: false,
        period,
    });
    let check = Reason::Check(CheckReason::Failing(failing_by(of)), None);
    let subjects: Vec<_> = comparison.plan.operations().map(Operation::subject).collect();
    comparison.reasons.extend(subjects.into_iter().map(|subject| (subject, check.clone().into())));
    comparison.trial = Some(Trial {
        file: of.said.into(),
        desired: of.said.into(),
        by: of.said.into(),
        reason,
        period,
        sha256: of.said.into(),
        desired_sha256: of.said.into(),
        allowed: Allowed::default(),
        fragment: None,
        keep_going: false,
        verified: true,
        added: vec![],
        settings: Settings::default(),
        ended: None,
    });
    comparison.health.servers.push(failing(of));
    comparison
}

/// What a server sent, and the name of a check.
fn failing_by(of: &Strings<'_>) -> Arc<Failing> {
    let failure = Failure {
        detail: of.said.into(),
        since: SystemTime::UNIX_EPOCH.into(),
        since_boot: 0,
        failed: 3,
        fall: 3,
    };
    Arc::new(Failing {
        check: of.cluster.into(),
        failure,
        since_boot: 0,
        passed_until: None,
        is_reset: false,
    })
}

fn failing(of: &Strings<'_>) -> ServerReport {
    let server = *virtual_service("rr", 1).servers.keys().next().unwrap();
    let health = ServerHealth::new(ServerState::Failing(failing_by(of)));
    ServerReport { server: (service(80), server), health, place: Place::Kept, full: 3, weight: 3 }
}

fn health(of: &Strings<'_>) -> HealthSummary {
    let said = || of.said.to_owned();
    HealthSummary {
        checked: 9,
        failing: 1,
        kept: 1,
        kept_named: vec![said()],
        open: 1,
        open_named: vec![said()],
        on_fallback: 1,
        on_fallback_named: vec![said()],
        frozen: Some(said()),
        silent: Some(said()),
        warnings: vec![said()],
        ..HealthSummary::default()
    }
}

fn status(of: &Strings<'_>) -> Status {
    let said = || of.said.to_owned();
    Status {
        file: said(),
        watching: said(),
        last_pass: Some(LastPass {
            at: SystemTime::UNIX_EPOCH.into(),
            reason: PassReason::File,
            outcome: PassOutcome::Failed,
            added: 1,
            edited: 2,
            deleted: 3,
        }),
        bad_file: Some(said()),
        refused: Some(said()),
        refused_in_part: Some(said()),
        failed: vec![said()],
        retry_at: Some(SystemTime::UNIX_EPOCH.into()),
        waiting: vec![said()],
        paused: vec![said()],
        overridden: vec![said()],
        trial: Some(said()),
        conflicts: vec![said()],
        health: health(of),
        lock_holder: Some(said()),
        no_directory: Some(said()),
        host: Some(HostFindings::new(
            vec![Warning::new(of.said, std::iter::once(of.said), of.said, of.said)],
            [said()],
        )),
        stopped: false,
        writer: Some(Writer { boot: said(), process: 1, at: SystemTime::UNIX_EPOCH.into() }),
    }
}

fn daemon(of: &Strings<'_>) -> DaemonReport {
    DaemonReport { presence: Presence::Running(of.said.into()), status: Some(status(of)), last_change: None }
}

fn report(of: &Strings<'_>) -> Report {
    let done = comparison(of).plan.operations().cloned().collect::<Vec<Operation>>();
    let failed = |operation: &Operation| {
        let refusal = Refusal { errno: 1, message: of.said.into() };
        Failed { operation: operation.clone(), refusal }
    };
    let failed = done.iter().map(failed).collect();
    Report { outcome: Outcome::Verified, done, failed, last: comparison(of), warnings: vec![] }
}

/// What each command writes to standard output, on a terminal or not.
fn outputs(
    of: &Strings<'_>,
    stream: impl Fn(&dyn Fn(&mut Output) -> io::Result<()>) -> String,
) -> Vec<(&'static str, String)> {
    let (comparison, live, report) = (comparison(of), live(of), report(of));
    let desired = Desired::default();
    let observed = |statistics| Observed {
        file: of.said.into(),
        file_problem: Some(of.said.into()),
        file_sha256: None,
        waits: true,
        verified_sha256: None,
        daemon: daemon(of),
        unknown: Some(of.said.into()),
        comparison: &comparison,
        health: health(of),
        probes: None,
        live: &live,
        statistics,
        desired: &desired,
    };
    let services = live.state.services.keys().map(|service| (*service, Statistics::default())).collect();
    let table = TableStatistics { services, ..TableStatistics::default() };
    let counted = || ShownStatistics { table: table.clone(), counters: true, rates: true, is_exact: false };
    let (plain, counted) = (observed(None), observed(Some(counted())));
    let entry = ConnectionEntry {
        protocol: Protocol::Tcp,
        client: "192.0.2.7:1".parse().unwrap(),
        to: VirtualEnd::Mark(1),
        server: "192.168.8.14:80".parse().unwrap(),
        state: of.said.into(),
        expires_in: 1,
        is_template: false,
    };
    let clients = Prefix::around(entry.client.ip(), 32);
    let belonging = Belonging { service: None, cluster: Some(of.cluster), clients };
    let counts = || {
        let mut counts = ConnectionCounts::default();
        counts.add(&entry, &belonging);
        counts.sorted()
    };
    let snapshot = metrics::Snapshot::of(&counted, None, true);
    let mut exported = Vec::new();
    metrics::write(&mut exported, snapshot, metrics::Format::Prometheus).unwrap();
    let exported = String::from_utf8(exported).unwrap();
    let planned = report::PlannedFile { path: of.said, sha256: String::new() };
    vec![
        ("diff", stream(&|out| report::comparison_text(out, &comparison, None))),
        ("apply", stream(&|out| report::report_text(out, &report))),
        ("status", stream(&|out| report::observed_text(out, &plain))),
        ("status without the kernel", stream(&|out| report::daemon_text(out, &daemon(of), None))),
        (
            "diff as JSON",
            stream(&|out| report::comparison_json(out, Some(planned.clone()), &comparison, None, &[])),
        ),
        ("apply as JSON", stream(&|out| report::report_json(out, &report, &DeletedServers::new(), &[]))),
        ("status as JSON", stream(&|out| report::observed_json(out, &plain, true))),
        ("status --stats", stream(&|out| report::observed_text(out, &counted))),
        ("status --stats as JSON", stream(&|out| report::observed_json(out, &counted, true))),
        ("connections", stream(&|out| report::connection_text(out, &entry, &belonging))),
        ("connections as JSON", stream(&|out| report::connection_json(out, &entry, &belonging))),
        ("connections --count", stream(&|out| report::connection_counts_text(out, &counts()))),
        ("connections --count as JSON", stream(&|out| report::connection_counts_json(out, &counts()))),
        (
            "table as JSON",
            stream(&|out| {
                let question = TableQuestion {
                    report: &[of.said.to_owned()],
                    at: SystemTime::UNIX_EPOCH.into(),
                    host: of.said,
                    clusters: &[],
                    has_servers: true,
                };
                report::table_json(out, &counted, &question)
            }),
        ),
        ("metrics", stream(&|out| write!(out, "{exported}"))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_terminal_acts_on_leaves_the_program(
        cluster in evil(), interface in evil(), name in evil(), value in evil(), said in evil(), scheduler in evil(),
    ) {
        let of = Strings {
            cluster: &cluster, interface: &interface, setting: (&name, &value), said: &said, scheduler: &scheduler,
        };
        let plain = Strings { cluster: "c", interface: "i", setting: ("n", "v"), said: "s", scheduler: "x" };
        let count = |text: &str| text.matches('\u{1b}').count();
        let on_terminal = |write: &dyn Fn(&mut Output) -> io::Result<()>| shown(write);
        let in_pipe = |write: &dyn Fn(&mut Output) -> io::Result<()>| piped(write);
        let (evil, harmless) = (outputs(&of, on_terminal), outputs(&plain, on_terminal));
        for ((command, text), (_, expected)) in evil.iter().zip(&harmless) {
            // The styles are lbd's own, and as many as ever.
            prop_assert_eq!(harmful(&unstyled(text)), vec![], "{}: {:?}", command, text);
            prop_assert_eq!(count(text), count(expected), "{}: {:?}", command, text);
        }
        // No line is forged.
        for number in [2, 14] {
            let lines = |outputs: &[(&str, String)]| outputs[number].1.lines().count();
            prop_assert_eq!(lines(&evil), lines(&harmless));
        }
        // What takes out the styles takes out nothing else.
        for ((command, on_terminal), (_, in_pipe)) in evil.iter().zip(outputs(&of, in_pipe)) {
            prop_assert_eq!(harmful(&in_pipe), vec![], "{}", command);
            prop_assert_eq!(unstyled(on_terminal), in_pipe, "{}", command);
        }
        // JSON is read as what was meant.
        let status: serde_json::Value = serde_json::from_str(&evil[6].1).unwrap();
        prop_assert_eq!(&status["daemon"]["status"]["watching"], &said.as_str());
        let diff: serde_json::Value = serde_json::from_str(&evil[4].1).unwrap();
        prop_assert!(diff["operations"].as_array().unwrap().iter().any(|row| row["cluster"] == cluster.as_str()));
        for command in report::commands(&comparison(&of)) {
            // A script for nft is indented with tabs.
            prop_assert_eq!(harmful(&command.replace('\t', "")), vec![], "{:?}", command);
        }
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_leaves_an_export(
        interface in evil(), name in evil(), value in evil(), said in evil(), scheduler in evil(),
    ) {
        let of = Strings { cluster: "", interface: &interface, setting: (&name, &value), said: &said, scheduler: &scheduler };
        let mut state = live(&of).state;
        state.sysctls.insert(name.clone(), value.clone());
        let mut rendered = config::render(&state);
        rendered.comment(said.clone());
        for text in [rendered.yaml().unwrap(), rendered.json().unwrap(), ipvsadm::save(&state)] {
            prop_assert_eq!(harmful(&text), vec![], "{:?}", text);
        }
        // A comment ends where it should: the file loads.
        let loaded = config::load(&Source::new("export", rendered.yaml().unwrap()));
        prop_assert!(loaded.is_ok(), "{:?}", loaded);
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_leaves_a_report_of_problems(
        file in evil(), key in evil(), value in evil(), cluster in evil(), raw in evil(),
    ) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let (key, value, cluster) = (quoted(&key), quoted(&value), quoted(&cluster));
        for text in [
            format!(
                "version: 1\n{key}: {value}\nsysctls: {{ {key}: {value}, net.ipv4.a: {value} }}\nsync:\n  - {{ role: {value}, interface: \
                 {value} }}\nclusters:\n  - {{ name: {cluster}, listen: {value}, servers: [{value}], {key}: 1 }}\n"
            ),
            format!("version: 1\nclusters: []\nsync: [{{ role: master, interface: {value} }}]\nsysctls: {{ {key}: 1, net.a: {value} }}\n"),
            format!("version: 1\n{raw}: [{raw}\n"),
            raw.clone(),
        ] {
            let Err(problems) = config::load(&Source::new(file.as_str(), text)) else { continue };
            let plain = problems.text(false);
            prop_assert_eq!(harmful(&plain), vec![], "{:?}", plain);
            prop_assert_eq!(unstyled(&problems.text(true)), plain);
            prop_assert_eq!(harmful(&escape::json_text(&problems.json()).unwrap()), vec![]);
            for line in [problems.line(), problems.to_string()] {
                prop_assert_eq!(harmful(&line), vec![], "{:?}", line);
                prop_assert!(!line.contains('\n'), "{:?}", line);
            }
        }
    }

    // U+202E in the name of a cluster was allowed, and turned the rest of the line round.
    #[test]
    fn a_cluster_has_a_name_that_can_be_seen(name in evil()) {
        let quoted = serde_json::to_string(&name).unwrap();
        let text = format!("version: 1\nclusters: [{{ name: {quoted}, listen: 'tcp://10.0.0.13:80', servers: [] }}]\n");
        if let Ok(desired) = config::load(&Source::new("a.yaml", text)) {
            prop_assert_eq!(harmful(&name), vec![]);
            prop_assert_eq!(desired.clusters.values().next().map(|name| name.as_str()), Some(name.as_str()));
        }
    }
}
