//! The man pages that `lbd man` writes.

#![allow(clippy::unwrap_used)]

use std::fs;

use crate::cli::{directory, lbd};

const CONFIRM: &str = r#".TH lbd-confirm 8 "" "lbd VERSION" "IPVS load balancer"
.SH NAME
lbd\-confirm \- Make the file of the trial under way the desired file
.SH SYNOPSIS
\fBlbd confirm\fR [\fB\-f\fR|\fB\-\-file\fR] [\fB\-\-over\fR] [\fB\-\-state\-dir\fR] [\fB\-\-run\-dir\fR] [\fB\-h\fR|\fB\-\-help\fR]
.SH DESCRIPTION
Make the file of the trial under way the desired file
.PP
Exit code 0: done and verified, 2: error, 3: the desired file has changed since the trial began.
.SH OPTIONS
.TP
\fB\-f\fR, \fB\-\-file\fR \fI<FILE>\fR [default: /etc/lbd/desired.yaml]
The desired file; \fB\-\fR is standard input
.TP
\fB\-\-over\fR
Also where the desired file has changed since the trial began: it is replaced
.TP
\fB\-\-state\-dir\fR \fI<DIR>\fR [default: /var/lib/lbd]
The directory in which lbd records what it owns and what was last verified
.TP
\fB\-\-run\-dir\fR \fI<DIR>\fR [default: /run/lbd]
The directory in which the daemon writes what is to be probed; the checker writes into the one beside it, DIR\-check
.TP
\fB\-h\fR, \fB\-\-help\fR
Print help (see a summary with \(aq\-h\(aq)
.SH "SEE ALSO"
lbd(8), lbd.yaml(5)
"#;

/// The commands that a help lists.
fn listed(help: &str) -> impl Iterator<Item = String> {
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let words = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    words.filter(|word| !["", "help"].contains(word)).map(str::to_owned)
}

#[test]
fn a_man_page_is_written_for_lbd_and_for_each_command_that_is_listed() {
    let directory = directory(&[]);
    assert_eq!(lbd(&directory, &["man", "."]).status, 0);
    let help = lbd(&directory, &["--help"]).stdout;
    let mut wanted: Vec<String> = listed(&help).map(|word| format!("lbd-{word}.8")).collect();
    wanted.extend(["lbd.8".to_owned(), "lbd-history-show.8".to_owned()]);
    for command in ["agent", "fleet", "fleet strategy"] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let name = |word: &str| format!("lbd-{}-{word}.8", command.replace(' ', "-"));
        wanted.extend(listed(&lbd(&directory, &words).stdout).map(|word| name(&word)));
    }
    wanted.sort();
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, wanted);
    let page = fs::read_to_string(directory.path().join("lbd-confirm.8")).unwrap();
    assert_eq!(page, CONFIRM.replace("VERSION", env!("CARGO_PKG_VERSION")));

    let output = lbd(&directory, &["man", "nowhere"]);
    assert_eq!(output.status, 2);
    assert_eq!(output.stderr, "error: nowhere/lbd.8: No such file or directory (os error 2)\n");
}
