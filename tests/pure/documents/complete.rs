//! The pages name all that users meet: commands, options, numbers for monitoring, alerts, and files of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use lbd::cli::Arguments;

use super::pages;

/// What is between single backticks, on all pages, outside of blocks.
fn spans() -> Vec<(String, String)> {
    let mut spans = Vec::new();
    for page in pages() {
        let mut inside = false;
        for line in page.text.lines() {
            inside ^= line.trim_start().starts_with("```");
            if !inside {
                let code = line.split('`').skip(1).step_by(2);
                spans.extend(code.map(|code| (page.name.clone(), code.to_owned())));
            }
        }
    }
    spans
}

#[test]
fn every_command_and_option_is_on_a_page() {
    let pages = pages();
    let is_named = |word: &str| {
        let is_whole = |text: &str, at: usize| {
            !text[at + word.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
        };
        pages.iter().any(|page| page.text.match_indices(word).any(|(at, _)| is_whole(&page.text, at)))
    };
    let mut missing = BTreeSet::new();
    let program = Arguments::command();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    for command in commands {
        let name = format!("lbd {}", command.get_name());
        missing.extend((!is_named(&name)).then(|| name.clone()));
        let options = command.get_arguments().filter(|argument| !argument.is_hide_set());
        for option in options.filter_map(|argument| argument.get_long()) {
            let option = format!("--{option}");
            missing.extend((!is_named(&option)).then(|| format!("{name} {option}")));
        }
    }
    assert_eq!(missing, BTreeSet::new());
}

/// `kernel_{a,b}_total` is `kernel_a_total` and `kernel_b_total`.
fn expanded(name: &str) -> Vec<String> {
    match name.split_once('{').and_then(|(start, rest)| Some((start, rest.split_once('}')?))) {
        Some((start, (words, end))) => words.split(',').map(|word| format!("{start}{word}{end}")).collect(),
        None => vec![name.to_owned()],
    }
}

#[test]
fn every_number_and_alert_of_monitoring_is_on_a_page() {
    let named: BTreeSet<String> = spans().iter().flat_map(|(_, code)| expanded(code)).collect();
    let metrics = fs::read_to_string("tests/data/metrics.txt").unwrap();
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE lbd_")?.split(' ').next());
    let families: Vec<&str> = families.collect();
    assert!(families.len() > 30, "{families:?}");
    let missing: Vec<&str> = families
        .into_iter()
        .filter(|name| !named.contains(*name) && !named.contains(&format!("lbd_{name}")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());

    let text: String = pages().iter().map(|page| page.text.clone()).collect();
    let alerts = fs::read_to_string("deploy/prometheus/lbd-alerts.yml").unwrap();
    let alerts: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let missing: Vec<&str> = alerts.into_iter().filter(|name| !text.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let roots = ["benches/", "deploy/", "docs/", "examples/", "schema/", "src/", "tests/"];
    let mut missing = Vec::new();
    for (page, code) in spans() {
        let path = code.split([' ', ':']).next().unwrap_or_default();
        // `src/import/TYPE.rs` and `examples/*/run` are patterns.
        let is_pattern = path.contains(['*', '{']) || path.chars().any(|c| c.is_ascii_uppercase());
        if roots.iter().any(|root| path.starts_with(root)) && !is_pattern && !Path::new(path).exists() {
            missing.push(format!("{page}: {path}"));
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
