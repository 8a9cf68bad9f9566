//! Every example is a file that holds, and shows what its header says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lbd::config::{Source, load, read_closed, render};
use lbd::ipvsadm::{read, save};

/// All desired files below examples/, by name, with their texts: some stand alone, some belong to a lab. What includes others is tested by itself,
/// and so is the agent's file, where it is loaded.
fn examples() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = |directory: &Path| -> Vec<PathBuf> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let (labs, files): (Vec<_>, Vec<_>) = entries(&directory).into_iter().partition(|path| path.is_dir());
    let all = files.into_iter().chain(labs.iter().flat_map(|lab| entries(lab)));
    let named = all.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let named = named.filter(|path| {
        !path.ends_with("several/desired.yaml")
            && !path.ends_with("agent.yaml")
            && !path.ends_with("strategy.yaml")
    });
    named.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_example_is_valid_and_survives_export_and_ipvsadm() {
    let examples = examples();
    assert!(examples.len() >= 12, "only {} examples", examples.len());
    for (name, text) in examples {
        let desired = load(&Source::new(&name, &text)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!desired.state.services.is_empty(), "{name} balances nothing");

        let exported = render(&desired.state).yaml().unwrap();
        let again = load(&Source::new(&name, &exported)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(again.state, desired.state, "{name}");

        let parsed = read(&save(&desired.state));
        assert_eq!(parsed.problems, [], "{name}");
        // To ipvsadm and to IPVS itself, FULLNAT is NAT.
        let nat = text.replace("forward: fullnat", "forward: nat");
        let nat = load(&Source::new(&name, &nat)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(parsed.state.services, nat.state.services, "{name}");
    }
}

#[test]
fn the_example_of_several_files_is_valid_and_names_their_schemas() {
    let source =
        read_closed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/several/desired.yaml")).unwrap();
    let desired = load(&source).unwrap_or_else(|problems| panic!("{problems}"));
    let clusters: BTreeSet<&str> = desired.clusters.values().map(|name| name.as_str()).collect();
    assert_eq!(clusters, BTreeSet::from(["mail", "shop"]));
    assert_eq!(desired.files.of("mail"), Some("clusters.d/20-mail.yaml"));
    for (index, part) in source.parts().iter().enumerate() {
        let schema = if index == 0 { "desired" } else { "fragment" };
        let first = format!("# yaml-language-server: $schema=/usr/share/lbd/{schema}.schema.json");
        assert_eq!(part.text.lines().next(), Some(first.as_str()), "{}", part.name);
    }
}

#[test]
fn the_files_of_the_example_of_a_fleet_are_valid() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fleet").join(name);
        Source::new(name, fs::read_to_string(path).unwrap())
    };
    let strategy =
        lbd::fleet::load_strategy(&read("strategy.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    let settings =
        lbd::agent::load(&read("agent.yaml"), "lb1").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(strategy.first_canary(), Some(settings.name.as_str()));
    for (name, schema) in [("strategy.yaml", "strategy"), ("agent.yaml", "agent")] {
        let first = format!("# yaml-language-server: $schema=/usr/share/lbd/{schema}.schema.json");
        assert_eq!(read(name).text.lines().next(), Some(first.as_str()), "{name}");
    }
}

#[test]
fn every_example_opens_with_the_schema_and_says_what_the_hosts_need() {
    for (name, text) in examples() {
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("# yaml-language-server: $schema=/usr/share/lbd/desired.schema.json"),
            "{name}"
        );
        let header: Vec<_> = lines.take_while(|line| line.starts_with('#')).collect();
        assert!(header.len() > 2 && header.iter().any(|line| line.contains("need")), "{name}");
        assert!(text.lines().all(|line| line.chars().count() <= 130), "{name}");
    }
}

#[test]
fn the_examples_together_show_most_of_the_format() {
    let texts: String = examples().into_iter().map(|(_, text)| text).collect();
    let words: BTreeSet<&str> =
        texts.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')).collect();
    for word in [
        "sysctls",
        "marks",
        "match",
        "timeouts",
        "defaults",
        "policy",
        "max_delete",
        "scheduler",
        "scheduler_flags",
        "persistence",
        "persistence_mask",
        "persistence_engine",
        "one_packet",
        "forward",
        "nat",
        "dr",
        "tun",
        "tunnel",
        "gue",
        "gre",
        "weight",
        "upper_threshold",
        "lower_threshold",
        "source",
        "interface",
        "fwmark",
        "udp",
        "checks",
        "on_failure",
        "min_serving",
        "fallback",
        "slow_start",
        "reset_after",
        "exec",
    ] {
        assert!(words.contains(word), "no example shows `{word}`");
    }
}
