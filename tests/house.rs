//! Keeps the house in order: who may use whom, and that each file says in its first line what it is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, and which others each may use. Arrows go down only; `config` and `kernel` never meet.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("escape", &[]),
    ("plan", &["model"]),
    ("host", &["files", "kernel", "model", "nft"]),
    ("advice", &["escape", "host", "model", "plan"]),
    ("ownership", &["model"]),
    ("guard", &["model"]),
    ("status", &[]),
    ("files", &[]),
    ("store", &["files", "model", "ownership", "status"]),
    ("config", &["escape", "files", "model"]),
    ("nft", &["model"]),
    ("kernel", &["model", "nft"]),
    ("ipvsadm", &["escape", "model"]),
    ("reconcile", &["guard", "kernel", "model", "ownership", "plan", "store"]),
    ("report", &["advice", "escape", "guard", "ipvsadm", "kernel", "model", "nft", "reconcile", "status"]),
    ("watch", &[]),
    ("logging", &["escape"]),
    ("systemd", &["escape"]),
    (
        "daemon",
        &["advice", "config", "guard", "kernel", "model", "reconcile", "status", "store", "systemd", "watch"],
    ),
    ("progress", &["kernel"]),
    ("memory", &[]),
    ("cli", &["model"]),
    (
        "commands",
        &[
            "advice",
            "cli",
            "config",
            "daemon",
            "escape",
            "host",
            "ipvsadm",
            "kernel",
            "logging",
            "memory",
            "model",
            "progress",
            "reconcile",
            "report",
            "store",
            "systemd",
        ],
    ),
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn room(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// What a file's code, above its tests, names behind `crate::`.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let word =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(word).filter(|word| !word.is_empty()).collect()
}

#[test]
fn arrows_go_down_only() {
    let mut wrong = Vec::new();
    for path in sources(Path::new("src")) {
        let room = room(&path);
        if matches!(room.as_str(), "main" | "lib") {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| *name == room);
        let allowed =
            allowed.unwrap_or_else(|| panic!("{} is in no room that this test knows", path.display())).1;
        for used in used(&fs::read_to_string(&path).unwrap()) {
            if used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_file_opens_with_a_sentence() {
    let files = sources(Path::new("src")).into_iter().chain(sources(Path::new("tests")));
    let silent: Vec<PathBuf> =
        files.filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! ")).collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn every_room_is_on_the_map() {
    let map = fs::read_to_string("src/lib.rs").unwrap();
    let missing: Vec<&str> = ARROWS
        .iter()
        .map(|(room, _)| *room)
        .filter(|room| !map.contains(&format!("pub mod {room};")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn unsafe_code_is_in_one_file_and_is_one_system_call() {
    let unsafe_blocks = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter(|line| !line.trim_start().starts_with("//") && line.contains("unsafe {")).count()
    };
    let mut files = sources(Path::new("src"));
    files.retain(|path| unsafe_blocks(path) > 0);
    assert_eq!(files, [PathBuf::from("src/kernel/ipvs/sockopt.rs")]);
    assert_eq!(unsafe_blocks(&files[0]), 1);
    let deny = fs::read_to_string("Cargo.toml").unwrap();
    assert!(deny.contains("unsafe_code = \"deny\""));
}

// A name with an escape sequence in it set the title of root's terminal.
#[test]
fn a_report_writes_its_lines_by_the_one_function_that_escapes_them() {
    let raw = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        code.contains("writeln!(out, ")
            || code.contains("write!(out, ")
            || code.contains("writeln!(\n            out,\n")
    };
    let mut files = sources(Path::new("src/report"));
    files.retain(raw);
    assert_eq!(files, [PathBuf::from("src/report/styled.rs")]);
}
