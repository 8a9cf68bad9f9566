//! Overrides: what a pass makes of them, what ends them, and what the daemon says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use crate::cli::{self, lbd};
use crate::controller::Director;
use crate::daemon::file;
use crate::log;
use lbd::config::{Source, load};
use lbd::daemon::Event;
use lbd::model::{Desired, ServerKey, ServiceKey};
use lbd::target::Target;
use lbd::target::{Address, Clock, Conditions, Effect, FileWeight, Override, Overrides, Period, Scope, Text};
use serde_json::{Value, json};

fn key(number: u8) -> ServiceKey {
    format!("tcp://10.0.0.{number}:80").parse().unwrap()
}

fn server() -> ServerKey {
    ServerKey { address: [192, 168, 8, 14].into(), port: 80 }
}

/// An override of the server of a service.
fn of(number: u8, effect: Effect, seconds: Option<u64>) -> Override {
    let now = Clock::now();
    Override {
        name: format!("c{number}/192.168.8.14"),
        scope: Scope::In(vec![Text(key(number))], Address { address: server().address, port: None }),
        effect,
        by: "alice".into(),
        reason: Some("why".into()),
        since: now.wall.into(),
        period: seconds.map(|seconds| Period::new(now, Duration::from_secs(seconds))),
    }
}

fn weight(number: u8, from: u32, to: u32) -> Override {
    let effect = Effect::Weight {
        to,
        from: vec![FileWeight::new(key(number), server(), from)],
        despite_checks: false,
    };
    of(number, effect, Some(3_600))
}

fn overrides(all: &[Override]) -> Overrides {
    let mut overrides = Overrides::default();
    all.iter().cloned().for_each(|one| overrides.add(one));
    overrides
}

/// Sets overrides as the commands do.
fn set(director: &mut Director, all: &[Override]) {
    director.store.save_overrides(&overrides(all)).unwrap();
    director.hears(Event::Conditions);
}

fn names(director: &Director) -> Vec<String> {
    let overrides = director.store.load_overrides(Clock::now()).unwrap();
    overrides.iter().map(|one| one.name.clone()).collect()
}

#[test]
fn an_override_is_above_the_file_until_it_is_undone_and_no_drift() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1), (3, 1)]));
    let all = [of(1, Effect::Drain, Some(3_600)), weight(2, 1, 7)];
    let lines = log::of(|| set(&mut director, &all));
    assert_eq!(director.table(), [(1, 0), (2, 7), (3, 1)]);
    let words: Vec<&str> = lines.iter().map(|line| line.split(" by alice").next().unwrap()).collect();
    assert_eq!(
        words,
        [
            // A weight that grows comes first.
            "INFO applied: edit server 192.168.8.14:80 of tcp://10.0.0.2:80",
            "INFO applied: edit server 192.168.8.14:80 of tcp://10.0.0.1:80",
            "INFO override: c1/192.168.8.14 is drained",
            "INFO override: c2/192.168.8.14 has weight 7",
        ]
    );
    assert!(
        director.status_on_disk().line(None).ends_with("; 2 overrides"),
        "{}",
        director.status_on_disk().line(None)
    );
    // Somebody else's change is repaired to what the override says, and is drift.
    director.meddle(1, 5);
    let lines = log::of(|| {
        director.looks();
    });
    assert_eq!(lines, ["WARN drift repaired: edit server 192.168.8.14:80 of tcp://10.0.0.1:80"]);
    assert_eq!(director.table(), [(1, 0), (2, 7), (3, 1)]);
    let lines = log::of(|| set(&mut director, &[]));
    assert_eq!(director.table(), [(1, 1), (2, 1), (3, 1)]);
    assert!(lines.iter().all(|line| line.starts_with("INFO ")) && lines.len() == 4, "{lines:?}");
    assert_eq!(director.status_on_disk().conflicts, Vec::<String>::new());
}

#[test]
fn a_change_of_the_weight_in_the_file_ends_a_weight_for_good_and_no_drain() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    set(&mut director, &[of(1, Effect::Drain, None), weight(2, 1, 7)]);
    director.takes(&file(&[(1, 2), (2, 2)]));
    assert_eq!((director.table(), names(&director)), (vec![(1, 0), (2, 2)], vec!["c1/192.168.8.14".into()]));
    director.takes(&file(&[(1, 1), (2, 1)]));
    assert_eq!(director.table(), [(1, 0), (2, 1)]);
    // Its server leaves the file, and comes back.
    director.takes(&file(&[(2, 1)]));
    assert_eq!((director.table(), names(&director)), (vec![(2, 1)], vec![]));
    director.takes(&file(&[(1, 1), (2, 1)]));
    assert_eq!(director.table(), [(1, 1), (2, 1)]);
}

#[test]
fn an_override_of_the_last_usable_server_is_no_change_of_the_file_for_the_guards() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    set(&mut director, &[of(1, Effect::Remove, Some(3_600))]);
    assert_eq!(director.table(), [(1, 0), (2, 1)]);
    director.takes(&file(&[(1, 1), (2, 2)]));
    assert_eq!((director.table(), director.status_on_disk().refused), (vec![(1, 0), (2, 2)], None));
    let servers = director.kernel.0.lock().unwrap().live.state.services[&key(1)].servers.len();
    assert_eq!(servers, 0);
}

#[test]
fn an_override_goes_on_after_a_reboot_and_ends_by_the_wall_clock_then() {
    let mut director = Director::new();
    director.takes(&file(&[(1, 1), (2, 1)]));
    set(&mut director, &[of(1, Effect::Drain, Some(3_600)), of(2, Effect::Drain, None)]);
    let path = director.directory.path().join("overrides.json");
    let mut on_disk: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let document = on_disk.as_object_mut().unwrap();
    (document["boot"], document["version"]) = (json!("another"), json!(1));
    document.remove("crc32");
    // The clock of that boot was far ahead of this one's.
    document["conditions"][0]["period"]["end"] = json!(u64::MAX);
    fs::write(&path, serde_json::to_vec(&on_disk).unwrap()).unwrap();
    let left = director.store.load_conditions(Clock::now()).changes_in.unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    director.meddle(1, 5);
    director.hears(Event::Reload);
    assert_eq!(director.table(), [(1, 0), (2, 0)]);
    let on_disk: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(on_disk["boot"], director.store.boot());
    let end = on_disk["conditions"][0]["period"]["end"].as_u64().unwrap();
    assert!(end <= Clock::now().since_boot + 3_600_000, "{end}");
}

fn desired(scheduling: &str) -> Desired {
    let text = format!(
        "version: 1\nclusters:\n- {{ name: web, listen: ['tcp://10.0.0.1:80', 'tcp://10.0.0.1:81'], {scheduling}, servers: [192.168.8.14, 192.168.8.15] }}\n"
    );
    load(&Source::new("x", text)).unwrap()
}

#[test]
fn weight_0_takes_a_server_out_where_the_scheduler_would_refuse_its_clients() {
    let scope = Scope::Everywhere(Address { address: server().address, port: None });
    let drained = Override { scope, ..of(1, Effect::Drain, None) };
    let conditions = Conditions { overrides: overrides(&[drained]), ..Conditions::default() };
    for (scheduling, weights) in [
        ("scheduler: sh", vec![1]),
        ("scheduler: sh, scheduler_flags: [sh-fallback]", vec![0, 1]),
        ("scheduler: mh", vec![1]),
        ("scheduler: dh", vec![1]),
        ("scheduler: rr", vec![0, 1]),
    ] {
        let file = desired(scheduling);
        let target = Target::new(&file, &conditions);
        let services = target.desired.state.services.values();
        let found: Vec<Vec<u32>> =
            services.map(|service| service.servers.values().map(|real| real.weight).collect()).collect();
        assert_eq!(found, [weights.clone(), weights], "{scheduling}");
        assert_eq!(target.reasons().count(), 2);
    }
}

#[test]
fn the_last_override_of_a_server_counts_and_one_of_the_same_replaces_it() {
    let file = desired("scheduler: rr");
    let everywhere = Scope::Everywhere(Address { address: server().address, port: None });
    let all =
        [of(1, Effect::Drain, None), Override { scope: everywhere.clone(), ..of(1, Effect::Remove, None) }];
    let conditions = Conditions { overrides: overrides(&all), ..Conditions::default() };
    let target = Target::new(&file, &conditions);
    let left = |number: u16| {
        let key: ServiceKey = format!("tcp://10.0.0.1:{number}").parse().unwrap();
        target.desired.state.services[&key].servers.len()
    };
    assert_eq!([left(80), left(81)], [1, 1]);
    let mut replaced = overrides(&all);
    replaced.add(Override { scope: everywhere, ..of(1, Effect::Drain, None) });
    assert_eq!(replaced.iter().map(|one| &one.effect).collect::<Vec<_>>(), [&Effect::Drain, &Effect::Drain]);
    assert_eq!(replaced.end(|one| matches!(one.scope, Scope::Everywhere(_))).len(), 1);
    assert_eq!(replaced.iter().count(), 1);
}

#[test]
fn the_commands_say_what_they_set_and_ask_before_the_last_server_goes() {
    let directory = cli::directory(&[("a.yaml", cli::GOOD)]);
    let run = |words: &str| {
        let all: Vec<&str> =
            ["-f", "a.yaml", "--state-dir", "state"].into_iter().chain(words.split(' ')).collect();
        let output = lbd(&directory, &all);
        (output.status, output.stdout, output.stderr)
    };
    let (status, stdout, stderr) = run("drain web/192.168.8.14 --for 2h --reason upgrade");
    assert_eq!(status, 0, "{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(
        lines[0].starts_with("web/192.168.8.14 is drained by ") && lines[0].ends_with(": upgrade"),
        "{stdout}"
    );
    assert_eq!(lines[1], "  tcp://10.0.0.13:80 (web)  192.168.8.14:80  weight: 1 -> 0");
    assert_eq!(
        stderr,
        "note: for this director only; `lbd undo` ends it\nnote: no daemon runs; the next `lbd apply` brings it into the kernel, as `--apply` does at once\n"
    );
    let last = "warning: this takes out the last usable server of tcp://10.0.0.13:80 (web)\nerror: no terminal to confirm at; use `--yes` to do this; nothing was changed\n";
    assert_eq!(run("drain web/192.168.8.15"), (2, String::new(), last.to_owned()));
    assert_eq!(run("weight web 0"), (2, String::new(), last.to_owned()));
    assert_eq!(run("drain web/192.168.8.15 --yes --for ever").0, 0);
    // What an older lbd would not know of makes its file one that it does not read.
    let version = || {
        let text = fs::read(directory.path().join("state").join("overrides.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["version"].clone()
    };
    assert_eq!(version(), 2);
    let (_, stdout, _) = run("weight 192.168.8.15 3 --despite-checks");
    assert!(stdout.starts_with("192.168.8.15 has weight 3 despite its checks by "), "{stdout}");
    assert_eq!((run("overrides").1.lines().count(), version(), run("undo 192.168.8.15").0), (3, 3.into(), 0));
    let (status, stdout, _) = run("overrides -o json");
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let rows = document["overridden"].as_array().unwrap();
    assert_eq!(
        (status, rows.len(), &rows[0]["effect"], &rows[1]["until"]),
        (0, 2, &json!("drain"), &Value::Null)
    );
    assert_eq!(run("overrides").1.lines().count(), 2);
    let (status, _, stderr) = run("undo web");
    assert_eq!(
        (status, stderr.as_str()),
        (2, "error: web: there is no such override; there are those of web/192.168.8.14, web/192.168.8.15\n")
    );
    let (status, stdout, _) = run("undo web/192.168.8.15");
    assert!(status == 0 && stdout.starts_with("ended: web/192.168.8.15 is drained by "), "{stdout}");
    assert_eq!(run("undo --all").0, 0);
    assert_eq!(run("undo --all"), (0, String::new(), "note: there are no overrides\n".to_owned()));
    for (words, says) in [
        ("drain wbe", "error: wbe: no cluster has this name; did you mean `web`?\n"),
        (
            "weight web/192.168.8.16 1",
            "error: web/192.168.8.16: the cluster `web` has no such server; it could be 192.168.8.14, 192.168.8.15\n",
        ),
    ] {
        assert_eq!(run(words), (2, String::new(), says.to_owned()));
    }
    assert_eq!(run("undo").0, 2);
    assert_eq!(run("drain web --for 31d --yes").0, 2);
}
