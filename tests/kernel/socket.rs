//! The socket of the daemon on a real kernel: curl reads what the commands write, and so does a user of its group without privileges.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::lab::{self, Netns, Output, run};
use crate::running::{Daemon, soon};

/// The user and the group of the daemon.
const LBD: u32 = 997;
/// A user of its group, and one of another group.
const READER: u32 = 1000;
const OTHER_GROUP: u32 = 1001;

const FILE: &str = "\
version: 1
clusters:
  - name: 'a \"b\" <i>='
    listen: 'tcp://10.0.0.1:80'
    scheduler: rr
    servers: [{ address: 192.168.8.14, weight: 1 }, { address: 192.168.8.15, weight: 3 }]
  - { name: dns, listen: 'udp://10.0.0.2:53', scheduler: wlc, servers: [192.168.8.16] }
policy: { resync: 1h }
";

const RUN: [&str; 7] = ["-f", "desired.yaml", "run", "--socket", "run/lbd.sock", "--agent-dir", "agent"];

/// A place for a daemon as systemd makes it.
fn place() -> Netns {
    let net = Netns::new();
    net.ready();
    net.sh(&format!(
        "mkdir run state; chown {LBD}:{LBD} run state; chmod 755 .; chmod 750 run; chmod 700 state"
    ));
    net.write("desired.yaml", FILE);
    net
}

/// A command by another user, in this group, with these capabilities.
fn by(net: &Netns, user: u32, group: u32, capabilities: &[&str], words: &[&str]) -> Command {
    let lbd = net.lbd_command(words);
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
    command.args(capabilities).arg(lbd.get_program()).args(lbd.get_args());
    command.current_dir(lbd.get_current_dir().unwrap());
    command
}

/// A user without privileges.
const NO_CAPABILITIES: [&str; 1] = ["--inh-caps=-all"];

/// The daemon as systemd starts it.
fn start(net: &Netns) -> Daemon {
    let capabilities = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
    let daemon = Daemon::spawn(net, by(net, LBD, LBD, &capabilities, &RUN));
    let is_ready = soon(Duration::from_secs(10), || {
        let status = fs::read_to_string(net.path("state/status.json")).unwrap_or_default();
        status.contains("\"verified\"") && UnixStream::connect(net.path("run/lbd.sock")).is_ok()
    });
    assert!(is_ready.is_some(), "{}", daemon.log());
    daemon
}

fn lbd_of(net: &Netns, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    net.lbd(&all)
}

/// The same by a user without privileges, in this group.
fn lbd_as(net: &Netns, group: u32, words: &str) -> Output {
    let all: Vec<&str> = ["-f", "desired.yaml"].into_iter().chain(words.split(' ')).collect();
    run(&mut by(net, READER, group, &NO_CAPABILITIES, &all))
}

/// What curl says of a target.
fn curl(net: &Netns, options: &str, target: &str) -> String {
    net.sh(&format!("curl -sS {options} --unix-socket run/lbd.sock 'http://localhost{target}'"))
}

fn without(text: &str, keys: &[&str]) -> Value {
    let mut document: Value = serde_json::from_str(text).unwrap();
    keys.iter().for_each(|key| drop(document.as_object_mut().unwrap().remove(*key)));
    document
}

#[test]
fn curl_and_a_user_of_the_group_read_what_the_commands_write() {
    let net = place();
    let daemon = start(&net);
    // Drift, which nothing announces.
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.14 -m -w 9; ipvsadm -d -u 10.0.0.2:53 -r 192.168.8.16");
    let text = "-H 'Accept: text/plain'";
    for (words, target) in [("status", "/v1/status"), ("diff", "/v1/plan"), ("history", "/v1/history")] {
        let command = lbd_of(&net, words);
        assert_eq!(curl(&net, text, target), command.stdout, "{target}");
        let by_socket = lbd_as(&net, LBD, words);
        assert_eq!((by_socket.status, by_socket.stdout), (command.status, command.stdout), "{words}");
    }
    for (words, target) in [
        ("status dns --stats --rates", "/v1/status?cluster=dns&stats=1&rates=1"),
        ("diff", "/v1/plan"),
        ("history --events", "/v1/history?events=1"),
    ] {
        let command = lbd_of(&net, &format!("{words} -o json"));
        // What the host lacks, each user sees in its own way.
        let keys = ["warnings", "not_examined"];
        assert_eq!(without(&curl(&net, "", target), &keys), without(&command.stdout, &keys), "{target}");
        let by_socket = lbd_as(&net, LBD, &format!("{words} -o json"));
        assert_eq!(by_socket.status, command.status, "{by_socket:?}");
        assert_eq!(without(&by_socket.stdout, &keys), without(&command.stdout, &keys), "{words}");
    }
    // A name that is none is the same error.
    let (command, by_socket) = (lbd_of(&net, "status webb"), lbd_as(&net, LBD, "status webb"));
    assert_eq!((by_socket.status, &by_socket.stderr), (2, &command.stderr));
    // The table has what it has, and beside it what the file says.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/api/table.json");
    let table = curl(&net, "", "/v1/table");
    let mut expected = without(&fs::read_to_string(example).unwrap(), &[])["/v1/table"].take();
    for key in ["at", "report", "host"] {
        expected.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(without(&table, &["at", "report", "host"]), expected, "{table}");
    // And what `lbd status` writes above its table.
    let table: Value = serde_json::from_str(&table).unwrap();
    let status = lbd_of(&net, "status").stdout;
    let above: Vec<&str> = status.lines().take_while(|line| !line.starts_with("tcp://")).collect();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!((&table["report"], &table["host"]), (&json!(above), &json!(host.trim_end())));
    // A status without its rows has all else.
    let brief: Value = serde_json::from_str(&curl(&net, "", "/v1/status?services=0")).unwrap();
    let mut whole: Value = serde_json::from_str(&curl(&net, "", "/v1/status")).unwrap();
    assert!(whole.as_object_mut().unwrap().remove("services").is_some());
    assert_eq!(brief, whole);
    let part: Value = serde_json::from_str(&curl(&net, "", "/v1/table?cluster=dns&servers=0")).unwrap();
    assert_eq!(
        (&part["services"][0]["servers_by_state"], part["services"].as_array().unwrap().len()),
        (&json!({ "missing": 1 }), 1)
    );
    assert_eq!(curl(&net, "", "/v1/connections?cluster=dns&client=192.0.2.7"), "");
    let wrong = "-o none -w '%{http_code}'";
    assert_eq!(
        curl(&net, wrong, "/v1/connections?client=x") + &curl(&net, wrong, "/v1/connections?cluster=x"),
        "400404"
    );
    // Who is not of the group, and who means another file, get nothing.
    let stranger = lbd_as(&net, OTHER_GROUP, "status");
    assert!(stranger.status == 2 && stranger.stderr.contains("members of the group lbd may"), "{stranger:?}");
    fs::copy(net.path("desired.yaml"), net.path("other.yaml")).unwrap();
    let other = run(&mut by(&net, READER, LBD, &NO_CAPABILITIES, &["-f", "other.yaml", "status"]));
    assert!(other.status == 2 && other.stderr.contains("has another desired file: "), "{other:?}");
    let head = curl(&net, "-I", "/v1/plan");
    assert!(head.contains("\r\nlbd-exit-code: 1\r\n"), "{head}");
    assert_eq!(curl(&net, "-o none -w '%{http_code}' -H 'Host: evil.example'", "/v1/table"), "421");
    assert_eq!(curl(&net, "-o none -w '%{http_code}' -X DELETE", "/v1/table"), "405");
    drop(daemon);
}

// What an agent decides by: the plan of a file that it has not put into place yet.
#[test]
fn a_file_of_an_agent_is_planned_before_it_is_the_desired_one_and_nothing_else_is() {
    const AGENT: u32 = 1002;
    let net = place();
    net.sh(&format!("mkdir -p agent/in; chown -R {AGENT}:{LBD} agent; chmod 750 agent agent/in"));
    let daemon = start(&net);
    net.sh("ipvsadm -e -t 10.0.0.1:80 -r 192.168.8.14 -m -w 9");
    let get = |file: &str, options: &str| {
        let path = net.path(file);
        curl(&net, &format!("{options} --get --data-urlencode file={}", path.display()), "/v1/plan")
    };
    let plan = |file: &str| -> Value { serde_json::from_str(&get(file, "")).unwrap() };
    let sha256 = |file: &str| net.sh(&format!("sha256sum {file}")).split(' ').next().unwrap().to_owned();
    let weight = |weight: &str| FILE.replace("weight: 1 }", &format!("weight: {weight} }}"));
    let (keys, name) = (["warnings", "fingerprint"], "agent/in/new.yaml");
    // Renamed to one name within a second, as an agent does: each has a plan of its own.
    for text in [weight("2"), weight("9")] {
        net.write("agent/next", &text);
        net.sh(&format!("mv agent/next {name}"));
        let diff = net.lbd(&["-f", name, "diff", "-o", "json"]);
        let mut planned = without(&get(name, ""), &keys);
        let file = planned.as_object_mut().unwrap().remove("file").unwrap();
        assert_eq!(file, json!({ "path": net.path(name), "sha256": sha256(name) }));
        assert_eq!(planned, without(&diff.stdout, &keys));
        assert_eq!(planned["in_sync"], json!(text == weight("9")));
    }
    let text = get(name, "-H 'Accept: text/plain' -i");
    assert!(text.contains("\r\nlbd-exit-code: 0\r\n") && text.contains(": in sync"), "{text}");
    net.write("agent/none.yaml", "version: 1\nclusters: []\n");
    let refused = plan("agent/none.yaml");
    let why = refused["refused"].as_str().unwrap_or_default();
    assert!(why.contains("the file has no clusters"), "{refused}");
    // Nothing of it is in force.
    assert_eq!(curl(&net, "-o none -w '%{http_code}'", "/v1/plan?file=/etc/passwd"), "400");
    net.write("agent/bad.yaml", "version: 1\nclutsers: []\n");
    net.sh("ln -s ../desired.yaml agent/link.yaml; ln -s .. agent/up; mkfifo agent/pipe");
    for (file, status) in [
        ("agent/bad.yaml", 422),
        ("desired.yaml", 400),
        ("agent/in/../../desired.yaml", 400),
        ("agent/link.yaml", 400),
        ("agent/up/desired.yaml", 400),
        ("agent/pipe", 400),
        ("agent/in", 400),
        ("agent/missing.yaml", 404),
    ] {
        let problem = plan(file);
        assert_eq!(problem["status"], json!(status), "{file}: {problem}");
    }
    let problem = plan("agent/bad.yaml");
    let validate =
        net.lbd(&["-f", &net.path("agent/bad.yaml").display().to_string(), "validate", "-o", "json"]);
    assert_eq!(problem["problems"], without(&validate.stdout, &[])["problems"]);
    assert_eq!(fs::read_to_string(net.path("desired.yaml")).unwrap(), FILE);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_client_that_never_reads_delays_no_pass_and_events_arrive_also_after_a_crash() {
    let net = place();
    let daemon = start(&net);
    let path = net.path("run/lbd.sock");
    let out = fs::File::create(net.path("followed")).unwrap();
    let words = ["-f", "desired.yaml", "history", "--events", "--follow", "-o", "json"];
    let mut follower = by(&net, READER, LBD, &NO_CAPABILITIES, &words).stdout(out).spawn().unwrap();
    let kinds = || -> Vec<String> {
        let text = fs::read_to_string(net.path("followed")).unwrap();
        let kind =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned();
        text.lines().map(kind).collect()
    };
    let come = |expected: &[&str]| {
        assert!(soon(Duration::from_secs(10), || kinds() == expected).is_some(), "{:?}", kinds());
    };
    come(&["applied"]);
    // All other connections, of which none is ever read.
    let mut unread: Vec<UnixStream> = (0..15).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for stream in &mut unread {
        stream.write_all("GET /v1/status HTTP/1.1\r\n\r\n".repeat(100).as_bytes()).unwrap();
    }
    let whole = net.ipvsadm_save();
    net.sh("ipvsadm -D -t 10.0.0.1:80");
    assert!(soon(Duration::from_secs(5), || net.ipvsadm_save() == whole).is_some(), "{}", daemon.log());
    come(&["applied", "drift"]);
    drop(unread);
    // A second daemon is refused, and leaves the socket of the first alone.
    let second = net.lbd(&RUN);
    assert!(second.status == 2 && second.stderr.contains("another daemon runs already"), "{second:?}");
    let answers = || curl(&net, "", "/v1/table").contains("\"in_sync\": true");
    assert!(soon(Duration::from_secs(10), answers).is_some());
    // One that keeps another state leaves it alone, too, and goes on without it.
    let mut words: Vec<_> = net.lbd_command(&RUN).get_args().map(ToOwned::to_owned).collect();
    let state = words.iter().position(|word| word == "--state-dir").unwrap();
    words[state + 1] = net.path("other").into();
    let mut other = Command::new(lab::lbd());
    other.args(words).current_dir(net.path(".")).stderr(fs::File::create(net.path("other.log")).unwrap());
    let mut other = other.spawn().unwrap();
    let warned = || {
        fs::read_to_string(net.path("other.log"))
            .unwrap()
            .contains("another process answers there; going on without the socket")
    };
    assert!(soon(Duration::from_secs(10), warned).is_some());
    kill(Pid::from_raw(other.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(other.wait().unwrap().code(), Some(0));
    // What a crash leaves is replaced; what comes meanwhile comes later.
    daemon.kill();
    assert!(path.exists() && UnixStream::connect(&path).is_err());
    assert_eq!(lbd_of(&net, "pause dns").status, 0);
    net.sh(&format!("chown -R {LBD}:{LBD} state run"));
    let daemon = start(&net);
    come(&["applied", "drift", "pause_set"]);
    kill(Pid::from_raw(follower.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(follower.wait().unwrap().code(), Some(0));
    let mut live = UnixStream::connect(&path).unwrap();
    live.write_all(b"GET /v1/events HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!path.exists());
    // What was sent comes to its end.
    assert!(soon(Duration::from_secs(10), || !matches!(live.read(&mut [0; 4096]), Ok(1..))).is_some());
}
