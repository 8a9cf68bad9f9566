//! Measures the parts of a pass one by one, without a kernel: reading YAML, validating, planning, encoding, decoding.
//!
//! `cargo bench --bench parts [FILTER]`; the throughput is in real servers per second, the allocations are a run's own.

#![allow(missing_docs, clippy::unwrap_used)]

mod table;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use table::{SIZES, Table};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// What comes in: the desired file.
mod config {
    use super::*;
    use lbd::config::{Document, Source, load, read_closed};

    /// The parser alone: every event is made and thrown away.
    #[divan::bench(args = SIZES, sample_count = 10)]
    fn yaml_alone(bencher: Bencher<'_, '_>, table: Table) {
        let text = table.yaml();
        bencher
            .counter(ItemsCount::new(table.size()))
            .bench(|| saphyr_parser::Parser::new_from_str(&text).filter(Result::is_ok).count());
    }

    /// The other parser alone, which keeps all events of a file until it hands out the first.
    #[divan::bench(args = SIZES, sample_count = 10)]
    fn serde_yaml_alone(bencher: Bencher<'_, '_>, table: Table) {
        let text = table.yaml();
        bencher
            .counter(ItemsCount::new(table.size()))
            .bench(|| serde_yaml::from_str::<serde::de::IgnoredAny>(&text).is_ok());
    }

    /// 10,000 clusters, in one file or in 1,000 that it includes: read from disk, and loaded.
    #[divan::bench(args = [1, 1_000], sample_count = 10)]
    fn read_files(bencher: Bencher<'_, '_>, files: usize) {
        let root = tempfile::tempdir().unwrap();
        let main = root.path().join("desired.yaml");
        let clusters = |from: usize, to: usize| -> String {
            let cluster = |number: usize| {
                let (a, b) = (number / 250, number % 250);
                format!(
                    "- name: c{number}\n  listen: tcp://10.1.{a}.{b}:80\n  scheduler: wlc\n  forward: nat\n  servers:\n  - 10.2.{a}.{b}\n  - {{ address: \"10.3.{a}.{b}:8080\", weight: 3 }}\n"
                )
            };
            format!("clusters:\n{}", (from..to).map(cluster).collect::<String>())
        };
        if files == 1 {
            std::fs::write(&main, format!("version: 1\n{}", clusters(0, 10_000))).unwrap();
        } else {
            std::fs::create_dir(root.path().join("clusters.d")).unwrap();
            std::fs::write(&main, "version: 1\ninclude: [clusters.d/*.yaml]\nclusters: []\n").unwrap();
            for file in 0..files {
                let per_file = 10_000 / files;
                let path = root.path().join(format!("clusters.d/{file:04}.yaml"));
                std::fs::write(path, clusters(file * per_file, (file + 1) * per_file)).unwrap();
            }
        }
        bencher.counter(ItemsCount::new(20_000usize)).bench(|| load(&read_closed(&main).unwrap()).unwrap());
    }

    /// What it takes to the document, not yet checked for sense.
    #[divan::bench(args = SIZES, sample_count = 10)]
    fn serde_yaml_to_document(bencher: Bencher<'_, '_>, table: Table) {
        let text = table.yaml();
        bencher
            .counter(ItemsCount::new(table.size()))
            .bench(|| serde_yaml::from_str::<Document>(&text).is_ok());
    }

    /// From text to the desired state: what `lbd validate` does.
    #[divan::bench(args = SIZES, sample_count = 10)]
    fn parse_and_validate(bencher: Bencher<'_, '_>, table: Table) {
        let source = Source::new("bench.yaml", table.yaml());
        bencher.counter(ItemsCount::new(table.size())).bench(|| load(&source).is_ok());
    }

    /// The same for a file with one mistake at its end: places are looked for, and the mistake is shown.
    #[divan::bench(args = SIZES, sample_count = 3)]
    fn explain_a_mistake(bencher: Bencher<'_, '_>, table: Table) {
        let source = Source::new("bench.yaml", table.yaml() + "        wieght: 3\n");
        bencher
            .counter(ItemsCount::new(table.size()))
            .bench(|| load(&source).map_err(|problems| problems.text(false)).is_err());
    }
}

/// What comes from other programs.
mod import {
    use super::*;
    use lbd::config::{self, Source};
    use lbd::import::{Format, NoFiles, import};

    /// A keepalived.conf of 10,000 virtual servers with health checks, and lines that are named: from its text to that of the desired
    /// file. It is promised to take less than a second.
    #[divan::bench(sample_count = 5)]
    fn keepalived(bencher: Bencher<'_, '_>) {
        let virtual_server = |index: usize| {
            let (high, low) = (index / 250, index % 250 + 1);
            format!(
                "virtual_server 10.0.{high}.{low} 80 {{\n  delay_loop 6\n  lb_algo rr\n  lb_kind NAT\n  persistence_timeout 50\n  protocol TCP\n\
                 \x20 real_server 192.168.{high}.{low} 80 {{\n    weight 3\n    TCP_CHECK {{\n      connect_timeout 3\n      nb_get_retry 3\n    }}\n  }}\n\
                 \x20 real_server 192.169.{high}.{low} 80 {{\n    HTTP_GET {{\n      url {{\n        path /\n        status_code 200\n      }}\n    }}\n  }}\n}}\n"
            )
        };
        let source = Source::new("keepalived.conf", (0..10_000).map(virtual_server).collect::<String>());
        bencher.counter(ItemsCount::new(10_000_usize)).bench(|| {
            let imported = import(&source, Format::Keepalived, &NoFiles);
            imported.map(|imported| config::render_document(imported.document).yaml().map(|text| text.len()))
        });
    }
}

/// What is decided: two states in, a list of operations out.
mod planning {
    use super::*;
    use lbd::model::State;
    use lbd::plan::plan;

    #[divan::bench(args = SIZES, sample_count = 20)]
    fn in_sync(bencher: Bencher<'_, '_>, table: Table) {
        let (live, desired) = (table.state(), table.state());
        bencher.counter(ItemsCount::new(table.size())).bench(|| plan(&live, &desired));
    }

    #[divan::bench(args = SIZES, sample_count = 20)]
    fn one_percent_changed(bencher: Bencher<'_, '_>, table: Table) {
        let (live, desired) = (table.state(), table.state_with_changes());
        bencher.counter(ItemsCount::new(table.size())).bench(|| plan(&live, &desired));
    }

    #[divan::bench(args = SIZES, sample_count = 20)]
    fn from_nothing(bencher: Bencher<'_, '_>, table: Table) {
        let (live, desired) = (State::default(), table.state());
        bencher.counter(ItemsCount::new(table.size())).bench(|| plan(&live, &desired));
    }
}

/// What the kernel should be under the verdicts of checks: all servers pass, half of them fail, or all.
mod target {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use lbd::health::{Failure, Finding, Probes, Verdict, Verdicts};
    use lbd::model::{
        Check, CheckKind, Desired, Exchange, Health, MinServing, OnFailure, ServiceHealth, Timing,
    };
    use lbd::target::{Advance, Clock, Conditions, InForce, Overrides, Pauses, Target};

    const ONE_PART_FAILS: [usize; 3] = [usize::MAX, 2, 1];
    const TABLE: Table = Table::new(10_000, 10);

    fn desired() -> Desired {
        let check = Check {
            name: "web".into(),
            address: None,
            port: None,
            source: None,
            timing: Timing::DEFAULT,
            kind: CheckKind::Tcp(Exchange::default()),
        };
        let health = ServiceHealth {
            checks: [Arc::new(check)].into(),
            servers: Default::default(),
            on_failure: OnFailure::Quiesce,
            reset_after: None,
            min_serving: MinServing::DEFAULT,
            fallback: None,
            slow_start: Some(Duration::from_secs(30)),
        };
        let state = TABLE.state();
        let services = state.services.keys().map(|key| (*key, health.clone())).collect();
        let clusters = state.services.keys().map(|key| (*key, "web".into())).collect();
        Desired {
            state,
            clusters: Arc::new(clusters),
            health: Arc::new(Health { services }),
            allow_empty: HashSet::new(),
            ..Desired::default()
        }
    }

    fn verdicts(desired: &Desired, part: usize) -> Verdicts {
        let failure = Failure {
            detail: "status 503".into(),
            since: SystemTime::UNIX_EPOCH.into(),
            since_boot: 1,
            failed: 3,
            fall: 3,
        };
        let finding = Finding { verdict: Verdict::Failing(failure), ..Finding::PASSING };
        let probes = Probes::of(desired);
        let failing = probes.iter().map(|(probe, _)| probe).enumerate();
        let failing = failing.filter(|(number, _)| number % part == part - 1);
        Verdicts {
            findings: failing.map(|(_, probe)| (probe, finding.clone())).collect(),
            ..Verdicts::default()
        }
    }

    fn advance(desired: &Desired, verdicts: &Verdicts, known: &InForce) -> InForce {
        known.advance(&Advance {
            desired,
            before: None,
            overrides: &Overrides::NONE,
            pauses: &Pauses::NONE,
            verdicts: Some(verdicts),
            silent_for: 0,
            now: Clock { since_boot: 10, wall: SystemTime::UNIX_EPOCH },
        })
    }

    #[divan::bench(args = ONE_PART_FAILS, sample_count = 20)]
    fn under_verdicts(bencher: Bencher<'_, '_>, part: usize) {
        let desired = desired();
        let health = advance(&desired, &verdicts(&desired, part), &InForce::NONE);
        let conditions = Conditions { health, ..Conditions::default() };
        bencher.counter(ItemsCount::new(TABLE.size())).bench(|| Target::new(&desired, &conditions));
    }

    #[divan::bench(args = ONE_PART_FAILS, sample_count = 20)]
    fn take_in_verdicts(bencher: Bencher<'_, '_>, part: usize) {
        let desired = desired();
        let verdicts = verdicts(&desired, part);
        let known = advance(&desired, &verdicts, &InForce::NONE);
        bencher.counter(ItemsCount::new(TABLE.size())).bench(|| advance(&desired, &verdicts, &known));
    }

    #[divan::bench(args = ONE_PART_FAILS, sample_count = 20)]
    fn write_what_is_in_force(bencher: Bencher<'_, '_>, part: usize) {
        let desired = desired();
        let known = advance(&desired, &verdicts(&desired, part), &InForce::NONE);
        bencher.counter(ItemsCount::new(TABLE.size())).bench(|| serde_json::to_vec(&known).is_ok());
    }
}

/// What goes to the kernel and comes from it, as bytes.
mod wire {
    use super::*;
    use lbd::kernel::ipvs::codec::request::Request;
    use lbd::kernel::ipvs::codec::{decode, encode};
    use lbd::kernel::netlink::message::{self, Header, Messages};
    use lbd::model::{Family, State};
    use lbd::plan::plan;
    use neli::consts::nl::NlmF;

    /// Every message of a load, into the one buffer that is sent and used again.
    #[divan::bench(args = SIZES, sample_count = 20)]
    fn encode_a_load(bencher: Bencher<'_, '_>, table: Table) {
        let operations = plan(&State::default(), &table.state()).grow;
        let mut outbox = Vec::new();
        bencher.counter(ItemsCount::new(table.size())).bench_local(|| {
            for batch in operations.chunks(20) {
                outbox.clear();
                for request in batch.iter().filter_map(Request::of) {
                    let header = Header { kind: 28, flags: NlmF::empty(), sequence: 1 };
                    message::append(&mut outbox, header, |buffer| encode::request(buffer, &request));
                }
                divan::black_box(&outbox);
            }
        });
    }

    /// Servers as a kernel sends them: three of a recorded reply, again and again.
    #[divan::bench(args = SIZES, sample_count = 20)]
    fn decode_servers(bencher: Bencher<'_, '_>, table: Table) {
        let reply = recorded("tcp://10.0.0.1:80");
        bencher.counter(ItemsCount::new(table.size())).bench(|| {
            let mut found = 0;
            while found < table.size() {
                for message in Messages::new(divan::black_box(&reply)).flatten() {
                    let attributes = message::attributes(message.payload).unwrap_or_default();
                    found += u32::from(decode::server(attributes, Family::V4).is_ok());
                }
            }
            found
        });
    }

    /// The first datagram of an answer that Linux 6.1 gave (`tests/wire/record`).
    fn recorded(question: &str) -> Vec<u8> {
        let lines = include_str!("../tests/wire/6.1.txt").lines();
        let hex = lines.filter_map(|line| line.strip_prefix(question)).next().unwrap_or_default().trim();
        let digits = hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap_or_default() as u8);
        let digits: Vec<u8> = digits.collect();
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
    }
}
