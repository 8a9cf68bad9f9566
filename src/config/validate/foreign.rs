//! Recognises what is no desired file at all: files of other programs, and a merge conflict.

use std::fmt;

use super::diagnose::Diagnostics;
use super::lines::all;
use super::problem::Diagnostic;
use crate::config::source::Source;

/// How the blocks of a keepalived.conf begin.
const KEEPALIVED: [&str; 11] = [
    "global_defs",
    "static_ipaddress",
    "static_routes",
    "bfd_instance",
    "vrrp_track_process",
    "vrrp_instance",
    "vrrp_script",
    "vrrp_sync_group",
    "virtual_server",
    "virtual_server_group",
    "real_server",
];

/// How ldirectord.cf calls the forwarding methods.
const LDIRECTORD_METHODS: [&str; 3] = ["gate", "masq", "ipip"];

/// The first keys of a desired file, as YAML and as JSON.
const DESIRED: [&str; 4] = ["version:", "clusters:", "\"version\"", "\"clusters\""];

/// How a listing of `ipvsadm -L` begins.
const LISTING: [&str; 2] = ["IP Virtual Server version", "Prot LocalAddress:Port"];

/// How rules of `ipvsadm -S` begin.
const RULES: [&str; 5] = ["-A ", "-a ", "--add-service ", "--add-server ", "ipvsadm "];

/// A program with a configuration file of its own for IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// keepalived
    Keepalived,
    /// ldirectord
    Ldirectord,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keepalived => "keepalived",
            Self::Ldirectord => "ldirectord",
        })
    }
}

/// The program whose configuration a text is.
pub fn program(text: &str) -> Option<Program> {
    place(text).map(|(program, _)| program)
}

/// The problem of a text that is something else where a desired file belongs.
pub(in crate::config) fn problem(text: &str) -> Option<Diagnostic> {
    conflict(text).or_else(|| of_program(text, &"a desired file")).or_else(|| ipvsadm(text))
}

/// The problem of a file that is a configuration of another program; `expected` is what to give, as a noun.
pub fn of_another_program(source: &Source, expected: &dyn fmt::Display) -> Option<Diagnostics> {
    of_program(&source.text, expected).map(|problem| Diagnostics::new(source, vec![problem], 0))
}

/// The problem of a file that is something else where rules of ipvsadm belong, as a whole; `expected` is what to give, as a noun.
pub fn not_rules(source: &Source, expected: &dyn fmt::Display) -> Option<Diagnostics> {
    let text = &source.text;
    let problem = conflict(text).or_else(|| desired(text, expected));
    problem.map(|problem| Diagnostics::new(source, vec![problem], 0))
}

/// The problem of a text in which a merge was not finished.
pub(in crate::config) fn conflict(text: &str) -> Option<Diagnostic> {
    // Often one of the three lines was forgotten.
    let is_mark = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    let (index, line) = all(text).enumerate().find(|(_, line)| is_mark(line))?;
    let end = if line.starts_with('<') { "begins" } else { "ends" };
    let problem = Diagnostic::new(index + 1, 1, 7, format!("a merge conflict {end} here"));
    Some(problem.expecting("one of the versions, without the lines `<<<<<<<`, `=======` and `>>>>>>>`"))
}

/// The problem of a configuration of keepalived or ldirectord.
fn of_program(text: &str, expected: &dyn fmt::Display) -> Option<Diagnostic> {
    let (program, (index, line)) = place(text)?;
    let message = format!("this is a configuration file of {program}");
    Some(
        whole_line(index, line, message)
            .expecting(format!("{expected}; `lbd export --from FILE` makes a desired file of it")),
    )
}

/// The program whose configuration a text is, and the line that shows it.
fn place(text: &str) -> Option<(Program, (usize, &str))> {
    let keepalived = keepalived(text).map(|place| (Program::Keepalived, place));
    keepalived.or_else(|| ldirectord(text).map(|place| (Program::Ldirectord, place)))
}

/// The first line of a block of a keepalived.conf.
fn keepalived(text: &str) -> Option<(usize, &str)> {
    // The bracket may be on a line of its own.
    let mut last = None;
    for (index, line) in all(text).enumerate() {
        // Both characters begin a comment.
        let content = line.split(['!', '#']).next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        if content.starts_with('{') && last.is_some() {
            return last;
        }
        let is_block = content.split_whitespace().next().is_some_and(|word| KEEPALIVED.contains(&word));
        last = is_block.then_some((index, line));
        if content.contains('{') && is_block {
            return last;
        }
    }
    None
}

/// The first virtual service of an ldirectord.cf. A script may have a variable of that name, but no such server.
fn ldirectord(text: &str) -> Option<(usize, &str)> {
    fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
        line.trim_start().strip_prefix(key)?.trim_start().strip_prefix('=')
    }
    let is_server = |line: &str| {
        let value = value(line, "real");
        value.is_some_and(|value| value.split_whitespace().any(|word| LDIRECTORD_METHODS.contains(&word)))
    };
    let is_service = |line: &str| value(line, "virtual").or_else(|| value(line, "virtual6")).is_some();
    let service = all(text).enumerate().find(|(_, line)| is_service(line))?;
    all(text).any(is_server).then_some(service)
}

/// The problem of a desired file that is where rules belong.
fn desired(text: &str, expected: &dyn fmt::Display) -> Option<Diagnostic> {
    let is_key = |line: &str| {
        let content = line.trim_start_matches(['{', ' ']);
        DESIRED.iter().any(|key| content.starts_with(key))
    };
    let (index, line) = all(text).enumerate().find(|(_, line)| is_key(line))?;
    let message = "this is a desired file already, as `lbd export` writes it";
    Some(whole_line(index, line, message.to_owned()).expecting(expected.to_string()))
}

/// A problem that a whole line shows.
fn whole_line(index: usize, line: &str, message: String) -> Diagnostic {
    let indentation = line.chars().take_while(|letter| letter.is_whitespace()).count();
    Diagnostic::new(index + 1, indentation + 1, line.trim().chars().count(), message)
}

fn ipvsadm(text: &str) -> Option<Diagnostic> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let (index, line) = all(text).enumerate().find(|(_, line)| is_content(line))?;
    let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    let problem = |message: &str| Diagnostic::new(index + 1, 1, line.trim_end().chars().count(), message);
    if begins(&LISTING) {
        return Some(problem("this is a listing of `ipvsadm -L`").expecting(
            "what `ipvsadm -Sn` prints: `lbd export --from FILE` makes a desired file of it, `lbd diff --live FILE` compares with it",
        ));
    }
    begins(&RULES).then(|| {
        problem("these are rules of ipvsadm")
            .expecting("a desired file; `lbd export --from FILE` makes one of the rules")
    })
}
