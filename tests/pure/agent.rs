//! `lbd agent` and `lbd fleet`: what another program does, which lies beside `lbd`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use lbd::cli::Arguments;
use tempfile::TempDir;

use crate::cli::{Output, command, finish};

/// A directory in which `lbd` is, and `lbd-agent` as this script, if there is one.
fn installed(agent: Option<&str>) -> TempDir {
    let program = Path::new(env!("CARGO_BIN_EXE_lbd"));
    // On the same file system: the program is large, and a second name costs nothing.
    let directory = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    fs::hard_link(program, directory.path().join("lbd")).unwrap();
    if let Some(script) = agent {
        let source = directory.path().join("script");
        fs::write(&source, script).unwrap();
        // By another process: a program cannot be started that any process has open to write, such as a child of another test.
        let install = ["-m", "755", source.to_str().unwrap()];
        let installed =
            Command::new("install").args(install).arg(directory.path().join("lbd-agent")).status();
        assert!(installed.unwrap().success());
    }
    directory
}

fn lbd(directory: &TempDir, words: &[&str]) -> Output {
    finish(Command::new(directory.path().join("lbd")).args(words).current_dir("/"))
}

#[test]
fn without_the_program_of_the_agent_its_package_is_named() {
    let directory = installed(None);
    let program = fs::canonicalize(directory.path()).unwrap().join("lbd-agent");
    let message = format!(
        "error: {}: there is no such program; `lbd agent` and `lbd fleet` need the package lbd-agent, which is not installed\n",
        program.display()
    );
    for words in [&["agent", "status"][..], &["fleet", "halt", "--reason", "a b"]] {
        let output = lbd(&directory, words);
        assert_eq!(
            (output.status, output.stdout.as_str(), output.stderr),
            (2, "", message.clone()),
            "{words:?}"
        );
    }
    // What `push` is given is not the option of that name of all commands: the parser ended in a panic.
    Arguments::command().debug_assert();
    // What is typed wrong needs no program to be refused, and its help none to be shown.
    for (words, status) in [(&["agent", "sttaus"][..], 2), (&["fleet", "push", "--help"], 0), (&["agent"], 2)]
    {
        let output = lbd(&directory, words);
        assert_eq!((output.status, output.stderr.contains("no such program")), (status, false), "{words:?}");
    }
}

#[test]
fn the_program_of_the_agent_gets_the_words_as_they_were_typed_and_its_exit_code_is_that_of_lbd() {
    let directory = installed(Some("#!/bin/sh\nprintf '%s\\n' \"$@\"\necho said >&2\nexit 7\n"));
    for words in [
        &["agent", "status", "--output", "json"][..],
        &["-f", "a b.yaml", "agent", "--agent-dir=x y", "pause", "--for", "2h", "--reason", "a \"b\" $c *"],
        &["fleet", "push", "-", "--for", "site=fra,role=edge", "--yes"],
        &["--run-dir", "/run/x y", "fleet", "status", "--watch=3"],
    ] {
        let Output { status, stdout, stderr } = lbd(&directory, words);
        assert_eq!((status, stdout, stderr.as_str()), (7, words.join("\n") + "\n", "said\n"), "{words:?}");
    }
    // One that cannot be started says why.
    fs::remove_file(directory.path().join("lbd-agent")).unwrap();
    fs::create_dir(directory.path().join("lbd-agent")).unwrap();
    let Output { status, stderr, .. } = lbd(&directory, &["agent", "status"]);
    assert!(
        status == 2 && stderr.ends_with("/lbd-agent: cannot be started: Permission denied (os error 13)\n"),
        "{stderr}"
    );
}

#[test]
fn the_commands_of_the_agent_and_of_the_fleet_are_completed() {
    let completions = finish(&mut command(Path::new("/"), &["completions", "bash"])).stdout;
    for (command, words) in [
        ("agent", "run status validate sync pause resume enable disable allow-rewind"),
        ("fleet", "status diff push strategy halt resume promote rollback release roles"),
        ("fleet__subcmd__strategy", "set show validate"),
    ] {
        let listed = completions.split(&format!("\n        lbd__subcmd__{command})\n")).nth(1).unwrap();
        let listed: Vec<&str> = listed.lines().next().unwrap().split(['"', ' ']).collect();
        let missing: Vec<&str> = words.split(' ').filter(|word| !listed.contains(word)).collect();
        assert_eq!(missing, Vec::<&str>::new(), "{command}: {listed:?}");
    }
}
