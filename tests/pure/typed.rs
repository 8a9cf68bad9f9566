//! What the commands say to an operator who has typed something else than was meant.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::process::Command;

use lbd::store::Store;

use crate::cli::{GOOD, Output, directory, finish, lbd};

// Both said "create it, or name another one with -f".
#[test]
fn a_missing_export_is_named_with_what_its_option_takes() {
    let directory = directory(&[("a.yaml", GOOD)]);
    let live = "`--live` takes what `lbd export` or `ipvsadm -Sn` has written";
    let from = "`--from` takes a keepalived.conf, an ldirectord.cf, or what `ipvsadm -Sn` has written";
    let missing = "missing: there is no such file";
    let folder = ".: is a directory, neither a regular file nor a pipe";
    for (arguments, says) in [
        (&["-f", "a.yaml", "diff", "--live", "missing"][..], format!("error: {missing}; {live}\n")),
        (&["-f", "a.yaml", "diff", "--live", "."], format!("error: {folder}; {live}\n")),
        (&["export", "--from", "missing"], format!("error: {missing}; {from}\n")),
        (&["export", "--from", "."], format!("error: {folder}; {from}\n")),
    ] {
        let output = lbd(&directory, arguments);
        assert_eq!((output.status, output.stdout.as_str(), output.stderr), (2, "", says), "{arguments:?}");
    }
}

// `--live <(ipvsadm -Sn)` was refused as a pipe.
#[test]
fn an_export_is_read_from_a_pipe() {
    let rules = "-A -t 10.0.0.13:80 -s rr\n-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1\n\
                 -a -t 10.0.0.13:80 -r 192.168.8.15:80 -m -w 3\n";
    let directory = directory(&[("a.yaml", GOOD), ("rules", rules)]);
    for (command, says) in [
        ("\"$0\" -f a.yaml diff --live <(cat rules)", "in sync: 1 virtual service, 2 real servers\n"),
        ("\"$0\" export --format ipvsadm --from <(cat rules) -o ipvsadm", rules),
        ("cat rules | \"$0\" export --format ipvsadm --from - -o ipvsadm", rules),
        ("cat rules | \"$0\" export --format ipvsadm --from /dev/stdin -o ipvsadm", rules),
    ] {
        let mut bash = Command::new("bash");
        bash.args(["-c", command, env!("CARGO_BIN_EXE_lbd")]).current_dir(directory.path());
        let output = finish(&mut bash);
        assert_eq!(
            (output.status, output.stdout.as_str(), output.stderr.as_str()),
            (0, says, ""),
            "{command}"
        );
    }
}

// `lbd export --from /etc/keepalived/keepalived.conf` named each of its lines as no command of ipvsadm.
#[test]
fn what_belongs_to_another_program_is_one_error_where_rules_or_an_export_belong() {
    let keepalived = "! the shop\nvrrp_instance a {\n}\nvirtual_server 10.0.0.13 80 {\n}\n";
    let ldirectord = "checktimeout=3\nvirtual=10.0.0.13:80\n  real=192.168.8.14:80 masq\n";
    let variables = "virtual=10.0.0.13:80\nreal=192.168.8.14\nipvsadm -A -t 10.0.0.13:80 -s rr\n";
    let files = [
        ("a.yaml", GOOD),
        ("k", keepalived),
        ("l", ldirectord),
        ("script", variables),
        ("json", "{\"version\": 1}"),
    ];
    let directory = directory(&files);
    let message = |arguments: &[&str]| {
        let output = lbd(&directory, arguments);
        assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{arguments:?}");
        let mut lines = output.stderr.lines().map(|line| line.trim_start_matches([' ', '|', '=', '^']));
        let first = lines.next().unwrap_or_default().to_owned();
        let expected = lines.find_map(|line| line.split_once("expected ")).unwrap_or_default().1.to_owned();
        [first, expected]
    };
    for (name, program) in [("k", "keepalived"), ("l", "ldirectord")] {
        let what = format!("error: this is a configuration file of {program}");
        let way_out = "; `lbd export --from FILE` makes a desired file of it";
        for (arguments, takes) in [
            (&["-f", name, "validate"][..], "a desired file"),
            (&["-f", "a.yaml", "diff", "--live", name], "what `lbd export` or `ipvsadm -Sn` has written"),
        ] {
            assert_eq!(message(arguments), [what.clone(), format!("{takes}{way_out}")], "{arguments:?}");
        }
    }
    for name in ["a.yaml", "json"] {
        let expected = [
            "error: this is a desired file already, as `lbd export` writes it",
            "a keepalived.conf, an ldirectord.cf, or what `ipvsadm -Sn` has written",
        ];
        assert_eq!(message(&["export", "--from", name]), expected);
    }
    fs::write(directory.path().join("poem"), "roses are red\n").unwrap();
    let poem = lbd(&directory, &["export", "--from", "poem"]);
    let says = "error: poem: neither a keepalived.conf nor an ldirectord.cf nor rules of ipvsadm; where it is one of them, name it with --format\n";
    assert_eq!((poem.status, poem.stdout.as_str(), poem.stderr.as_str()), (2, "", says));
    let script = lbd(&directory, &["export", "--from", "script"]);
    assert!(script.stdout.contains("  listen: tcp://10.0.0.13:80\n"), "{}", script.stdout);
}

// It named the default file, which nobody had meant, as missing.
#[test]
fn a_file_in_the_place_of_a_cluster_is_named_also_where_there_is_no_desired_file() {
    let directory = directory(&[("a.yaml", GOOD)]);
    let output = lbd(&directory, &["-f", "none", "diff", "a.yaml"]);
    let says = "error: a.yaml: no cluster has this name; the desired file comes behind -f: `-f a.yaml`\n";
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (2, "", says));
    let says = "error: none: there is no such file; create it, or name another one with -f\n";
    assert_eq!(lbd(&directory, &["-f", "none", "diff", "web"]).stderr, says);
}

// It called what runs "another daemon", and it said "stop it first" where the lock could not be made.
#[test]
fn teardown_names_a_daemon_that_runs_and_nothing_to_stop_where_none_does() {
    let directory = directory(&[("a.yaml", GOOD)]);
    let store = Store::new(&directory.path().join("state"), None).unwrap();
    let daemon = store.lock_daemon("run").unwrap();
    let teardown = || lbd(&directory, &["--state-dir", "state", "teardown", "--yes"]);
    let output = teardown();
    let process = std::process::id();
    assert_eq!(
        (output.status, output.stderr),
        (
            2,
            format!(
                "error: state: the daemon runs (process {process}); stop it first: systemctl stop lbd.service\n"
            )
        )
    );
    drop(daemon);
    let _command = store.lock_daemon("teardown").unwrap();
    let output = teardown();
    assert_eq!(
        (output.status, output.stderr),
        (
            2,
            format!(
                "error: state: in use by another command (process {process}, lbd teardown); try again when it has ended\n"
            )
        )
    );
    let output = lbd(&directory, &["--state-dir", "a.yaml/state", "teardown", "--yes"]);
    assert_eq!((output.status, output.stderr.contains("stop it first")), (2, false), "{output:?}");
}

#[test]
fn a_daemon_does_not_start_on_standard_input() {
    let directory = directory(&[]);
    let output = lbd(&directory, &["--state-dir", "state", "run", "-f", "-"]);
    assert_eq!(
        (output.status, output.stderr.as_str()),
        (
            2,
            "error: standard input cannot be watched; name a file with -f, or use `lbd apply -f -` for one pass\n"
        )
    );
    assert!(!directory.path().join("state").exists());
}

#[test]
fn diff_of_a_cluster_shows_a_part_and_ends_with_its_exit_code() {
    let more = "  - { name: mail, listen: 'tcp://10.0.0.14:25', forward: nat, servers: [192.168.8.16] }\ntimeouts: { tcp: 15m }\n";
    let live = "-A -t 10.0.0.13:80 -s rr\n-a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1\n\
                -a -t 10.0.0.13:80 -r 192.168.8.15:80 -m -w 3\n-A -t 10.9.9.9:80 -s rr\n";
    let directory = directory(&[("a.yaml", &format!("{GOOD}{more}")), ("live", live)]);
    let diff = |clusters: &[&str]| {
        let mut arguments = vec!["-f", "a.yaml", "diff", "--live", "live"];
        arguments.extend(clusters);
        let Output { status, stdout, stderr } = lbd(&directory, &arguments);
        (status, stdout, stderr.lines().filter(|line| !line.starts_with("note: ")).collect::<String>())
    };
    let (mail, is_empty) = (
        "tcp://10.0.0.14:25 (mail)\n  + service  scheduler: wlc\n  + server 192.168.8.16:25  forward: nat, weight: 1\n",
        String::new(),
    );
    let foreign = "foreign, left alone:\n  tcp://10.9.9.9:80  0 servers\n";
    let summary = "2 to add, 0 to edit, 0 to delete\n";
    assert_eq!(diff(&[]), (1, format!("{mail}{foreign}{summary}"), is_empty.clone()));
    assert_eq!(diff(&["mail"]), (1, format!("{mail}{summary}"), is_empty.clone()));
    assert_eq!(diff(&["web", "mail"]), (1, format!("{mail}{summary}"), is_empty.clone()));
    assert_eq!(diff(&["web"]), (0, "in sync: 1 virtual service, 2 real servers\n".into(), is_empty.clone()));
    for (name, says) in
        [("mial", "did you mean `mail`?"), ("a.yaml", "the desired file comes behind -f: `-f a.yaml`")]
    {
        let says = format!("error: {name}: no cluster has this name; {says}");
        assert_eq!(diff(&[name]), (2, String::new(), says));
    }
}

#[test]
fn what_other_programs_understand_gets_a_tip() {
    let directory = directory(&[("a.yaml", GOOD)]);
    for (arguments, tip) in [
        (["apply", "a.yaml"], "tip: the desired file comes behind -f: `lbd apply -f a.yaml`\n"),
        (["apply", "--dry-run"], "tip: `lbd diff` shows what `lbd apply` would do, and changes nothing\n"),
    ] {
        let output = lbd(&directory, &arguments);
        assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(output.stderr.contains(tip), "{}", output.stderr);
    }
}

#[test]
fn the_help_lists_the_exit_codes_and_each_command_the_options_that_it_uses() {
    let directory = directory(&[("rules", "")]);
    let help = lbd(&directory, &["--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains(
            "Exit codes: 0 done or in sync, 1 not in sync (diff, status), not all pass (check), paused, servers in service against their checks, or the \
             daemon or its checker dead (status), 2 error, 3 refused by \
             a guard, a pause, a trial or `--expect` (apply, pause, try, confirm, rollback)."
        ),
        "{help}"
    );
    let completions = lbd(&directory, &["completions", "bash"]).stdout;
    for (command, uses) in [
        ("schema", [false, false]),
        ("completions", [false, false]),
        ("export", [false, true]),
        ("edit", [true, true]),
        ("try", [true, true]),
        ("confirm", [true, true]),
        ("cancel", [true, true]),
        ("drain", [true, true]),
        ("weight", [true, true]),
        ("undo", [true, true]),
        ("overrides", [false, true]),
        ("history", [false, true]),
        ("rollback", [true, true]),
        ("teardown", [false, true]),
        ("restore", [true, true]),
        ("diff", [true, true]),
        ("apply", [true, true]),
        ("run", [true, true]),
        ("status", [true, true]),
        ("pause", [true, true]),
        ("resume", [false, true]),
        ("validate", [true, true]),
        ("check", [true, false]),
    ] {
        let help = lbd(&directory, &[command, "--help"]).stdout;
        let listed = completions.split(&format!("\n        lbd__subcmd__{command})\n")).nth(1).unwrap();
        let listed = listed.lines().next().unwrap();
        for (text, what) in [(help.as_str(), "help"), (listed, "completions")] {
            let lists = ["--file", "--state-dir"].map(|option| text.contains(option));
            assert_eq!(lists, uses, "{what} of {command}: {text}");
            let probes = uses[1] && !["validate", "overrides"].contains(&command);
            assert_eq!(text.contains("--run-dir"), probes, "{what} of {command}: {text}");
        }
    }
    // The service manager starts it, and no operator.
    assert!(!completions.contains("lbd__subcmd__checker)"));
    // Scripts pass them to each command.
    for arguments in
        [&["-f", "x", "schema"][..], &["schema", "-f", "x", "--state-dir", "y", "--run-dir", "z"]]
    {
        assert_eq!(lbd(&directory, arguments).status, 0);
    }
    // `lbd history show 1 --run-dir /run/lbd` ended with "unexpected argument".
    let shown = lbd(&directory, &["history", "show", "1", "--run-dir", "z", "--state-dir", "y"]);
    assert!(shown.stderr.contains("history"), "{shown:?}");
    assert!(!shown.stderr.contains("unexpected argument"), "{shown:?}");
    let export = lbd(&directory, &["export", "-f", "x", "--from", "rules"]);
    assert_eq!(export.status, 0, "{export:?}");
}

#[test]
fn the_interval_of_a_status_that_repeats_is_checked_before_anything_is_read() {
    let directory = directory(&[("a.yaml", GOOD)]);
    for (watch, says) in [
        ("--watch=0.1", "expected a number of seconds from 0.2 to 86400"),
        ("--watch=86401", "expected a number of seconds from 0.2 to 86400"),
        ("--watch=NaN", "expected a number of seconds from 0.2 to 86400"),
        ("--watch=2s", "expected a number of seconds from 0.2 to 86400"),
        ("--watch=", "expected a number of seconds from 0.2 to 86400"),
    ] {
        let output = lbd(&directory, &["-f", "a.yaml", "status", watch]);
        assert_eq!((output.status, output.stdout.as_str()), (2, ""), "{watch}");
        assert!(output.stderr.contains(says), "{watch}: {}", output.stderr);
    }
    let stdin = lbd(&directory, &["-f", "-", "status", "--watch"]);
    let says = "error: standard input can be read only once; name a file with -f\n";
    assert_eq!((stdin.status, stdin.stderr.as_str()), (2, says));
    // The number is no word of its own, since a cluster may be named so.
    let name = lbd(&directory, &["-f", "a.yaml", "--state-dir", ".", "status", "--watch", "5"]);
    assert_eq!((name.status, name.stdout.as_str()), (2, ""));
    assert!(name.stderr.starts_with("note: the seconds come behind `=`: `--watch=5`\n"), "{}", name.stderr);
    let completions = lbd(&directory, &["completions", "bash"]).stdout;
    assert!(completions.contains("--watch"));
}
