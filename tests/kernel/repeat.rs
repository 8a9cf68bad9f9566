//! `lbd status --watch` on a real kernel: through a pipe and on a terminal, until Ctrl-C or until nobody reads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::{self, Netns};

const WEB: &str = "\
version: 1
clusters:
  - { name: web, listen: 'tcp://10.0.0.13:80', scheduler: rr, servers: [192.168.8.14, 192.168.8.15] }
  - { name: mail, listen: 'tcp://10.0.0.13:25', scheduler: rr, servers: [192.168.8.14] }
";

fn applied() -> Netns {
    let net = Netns::new();
    net.ready();
    net.write("desired.yaml", WEB);
    assert_eq!(net.lbd(&["-f", "desired.yaml", "apply"]).status, 0);
    net
}

fn start(net: &Netns, more: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut arguments = vec!["-f", "desired.yaml", "status", "--watch=0.2"];
    arguments.extend(more);
    let mut command = net.lbd_command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

/// What it wrote to standard error, and its exit code.
fn end(mut child: Child) -> (String, Option<i32>) {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap().code())
}

fn line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line
}

#[test]
fn scripts_get_a_line_of_json_each_time_and_ctrl_c_ends_with_the_code_of_the_last() {
    let net = applied();
    let (child, mut lines) = start(&net, &["-o", "json", "web"]);
    let mut next = || serde_json::from_str::<Value>(&line(&mut lines)).unwrap();
    let (first, second) = (next(), next());
    assert_eq!((first["in_sync"].as_bool(), &first["services"]), (Some(true), &second["services"]));
    assert_eq!(first["services"].as_array().unwrap().len(), 1, "{first}");
    // What is not of the part changes nothing.
    net.sh("ipvsadm -D -t 10.0.0.13:25");
    assert_eq!(next()["in_sync"], true);
    net.sh("ipvsadm -d -t 10.0.0.13:80 -r 192.168.8.15");
    while next()["in_sync"] == true {}
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(end(child), (String::new(), Some(1)));
}

#[test]
fn texts_follow_each_other_until_nobody_reads_and_messages_come_once() {
    let net = applied();
    let plain = net.lbd(&["-f", "desired.yaml", "status", "--require-daemon"]);
    net.sh("chmod go+w desired.yaml");
    let (child, mut lines) = start(&net, &["--require-daemon"]);
    let mut document = String::new();
    for _ in 0..2 {
        for _ in plain.stdout.lines() {
            document += &line(&mut lines);
        }
        assert_eq!((document.as_str(), plain.status), (plain.stdout.as_str(), 1));
        document.clear();
        assert_eq!(line(&mut lines), "\n");
    }
    drop(lines);
    let (messages, code) = end(child);
    assert_eq!(code, Some(1));
    assert_eq!(
        messages.matches("users other than root can change the desired file").count(),
        1,
        "{messages}"
    );
    assert_eq!(messages.lines().count(), 1, "{messages}");
}

#[test]
fn a_terminal_is_drawn_over_cut_to_its_size_and_left_as_it_was() {
    let net = applied();
    let lbd = lab::lbd();
    net.write(
        "command",
        &format!(
            "stty cols 40 rows 6\n\
             code=0; timeout --preserve-status -s INT 3 {lbd} -f desired.yaml --state-dir \"$(printf 'a\\033[2Jb')\" status --watch=0.2 || code=$?\n\
             echo \"ended with $code\"\n"
        ),
    );
    let sent = net.sh("TERM=xterm NO_COLOR=1 script -qec 'sh -e command' /dev/null </dev/null");
    let frames: Vec<&str> = sent.split("\x1b[H").collect();
    assert_eq!(frames[0], "\r\n".repeat(6), "{sent:?}");
    let last = frames[frames.len() - 1].split("\x1b[K\r\n").collect::<Vec<_>>();
    let [heading, note, verdict, daemon, more, end] = last[..] else { panic!("{sent:?}") };
    assert_eq!(heading, "lbd status, every 0.2 s, Ctrl-C ends it\x1b[0m");
    assert_eq!(note, "note: there is no state directory a\\x1b\x1b[0m");
    assert!(verdict.starts_with("in sync: "), "{sent:?}");
    assert!(daemon.starts_with("daemon: "), "{sent:?}");
    assert!(more.starts_with("… ") && more.ends_with(" more lines"), "{sent:?}");
    assert_eq!(end, "\x1b[Jended with 0\r\n");
    assert!(!sent.contains("\x1b[2J") && !sent.contains("\x1b[?"), "{sent:?}");
}
