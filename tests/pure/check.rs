//! `lbd check`: servers are probed once, by the file.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cli::{directory, lbd};

/// A file whose checks are these; `{port}` is left for programs.
fn file(checks: &str) -> String {
    format!(
        "version: 1\nclusters:\n  - name: shop\n    listen: [tcp://10.0.0.13:80, tcp://10.0.0.13:443]\n    check: [{checks}]\n    \
         forward: nat\n    servers: [192.0.2.14, '192.0.2.15:8080']\n  \
         - {{ name: plain, listen: tcp://10.0.0.14:80, servers: [192.0.2.16] }}\n"
    )
}

#[test]
fn check_prints_the_verdict_of_each_server_and_check() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The listeners share the probe of a port. No program is root.
    let checks = format!(
        "{{ type: tcp, address: 127.0.0.1, port: {port} }}, {{ type: exec, port: 9, command: [/bin/sh, -c, \
         'echo $LBD_CLUSTER; [ $(id -u) != 0 ] && [ {{address}} = 192.0.2.14 ]'] }}"
    );
    let directory = directory(&[("a.yaml", &file(&checks))]);
    let output = lbd(&directory, &["-f", "a.yaml", "check"]);
    let shown: Vec<Vec<&str>> = output.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    let tcp = format!("127.0.0.1:{port}");
    let without_time = |line: &Vec<&str>| -> String {
        let time = line.iter().position(|word| *word == "ms");
        line.iter()
            .enumerate()
            .filter(|(place, _)| time.is_none_or(|time| place + 1 != time))
            .map(|(_, word)| *word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let expected = [
        format!("shop/192.0.2.14 tcp {tcp} passing ms"),
        "shop/192.0.2.14 exec 192.0.2.14:9 passing ms".to_owned(),
        format!("shop/192.0.2.15:8080 tcp {tcp} passing ms"),
        "shop/192.0.2.15:8080 exec 192.0.2.15:9 failing ms exit code 1: shop".to_owned(),
        "4 checks: 3 passing, 1 failing".to_owned(),
    ];
    assert_eq!(shown.iter().map(without_time).collect::<Vec<_>>(), expected, "{}", output.stderr);
    assert_eq!((output.status, output.stderr.as_str()), (1, ""));

    let output = lbd(&directory, &["-f", "a.yaml", "check", "shop/192.0.2.15", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(json["version"], 1);
    let exec = &json["checks"][1];
    assert_eq!(
        (&exec["server"], &exec["check"], &exec["verdict"], &exec["detail"], &json["passing"], output.status),
        (
            &"192.0.2.15:8080".into(),
            &"exec".into(),
            &"failing".into(),
            &"exit code 1: shop".into(),
            &1.into(),
            1
        )
    );
    assert_eq!(lbd(&directory, &["-f", "a.yaml", "check", "192.0.2.14"]).status, 0);
}

#[test]
fn check_says_where_nothing_is_checked_and_what_cannot_be_probed() {
    let checks = "{ type: https, port: 443, verify: { ca: /nowhere/ca.pem, name: shop.example.com } }";
    let directory = directory(&[("a.yaml", &file(checks))]);
    for (arguments, status, out, err) in [
        (&["plain"][..], 0, "a.yaml: no server of plain has a check\n", ""),
        (&["shpo"], 2, "", "error: shpo: no cluster has this name; did you mean `shop`?\n"),
    ] {
        let output = lbd(&directory, &[&["-f", "a.yaml", "check"], arguments].concat());
        assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (status, out, err));
    }
    let output = lbd(&directory, &["-f", "a.yaml", "check", "shop/192.0.2.14"]);
    assert_eq!(output.status, 2, "{output:?}");
    assert!(output.stdout.contains("not probed"), "{}", output.stdout);
    assert!(output.stdout.contains("/nowhere/ca.pem: No such file or directory"), "{}", output.stdout);
    assert!(output.stdout.ends_with("1 check: 0 passing, 0 failing, 1 not probed\n"), "{}", output.stdout);
}

// Programs are in process groups of their own, which Ctrl-C does not reach: they went on.
#[test]
fn no_program_of_a_check_goes_on_after_a_signal() {
    let argument = format!("86413.{}", id());
    let check = format!(
        "{{ type: exec, port: 9, interval: 60s, timeout: 50s, command: [/bin/sleep, '{argument}'] }}"
    );
    let directory = directory(&[("a.yaml", &file(&check))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbd"));
    command.args(["-f", "a.yaml", "check"]).current_dir(&directory);
    let mut lbd = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let running = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains(&argument)).count()
    };
    let becomes = |wanted: usize| {
        let begin = Instant::now();
        while running() != wanted && begin.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(10));
        }
        running()
    };
    assert_eq!(becomes(2), 2);
    let lbd_id = lbd.id().to_string();
    assert!(Command::new("kill").args(["-INT", &lbd_id]).status().unwrap().success());
    assert_eq!(becomes(0), 0);
    assert!(!lbd.wait().unwrap().success());
}

#[test]
fn a_checker_without_its_directory_says_who_makes_it() {
    let directory = directory(&[]);
    let output = lbd(&directory, &["checker", "--run-dir", "/nowhere/lbd"]);
    assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{}", output.stderr);
    let says = "/nowhere/lbd-check: there is no such directory, into which a checker writes its verdicts; lbd-check.service makes it";
    assert!(output.stderr.contains(says), "{}", output.stderr);
}
