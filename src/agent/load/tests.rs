//! What files of the agent say, and what is wrong with others, with the places.

use std::path::PathBuf;

use super::*;
use crate::agent::settings::{
    ClientCertificate, EtcdSettings, Follow, GitSettings, Signers, TlsSettings, Verify,
};

const EXAMPLE: &str = include_str!("../../../examples/agent.yaml");

fn loaded(text: &str) -> Settings {
    load(&Source::new("agent.yaml", text), "lb1.fra.example")
        .unwrap_or_else(|problems| panic!("{}", problems.text(false)))
}

/// What is wrong with a file: `LINE:COLUMN message (expected …) (suggestion …)`.
fn problems_on(text: &str, host: &str) -> Vec<String> {
    let problems = load(&Source::new("agent.yaml", text), host).unwrap_err();
    let line = |problem: &crate::config::Diagnostic| {
        let part = |name: &str, text: &Option<String>| {
            text.as_ref().map_or(String::new(), |text| format!(" ({name} {text})"))
        };
        let (expected, suggestion) =
            (part("expected", &problem.expected), part("suggestion", &problem.suggestion));
        format!("{}:{} {}{expected}{suggestion}", problem.line, problem.column, problem.message)
    };
    problems.list.iter().map(line).collect()
}

fn problems(text: &str) -> Vec<String> {
    problems_on(text, "lb1")
}

/// A file with this source of git, in which `REST` is put behind the needed keys; the keys begin in column 9 of line 2.
fn git(rest: &str) -> String {
    let address = if rest.contains("repository:") { "" } else { "repository: file:///srv/lvs.git, " };
    let paths = if rest.contains("paths:") { "" } else { ", paths: [a.yaml]" };
    format!("version: 1\nsource: {{ git: {{ {address}{rest}{paths} }} }}\n")
}

#[test]
fn the_example_says_what_the_manual_says() {
    let path = PathBuf::from;
    let etcd = EtcdSettings {
        endpoints: ["e1", "e2", "e3"].map(|host| format!("https://{host}.example:2379")).to_vec(),
        prefix: "/lbd/prod".to_owned(),
        tls: Some(TlsSettings {
            ca: path("/etc/lbd/agent/ca.pem"),
            client: Some(ClientCertificate {
                certificate: path("/etc/lbd/agent/lb1.pem"),
                key: path("/etc/lbd/agent/lb1-key.pem"),
            }),
        }),
    };
    let expected = Settings {
        name: "lb1".to_owned(),
        labels: [("role", "edge"), ("site", "fra")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        source: SourceSettings::Git(GitSettings {
            repository: "ssh://git@git.example/lvs.git".to_owned(),
            follow: Follow::Branch("main".to_owned()),
            paths: vec!["directors/lb1.yaml".to_owned(), "sites/fra.yaml".to_owned()],
            interval: Duration::from_secs(30),
            verify: Verify::Every,
            signers: Some(Signers::Ssh(path("/etc/lbd/allowed_signers"))),
            identity: Some(path("/etc/lbd/agent/id")),
            known_hosts: Some(path("/etc/lbd/agent/known_hosts")),
        }),
        rollout: Some(etcd),
        report: true,
    };
    assert_eq!(loaded(EXAMPLE), expected);
}

#[test]
fn what_is_left_out_has_defaults() {
    let text = "version: 1\nx-a: { b: c }\nsource: { git: { repository: 'https://git.example/lvs', paths: [lb.yaml] } }\n";
    let expected = Settings {
        name: "lb1".to_owned(),
        labels: BTreeMap::new(),
        source: SourceSettings::Git(GitSettings {
            repository: "https://git.example/lvs".to_owned(),
            follow: Follow::Branch("main".to_owned()),
            paths: vec!["lb.yaml".to_owned()],
            interval: Duration::from_secs(30),
            verify: Verify::Off,
            signers: None,
            identity: None,
            known_hosts: None,
        }),
        rollout: None,
        report: false,
    };
    assert_eq!(loaded(text), expected);
    let directory = |paths: &[&str], seconds| {
        SourceSettings::Directory(DirectorySettings {
            path: PathBuf::from("/srv/desired"),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            interval: Duration::from_secs(seconds),
        })
    };
    let source = |text: &str| loaded(&format!("version: 1\nsource: {{ {text} }}\n")).source;
    let both = ["lb1.yaml", "desired.yaml"];
    assert_eq!(source("directory: /srv/desired"), directory(&both, 30));
    assert_eq!(source("directory: { path: /srv/desired, interval: 1 }"), directory(&both, 1));
    assert_eq!(
        source("directory: { path: /srv/desired, paths: [a, '{name}'] }"),
        directory(&["a", "lb1"], 30)
    );
    assert_eq!(
        source("etcd: { endpoints: ['http://127.0.0.1:2379', 'http://[::1]:2379'], prefix: /lbd }"),
        SourceSettings::Etcd(EtcdSettings {
            endpoints: vec!["http://127.0.0.1:2379".to_owned(), "http://[::1]:2379".to_owned()],
            prefix: "/lbd".to_owned(),
            tls: None,
        })
    );
}

#[test]
fn what_git_follows_and_by_whose_keys() {
    let source = |rest: &str| match loaded(&git(rest)).source {
        SourceSettings::Git(git) => git,
        other => panic!("{other:?}"),
    };
    assert_eq!(source("branch: a/b-1").follow, Follow::Branch("a/b-1".to_owned()));
    assert_eq!(source("tag: v*").follow, Follow::Tag("v*".to_owned()));
    assert_eq!(source("tag: '*'").follow, Follow::Tag("*".to_owned()));
    let signers = |rest: &str| {
        let git = source(rest);
        (git.verify, git.signers)
    };
    let keyring = Some(Signers::OpenPgp(PathBuf::from("/k.gpg")));
    assert_eq!(signers("verify: head, keyring: /k.gpg"), (Verify::Head, keyring));
    // Switched off for a while: the keys may stay in the file.
    assert_eq!(signers("verify: off, keyring: /k.gpg"), (Verify::Off, None));
    for address in [
        "ssh://git@git.example/lvs.git",
        "ssh://git.example:2222/~/lvs.git",
        "ssh://git@[fd00::1]:22/lvs.git",
        "http://127.0.0.1:8080/lvs.git",
        "https://git.example/a%20b?c=d",
        "file:///srv/lvs.git",
    ] {
        let identity = if address.starts_with("ssh") { ", identity: /id" } else { "" };
        assert_eq!(source(&format!("repository: \"{address}\"{identity}")).repository, address);
    }
}

#[test]
fn each_thing_that_is_wrong_is_named_at_its_place() {
    const NAME: &str = "1 to 64 of the characters A-Z, a-z, 0-9, `-`, `_` and `.`, first a letter or a digit";
    let source = "source: { directory: /srv }";
    let check = |text: &str, expected: &[&str]| assert_eq!(problems(text), expected, "{text}");
    check("", &["1:1 the file is empty (expected at least `version: 1` and `source`)"]);
    check(
        "agent",
        &["1:1 the file cannot be text (expected a mapping with at least `version` and `source`)"],
    );
    check(
        "version: 1\n",
        &["1:1 `source` is missing (expected `source`, a mapping with `git`, `etcd` or `directory`)"],
    );
    check(&format!("version: 2\n{source}"), &["1:10 `version` cannot be `2` (expected 1)"]);
    check(
        &format!("version: 1\nnaem: lb1\n{source}"),
        &[
            "2:1 unknown key `naem` (expected one of version, name, labels, source, rollout, report) (suggestion name)",
        ],
    );
    check(
        &format!("version: 1\nname: lb/1\nlabels: {{ name: a, ' x': b, site: -c }}\n{source}"),
        &[
            &format!("2:7 `lb/1` cannot be the name of a director (expected {NAME})"),
            "3:11 `name` cannot be the key of a label: it is the name of the director (expected another key, or `name` at the top of the file)",
            &format!("3:20 ` x` cannot be the key of a label (expected {NAME})"),
            &format!("3:35 `-c` cannot be the value of a label (expected {NAME})"),
        ],
    );
    check(
        &format!("version: 1\nlabels: {{ rack: 12 }}\n{source}"),
        &["2:17 `rack` cannot be a number (expected a value of a label such as `fra`)"],
    );
    check("version: 1\nsource: {}\n", &["2:9 the source is missing (expected `git`, `etcd` or `directory`)"]);
    check(
        "version: 1\nsource:\n  directory: /srv\n  etcd: { endpoints: ['http://e1:1'], prefix: /a }\n",
        &[
            "3:3 there is a source already: `etcd`; first on line 4 (expected one of `git`, `etcd` and `directory`; for the turns of a rollout, `rollout` beside `source`)",
        ],
    );
    check(
        &format!("version: 1\nreport: true\n{source}"),
        &[
            "2:9 there is no etcd to which this director could report (expected `rollout` with an `etcd`, or `report: false`)",
        ],
    );
    check(
        &format!("version: 1\nreport: yes\n{source}"),
        &["2:9 `report` cannot be text (expected true or false) (suggestion true)"],
    );
    check(
        "version: 1\nsource: { directory: srv }\n",
        &["2:22 `srv` is not an absolute path (expected a path that begins with `/`)"],
    );
    check(
        "version: 1\nsource: { directory: { path: /srv, interval: 2d } }\n",
        &[
            "2:46 `2d` is too long (expected 1 to 86400 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`)",
        ],
    );
    check(
        "version: 1\n<<<<<<< mine\nsource: { directory: /srv }\n",
        &[
            "2:1 a merge conflict begins here (expected one of the versions, without the lines `<<<<<<<`, `=======` and `>>>>>>>`)",
        ],
    );
}

#[test]
fn the_name_of_a_host_has_to_fit_where_the_file_gives_no_other() {
    let text = "version: 1\nsource: { directory: /srv }\n";
    let expected = "expected `name`: 1 to 64 of the characters A-Z, a-z, 0-9, `-`, `_` and `.`, first a letter or a digit";
    assert_eq!(
        problems_on(text, "-x.example"),
        [format!("1:1 `-x.example`, the name of this host, cannot be that of a director ({expected})")]
    );
    assert_eq!(problems_on(text, ""), [format!("1:1 the name of this host is not known ({expected})")]);
    assert_eq!(load(&Source::new("", format!("name: lb9\n{text}")), "-x").unwrap().name, "lb9");
}

#[test]
fn what_is_wrong_with_a_path_is_named() {
    let all = |paths: &str| {
        let text = format!(
            "version: 1\nlabels: {{ site: fra, rack: r1 }}\nsource:\n  git:\n    repository: file:///srv/a\n    paths:\n      - {paths}\n"
        );
        problems(&text)
    };
    let form =
        "(expected a path from the top of the repository or directory on, such as `directors/{name}.yaml`)";
    for (path, wrong) in [
        ("/a.yaml", "begins with `/`"),
        ("'-a.yaml'", "begins with `-`"),
        ("a/../b.yaml", "has `.` or `..`"),
        ("./a.yaml", "has `.` or `..`"),
        ("a//b.yaml", "has an empty part"),
        ("a/", "has an empty part"),
        ("\"a\\tb\"", "has a control character"),
    ] {
        assert_eq!(all(path), [format!("7:9 the path {wrong} {form}")]);
    }
    assert_eq!(
        all("\"sites/{labels.stie}.yaml\""),
        [
            "7:9 this director has no label `stie` (expected `labels` with it, or one of rack, site) (suggestion sites/{labels.site}.yaml)"
        ]
    );
    assert_eq!(
        all("\"{site}/{Name}.yaml\""),
        [
            "7:9 unknown placeholder `{site}` (expected `{name}` or `{labels.KEY}`) (suggestion {labels.site}/{Name}.yaml)",
            "7:9 unknown placeholder `{Name}` (expected `{name}` or `{labels.KEY}`) (suggestion {site}/{name}.yaml)",
        ]
    );
    assert_eq!(all("\"{name\""), ["7:9 this `{` is not closed (expected `{name}` or `{labels.KEY}`)"]);
    assert_eq!(problems(&git("paths: []")), ["2:58 there is no path (expected one path at least)"]);
    assert_eq!(
        problems(&git("branch: main").replace(", paths: [a.yaml]", "")),
        ["2:16 `paths` is missing in `git` (expected `paths`, a list; `[]` for none)"]
    );
}

#[test]
fn what_is_wrong_with_the_address_of_a_repository_is_named() {
    const FORM: &str = "(expected an address with `ssh://`, `https://`, `http://` or `file://`)";
    const LOGIN: &str = "2:30 a login by http is not supported (expected an address without user and password; a repository that needs a login, by `ssh://` with `identity`)";
    const HOST: &str = "2:30 the address has no host, or one that cannot be";
    const SCP: &str = "2:30 the form `USER@HOST:PATH` is not supported (expected `ssh://USER@HOST/PATH`; a path from the user's home directory on as `ssh://USER@HOST/~/PATH`)";
    const USER: &str = "2:30 the user in the address is not one (expected `ssh://USER@HOST/PATH`)";
    for (address, expected) in [
        ("git@git.example:team/lvs.git", format!("{SCP} (suggestion ssh://git@git.example/team/lvs.git)")),
        ("-o:lvs.git", SCP.to_owned()),
        ("/srv/lvs.git", format!("2:30 the address has no protocol {FORM} (suggestion file:///srv/lvs.git)")),
        ("lvs.git", format!("2:30 `lvs.git` is not the address of a repository {FORM}")),
        ("--upload-pack=x", format!("2:30 `--upload-pack=x` is not the address of a repository {FORM}")),
        ("ext::sh -c x", format!("2:30 the address has a space, a backslash or a control character {FORM}")),
        ("ext::sh", format!("2:30 programs as protocols (`ext::…`) are not supported {FORM}")),
        ("ext::sh://x/y", format!("2:30 programs as protocols (`ext::…`) are not supported {FORM}")),
        ("git://git.example/lvs", format!("2:30 `git://` has neither encryption nor keys {FORM}")),
        ("ftp://git.example/lvs", format!("2:30 `ftp://` is not supported {FORM}")),
        ("https://me:secret@git.example/lvs", LOGIN.to_owned()),
        ("https://token@git.example/lvs", LOGIN.to_owned()),
        ("https://", format!("{HOST} {FORM}")),
        ("https:///lvs", format!("{HOST} {FORM}")),
        ("https://git.example:0/lvs", format!("{HOST} {FORM}")),
        ("ssh://-oProxyCommand=x/lvs", format!("{HOST} {FORM}")),
        ("ssh://git@-oProxyCommand=x/lvs", format!("{HOST} {FORM}")),
        ("ssh://-l@git.example/lvs", USER.to_owned()),
        ("ssh://git:pw@git.example/lvs", "2:30 a password in the address is not supported (expected `ssh://USER@HOST/PATH`, and the private key as `identity`)".to_owned()),
        ("https://git.example", "2:30 the address has no path (expected the host and behind it the path of the repository)".to_owned()),
        ("file://srv/lvs", "2:30 the path behind `file://` is not absolute (expected an address such as `file:///srv/lvs.git`)".to_owned()),
    ] {
        assert_eq!(problems(&git(&format!("repository: \"{address}\""))), [expected]);
    }
}

#[test]
fn what_is_wrong_with_a_source_of_git_is_named() {
    for (rest, expected) in [
        ("branch: -x", "2:59 `-x` cannot be the name of a branch (expected a name such as `main`)"),
        ("branch: a..b", "2:59 `a..b` cannot be the name of a branch (expected a name such as `main`)"),
        ("branch: a.lock", "2:59 `a.lock` cannot be the name of a branch (expected a name such as `main`)"),
        (
            "branch: refs/heads/a",
            "2:59 `refs/heads/a` cannot be the name of a branch (expected a name such as `main`) (suggestion a)",
        ),
        (
            "tag: v*.*",
            "2:56 `v*.*` is neither a tag nor a pattern of tags (expected a name or a pattern with one `*`, such as `v*`)",
        ),
        (
            "branch: main, tag: v*",
            "2:65 there is `branch` already; first on line 2 (expected one of `branch` and `tag`)",
        ),
        (
            "verify: every",
            "2:59 `every` needs keys by which it verifies (expected `allowed_signers` (ssh) or `keyring` (OpenPGP) beside it)",
        ),
        (
            "verify: heads",
            "2:59 `verify` cannot be `heads` (expected one of off, head, every) (suggestion head)",
        ),
        (
            "allowed_signers: /s",
            "2:51 `allowed_signers` without `verify` has no effect (expected `verify: every`, `verify: head` or `verify: off` beside it)",
        ),
        (
            "verify: head, allowed_signers: /s, keyring: /k",
            "2:86 there is `allowed_signers` already; first on line 2 (expected one of `allowed_signers` and `keyring`)",
        ),
        (
            "verify: head, keyring: k",
            "2:74 `k` is not an absolute path (expected a path that begins with `/`)",
        ),
        (
            "identity: /i",
            "2:51 `identity` is for `ssh://` (expected an address with `ssh://`, or no such key)",
        ),
        (
            "known_hosts: /i",
            "2:51 `known_hosts` is for `ssh://` (expected an address with `ssh://`, or no such key)",
        ),
        (
            "repository: ssh://a/b",
            "2:30 `ssh://` needs `identity` (expected `identity`, the absolute path of a private key, beside it)",
        ),
        (
            "interval: 0",
            "2:61 `0` is too short (expected 1 to 86400 seconds, as N, Ns, Nm, Nh or Nd, such as `30s` or `5m`)",
        ),
    ] {
        assert_eq!(problems(&git(rest)), [expected], "{rest}");
    }
}

#[test]
fn what_is_wrong_with_an_etcd_is_named() {
    const FORM: &str = "(expected `https://HOST:PORT`, or `http://HOST:PORT` without `tls`)";
    let all = |endpoint: &str, prefix: &str, tls: &str| {
        problems(&format!(
            "version: 1\nsource: {{ directory: /srv }}\nrollout:\n  etcd:\n    endpoints: [{endpoint}]\n    prefix: {prefix}\n    {tls}\n"
        ))
    };
    let tls = "tls: { ca: /ca }";
    for (endpoint, expected) in [
        ("'https://e1'", format!("5:17 `https://e1` is not the address of a member of etcd {FORM}")),
        ("'https://e1:2379/v3'", format!("5:17 `https://e1:2379/v3` is not the address of a member of etcd {FORM}")),
        ("'https://u:p@e1:2379'", format!("5:17 `https://u:p@e1:2379` is not the address of a member of etcd {FORM}")),
        ("'e1:2379'", format!("5:17 `e1:2379` is not the address of a member of etcd {FORM} (suggestion https://e1:2379)")),
        ("'http://e1:2379'", "5:17 `http://` is not encrypted, and there is `tls` (expected `https://`) (suggestion https://e1:2379)".to_owned()),
        ("'https://e1:1', 'https://e1:1'", "5:33 `https://e1:1` is there twice; first on line 5".to_owned()),
        ("", "5:16 there is no endpoint (expected one at least)".to_owned()),
    ] {
        assert_eq!(all(endpoint, "/lbd", tls), [expected], "{endpoint}");
    }
    assert_eq!(
        all("'https://e1:2379'", "/lbd", ""),
        ["5:17 `https://` needs `tls` (expected `tls: { ca: FILE }` beside the endpoints)"]
    );
    for (prefix, wrong, right) in [
        ("lbd", "does not begin with `/`", " (suggestion /lbd)"),
        ("/", "is empty", ""),
        ("/lbd/", "ends with `/`", " (suggestion /lbd)"),
        ("/lbd//prod", "has an empty part", " (suggestion /lbd/prod)"),
        ("/l b", "has a space or a control character", ""),
    ] {
        assert_eq!(
            all("'https://e1:1'", prefix, tls),
            [format!(
                "6:13 the prefix {wrong} (expected a path without a slash at its end, such as `/lbd/prod`){right}"
            )]
        );
    }
    assert_eq!(
        all("'https://e1:1'", "/lbd", "tls: { ca: /ca, certificate: /c }"),
        ["7:34 a certificate needs its key (expected `key` beside it)"]
    );
    assert_eq!(
        all("'https://e1:1'", "/lbd", "tls: { ca: ca, key: /k }"),
        [
            "7:16 `ca` is not an absolute path (expected a path that begins with `/`)",
            "7:25 a key needs its certificate (expected `certificate` beside it)",
        ]
    );
    assert_eq!(
        all("'https://e1:1'", "/lbd", "tls: {}"),
        ["7:10 `ca` is missing in `tls` (expected `ca`, an absolute path such as `/etc/lbd/ca.pem`)"]
    );
}
