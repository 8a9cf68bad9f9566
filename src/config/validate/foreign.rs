//! Recognises what is no desired file at all: files of other programs, and a merge conflict.

use super::lines::all;
use super::problem::Diagnostic;

/// How the blocks of a keepalived.conf begin.
const KEEPALIVED: [&str; 6] =
    ["global_defs", "vrrp_instance", "vrrp_script", "virtual_server", "virtual_server_group", "real_server"];

/// How a listing of `ipvsadm -L` begins.
const LISTING: [&str; 2] = ["IP Virtual Server version", "Prot LocalAddress:Port"];

/// How rules of `ipvsadm -S` begin.
const RULES: [&str; 5] = ["-A ", "-a ", "--add-service ", "--add-server ", "ipvsadm "];

/// The problem of a text that is something else.
pub(in crate::config) fn problem(text: &str) -> Option<Diagnostic> {
    conflict(text).or_else(|| keepalived(text)).or_else(|| ipvsadm(text))
}

fn conflict(text: &str) -> Option<Diagnostic> {
    let mut lines = all(text).enumerate();
    let (index, _) = lines.find(|(_, line)| line.starts_with("<<<<<<< "))?;
    lines.find(|(_, line)| line.starts_with(">>>>>>> "))?;
    let problem = Diagnostic::new(index + 1, 1, 7, "a merge conflict begins here");
    Some(problem.expecting("one of the versions, without the lines `<<<<<<<`, `=======` and `>>>>>>>`"))
}

fn keepalived(text: &str) -> Option<Diagnostic> {
    let is_block = |line: &str| {
        line.trim_end().ends_with('{')
            && line.split_whitespace().next().is_some_and(|word| KEEPALIVED.contains(&word))
    };
    let (index, line) = all(text).enumerate().find(|(_, line)| is_block(line))?;
    let indentation = line.chars().take_while(|letter| letter.is_whitespace()).count();
    let width = line.trim().chars().count();
    let problem =
        Diagnostic::new(index + 1, indentation + 1, width, "this is a configuration file of keepalived");
    Some(problem.expecting(
        "a desired file; while keepalived has its services in the kernel, `lbd export` writes them as one",
    ))
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
