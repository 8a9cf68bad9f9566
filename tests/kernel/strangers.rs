//! What users without rights and odd names do to root's commands, on a real kernel: nothing.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab::{Netns, Output};
use lbd::escape;
use serde_json::Value;

/// Runs lbd on the file `desired.yaml` of the test.
fn lbd(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    net.lbd(&all)
}

/// The same as a terminal would be shown it.
fn on_terminal(net: &Netns, arguments: &[&str]) -> Output {
    let mut all = vec!["-f", "desired.yaml"];
    all.extend(arguments);
    let output = net.lbd_command(&all).env("CLICOLOR_FORCE", "1").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Nothing of an output but styles of lbd's own does anything to a terminal.
#[track_caller]
fn is_harmless(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        for line in text.lines() {
            let plain: String = line
                .split("\u{1b}[")
                .enumerate()
                .map(|(number, part)| match part.split_once('m') {
                    Some((style, rest)) if number > 0 && style.len() <= 2 => rest,
                    _ => part,
                })
                .collect();
            assert!(plain.chars().all(|letter| !escape::is_harmful(letter)), "{line:?}");
            assert!(!line.contains("\u{1b}[2J") && !line.contains("\u{1b}[31mred"), "{line:?}");
        }
    }
}

const EVIL: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{1b}[31mred\u{9b}2J\u{202e}";
const SHOWN: &str = "\\x1b]0;x\\x07\\x1b[2J\\x1b[31mred\\u{9b}2J\\u{202e}";
const WEB: &str =
    "version: 1\nclusters:\n  - { name: web, listen: 'tcp://10.0.0.13:80', servers: [192.168.8.14] }\n";

fn ready() -> Netns {
    let net = Netns::new();
    net.ready();
    // Whoever starts a program there has to see it.
    net.sh("chmod 755 .");
    net.write("desired.yaml", WEB);
    net
}

/// A program by the name keepalived, which waits; gone with the value.
struct Keepalived(Child);

impl Keepalived {
    fn start(net: &Netns, user: u32, arguments: &[&str]) -> Self {
        let script = net.write("keepalived", "#!/bin/sh\nread wait\n");
        net.sh("chmod 755 keepalived");
        let mut command = Command::new(script);
        command.args(arguments).uid(user).gid(user).stdin(Stdio::piped());
        let child = command.spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&comm).unwrap().trim() != "keepalived" {
            std::thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What the commands that look at the host say beside their results; none of them may wait for anybody.
#[track_caller]
fn said(net: &Netns) -> String {
    let mut all = Vec::new();
    for verb in [&["diff"][..], &["apply"], &["validate", "--host"]] {
        let began = Instant::now();
        let output = lbd(net, verb);
        assert!(began.elapsed() < Duration::from_secs(10), "{verb:?} took {:?}", began.elapsed());
        assert!(output.status < 2, "{verb:?}: {output:?}");
        is_harmless(&output);
        all.push(output.stderr);
    }
    assert!(all.iter().all(|said| *said == all[0]), "{all:?}");
    all.swap_remove(0)
}

// nobody's process by that name hung root's diff, apply (with the lock in its hands) and validate, or made them grow to
// gigabytes, or wrote escape sequences to root's terminal.
#[test]
fn a_process_of_nobody_called_keepalived_delays_no_command_and_writes_nothing_to_the_terminal() {
    let net = ready();
    net.sh("mkfifo -m 666 fifo");
    let fifo = net.path("fifo").display().to_string();
    for file in [fifo.as_str(), "/dev/zero", "/dev/tty", EVIL] {
        let keepalived = Keepalived::start(&net, 65_534, &["-f", file]);
        let note = format!(
            "note: keepalived (process {}) is not looked at, since it runs as uid 65534: what only root may do is believed only of \
             root's processes\n",
            keepalived.0.id()
        );
        assert_eq!(said(&net), note, "{file:?}");
        is_harmless(&on_terminal(&net, &["diff"]));
    }
    assert_eq!(said(&net), "");
}

#[test]
fn a_configuration_of_roots_keepalived_is_read_only_where_it_is_roots_file() {
    let net = ready();
    net.sh("mkfifo -m 666 fifo; echo 'virtual_server fwmark 1 {' > foreign.conf; chown 65534 foreign.conf");
    net.sh("echo 'virtual_server fwmark 1 {' > open.conf; chmod 666 open.conf; printf 'include fifo\\n' > including.conf");
    net.sh("head -c 1048577 /dev/zero > long.conf");
    for (file, why) in [
        ("fifo", "it is a pipe, not a regular file"),
        ("foreign.conf", "it belongs to uid 65534"),
        ("open.conf", "others than its owner may write it"),
        ("including.conf", "fifo, which it includes: it is a pipe, not a regular file"),
        ("long.conf", "it is longer than 1048576 bytes"),
        ("/dev/zero", "it is a device, not a regular file"),
        (EVIL, "No such file or directory (os error 2)"),
    ] {
        let file = if file.starts_with('/') || file == EVIL {
            file.into()
        } else {
            net.path(file).display().to_string()
        };
        let keepalived = Keepalived::start(&net, 0, &["-f", &file]);
        let (process, shown) = (keepalived.0.id(), file.replace(EVIL, SHOWN));
        let diff = on_terminal(&net, &["diff"]);
        is_harmless(&diff);
        let expected = format!(
            "keepalived (process {process}): may manage IPVS too, since it is not known whether {shown} has \
             `virtual_server` blocks ({why}): "
        );
        assert!(diff.stderr.contains(&expected), "{diff:?}");
    }
}

// A key of a bad file set the title of root's terminal, cleared it, and showed a line `in sync` of its own.
#[test]
fn a_key_of_a_bad_file_is_escaped_by_every_command() {
    let net = ready();
    net.write(
        "desired.yaml",
        "version: 1\n\"\\e]0;x\\a\\e[2J\\nin sync: 2 virtual services\": 1\nclusters: []\n",
    );
    for verb in
        [&["status"][..], &["status", "-o", "json"], &["diff"], &["apply"], &["validate"], &["restore"]]
    {
        for output in [lbd(&net, verb), on_terminal(&net, verb)] {
            is_harmless(&output);
            let mut lines = output.stdout.lines().chain(output.stderr.lines());
            assert!(!lines.any(|line| line.starts_with("in sync")), "{output:?}");
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(
                all.contains("\\x1b]0;x\\x07\\x1b[2J\\nin sync") || all.contains("\\\\x1b]0;x"),
                "{verb:?}: {output:?}"
            );
        }
    }
}

#[test]
fn an_interface_with_control_characters_in_its_name_is_shown_escaped() {
    let net = ready();
    net.sh("name=$(printf 'a\\033[2J\\302\\233b'); ip link add \"$name\" type dummy; ip addr add 10.3.3.3/24 dev \"$name\"
            ip link set \"$name\" up; ipvsadm --start-daemon backup --mcast-interface \"$name\" --syncid 7");
    let foreign = "  sync backup  interface: a\\x1b[2J\\u{9b}b, id: 7\n";
    for verb in [&["status"][..], &["diff"], &["apply"]] {
        let output = lbd(&net, verb);
        assert!(output.stdout.contains(foreign), "{output:?}");
        is_harmless(&output);
        is_harmless(&on_terminal(&net, verb));
    }
    let export = net.lbd(&["export"]);
    assert_eq!(export.status, 2);
    assert!(
        export.stdout.contains("# Left out: sync backup: `a\\x1b[2J\\u{9b}b` is not the name"),
        "{export:?}"
    );
    for verb in
        [&["export"][..], &["export", "-o", "json"], &["status", "-o", "json"], &["diff", "-o", "json"]]
    {
        is_harmless(&on_terminal(&net, verb));
    }
    net.sh("ipvsadm --stop-daemon backup");
}

// `sysctls: {"net.ipv4.conf.$(id).rp_filter": 1}` and `interface: "a;touch$IFS.x"` were printed as a shell takes them.
#[test]
fn the_commands_of_a_diff_do_in_a_shell_what_apply_does_and_nothing_else() {
    let net = ready();
    net.sh("for name in '$(touch${IFS}x)' 'a;touch$IFS.x' \"it's\"; do
                [ ${#name} -le 15 ] || continue
                ip link add \"$name\" type dummy; ip addr add 10.3.3.3/24 dev \"$name\"; ip link set \"$name\" up
            done; ip link add '$(>x)' type dummy");
    net.write(
        "desired.yaml",
        "version: 1
sysctls:
  \"net.ipv4.conf.$(>x).rp_filter\": 2
  'net/ipv4/conf/a;touch$IFS.x/rp_filter': 2
  \"net.ipv4.conf.it's.rp_filter\": 2
sync:
  - { role: master, interface: 'a;touch$IFS.x', id: 7 }
  - { role: backup, interface: \"it's\", id: 7 }
clusters:
  - { name: web, listen: 'tcp://[fd00::13]:80', persistence: 5m, servers: ['fd00::7'] }
",
    );
    // A file that the pattern `[fd00::13]:80` names.
    net.write("f:80", "");
    let diff = lbd(&net, &["diff", "-o", "ipvsadm"]);
    assert_eq!(diff.status, 1, "{diff:?}");
    assert!(diff.stdout.contains("sysctl -w 'net.ipv4.conf.$(>x).rp_filter=2'\n"), "{diff:?}");
    assert!(diff.stdout.contains(" --mcast-interface 'a;touch$IFS.x' --syncid 7"), "{diff:?}");
    let before = net.sh("ls");
    net.sh(&diff.stdout);
    assert_eq!(net.sh("ls"), before);
    let after = lbd(&net, &["diff"]);
    assert_eq!(after.status, 0, "{after:?}");
    net.sh("ipvsadm --stop-daemon master; ipvsadm --stop-daemon backup");
}

#[test]
fn a_desired_file_that_others_may_write_is_warned_of_by_each_command() {
    let net = ready();
    let file = net.path("desired.yaml");
    let named = |verb: &[&str]| {
        let mut all = vec!["-f", file.to_str().unwrap()];
        all.extend(verb);
        net.lbd(&all)
    };
    let verbs = [&["diff"][..], &["apply"], &["validate", "--host"], &["restore"], &["status"]];
    for verb in verbs {
        assert_eq!(named(verb).stderr, "", "{verb:?}");
    }
    let directory = file.parent().unwrap().display();
    let file = file.display();
    let may = |what: &str, of: &str| {
        format!("users other than root can {what}, and so change what this director does ({of})")
    };
    for (change, warning) in [
        (
            "chmod 666 desired.yaml",
            format!(
                "warning: {file}: {}; `chmod go-w {file}`\n",
                may("change the desired file", "owner 0, mode 0666")
            ),
        ),
        (
            "chmod 644 desired.yaml; chown 65534 desired.yaml",
            format!(
                "warning: {file}: {}; `chown root: {file}; chmod go-w {file}`\n",
                may("change the desired file", "owner 65534, mode 0644")
            ),
        ),
        (
            "chown 0 desired.yaml; chmod 1777 .",
            format!(
                "warning: {directory}: {}; move the file to a directory that only root may write, such as /etc/lbd\n",
                may("replace the desired file in it", "owner 0, mode 1777")
            ),
        ),
        (
            "chmod 755 .; mv desired.yaml other.yaml; mkdir -m 775 group; mv other.yaml group; ln -s group/other.yaml desired.yaml",
            format!(
                "warning: {directory}/group: {}; `chmod go-w {directory}/group`\n",
                may("replace the desired file in it", "owner 0, mode 0775")
            ),
        ),
    ] {
        net.sh(change);
        for verb in verbs {
            let output = named(verb);
            assert_eq!(
                (output.status, output.stderr.as_str()),
                (0, warning.as_str()),
                "{verb:?} after {change}"
            );
        }
        let document: Value = serde_json::from_str(&named(&["diff", "-o", "json"]).stdout).unwrap();
        assert_eq!(document["warnings"][0]["code"], "file-writable");
        assert_eq!(named(&["diff", "--strict"]).status, 2);
    }
    net.sh("chmod 755 group");
    assert_eq!(named(&["diff", "--strict"]).status, 0);
}
