//! The commands where no kernel is needed: what they print, where, and their exit codes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lbd"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

pub(crate) fn finish(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn lbd(directory: &TempDir, arguments: &[&str]) -> Output {
    finish(&mut command(directory.path(), arguments))
}

pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

pub(crate) const GOOD: &str = "\
version: 1
clusters:
  - name: web
    listen: tcp://10.0.0.13:80
    scheduler: rr
    forward: nat
    servers: [192.168.8.14, { address: 192.168.8.15, weight: 3 }]
";

#[test]
fn a_valid_file_is_called_valid() {
    let directory = directory(&[("a.yaml", GOOD)]);
    let output = lbd(&directory, &["validate", "-f", "a.yaml"]);
    assert_eq!(
        (output.status, output.stdout.as_str(), output.stderr.as_str()),
        (0, "a.yaml: valid: 1 virtual service, 2 real servers\n", "")
    );
    let output = lbd(&directory, &["-f", "a.yaml", "validate", "--output", "json"]);
    assert_eq!(output.status, 0);
    assert_eq!(
        serde_json::from_str::<Value>(&output.stdout).unwrap(),
        json!({ "version": 1, "problems": [] })
    );
}

#[test]
fn a_service_without_usable_servers_is_mentioned_and_the_file_is_valid() {
    let text = "version: 1\nclusters: [{ name: a, listen: 'tcp://10.0.0.1:80', servers: [] }]\n";
    let directory = directory(&[("a.yaml", text), ("export.yaml", text)]);
    let cause = "has no servers, and refuses every connection";
    let advice = "add one, or write `allow_empty: true` in its cluster if that is meant";
    let warning = format!("warning: tcp://10.0.0.1:80: {cause}; {advice}\n");
    let output = lbd(&directory, &["-f", "a.yaml", "validate"]);
    assert_eq!(
        (output.status, output.stdout.as_str(), output.stderr),
        (0, "a.yaml: valid: 1 virtual service, 0 real servers\n", warning.clone())
    );
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "export.yaml"]);
    assert_eq!((output.status, output.stderr), (0, warning));
    let output = lbd(&directory, &["-f", "a.yaml", "validate", "--output", "json"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        document,
        serde_json::json!({ "version": 1, "problems": [], "warnings": [{
            "code": "no-usable-server", "subject": "tcp://10.0.0.1:80", "advice": advice,
            "message": format!("tcp://10.0.0.1:80: {cause}"),
        }] })
    );
}

#[test]
fn a_misspelt_key_is_underlined_and_the_right_one_suggested() {
    let directory = directory(&[("a.yaml", &GOOD.replace("scheduler", "schduler"))]);
    let output = lbd(&directory, &["-f", "a.yaml", "validate"]);
    assert_eq!((output.status, output.stdout.as_str()), (2, ""));
    assert_eq!(
        output.stderr,
        "\
error: unknown key `schduler`
 --> a.yaml:5:5
  |
5 |     schduler: rr
  |     ^^^^^^^^
  |
  = note: expected one of name, listen, scheduler, scheduler_flags, persistence, persistence_mask, \
persistence_engine, one_packet, forward, untracked, drain, check, on_failure, reset_after, min_serving, fallback, slow_start, allow_empty, servers
  = help: did you mean `scheduler`?

1 problem in a.yaml
"
    );
    let output = lbd(&directory, &["-f", "a.yaml", "validate", "--output=json"]);
    assert_eq!((output.status, output.stderr.as_str()), (2, ""));
    let problems: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        problems,
        json!({
            "version": 1,
            "problems": [{
                "file": "a.yaml", "line": 5, "column": 5, "message": "unknown key `schduler`",
                "expected": "one of name, listen, scheduler, scheduler_flags, persistence, persistence_mask, \
                             persistence_engine, one_packet, forward, untracked, drain, check, on_failure, reset_after, min_serving, fallback, slow_start, allow_empty, servers",
                "suggestion": "scheduler",
            }],
        })
    );
}

#[test]
fn what_is_no_file_is_named_and_never_waited_for() {
    let directory = directory(&[]);
    nix::unistd::mkfifo(&directory.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(directory.path().join("folder")).unwrap();
    fs::write(directory.path().join("latin1"), b"version: 1\nclusters: [] # caf\xe9\n").unwrap();
    for (name, says) in [
        ("missing", "missing: there is no such file"),
        ("pipe", "pipe: "),
        ("folder", "folder: "),
        ("latin1", "latin1:2:19: "),
    ] {
        for verb in ["validate", "diff", "apply"] {
            let output = lbd(&directory, &["-f", name, verb]);
            assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{name}");
            assert!(output.stderr.starts_with(&format!("error: {says}")), "{}", output.stderr);
        }
    }
}

#[test]
fn a_dash_is_standard_input() {
    let directory = directory(&[]);
    let mut child = command(directory.path(), &["-f", "-", "validate"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(GOOD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with(": valid: 1 virtual service, 2 real servers\n"), "{said}");
}

#[test]
fn an_export_stands_in_for_the_kernel() {
    let live = "\
-A -t 10.0.0.13:80 -s rr
-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1
-a -t 10.0.0.13:80 -r 192.168.8.15:80 -m -w 1
-A -u 10.9.9.9:53 -s wlc
";
    let directory = directory(&[("a.yaml", GOOD), ("live", live)]);
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "live"]);
    assert_eq!(output.status, 1, "{}", output.stderr);
    assert_eq!(
        output.stdout,
        "\
tcp://10.0.0.13:80 (web)
  ~ server 192.168.8.15:80  weight: 1 -> 3
foreign, left alone:
  udp://10.9.9.9:53  0 servers
0 to add, 1 to edit, 0 to delete
"
    );
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "live", "--output", "ipvsadm"]);
    assert_eq!(output.stdout, "ipvsadm -e -t 10.0.0.13:80 -r 192.168.8.15:80 -m -w 3\n");
    // What was exported from rules is the live side as well, in both forms.
    for form in ["yaml", "json"] {
        let export = lbd(&directory, &["export", "--from", "live", "--output", form]);
        assert_eq!((export.status, export.stderr.as_str()), (0, "note: live: read as rules of ipvsadm\n"));
        fs::write(directory.path().join("export"), export.stdout).unwrap();
        let again = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "export"]);
        assert!(
            again
                .stdout
                .starts_with("tcp://10.0.0.13:80 (web)\n  ~ server 192.168.8.15:80  weight: 1 -> 3\n")
        );
        let same = lbd(&directory, &["-f", "export", "diff", "--live", "live"]);
        assert_eq!(same.status, 0, "{}{}", same.stdout, same.stderr);
    }
}

#[test]
fn a_weight_of_zero_in_an_export_is_perhaps_a_condition() {
    let live = "\
-A -t 10.0.0.13:80 -s rr
-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 0
-a -t 10.0.0.13:80 -r 192.168.8.15:80 -m -w 1
-a -t 10.0.0.13:80 -r 192.168.8.16:80 -m -w 0
-a -t 10.0.0.13:80 -r 192.168.8.17:80 -m -w 1
-A -t 10.0.0.14:80 -s rr
-a -t 10.0.0.14:80 -r 192.168.8.14:80 -m -w 0
-A -t 10.0.0.15:80 -s rr
";
    let file = format!("{GOOD}policy: {{ prune: all, max_delete: 100% }}\n");
    let directory = directory(&[("a.yaml", &file), ("live", live)]);
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "live"]);
    let perhaps = "      perhaps a condition: a server that drains or is overridden has weight 0\n";
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (
            1,
            format!(
                "\
tcp://10.0.0.13:80 (web)
  ~ server 192.168.8.14:80  weight: 0 -> 1
{perhaps}  ~ server 192.168.8.15:80  weight: 1 -> 3
  - server 192.168.8.16:80
{perhaps}  - server 192.168.8.17:80
tcp://10.0.0.14:80
  - service
      refuses new connections, and takes 1 server (192.168.8.14:80) with it
{perhaps}tcp://10.0.0.15:80
  - service
      refuses new connections, and takes 0 servers with it
0 to add, 2 to edit, 4 to delete
"
            )
            .as_str()
        )
    );
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "live", "--output", "json"]);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    let rows = document["operations"].as_array().unwrap();
    let marked = rows.iter().map(|row| row.get("perhaps_condition").cloned());
    let yes = Some(Value::Bool(true));
    assert_eq!(marked.collect::<Vec<_>>(), [yes.clone(), None, yes.clone(), None, yes, None]);
    assert_eq!((output.status, &document["in_sync"]), (1, &Value::Bool(false)));
}

#[test]
fn rules_that_no_file_can_ask_for_are_named() {
    let rules = "-A -t 10.0.0.13:80 -s rr\n-A -t web.example.com:80 -s rr\n";
    let directory = directory(&[("rules", rules)]);
    let output = lbd(&directory, &["export", "--from", "rules"]);
    assert_eq!(output.status, 2);
    assert!(output.stdout.contains("  listen: tcp://10.0.0.13:80\n"), "{}", output.stdout);
    assert!(output.stdout.contains("web.example.com"), "{}", output.stdout);
    let warning = "note: rules: read as rules of ipvsadm\nwarning: `web.example.com` is a host name; ";
    assert!(output.stderr.starts_with(warning), "{}", output.stderr);
    assert!(output.stderr.contains("\n --> rules:2:1\n"), "{}", output.stderr);
}

#[test]
fn a_listing_for_people_is_named_where_rules_belong() {
    let listing = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  10.7.0.1:80 rr
  -> 10.7.1.1:80                  Masq    1      0          0
";
    let directory = directory(&[("a.yaml", GOOD), ("listing", listing)]);
    let export = lbd(&directory, &["export", "--from", "listing"]);
    assert_eq!(
        (export.status, export.stdout.as_str(), export.stderr.as_str()),
        (
            2,
            "",
            "error: listing: line 1: this is a listing of `ipvsadm -L`, which leaves out half of what a service is; give what \
             `ipvsadm -Sn` prints: IP Virtual Server version 1.2.1 (size=4096)\n"
        )
    );
    let diff = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "listing"]);
    assert_eq!((diff.status, diff.stdout.as_str()), (2, ""));
    assert!(
        diff.stderr.starts_with("error: this is a listing of `ipvsadm -L`\n --> listing:1:1\n"),
        "{}",
        diff.stderr
    );
    assert!(diff.stderr.contains("what `ipvsadm -Sn` prints"), "{}", diff.stderr);
}

#[test]
fn an_address_that_looks_like_one_with_a_port_is_a_warning() {
    let text = GOOD.replace("10.0.0.13", "[fd00::13]").replace("192.168.8.14, ", "fd00::2:8080, ");
    let text = text.replace("192.168.8.15", "fd00::3");
    let directory = directory(&[("a.yaml", &text)]);
    let warning = "warning: fd00::2:8080: looks like an address and a port, and is an address alone; write the address in \
                   brackets: `\"[fd00::2]:8080\"`, or `\"[fd00::2:8080]\"` if all of it is the address\n";
    let output = lbd(&directory, &["-f", "a.yaml", "validate"]);
    assert_eq!((output.status, output.stderr.as_str()), (0, warning));
    assert_eq!(lbd(&directory, &["-f", "a.yaml", "validate", "--strict"]).status, 2);
}

#[test]
fn what_an_export_does_not_tell_is_not_compared_and_named() {
    let more = "\
sysctls: { net.ipv4.ip_forward: 1 }
timeouts: { tcp: 15m }
sync: [{ role: master, interface: eth1 }]
marks: [{ mark: 10, match: [{ protocol: tcp, address: 10.0.0.13, ports: [80] }] }]
";
    let live = "\
-A -t 10.0.0.13:80 -s rr
-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1
-a -t 10.0.0.13:80 -r 192.168.8.15:80 -m -w 3
";
    let export = GOOD.to_owned() + "timeouts: { tcp: 10m }\n";
    let directory =
        directory(&[("a.yaml", &format!("{GOOD}{more}")), ("live", live), ("export.yaml", &export)]);
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "live"]);
    assert_eq!((output.status, output.stdout.as_str()), (0, "in sync: 1 virtual service, 2 real servers\n"));
    assert_eq!(
        output.stderr,
        "note: not compared, since they are not in live: mark rules, timeouts, sync daemons, kernel settings (`lbd \
         export --sysctl NAME` adds them)\n"
    );
    let output = lbd(&directory, &["-f", "a.yaml", "diff", "--live", "export.yaml"]);
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (
            1,
            "director\n  ~ timeouts  tcp: 600 -> 900\n  + sync master  interface: eth1, id: 0\nfirewall marks\n  + mark 10  \
             match: { protocol: tcp, address: 10.0.0.13, ports: [80] }\n2 to add, 1 to edit, 0 to delete\n"
        )
    );
}

#[test]
fn fullnat_needs_the_tracking_of_connections() {
    let file = GOOD.replace("nat", "fullnat");
    let refused = format!("{file}sysctls: {{ net.ipv4.vs.conntrack: 0 }}\n");
    let directory = directory(&[("good.yaml", &file), ("bad.yaml", &refused)]);
    assert_eq!(lbd(&directory, &["-f", "good.yaml", "validate"]).status, 0);
    let output = lbd(&directory, &["-f", "bad.yaml", "validate"]);
    assert_eq!(output.status, 2);
    assert!(output.stderr.contains("`fullnat` servers need net.ipv4.vs.conntrack"), "{}", output.stderr);
    assert!(output.stderr.contains("--> bad.yaml:8:35"), "{}", output.stderr);
}

#[test]
fn a_reader_that_goes_away_changes_neither_the_words_nor_the_exit_code() {
    let directory = directory(&[("a.yaml", GOOD), ("live.rules", "-A -t 10.9.9.9:80 -s rr\n")]);
    for (arguments, status) in [
        (&["schema"][..], 0),
        (&["completions", "bash"], 0),
        (&["-f", "a.yaml", "validate"], 0),
        (&["-f", "a.yaml", "diff", "--live", "live.rules"], 1),
    ] {
        let mut child = command(directory.path(), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((said.as_str(), child.wait().unwrap().code()), ("", Some(status)), "{arguments:?}");
    }
}

#[test]
fn the_schema_and_the_completions_are_written() {
    let directory = directory(&[]);
    let schema = lbd(&directory, &["schema"]);
    assert_eq!(schema.status, 0);
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/desired.schema.json");
    assert!(schema.stdout == fs::read_to_string(committed).unwrap());
    for shell in ["bash", "zsh", "fish"] {
        let output = lbd(&directory, &["completions", shell]);
        assert_eq!(output.status, 0);
        for verb in ["diff", "apply", "validate", "export"] {
            assert!(output.stdout.contains(verb), "{shell} does not know {verb}");
        }
    }
}

#[test]
fn words_that_lbd_does_not_know_are_trouble() {
    let directory = directory(&[("a.yaml", GOOD)]);
    for arguments in [&["dif"][..], &["diff", "--output", "xml"], &["apply", "--prune=some"], &[]] {
        let output = lbd(&directory, arguments);
        assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{arguments:?}");
    }
    let output = lbd(&directory, &["dif"]);
    assert!(output.stderr.contains("'diff'"), "{}", output.stderr);
}

#[test]
fn colour_is_for_terminals_only() {
    let directory = directory(&[("a.yaml", &GOOD.replace("rr", "rrr")), ("live", "")]);
    let output = lbd(&directory, &["-f", "a.yaml", "validate"]);
    assert!(!output.stderr.contains('\u{1b}'), "{}", output.stderr);
    let forced = finish(command(directory.path(), &["-f", "a.yaml", "validate"]).env("CLICOLOR_FORCE", "1"));
    assert!(forced.stderr.contains('\u{1b}'), "{}", forced.stderr);
}

// A name on the command line, in a file or of a file reached the terminal as it was.
#[test]
fn what_is_named_on_the_command_line_does_nothing_to_a_terminal() {
    let evil = "a\u{1b}[2J\nin sync\u{202e}.yaml";
    let shown = "a\\x1b[2J\\nin sync\\u{202e}.yaml";
    let directory = directory(&[(evil, GOOD), ("rules", "-A -t \u{1b}[2J:80\n-A -t \u{9b}:80\n")]);
    let validate = lbd(&directory, &["-f", evil, "validate"]);
    assert_eq!(validate.stdout, format!("{shown}: valid: 1 virtual service, 2 real servers\n"));
    let missing = lbd(&directory, &["-f", &format!("no{evil}"), "validate"]);
    assert!(missing.stderr.starts_with(&format!("error: no{shown}: there is no such file")), "{missing:?}");
    let unknown = lbd(&directory, &["-f", evil, evil]);
    assert!(unknown.stderr.contains(&format!("unrecognized subcommand '{shown}'")), "{unknown:?}");
    let rules = lbd(&directory, &["-f", evil, "diff", "--live", "rules"]);
    assert_eq!(
        rules.stderr.lines().filter(|line| line.starts_with("error: rules: ")).count(),
        2,
        "{rules:?}"
    );
    let export = lbd(&directory, &["export", "--from", "rules"]);
    let json = lbd(&directory, &["-f", &format!("no{evil}"), "validate", "-o", "json"]);
    for output in [validate, missing, unknown, rules, export, json] {
        let harmful = |letter: char| letter != '\n' && lbd::escape::is_harmful(letter);
        assert!(!output.stdout.contains(harmful) && !output.stderr.contains(harmful), "{output:?}");
    }
}

#[test]
fn the_program_needs_no_library_beside_libc() {
    let listed = Command::new("ldd").arg(env!("CARGO_BIN_EXE_lbd")).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let needed: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| !name.starts_with("linux-vdso") && !name.contains("ld-linux"))
        .collect();
    assert_eq!(needed, ["libc.so.6"]);
}
