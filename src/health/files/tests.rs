//! Tests of the files that the daemon and the checker share.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::files::seal;
use crate::health::{
    Digest, Endpoint, ExecWeight, Failure, Finding, ProbeKey, ProbeResults, ProbedCheck, Verdict,
};
use crate::model::{CheckKind, Durations, Exchange, Timing};
use crate::status::Timestamp;

/// Shared files in directories of their own.
fn shared() -> (TempDir, SharedFiles) {
    let directory = tempfile::tempdir().unwrap();
    let dirs = RunDirs::new(&directory.path().join("run"));
    // (The process of a test is neither root's nor the checker's.)
    fs::create_dir(&dirs.checker).unwrap();
    let shared = SharedFiles::new(&dirs, Some(7)).unwrap();
    (directory, shared)
}

fn key(what: u64, target: usize) -> ProbeKey {
    let what = Digest::try_from(format!("{what:x}")).unwrap();
    let target = Endpoint::new([10, 0, (target >> 8) as u8, target as u8].into(), 80);
    ProbeKey { what, target }
}

fn failing(detail: &str) -> Verdict {
    let since = Timestamp::from(UNIX_EPOCH + Duration::from_secs(1_795_460_685));
    Verdict::Failing(Failure { detail: detail.into(), since, since_boot: 5_000, failed: 3, fall: 3 })
}

fn finding(verdict: Verdict) -> Finding {
    Finding { verdict, ..Finding::PASSING }
}

fn probes(count: usize) -> Probes {
    let check = |what, kind: CheckKind, timing| ProbedCheck {
        what: key(what, 0).what,
        name: "web".into(),
        cluster: Some("shop".into()),
        source: Some([10, 0, 0, 1].into()),
        kind,
        timing,
        targets: (0..count).map(|target| key(what, target).target).collect(),
    };
    let send = Exchange { send: Some(vec![0, 255]), expect: None };
    let often = Timing { interval: Duration::from_millis(100), ..Timing::DEFAULT };
    let six: Endpoint = "[fd00::1]:443".parse().unwrap();
    let ping = ProbedCheck { targets: vec![six], ..check(3, CheckKind::Ping, often) };
    Probes { checks: vec![check(1, CheckKind::Tcp(send), Timing::DEFAULT), ping] }
}

#[test]
fn probes_and_verdicts_are_read_as_they_were_written() {
    let (_directory, shared) = shared();
    assert_eq!((shared.load_probes().unwrap(), shared.load_verdicts(100).unwrap()), (None, None));
    // Nothing is written where there is nothing, and the directory is not made for it.
    shared.save_probes(&Probes::default()).unwrap();
    assert!(!shared.dirs().daemon.exists());
    for count in [3, 10_000, 0] {
        let written = probes(count);
        shared.save_probes(&written).unwrap();
        let read = shared.load_probes().unwrap();
        assert_eq!(read.as_ref().map(Probes::hash), Some(written.hash()));
        assert!(read == Some(written), "{count}");
    }
    shared.save_probes(&Probes::default()).unwrap();
    assert_eq!(shared.load_probes().unwrap(), Some(Probes::default()));

    let weight = Some(ExecWeight::Percent(75));
    let mut verdicts = Verdicts {
        probes: probes(3).hash(),
        at: 123_456,
        findings: [
            (key(1, 1), finding(Verdict::Unknown)),
            (key(1, 2), Finding { flapping: true, ..finding(failing("status 503")) }),
            (key(2, 2), Finding { flapping: true, weight, verdict: Verdict::Passing }),
            (
                key(2, 3),
                Finding { weight: Some(ExecWeight::Weight(0)), ..finding(failing("drain\u{1b}[2J")) },
            ),
        ]
        .into_iter()
        .collect(),
        frozen: Some("no free descriptor".into()),
        warnings: vec!["the certificate of 10.0.0.1:443 ends in 6 days".into()],
        results: ProbeResults {
            passed: 7,
            failed: 2,
            durations: Durations { buckets: [1, 2, 3, 0, 0, 0, 0, 0, 0], longer: 3, micros: 40 },
        },
    };
    shared.save_verdicts(&verdicts).unwrap();
    assert_eq!(shared.load_verdicts(100).unwrap(), Some(verdicts.clone()));
    // A text is never longer than what is read of it.
    verdicts.findings = [(key(1, 1), finding(failing(&"ä".repeat(300))))].into_iter().collect();
    shared.save_verdicts(&verdicts).unwrap();
    verdicts.findings = [(key(1, 1), finding(failing(&"ä".repeat(200))))].into_iter().collect();
    assert_eq!(shared.load_verdicts(100).unwrap(), Some(verdicts));
}

#[test]
fn ten_thousand_failing_targets_are_less_than_a_megabyte() {
    let (_directory, shared) = shared();
    let findings = (0..10_000).map(|target| (key(1, target), finding(failing("connection refused"))));
    let verdicts = Verdicts { findings: findings.collect(), ..Verdicts::default() };
    shared.save_verdicts(&verdicts).unwrap();
    assert!(shared.load_verdicts(100).unwrap() == Some(verdicts));
    assert!(fs::metadata(shared.verdicts_path()).unwrap().len() < 1_000_000);
}

#[test]
fn what_is_from_another_boot_or_is_no_file_of_the_writer_is_no_verdict() {
    let (directory, shared) = shared();
    shared.save_verdicts(&Verdicts::default()).unwrap();
    let other = SharedFiles::new(shared.dirs(), Some(8)).unwrap();
    assert_eq!(other.load_verdicts(100).unwrap(), None);
    let path = shared.verdicts_path();
    let error = || shared.load_verdicts(100).unwrap_err().to_string().replace(path.to_str().unwrap(), "FILE");
    fs::rename(&path, directory.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(directory.path().join("elsewhere"), &path).unwrap();
    assert_eq!(error(), "FILE: is a symbolic link, not a regular file; remove it");
    fs::remove_file(&path).unwrap();
    // Of a hundred probes; each pass read 128 MiB of a hostile file.
    fs::File::create(&path).unwrap().set_len((1 << 20) + 100 * 4096 + 1).unwrap();
    assert_eq!(error(), "FILE: is larger than the limit of 1 MiB; remove it");
    let error = shared.load_verdicts(1_000_000).unwrap_err().to_string();
    assert!(!error.contains("limit"), "{error}");
    fs::File::create(&path).unwrap().set_len(VERDICTS.limit + 1).unwrap();
    let error = shared.load_verdicts(1_000_000).unwrap_err().to_string();
    assert!(error.ends_with("is larger than the limit of 128 MiB; remove it"), "{error}");
}

#[test]
fn one_checker_at_a_time_writes_verdicts() {
    let (_directory, shared) = shared();
    let lock = shared.lock_checker().unwrap();
    assert!(lock.is_some());
    assert!(shared.lock_checker().unwrap().is_none());
    drop(lock);
    assert!(shared.lock_checker().unwrap().is_some());
}

/// A sealed file with this content.
fn sealed(shared: &SharedFiles, content: &Value) -> Vec<u8> {
    let Origin { boot, namespace, cookie } = shared.of_daemon().1;
    let file = json!({ "boot": boot, "namespace": namespace, "cookie": cookie, "content": content });
    seal::compact_json(2, &file).unwrap()
}

#[test]
fn what_no_checker_writes_is_refused() {
    let (_directory, shared) = shared();
    let group = |unknown: Value, failing: Value, weights: Value| json!([{ "what": "1", "unknown": unknown, "failing": failing, "flapping": [], "weights": weights }]);
    let none = || json!([]);
    let fail = |detail: &str, since: &str| json!([["10.0.0.1:80", detail, since, 5, 3, 3]]);
    let now = "2026-11-29T12:00:00Z";
    let ok = group(none(), fail("", now), none());
    for (findings, warnings, says) in [
        (group(none(), fail(&"x".repeat(201), now), none()), none(), "a text of more than 200 characters"),
        (group(none(), fail("", "2026-13-29T12:00:00Z"), none()), none(), "out of range"),
        (group(none(), fail("", "1960-11-29T12:00:00Z"), none()), none(), "out of range"),
        (group(json!(["10.0.0.1"]), none(), none()), none(), "invalid socket address"),
        (
            group(none(), none(), json!([["10.0.0.1:80", { "percent": 65_536 }]])),
            none(),
            "a weight above 65535",
        ),
        (group(none(), none(), json!([["10.0.0.1:80", { "percent": -1 }]])), none(), "expected u32"),
        (ok.clone(), json!(vec!["w"; 1_001]), "more than 1000 warnings"),
        (ok.clone(), json!(["w".repeat(201)]), "a text of more than 200 characters"),
        (ok, none(), ""),
    ] {
        let content =
            json!({ "probes": "", "at": 0, "frozen": null, "warnings": warnings, "findings": findings });
        fs::write(shared.verdicts_path(), sealed(&shared, &content)).unwrap();
        let error = shared.load_verdicts(100).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(error.contains(says) && error.is_empty() == says.is_empty(), "{says}: {error}");
    }
    let durations = json!({ "buckets": [0, 0, 0, 0, 0, 0, 0, 0, u64::MAX], "longer": u64::MAX, "micros": 0 });
    let results = json!({ "passed": 1, "failed": 1, "durations": durations });
    let content =
        json!({ "probes": "", "at": 0, "frozen": null, "warnings": [], "findings": [], "results": results });
    fs::write(shared.verdicts_path(), sealed(&shared, &content)).unwrap();
    assert!(shared.load_verdicts(100).unwrap_err().to_string().contains(" results"));
}

/// Any JSON, with the keys and texts of the files among it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = [
        "probes",
        "at",
        "frozen",
        "warnings",
        "findings",
        "what",
        "unknown",
        "failing",
        "flapping",
        "weights",
        "percent",
        "10.0.0.1:80",
        "[::1]:0",
        "2026-11-29T12:00:00Z",
        "1",
        "hash",
        "checks",
        "\u{0}",
        "é",
    ];
    let word = prop::sample::select(words.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

// A checker that a server has taken over may write anything.
#[test]
fn whatever_is_written_is_an_error_or_verdicts() {
    let (_directory, shared) = shared();
    fs::create_dir(&shared.dirs().daemon).unwrap();
    let findings = [(key(1, 1), finding(failing("status 503"))), (key(1, 2), finding(Verdict::Unknown))];
    shared
        .save_verdicts(&Verdicts { findings: findings.into_iter().collect(), ..Verdicts::default() })
        .unwrap();
    let intact = fs::read(shared.verdicts_path()).unwrap();
    let config = ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        content in any_json(),
        spoilt in any::<prop::sample::Index>(),
        by in 1..=255u8,
    )| {
        let mut flipped = intact.clone();
        flipped[spoilt.index(intact.len())] ^= by;
        for bytes in [bytes, sealed(&shared, &content), flipped] {
            fs::write(shared.probes_path(), &bytes).unwrap();
            fs::write(shared.verdicts_path(), &bytes).unwrap();
            let _ = shared.load_probes();
            prop_assert!(!matches!(shared.load_verdicts(100), Ok(Some(verdicts)) if verdicts.findings.len() > 6));
        }
    });
}
