//! Keeps the house in order: who may use whom, and that each file says in its first line what it is.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, and which others each may use. Arrows go down only; `config` and `kernel` never meet.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("escape", &[]),
    ("error_chain", &[]),
    ("plan", &["model"]),
    ("host", &["error_chain", "files", "kernel", "model", "nft"]),
    ("advice", &["escape", "host", "model", "plan"]),
    ("ownership", &["model"]),
    ("guard", &["model"]),
    ("status", &[]),
    ("files", &[]),
    ("history", &["status"]),
    ("health", &["files", "model", "status"]),
    ("http_stream", &[]),
    ("checker", &["escape", "files", "health", "http_stream", "model", "status", "systemd", "watch"]),
    ("target", &["health", "model", "status"]),
    ("store", &["files", "health", "history", "model", "ownership", "status", "target"]),
    ("config", &["escape", "files", "model"]),
    ("nft", &["model"]),
    ("kernel", &["error_chain", "model", "nft"]),
    ("connections", &["kernel", "model"]),
    ("ipvsadm", &["escape", "model"]),
    ("import", &["config", "escape", "files", "host", "ipvsadm", "model"]),
    (
        "reconcile",
        &["files", "guard", "history", "kernel", "model", "ownership", "plan", "status", "store", "target"],
    ),
    (
        "report",
        &[
            "advice",
            "connections",
            "escape",
            "guard",
            "health",
            "history",
            "ipvsadm",
            "kernel",
            "model",
            "nft",
            "reconcile",
            "status",
            "target",
        ],
    ),
    ("watch", &["error_chain", "files"]),
    ("logging", &["error_chain", "escape"]),
    ("systemd", &["escape"]),
    ("metrics", &["escape", "guard", "health", "kernel", "model", "reconcile", "report", "status", "target"]),
    (
        "daemon",
        &[
            "advice",
            "config",
            "error_chain",
            "files",
            "guard",
            "health",
            "history",
            "kernel",
            "metrics",
            "model",
            "reconcile",
            "status",
            "store",
            "systemd",
            "target",
            "watch",
        ],
    ),
    ("api", &["escape", "files", "history", "http_stream", "metrics", "report", "status", "store"]),
    ("top", &["escape", "model", "report"]),
    ("fleet", &["config", "escape", "model", "status"]),
    (
        "agent",
        &[
            "api",
            "cli",
            "commands",
            "config",
            "error_chain",
            "escape",
            "files",
            "fleet",
            "health",
            "history",
            "host",
            "kernel",
            "metrics",
            "logging",
            "model",
            "progress",
            "report",
            "status",
            "systemd",
            "watch",
        ],
    ),
    ("progress", &["kernel"]),
    ("cli", &["connections", "files", "health", "model"]),
    (
        "commands",
        &[
            "advice",
            "api",
            "checker",
            "cli",
            "config",
            "connections",
            "daemon",
            "error_chain",
            "escape",
            "files",
            "health",
            "history",
            "host",
            "import",
            "ipvsadm",
            "kernel",
            "logging",
            "metrics",
            "model",
            "ownership",
            "progress",
            "reconcile",
            "report",
            "status",
            "store",
            "systemd",
            "target",
            "top",
        ],
    ),
];

/// The rooms inside of `config`, and which others of these each may use.
const CONFIG: &[(&str, &[&str])] = &[
    ("format", &[]),
    ("yaml", &[]),
    ("set", &[]),
    ("source", &["set"]),
    ("include", &["yaml"]),
    ("read", &["include", "set", "source"]),
    ("resolve", &["format"]),
    ("validate", &["format", "source", "yaml"]),
    ("render", &["format", "resolve"]),
    ("load_set", &["format", "resolve", "set", "source", "validate", "yaml"]),
    ("load", &["format", "include", "load_set", "resolve", "source", "validate", "yaml"]),
    ("other", &["format", "resolve", "source", "validate", "yaml"]),
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
        if matches!(room.as_str(), "main" | "lib" | "bin") {
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

/// A file's module: `config::resolve` is `src/config/resolve/mod.rs`.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap().with_extension("");
    let words: Vec<&str> = inside.iter().map(|word| word.to_str().unwrap()).collect();
    words.join("::").trim_end_matches("::mod").to_owned()
}

/// The paths at the start of a text: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &mut &str) -> Vec<String> {
    if let Some(inside) = text.strip_prefix('{') {
        *text = inside;
        let mut all = Vec::new();
        loop {
            *text = text.trim_start_matches([',', ' ', '\n']);
            if let Some(behind) = text.strip_prefix('}') {
                *text = behind;
                return all;
            }
            if text.is_empty() {
                return all;
            }
            all.extend(paths(text));
            // What is left of an entry: `as name`, `*`.
            *text = &text[text.find([',', '}']).unwrap_or(text.len())..];
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) => {
            *text = rest;
            paths(text).iter().map(|path| format!("{word}::{path}")).collect()
        }
        None => {
            *text = rest;
            vec![word.to_owned()]
        }
    }
}

/// Which files each file uses, by their modules. Seen is each path that begins with `crate`, `super` or `self`, in code
/// above the tests; of it the longest part that is a file. Not seen is what comes by the name of another file that passes
/// it on. A `mod.rs` uses each file that it declares.
fn uses(files: &[(String, String)]) -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> =
        files.iter().map(|(module, _)| (module.clone(), BTreeSet::new())).collect();
    for (module, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap()).collect();
        // A visibility is no use.
        let code = lines.join("\n").replace("(in crate::", "(in ");
        let mut found = BTreeSet::new();
        for start in ["crate::", "super::", "self::"] {
            for (at, _) in code.match_indices(start) {
                if !code[..at].ends_with(|c: char| c == ':' || c == '_' || c.is_alphanumeric()) {
                    found.extend(paths(&mut &code[at..]));
                }
            }
        }
        for path in found {
            let mut target: Vec<&str> = module.split("::").collect();
            for word in path.split("::") {
                match word {
                    "crate" => target.clear(),
                    "self" => {}
                    "super" => drop(target.pop()),
                    word => target.push(word),
                }
            }
            while !target.is_empty() && !uses.contains_key(&target.join("::")) {
                target.pop();
            }
            let target = target.join("::");
            if !target.is_empty() && target != *module {
                uses.get_mut(module).unwrap().insert(target);
            }
        }
        if let Some((room, _)) = module.rsplit_once("::")
            && let Some(front) = uses.get_mut(room)
        {
            front.insert(module.clone());
        }
    }
    uses
}

/// The files that use themselves by way of others. That a file uses the `mod.rs` of a room that it is in does not count: a
/// type of the whole room may be there.
fn circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    for (module, targets) in &mut uses {
        targets.retain(|target| !module.starts_with(&format!("{target}::")));
    }
    let uses_itself = |module: &&String| {
        let mut seen = BTreeSet::new();
        let mut next = vec![*module];
        while let Some(targets) = next.pop().and_then(|module| uses.get(module)) {
            next.extend(targets.iter().filter(|target| seen.insert(*target)));
        }
        seen.contains(module)
    };
    uses.keys().filter(uses_itself).cloned().collect()
}

/// The files of the program, each with its module and text, but for the files of tests.
fn program() -> Vec<(String, String)> {
    let files = sources(Path::new("src")).into_iter().filter(|path| !path.ends_with("tests.rs"));
    files.map(|path| (module(&path), fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    assert_eq!(circles(uses(&program())), Vec::<String>::new());
}

#[test]
fn a_circle_of_files_is_seen() {
    let file = |module: &str, text: &str| (module.to_owned(), text.to_owned());
    let files = [
        file("room", "use self::a::{self, A};\nmod a;"),
        file(
            "room::a",
            "use crate::{\n    other::{x::{y as z, *}},\n    room::b::{B, C},\n};\nuse super::Front;",
        ),
        file("room::b", "fn f() { super::c::g() } // super::d"),
        file("room::c", "pub(in crate::room) struct C;\nuse super::super::room::a::A;\nuse super::d;"),
        file("room::d", "#[cfg(test)]\nmod tests { use super::super::a; }"),
        file("other", "use std::fmt;"),
    ];
    let modules = |list: &[&str]| list.iter().map(|module| (*module).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        uses(&files),
        BTreeMap::from([
            ("room".to_owned(), modules(&["room::a", "room::b", "room::c", "room::d"])),
            ("room::a".to_owned(), modules(&["other", "room", "room::b"])),
            ("room::b".to_owned(), modules(&["room::c"])),
            ("room::c".to_owned(), modules(&["room::a", "room::d"])),
            ("room::d".to_owned(), modules(&[])),
            ("other".to_owned(), modules(&[])),
        ])
    );
    assert_eq!(circles(uses(&files)), ["room::a", "room::b", "room::c"]);
}

#[test]
fn arrows_inside_of_config_go_down_only() {
    let mut wrong = Vec::new();
    for (module, targets) in uses(&program()) {
        let Some(room) = module.strip_prefix("config::").and_then(|inside| inside.split("::").next()) else {
            continue;
        };
        let allowed = CONFIG.iter().find(|(name, _)| *name == room);
        let allowed =
            allowed.unwrap_or_else(|| panic!("{module} is in no room of config that this test knows")).1;
        for target in targets {
            let is_allowed = match target.strip_prefix("config::") {
                Some(inside) => {
                    inside.split("::").next().is_some_and(|other| other == room || allowed.contains(&other))
                }
                // The reader of YAML uses nothing of lbd, and nobody here what `config` shows to the others.
                None => room != "yaml" && target != "config",
            };
            if !is_allowed {
                wrong.push(format!("{module} uses {target}"));
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
fn every_file_of_tests_is_a_module_of_its_binary() {
    let mut missing = Vec::new();
    for binary in ["pure", "kernel", "kernel_alone", "nftables"] {
        let directory = Path::new("tests").join(binary);
        let main = fs::read_to_string(directory.join("main.rs")).unwrap();
        let names = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap().trim_end_matches(".rs").to_owned());
        let is_missing = |name: &String| name != "main" && !main.contains(&format!("\nmod {name};\n"));
        missing.extend(names.filter(is_missing).map(|name| format!("{binary}::{name}")));
    }
    assert_eq!(missing, Vec::<String>::new());
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

#[test]
fn the_fake_kernel_is_behind_a_feature_that_tests_alone_ask_for() {
    let kernel = fs::read_to_string("src/kernel/mod.rs").unwrap();
    assert!(kernel.contains("#[cfg(feature = \"fake\")]\npub mod fake;"));
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let (shipped, tests) = manifest.split_once("[dev-dependencies]").unwrap();
    assert!(tests.contains("\"fake\"]"));
    assert!(!shipped.contains("\"fake\"") && !manifest.contains("\ndefault = "));
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
