//! The desired file as its users meet it: what is valid, and what every mistake is answered with.

// A test may stop at the first surprise; clippy sees that only in the test functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lbd::config::{Diagnostic, Source, load};

#[rustfmt::skip]
mod checks;
#[rustfmt::skip]
mod clusters;
#[rustfmt::skip]
mod consequences;
mod reports;
mod robust;
#[rustfmt::skip]
mod scheduling;
#[rustfmt::skip]
mod servers;
#[rustfmt::skip]
mod settings;
mod valid;
mod valid_checks;
#[rustfmt::skip]
mod yaml;

/// What the tables below write in pointed brackets.
const LISTS: [(&str, &str); 16] = [
    (
        "<cluster keys>",
        "one of name, listen, scheduler, scheduler_flags, persistence, persistence_mask, persistence_engine, one_packet, forward, untracked, drain, check, on_failure, reset_after, min_serving, fallback, slow_start, allow_empty, servers",
    ),
    (
        "<top keys>",
        "one of version, include, sysctls, marks, timeouts, sync, checks, defaults, clusters, policy",
    ),
    (
        "<schedulers>",
        "one of rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh, twos, or `module:NAME` for a module of your own",
    ),
    (
        "<server address>",
        r#"an IP address, with or without a port: 192.168.8.14, 192.168.8.14:8080 or "[fd00::14]:8080""#,
    ),
    ("<ADDRESS:PORT>", "ADDRESS:PORT, an IPv6 address in brackets: 10.0.0.13:80 or [fd00::13]:80"),
    ("<listeners>", "tcp://ADDRESS:PORT, udp://…, sctp://…, fwmark://N or fwmark6://N"),
    ("<flags>", "one of sh-fallback, sh-port, mh-fallback, mh-port, flag-1, flag-2, flag-3"),
    (
        "<check keys>",
        "one of type, address, port, source, interval, timeout, fast, fall, rise, path, host, method, headers, status, body, verify, certificate, key, send, expect, query, answer, command, weight",
    ),
    (
        "<check duration>",
        "100 milliseconds to 1 day, as N (seconds), Nms, Ns, Nm, Nh or Nd, such as `5s` or `500ms`",
    ),
    (
        "<name of the certificate>",
        "`host: NAME`, `verify: { name: NAME }`, `verify: { ca: FILE, name: NAME }`, or `verify: none` for any certificate",
    ),
    (
        "<check>",
        "a mapping that describes a check, such as { type: http, port: 80, path: /healthz, status: [200-299] }",
    ),
    ("<check types>", "one of tcp, tls, http, https, dns, udp, ping, exec"),
    ("<weighted>", "a scheduler that goes by weights, such as `wlc` or `wrr`; or no `slow_start`"),
    (
        "<command>",
        r#"`command`, a list of the program and its arguments, such as [/usr/local/lib/check, "{address}"]"#,
    ),
    (
        "<host>",
        "a name or an IP address, such as www.example.com; with a port, www.example.com:8080 or [fd00::1]:8080",
    ),
    (
        "<one key on a line>",
        "one key on a line, every line indented as its neighbours, and text that contains `: ` in quotes",
    ),
];

/// Loads each of the texts, put into a file by `file`, and compares what is said about it, as
/// `LINE:COLUMN MESSAGE | EXPECTED | SUGGESTION`.
fn check(file: fn(&str) -> String, table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let file = file(text);
        let problems = load(&Source::new("desired.yaml", file.as_str())).expect_err(&file);
        let found: Vec<String> = problems.list.iter().map(line).collect();
        assert_eq!(found, *expected, "{file}");
        assert_eq!(problems.more, 0);
    }
}

fn line(problem: &Diagnostic) -> String {
    let Diagnostic { file: _, line, column, width: _, message, expected, suggestion } = problem;
    let mut text = format!("{line}:{column} {message}");
    if let Some(expected) = expected {
        let short =
            LISTS.iter().find(|(_, list)| list == expected).map_or(expected.as_str(), |(short, _)| short);
        text.push_str(&format!(" | {short}"));
    }
    if let Some(suggestion) = suggestion {
        text.push_str(if expected.is_some() { " | " } else { " |  | " });
        text.push_str(suggestion);
    }
    text
}

fn whole(text: &str) -> String {
    text.into()
}

fn top(text: &str) -> String {
    format!("version: 1\nclusters: []\n{text}\n")
}

fn mark(text: &str) -> String {
    format!("version: 1\nclusters: []\nmarks:\n  - {text}\n")
}

fn listen(text: &str) -> String {
    format!("version: 1\nclusters:\n  - name: web\n    listen: {text}\n    servers: [192.168.8.14]\n")
}

fn cluster(text: &str) -> String {
    let start = "version: 1\nclusters:\n  - name: web\n    listen: tcp://10.0.0.13:80\n";
    format!("{start}    servers: [192.168.8.14]\n    {text}\n")
}

fn server(text: &str) -> String {
    let start = "version: 1\nclusters:\n  - name: web\n    listen: tcp://10.0.0.13:80\n";
    format!("{start}    forward: nat\n    servers:\n      - {text}\n")
}
