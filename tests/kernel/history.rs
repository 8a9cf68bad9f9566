//! The history on a real kernel: what was verified is listed, compared and brought back; ipvsadm judges.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::lab::{Netns, Output, run};
use crate::running::{Daemon, soon};

const FILE: &str = "\
version: 1
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [{ address: 192.168.8.14, weight: 1 }] }
";

/// What `ipvsadm -Sn` shows with this weight.
fn rules(weight: u32) -> Vec<String> {
    vec!["-A -t 10.0.0.1:80 -s rr".to_owned(), format!("-a -t 10.0.0.1:80 -r 192.168.8.14:80 -g -w {weight}")]
}

fn with(weight: u32) -> String {
    FILE.replace("weight: 1", &format!("weight: {weight}"))
}

fn lbd(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

/// Number, command, user, edits and whether it is in force, the newest first.
fn listed(net: &Netns) -> Value {
    let list = lbd(net, "history -o json");
    let document: Value = serde_json::from_str(&list.stdout).unwrap();
    let entries = document["history"].as_array().unwrap().iter();
    let keys = ["number", "command", "by", "edited", "in_force"];
    entries.map(|entry| keys.iter().map(|key| entry[*key].clone()).collect::<Value>()).collect()
}

#[test]
fn each_applied_file_is_listed_and_compared_with_the_kernel() {
    let net = Netns::new();
    for weight in [1, 3] {
        net.write("desired.yaml", &with(weight));
        assert_eq!((lbd(&net, "apply").status, net.ipvsadm_save()), (0, rules(weight)));
    }
    assert_eq!(lbd(&net, "apply").status, 0);
    assert_eq!(listed(&net), json!([[2, "apply", "root", 1, true], [1, "apply", "root", 0, false]]));
    let shown = lbd(&net, "history show 1");
    assert_eq!((shown.status, shown.stdout.as_str()), (0, FILE));
    let diff = lbd(&net, "diff --against 1");
    assert_eq!(diff.status, 1);
    let note = "note: compared with file 1 of the history: this is what `lbd rollback 1 --now` would do\n";
    assert!(diff.stderr.starts_with(note), "{diff:?}");
    assert!(diff.stdout.contains("\n  ~ server 192.168.8.14:80  weight: 3 -> 1\n"), "{diff:?}");
    assert_eq!(lbd(&net, "diff --against 2").status, 0);
    // What is torn down is in no history, and the history stays.
    assert_eq!(lbd(&net, "teardown --yes").status, 0);
    assert_eq!(listed(&net), json!([[2, "apply", "root", 1, false], [1, "apply", "root", 0, false]]));
    // Two texts, the list, and the events.
    assert_eq!(fs::read_dir(net.path("state/history")).unwrap().count(), 4);
}

#[test]
fn a_rollback_makes_a_file_the_desired_one_again_and_keeps_the_one_that_it_replaces() {
    let net = Netns::new();
    let file = net.path("desired.yaml");
    for weight in [1, 3] {
        net.write("desired.yaml", &with(weight));
        assert_eq!(lbd(&net, "apply").status, 0);
    }
    // Never applied.
    net.write("desired.yaml", &with(5));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(lbd(&net, "rollback 1").stderr.contains("<--now|--for <TIME>>"));
    let asked = lbd(&net, "rollback 1 --now");
    assert_eq!((asked.status, net.ipvsadm_save()), (2, rules(3)), "{asked:?}");
    let says = "error: no terminal to confirm at; use `--yes` to do this; nothing was changed\n";
    assert!(asked.stderr.ends_with(says) && asked.stdout.contains("weight: 3 -> 1\n"), "{asked:?}");
    assert_eq!(lbd(&net, "rollback 1 --yes").status, 2);
    let done = lbd(&net, "rollback 1 --now --yes");
    assert_eq!((done.status, net.ipvsadm_save()), (0, rules(1)), "{done:?}");
    let says = "
verified: 0 added, 1 edited, 0 deleted; 1 virtual service, 1 real server
";
    assert!(
        done.stdout.contains(
            "
installed: /"
        ) && done.stdout.ends_with(says),
        "{done:?}"
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
    assert_eq!((fs::read_to_string(&file).unwrap(), mode), (with(1), 0o640));
    let listed = |newest: usize| listed(&net)[newest].clone();
    assert_eq!(
        (listed(0), listed(1)),
        (json!([4, "rollback", "root", 1, true]), json!([3, null, "root", 0, false]))
    );
    assert_eq!(lbd(&net, "history show 3").stdout, with(5));
    let again = lbd(&net, "rollback 1 --now --yes");
    assert!(again.status == 0 && again.stderr.contains("is the desired file already"), "{again:?}");
    // A desired file that was removed comes back, too.
    fs::remove_file(&file).unwrap();
    assert_eq!((lbd(&net, "rollback 2 --now --yes").status, net.ipvsadm_save()), (0, rules(3)));
    assert_eq!(lbd(&net, "pause").status, 0);
    let refused = lbd(&net, "rollback 1 --now --yes");
    assert!(
        refused.status == 3 && refused.stderr.contains("nothing was changed: paused: everything"),
        "{refused:?}"
    );
    assert_eq!((lbd(&net, "resume").status, fs::read_to_string(&file).unwrap()), (0, with(3)));
    fs::rename(&file, net.path("state/real.yaml")).unwrap();
    symlink("state/real.yaml", &file).unwrap();
    let linked = lbd(&net, "rollback 1 --now --yes");
    assert!(linked.status == 2 && linked.stderr.contains("in another directory"), "{linked:?}");
}

#[test]
fn beside_a_daemon_a_rollback_takes_effect_once_and_its_options_hold_for_the_daemon_too() {
    let net = Netns::new();
    let empty = "version: 1\nclusters: []\n";
    net.write("desired.yaml", empty);
    let daemon = Daemon::start(&net);
    let listed =
        |count: usize| soon(Duration::from_secs(10), || listed(&net).as_array().unwrap().len() == count);
    assert!(listed(1).is_some(), "{}", daemon.log());
    net.write("desired.yaml", FILE);
    assert!(listed(2).is_some(), "{}", daemon.log());
    let refused = lbd(&net, "rollback 1 --now --yes");
    assert_eq!((refused.status, net.ipvsadm_save()), (3, rules(1)), "{refused:?}");
    assert!(refused.stderr.contains("refused, nothing was changed: the file has no clusters"), "{refused:?}");
    assert_eq!(fs::read_to_string(net.path("desired.yaml")).unwrap(), FILE);
    let done = lbd(&net, "rollback 1 --now --yes --allow-empty");
    assert_eq!((done.status, net.ipvsadm_save()), (0, vec![]), "{done:?}");
    assert_eq!(lbd(&net, "rollback 2 --now --yes").status, 0);
    assert!(listed(4).is_some());
    // Who edits it by a command is known, though the daemon applies it.
    let mut edit = net.lbd_command(&["-f", "desired.yaml", "edit", "--yes"]);
    let edited = run(edit.env("EDITOR", "sed -i 's/weight: 1/weight: 4/'").env_remove("VISUAL"));
    assert_eq!(edited.status, 0, "{edited:?}");
    assert!(listed(5).is_some(), "{}", daemon.log());
    let list = lbd(&net, "history").stdout;
    assert!(list.contains("  lbd run (file changed by root)  0 added, 1 edited, 0 deleted  "), "{list}");
    assert_eq!(lbd(&net, "rollback 2 --now --yes").status, 0);
    // The daemon has taken up each file, and has nothing to do and nothing to refuse.
    assert!(listed(6).is_some());
    let in_sync = soon(Duration::from_secs(10), || lbd(&net, "status").status == 0);
    assert!(in_sync.is_some() && net.ipvsadm_save() == rules(1), "{}", daemon.log());
    assert!(!daemon.log().contains("drift"), "{}", daemon.log());
}

/// The kinds of the events, and who did them.
fn events(net: &Netns, words: &str) -> Vec<(String, Option<String>)> {
    let list = lbd(net, &format!("history --events -o json{words}"));
    let document: Value = serde_json::from_str(&list.stdout).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let events = document["events"].as_array().unwrap().iter();
    events.map(|event| (text(&event["kind"]).unwrap(), text(&event["by"]))).collect()
}

#[test]
fn what_happened_is_listed_by_the_daemon_and_the_commands_together() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    assert_eq!(lbd(&net, "apply").status, 0);
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.14 -g -w 9");
    let daemon = Daemon::start(&net);
    let has = |kind: &str, words: &str| {
        let found = soon(Duration::from_secs(10), || events(&net, words).iter().any(|(one, _)| one == kind));
        assert!(found.is_some(), "{kind}: {:?}\n{}", events(&net, ""), daemon.log());
    };
    has("drift", "");
    assert_eq!(lbd(&net, "weight web/192.168.8.14 7 --for 1s").status, 0);
    has("override_ended", " web");
    assert_eq!(lbd(&net, "pause web --reason why").status, 0);
    assert_eq!(lbd(&net, "resume").status, 0);
    net.write("desired.yaml", "version: 1\nclusters: []\n");
    has("refused", " --since 1h");
    net.write("desired.yaml", &with(1));
    assert_eq!(lbd(&net, "restore").status, 0);
    assert_eq!(lbd(&net, "drain web --yes").status, 0);
    assert_eq!(lbd(&net, "undo --all").status, 0);
    let root = || Some("root".to_owned());
    // What the daemon applied for the conditions comes when its pass does.
    let mut all = events(&net, "");
    assert_eq!(all.remove(0), ("applied".to_owned(), root()));
    all.retain(|(kind, _)| kind != "applied");
    let expected = [
        ("drift", None),
        ("override_set", root()),
        ("override_ended", None),
        ("pause_set", root()),
        ("pause_resumed", root()),
        ("refused", None),
        ("restored", None),
        ("override_set", root()),
        ("override_undone", root()),
    ];
    assert_eq!(all, expected.map(|(kind, by)| (kind.to_owned(), by)));
    let text = lbd(&net, "history --events").stdout;
    assert!(
        text.contains("\n    edit server 192.168.8.14:80 of tcp://10.0.0.1:80: weight: 9 -> 1\n"),
        "{text}"
    );
    let none = ("applied".to_owned(), root());
    assert!(!events(&net, " --since 1w dns").contains(&none));
}

#[test]
fn events_are_followed_as_lines_of_json_until_ctrl_c() {
    let net = Netns::new();
    net.write("desired.yaml", FILE);
    assert_eq!(lbd(&net, "apply").status, 0);
    let words = ["-f", "desired.yaml", "history", "--events", "--follow", "-o", "json", "web"];
    let out = fs::File::create(net.path("followed")).unwrap();
    let mut follower = net.lbd_command(&words).stdout(out).spawn().unwrap();
    let kinds = || -> Vec<String> {
        let text = fs::read_to_string(net.path("followed")).unwrap();
        let line = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert_eq!(event["version"], json!(1), "{line}");
            event["kind"].as_str().unwrap().to_owned()
        };
        text.lines().map(line).collect()
    };
    let come = |expected: &[&str]| {
        assert!(soon(Duration::from_secs(10), || kinds() == expected).is_some(), "{:?}", kinds());
    };
    come(&["applied"]);
    assert_eq!(lbd(&net, "pause web").status, 0);
    come(&["applied", "pause_set"]);
    // Both files are there then.
    net.sh("mv state/history/events.jsonl state/history/events.jsonl.1");
    assert_eq!(lbd(&net, "resume").status, 0);
    come(&["applied", "pause_set", "pause_resumed"]);
    kill(Pid::from_raw(follower.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    let none = lbd(&net, "history --events none-such");
    assert_eq!((none.status, none.stderr.as_str()), (0, "note: there are no such events\n"));
}
