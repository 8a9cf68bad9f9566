//! Desired states of several files on a real kernel: followed, edited, tried and kept; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{Netns, Output, run};
use crate::running::{Daemon, soon};

const MAIN: &str = "\
version: 1
include: [clusters.d/*.yaml]
policy: { resync: 1h, max_delete: 100% }
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [192.168.8.14] }
";

/// The file of a cluster that listens on a port.
fn fragment(name: &str, port: u16, weight: u32) -> String {
    format!(
        "clusters:\n- {{ name: {name}, listen: 'tcp://10.0.0.1:{port}', scheduler: rr, servers: [{{ address: 192.168.8.15, weight: {weight} }}] }}\n"
    )
}

/// The table with the cluster of the main file, and those of fragments by port and weight.
fn table(fragments: &[(u16, u32)]) -> Vec<String> {
    let mut lines =
        vec!["-A -t 10.0.0.1:80 -s rr".to_owned(), "-a -t 10.0.0.1:80 -r 192.168.8.14:80 -g -w 1".to_owned()];
    for (port, weight) in fragments {
        lines.push(format!("-A -t 10.0.0.1:{port} -s rr"));
        lines.push(format!("-a -t 10.0.0.1:{port} -r 192.168.8.15:{port} -g -w {weight}"));
    }
    lines.sort_unstable();
    lines
}

fn host() -> Netns {
    let net = Netns::new();
    fs::create_dir(net.path("clusters.d")).unwrap();
    net.write("desired.yaml", MAIN);
    net.write("clusters.d/mail.yaml", &fragment("mail", 25, 1));
    net
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

fn becomes(net: &Netns, fragments: &[(u16, u32)]) {
    let expected = table(fragments);
    let is_so = soon(Duration::from_secs(20), || net.ipvsadm_save() == expected);
    assert!(is_so.is_some(), "{:?}", net.ipvsadm_save());
}

#[test]
fn a_daemon_follows_all_files_and_keeps_the_last_good_state() {
    let net = host();
    let daemon = Daemon::start(&net);
    becomes(&net, &[(25, 1)]);
    net.write("clusters.d/dns.yaml", &fragment("dns", 53, 2));
    becomes(&net, &[(25, 1), (53, 2)]);
    // One bad fragment, and nothing of another change is carried out.
    let before = daemon.log().len();
    net.write("clusters.d/mail.yaml", &fragment("dns", 25, 7));
    net.write("clusters.d/dns.yaml", &fragment("dns", 53, 9));
    let wrong = soon(Duration::from_secs(20), || {
        daemon
            .log_since(before)
            .contains("clusters.d/mail.yaml:2:11: duplicate cluster name `dns`; first in ")
    });
    assert!(wrong.is_some(), "{}", daemon.log_since(before));
    assert_eq!(net.ipvsadm_save(), table(&[(25, 1), (53, 2)]));
    let status = lbd(&net, "status -o json");
    let document: Value = serde_json::from_str(&status.stdout).unwrap();
    let problem = document["file"]["problem"].as_str().unwrap();
    assert!(problem.contains("clusters.d/mail.yaml:2:11: duplicate cluster name"), "{status:?}");
    // What is in force is the state that was verified last, with its files.
    let file = |row: &Value| (row["cluster"].clone(), row["file"].clone());
    let files: Vec<(Value, Value)> = document["services"].as_array().unwrap().iter().map(file).collect();
    assert!(files.contains(&(json!("dns"), json!("clusters.d/dns.yaml"))), "{files:?}");
    // A whole directory is swapped.
    fs::rename(net.path("clusters.d"), net.path("v1")).unwrap();
    fs::create_dir(net.path("v2")).unwrap();
    net.write("v2/mail.yaml", &fragment("mail", 25, 3));
    symlink("v2", net.path("clusters.d")).unwrap();
    becomes(&net, &[(25, 3)]);
    fs::remove_file(net.path("v2/mail.yaml")).unwrap();
    becomes(&net, &[]);
}

#[test]
fn the_files_of_clusters_are_named_and_the_whole_is_kept_and_written_out() {
    let net = host();
    let diff = lbd(&net, "diff");
    assert!(diff.stdout.contains("tcp://10.0.0.1:25 (mail, clusters.d/mail.yaml)\n"), "{diff:?}");
    assert!(diff.stdout.contains("tcp://10.0.0.1:80 (web, desired.yaml)\n"), "{diff:?}");
    assert_eq!((lbd(&net, "apply").status, net.ipvsadm_save()), (0, table(&[(25, 1)])));
    assert_eq!(lbd(&net, "diff").status, 0);
    let status = lbd(&net, "status");
    assert!(status.stdout.contains("tcp://10.0.0.1:25 (mail, clusters.d/mail.yaml)  rr\n"), "{status:?}");
    fs::remove_file(net.path("clusters.d/mail.yaml")).unwrap();
    net.write("clusters.d/dns.yaml", &fragment("dns", 53, 2));
    assert_eq!((lbd(&net, "apply --drain=0").status, net.ipvsadm_save()), (0, table(&[(53, 2)])));
    // The history has both states whole; neither becomes the desired state by one rename.
    let written = lbd(&net, "history show 1 --to first");
    assert_eq!(
        (written.status, written.stdout.as_str()),
        (0, "first/desired.yaml\nfirst/clusters.d/mail.yaml\n")
    );
    let read = |name: &str| fs::read_to_string(net.path(name)).unwrap();
    assert_eq!(
        (read("first/desired.yaml"), read("first/clusters.d/mail.yaml")),
        (MAIN.to_owned(), fragment("mail", 25, 1))
    );
    let again = lbd(&net, "history show 1 --to first");
    assert_eq!(
        (again.status, again.stderr.as_str()),
        (2, "error: first: is there already; name a new directory\n")
    );
    let refused = lbd(&net, "rollback 1 --now --yes");
    assert_eq!(
        (refused.status, refused.stderr.contains("`lbd rollback N --for 5m` tries it")),
        (2, true),
        "{refused:?}"
    );
    let shown = lbd(&net, "history show 1");
    net.write("one.yaml", &shown.stdout);
    let one = net.lbd(&["-f", "one.yaml", "diff"]);
    assert_eq!(
        (one.status, one.stderr.contains("is the text of several files, as the history has it")),
        (2, true),
        "{one:?}"
    );
    // A boot restores the whole.
    net.write("clusters.d/dns.yaml", "clusters: [\n");
    net.sh("ipvsadm -C");
    let restored = lbd(&net, "restore");
    assert_eq!((restored.status, net.ipvsadm_save()), (0, table(&[(53, 2)])), "{restored:?}");
}

#[test]
fn one_file_of_several_is_edited() {
    let net = host();
    assert_eq!(lbd(&net, "apply").status, 0);
    let edit = |editor: &str, words: &[&str]| {
        let all: Vec<&str> = ["-f", "desired.yaml", "edit", "--yes"].iter().chain(words).copied().collect();
        let mut command = net.lbd_command(&all);
        run(command.env("EDITOR", editor).env_remove("VISUAL"))
    };
    let edited = edit("sed -i 's/weight: 1/weight: 5/'", &["--fragment", "clusters.d/mail.yaml"]);
    assert_eq!(edited.status, 0, "{edited:?}");
    assert!(edited.stdout.contains("\n  ~ server 192.168.8.15:25  weight: 1 -> 5\n"), "{edited:?}");
    assert_eq!(fs::read_to_string(net.path("clusters.d/mail.yaml")).unwrap(), fragment("mail", 25, 5));
    let main = edit("sed -i 's/name: web/name: www/'", &[]);
    assert_eq!(main.status, 0, "{main:?}");
    assert_eq!(fs::read_to_string(net.path("desired.yaml")).unwrap(), MAIN.replace("web", "www"));
    let wrong = edit("sed -i 's/name: mail/name: www/'", &["--fragment", "clusters.d/mail.yaml"]);
    assert_eq!(wrong.status, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("duplicate cluster name `www`"), "{wrong:?}");
    let none = edit("true", &["--fragment", "mail.yaml"]);
    assert_eq!(
        (none.status, none.stderr.contains("does not include a file of this name")),
        (2, true),
        "{none:?}"
    );
    assert_eq!((lbd(&net, "apply").status, net.ipvsadm_save()), (0, table(&[(25, 5)])));
}

#[test]
fn one_file_of_several_is_tried_and_confirmed_and_all_of_them_only_tried() {
    let net = host();
    let daemon = Daemon::start(&net);
    becomes(&net, &[(25, 1)]);
    net.write("new.yaml", &fragment("mail", 25, 4));
    let tried = lbd(&net, "try new.yaml --fragment clusters.d/mail.yaml --for 1h");
    assert_eq!((tried.status, net.ipvsadm_save()), (0, table(&[(25, 4)])), "{tried:?}");
    assert_eq!(fs::read_to_string(net.path("clusters.d/mail.yaml")).unwrap(), fragment("mail", 25, 1));
    let confirmed = lbd(&net, "confirm");
    assert_eq!((confirmed.status, net.ipvsadm_save()), (0, table(&[(25, 4)])), "{confirmed:?}");
    assert_eq!(fs::read_to_string(net.path("clusters.d/mail.yaml")).unwrap(), fragment("mail", 25, 4));
    assert_eq!(fs::read_to_string(net.path("desired.yaml")).unwrap(), MAIN);
    // A new one.
    net.write("new.yaml", &fragment("dns", 53, 4));
    let tried = lbd(&net, "try new.yaml --fragment clusters.d/dns.yaml --for 1h");
    assert_eq!((tried.status, net.ipvsadm_save()), (0, table(&[(25, 4), (53, 4)])), "{tried:?}");
    // Another file has changed meanwhile: what was tried is not what would be.
    net.write("clusters.d/mail.yaml", &fragment("mail", 25, 6));
    for (words, says) in [
        ("confirm", "`--over` replaces it"),
        ("confirm --over", "another of the files that the desired state"),
    ] {
        let changed = lbd(&net, words);
        assert_eq!((changed.status, changed.stderr.contains(says)), (3, true), "{changed:?}");
    }
    assert!(!net.path("clusters.d/dns.yaml").exists());
    assert_eq!(lbd(&net, "cancel").status, 0);
    becomes(&net, &[(25, 6)]);
    // A state of the history.
    let rolled = lbd(&net, "rollback 1 --for 1h --yes");
    assert_eq!((rolled.status, net.ipvsadm_save()), (0, table(&[(25, 1)])), "{rolled:?}");
    let refused = lbd(&net, "confirm");
    assert_eq!(
        (refused.status, refused.stderr.contains("these are not replaced at once")),
        (2, true),
        "{refused:?}"
    );
    assert_eq!(lbd(&net, "cancel").status, 0);
    becomes(&net, &[(25, 6)]);
    drop(daemon);
}
