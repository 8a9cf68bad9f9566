//! Tests desired states of several files: how they are read, what is wrong with them and where.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lbd::config::{self, Source, load};
use lbd::model::Desired;
use tempfile::TempDir;

/// A directory with files; the main file is `desired.yaml`.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| root.write(name, text));
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn main(&self) -> PathBuf {
        self.path("desired.yaml")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self) -> Source {
        config::read_closed(&self.main()).unwrap()
    }

    fn load(&self) -> Desired {
        load(&self.read()).unwrap()
    }

    /// Without the name of the directory.
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }

    /// Each problem as `FILE:LINE:COLUMN: message`.
    fn problems(&self) -> Vec<String> {
        let document = load(&self.read()).unwrap_err().json();
        let list = document["problems"].as_array().unwrap().clone();
        let line = |problem: &serde_json::Value| {
            let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            let place = format!("{}:{}:{}", text("file"), problem["line"], problem["column"]);
            self.short(&format!("{place}: {}", text("message")))
        };
        list.iter().map(line).collect()
    }

    fn read_error(&self) -> String {
        self.short(&config::read(&self.main()).unwrap_err().to_string())
    }
}

fn cluster(name: &str, number: u8) -> String {
    format!("- name: {name}\n  listen: tcp://192.0.2.{number}:80\n  servers: [10.0.0.1]\n")
}

const MAIN: &str = "version: 1\ninclude: [clusters.d/*.yaml]\nclusters: []\n";

#[test]
fn several_files_are_the_state_of_one_that_has_all_of_it() {
    let files = Files::new(&[
        (
            "desired.yaml",
            "version: 1\ninclude: ['clusters.d/*.yaml', marks.yaml]\nsysctls: { net.ipv4.ip_forward: 1 }\nchecks: { web: { type: http } }\n\
             defaults: { scheduler: rr, drain: 10s }\nclusters:\n- { name: a, listen: 'tcp://192.0.2.1:80', servers: [10.0.0.1] }\n\
             policy: { prune: never }\n",
        ),
        (
            "clusters.d/20.yaml",
            "clusters:\n- { name: c, listen: 'fwmark://10', check: own, servers: [10.0.0.3] }\nchecks: { own: { type: tcp, port: 1 } }\n",
        ),
        (
            "clusters.d/10.yaml",
            "x-weight: &heavy 50\ndefaults: { forward: nat, check: web, drain: 20s }\nclusters:\n\
             - { name: b, listen: 'tcp://192.0.2.2:80', servers: [{ address: 10.0.0.2, weight: *heavy }] }\n",
        ),
        ("marks.yaml", "marks: [{ mark: 10, match: [{ address: 192.0.2.9 }] }]\n"),
        ("clusters.d/.hidden.yaml", "nonsense"),
    ]);
    let one = "version: 1\nsysctls: { net.ipv4.ip_forward: 1 }\nchecks: { web: { type: http }, own: { type: tcp, port: 1 } }\n\
               defaults: { scheduler: rr, drain: 10s }\npolicy: { prune: never }\nclusters:\n\
               - { name: a, listen: 'tcp://192.0.2.1:80', servers: [10.0.0.1] }\n\
               - { name: b, listen: 'tcp://192.0.2.2:80', forward: nat, check: web, drain: 20s, servers: [{ address: 10.0.0.2, weight: 50 }] }\n\
               - { name: c, listen: 'fwmark://10', check: own, servers: [10.0.0.3] }\n\
               marks: [{ mark: 10, match: [{ address: 192.0.2.9 }] }]\n";
    let several = files.load();
    let of = ["a", "b", "c", "d"].map(|cluster| several.files.of(cluster));
    assert_eq!(of, [Some("desired.yaml"), Some("clusters.d/10.yaml"), Some("clusters.d/20.yaml"), None]);
    let one = load(&Source::new("", one)).unwrap();
    assert_eq!(several.clusters.keys().collect::<Vec<_>>(), one.clusters.keys().collect::<Vec<_>>());
    assert_eq!(Desired { files: one.files.clone(), ..several }, one);
}

#[test]
fn what_two_files_have_is_an_error_with_both_places() {
    let mark = "marks: [{ mark: 5, match: [{ address: 192.0.2.9 }] }]\n";
    let files = Files::new(&[
        ("desired.yaml", MAIN),
        (
            "clusters.d/a.yaml",
            &format!("checks: {{ web: {{ type: tcp }} }}\n{mark}clusters:\n{}", cluster("web", 1)),
        ),
        (
            "clusters.d/b.yaml",
            &format!("{mark}\nchecks:\n  web: {{ type: tcp }}\nclusters:\n{}", cluster("web", 1)),
        ),
    ]);
    assert_eq!(
        files.problems(),
        [
            "clusters.d/b.yaml:1:17: duplicate mark 5; first in clusters.d/a.yaml:2",
            "clusters.d/b.yaml:1:28: duplicate match: the same packets are described already, and a packet has one mark; first in clusters.d/a.yaml:2",
            "clusters.d/b.yaml:4:3: duplicate check `web`: the files share one space of names; first in clusters.d/a.yaml:1",
            "clusters.d/b.yaml:6:9: duplicate cluster name `web`; first in clusters.d/a.yaml:4",
            "clusters.d/b.yaml:7:11: duplicate listener tcp://192.0.2.1:80; first in clusters.d/a.yaml:5",
        ]
    );
    files.write("clusters.d/b.yaml", &format!("clusters:\n{0}{0}", cluster("b", 2)));
    assert_eq!(
        files.problems(),
        [
            "clusters.d/b.yaml:5:9: duplicate cluster name `b`; first on line 2",
            "clusters.d/b.yaml:6:11: duplicate listener tcp://192.0.2.2:80; first on line 3",
        ]
    );
}

#[test]
fn a_problem_is_shown_in_its_file() {
    let files = Files::new(&[
        (
            "desired.yaml",
            "version: 1\ninclude: [clusters.d/*.yaml]\nclusters:\n- { name: a }\npolicy: { resync: 0 }\n",
        ),
        ("clusters.d/a.yaml", "defaults: { scheduler: rrr, check: [tcp], forward: pigeon }\nclusters: []\n"),
        ("clusters.d/b.yaml", &format!("clusters:\n{}  weight: 1\n", cluster("b", 2))),
        ("clusters.d/c.yaml", "clusters: [\n"),
        ("clusters.d/d.yaml", "# nothing\n"),
        ("clusters.d/e.yaml", "policy: {}\nsysctl: {}\n"),
    ]);
    // A file that is no YAML could define what the others name.
    assert_eq!(
        files.problems(),
        [
            "desired.yaml:4:3: `listen` is missing in an entry of `clusters`",
            "desired.yaml:4:3: `servers` is missing in an entry of `clusters`",
            "clusters.d/a.yaml:1:52: unknown forwarding method `pigeon`",
            "clusters.d/b.yaml:5:3: unknown key `weight`",
            "clusters.d/c.yaml:1:11: this `[` is not closed",
            "clusters.d/d.yaml:1:1: the file is empty",
            "clusters.d/e.yaml:1:1: `policy` belongs in the main file, and this one is included",
            "clusters.d/e.yaml:2:1: unknown key `sysctl`",
        ]
    );
    fs::remove_file(files.path("clusters.d/c.yaml")).unwrap();
    fs::remove_file(files.path("clusters.d/d.yaml")).unwrap();
    files.write("clusters.d/a.yaml", "defaults: { scheduler: rrr, check: [tcp] }\nclusters:\n- { name: c, listen: fwmark://7, servers: [] }\n");
    assert_eq!(
        files.problems(),
        [
            "desired.yaml:4:3: `listen` is missing in an entry of `clusters`",
            "desired.yaml:4:3: `servers` is missing in an entry of `clusters`",
            "desired.yaml:5:19: `0` is too short",
            "clusters.d/a.yaml:1:24: unknown scheduler `rrr`",
            "clusters.d/a.yaml:1:37: unknown check `tcp`",
            "clusters.d/a.yaml:3:22: mark 7 is not declared under `marks`",
            "clusters.d/b.yaml:5:3: unknown key `weight`",
            "clusters.d/e.yaml:1:1: `policy` belongs in the main file, and this one is included",
            "clusters.d/e.yaml:2:1: unknown key `sysctl`",
        ]
    );
    let shown = files.short(&load(&files.read()).unwrap_err().text(false));
    assert!(shown.contains("--> clusters.d/b.yaml:5:3\n  |\n5 |   weight: 1\n"), "{shown}");
}

#[test]
fn a_fragment_says_nothing_of_what_the_main_file_alone_says() {
    for key in ["version: 1", "include: [a]", "sysctls: {}", "timeouts: {}", "sync: []", "policy: {}"] {
        let files = Files::new(&[("desired.yaml", MAIN), ("clusters.d/a.yaml", &format!("{key}\n"))]);
        let word = key.split(':').next().unwrap();
        let message =
            format!("clusters.d/a.yaml:1:1: `{word}` belongs in the main file, and this one is included");
        assert_eq!(files.problems(), [message]);
    }
    for text in ["[]\n", "text\n"] {
        let files = Files::new(&[("desired.yaml", MAIN), ("clusters.d/a.yaml", text)]);
        let problem = load(&files.read()).unwrap_err().json()["problems"][0]["expected"].clone();
        assert_eq!(problem, "a mapping with `clusters`, `marks`, `checks` or `defaults`");
    }
}

#[test]
fn what_cannot_be_included_is_named_at_its_place() {
    let text =
        "version: 1\ninclude: [/etc/a.yaml, ../a.yaml, '**/a.yaml', desired.yaml, a.yaml]\nclusters: []\n";
    let files = Files::new(&[("desired.yaml", text), ("a.yaml", "clusters: []\n")]);
    assert_eq!(
        files.problems(),
        [
            "desired.yaml:2:11: `/etc/a.yaml` is not a path below the directory of the file",
            "desired.yaml:2:24: `../a.yaml` is not a path below the directory of the file",
            "desired.yaml:2:35: `**/a.yaml` has `**`, which is not supported",
            "desired.yaml:2:48: `desired.yaml` is this file itself",
        ]
    );
    let piped = load(&Source::new("<stdin>", MAIN)).unwrap_err();
    assert!(
        piped.to_string().starts_with("<stdin>:2:11: nothing can be included beside standard input"),
        "{piped}"
    );
    let wrong = Files::new(&[("desired.yaml", "version: 1\ninclude: a.yaml\nclusters: []\n")]);
    assert_eq!(wrong.problems(), ["desired.yaml:2:10: `include` cannot be text"]);
}

#[test]
fn a_path_that_is_not_there_is_an_error_and_a_pattern_may_match_nothing() {
    let files = Files::new(&[("desired.yaml", MAIN)]);
    assert_eq!(
        files.load(),
        Desired {
            files: files.load().files,
            ..load(&Source::new("", "version: 1\nclusters: []\n")).unwrap()
        }
    );
    files.write("desired.yaml", "version: 1\ninclude: [a.yaml]\nclusters: []\n");
    assert_eq!(
        files.read_error(),
        "a.yaml: there is no such file, and desired.yaml includes it; create it, or take it out of `include`"
    );
    fs::create_dir(files.path("a.yaml")).unwrap();
    assert!(files.read_error().starts_with("a.yaml: is a directory, not a regular file"));
    fs::remove_dir(files.path("a.yaml")).unwrap();
    fs::write(files.path("a.yaml"), b"clusters: []\n# \xff\n").unwrap();
    assert_eq!(files.read_error(), "a.yaml:2:3: the byte 0xff is not UTF-8; save the file as UTF-8");
}

#[test]
fn the_text_of_several_files_is_still_the_same_until_one_of_them_changes() {
    let files = Files::new(&[
        ("desired.yaml", MAIN),
        ("clusters.d/a.yaml", &format!("clusters:\n{}", cluster("a", 1))),
    ]);
    let is_still = |text: &str| config::is_still(&files.main(), text);
    let (one, same) = (files.read(), files.read());
    assert_eq!(one, same);
    assert!(is_still(&one.text));
    files.write("clusters.d/b.yaml", "clusters: []\n");
    assert!(!is_still(&one.text));
    let two = files.read();
    assert!(is_still(&two.text));
    files.write("clusters.d/a.yaml", "clusters: []\n");
    assert!(!is_still(&two.text));
    let three = files.read();
    fs::remove_file(files.path("clusters.d/b.yaml")).unwrap();
    assert!(!is_still(&three.text));
    // It is kept as one text, and read from that again.
    let stored = Source::new("the last verified state", two.text.clone());
    assert_eq!(load(&stored), load(&two));
    let parts: Vec<&str> = stored.parts().iter().map(|part| part.name).collect();
    assert_eq!(parts, ["desired.yaml", "clusters.d/a.yaml", "clusters.d/b.yaml"]);
    // It is not taken for one file.
    files.write("desired.yaml", &two.text);
    assert_eq!(
        files.read_error(),
        "desired.yaml: is the text of several files, as the history has it; `lbd history show N --to DIR` writes them out"
    );
}

#[test]
fn a_stored_state_names_its_files_behind_its_own_name() {
    let files = Files::new(&[("desired.yaml", MAIN), ("clusters.d/a.yaml", "clusters: [{}]\n")]);
    let stored = Source::new("file 3 of the history", files.read().text);
    let line = load(&stored).unwrap_err().to_string();
    assert!(line.starts_with("file 3 of the history, clusters.d/a.yaml:1:12: `name` is missing"), "{line}");
}

#[test]
fn a_directory_that_a_symlink_swaps_is_read_as_it_was_at_one_moment() {
    let files = Files::new(&[]);
    let version = |name: &str, number: u8| {
        files.write(&format!("{name}/desired.yaml"), MAIN);
        for other in ["a", "b", "c"] {
            files.write(
                &format!("{name}/clusters.d/{other}.yaml"),
                &format!("clusters:\n{}", cluster(&format!("{other}{number}"), number + other.as_bytes()[0])),
            );
        }
    };
    version("1", 1);
    version("2", 101);
    let point = |to: &str| {
        symlink(to, files.path("new")).unwrap();
        fs::rename(files.path("new"), files.path("now")).unwrap();
    };
    point("1");
    let path = files.path("now/desired.yaml");
    let clusters = |path: &Path| {
        let desired = load(&config::read(path).unwrap()).unwrap();
        desired.clusters.values().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(clusters(&path), ["a1", "b1", "c1"]);
    point("2");
    assert_eq!(clusters(&path), ["a101", "b101", "c101"]);
}
