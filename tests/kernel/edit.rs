//! `lbd edit` with editors that are programs of the test.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::lab::{self, Netns, Output, run};

const FILE: &str = "\
version: 1
clusters:
  - { name: web, listen: 'tcp://10.0.0.1:80', scheduler: rr, servers: [{ address: 192.168.8.14, weight: 1 }] }
";

fn edit(net: &Netns, editor: &str, words: &[&str]) -> Output {
    let mut command = net.lbd_command(words);
    run(command.env("EDITOR", editor).env_remove("VISUAL"))
}

/// The copies that lie beside the desired file.
fn copies(net: &Netns) -> Vec<String> {
    let entries = fs::read_dir(net.path(".")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".desired.yaml.")).collect()
}

#[test]
fn what_the_editor_wrote_is_checked_shown_and_renamed_into_place() {
    let net = Netns::new();
    let file = net.write("desired.yaml", FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(net.lbd(&["-f", "desired.yaml", "apply"]).status, 0);
    let words = ["-f", "desired.yaml", "edit", "--yes"];
    let edited = edit(&net, "sed -i 's/weight: 1/weight: 3/'", &words);
    assert_eq!(edited.status, 0, "{edited:?}");
    assert!(edited.stdout.contains("\n  ~ server 192.168.8.14:80  weight: 1 -> 3\n"), "{edited:?}");
    assert!(
        edited.stderr.contains("note: no daemon runs; `lbd apply` makes the kernel equal to it\n"),
        "{edited:?}"
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
    assert_eq!((fs::read_to_string(&file).unwrap(), mode), (FILE.replace("weight: 1", "weight: 3"), 0o640));
    let nothing = edit(&net, "true", &words);
    assert_eq!((nothing.status, nothing.stderr.as_str()), (0, "note: nothing was changed\n"));
    assert_eq!(copies(&net), Vec::<String>::new());
}

#[test]
fn what_is_not_valid_or_not_confirmed_is_kept_beside_the_file() {
    let net = Netns::new();
    let file = net.write("desired.yaml", FILE);
    let unchanged = || fs::read_to_string(&file).unwrap() == FILE;
    let words = ["-f", "desired.yaml", "edit"];
    let failed = edit(&net, "false", &words);
    assert_eq!((failed.status, copies(&net).len()), (2, 0));
    assert!(
        failed.stderr.starts_with("error: the editor `false` ended with exit status: 1; nothing was changed"),
        "{failed:?}"
    );
    for (editor, says) in [
        ("sed -i 's/scheduler: rr/scheduler: rrr/'", "error: unknown scheduler `rrr`\n"),
        (
            "sed -i 's/weight: 1/weight: 3/'",
            "error: no terminal to confirm at; use `--yes` to do this; nothing was changed\n",
        ),
        ("sed -i '$a #' desired.yaml; sed -i 's/weight: 1/weight: 3/'", "error: no terminal to confirm at"),
    ] {
        net.write("desired.yaml", FILE);
        let output = edit(&net, editor, &words);
        assert_eq!((output.status, output.stderr.contains(says)), (2, true), "{output:?}");
        let [copy] = &copies(&net)[..] else { panic!("{:?}", copies(&net)) };
        assert!(output.stderr.contains(&format!("/{copy}\n")), "{output:?}");
        fs::remove_file(net.path(copy)).unwrap();
    }
    net.write("desired.yaml", FILE);
    assert!(unchanged());
    let changed = edit(
        &net,
        "sed -i '$a #' desired.yaml; sed -i 's/weight: 1/weight: 3/'",
        &[&words[..], &["--yes"]].concat(),
    );
    assert_eq!((changed.status, copies(&net).len()), (2, 1));
    assert!(changed.stderr.contains("another program has changed the desired file meanwhile"), "{changed:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{FILE}#\n"));
    fs::create_dir(net.path("elsewhere")).unwrap();
    fs::rename(&file, net.path("elsewhere/desired.yaml")).unwrap();
    symlink("elsewhere/desired.yaml", &file).unwrap();
    let linked = edit(&net, "true", &words);
    assert!(linked.status == 2 && linked.stderr.contains("in another directory"), "{linked:?}");
}

/// Edits on a terminal, on which the shell command `keys` types once the question is there; gives the exit code and what was shown.
fn edit_on_terminal(net: &Netns, keys: &str) -> (String, String) {
    net.sh("rm -f ended .desired.yaml.*; : >shown");
    net.write("keys", &format!("until grep -q 'y/N' shown; do sleep 0.02; done; {keys}"));
    let edit = format!("{} -f desired.yaml --state-dir state edit", lab::lbd());
    net.write(
        "command",
        &format!("trap : INT; NO_COLOR=1 EDITOR=\"sed -i 's/weight: 1/weight: 3/'\" {edit}; echo $? >ended"),
    );
    // Without `exec`, Ctrl-C would end a dash in between, which is the shell where SHELL is not set.
    net.sh("sh keys | script -qfec 'exec sh command' shown >/dev/null");
    (net.sh("cat ended"), net.sh("cat shown"))
}

#[test]
fn only_what_was_shown_is_installed_and_ctrl_c_installs_nothing() {
    let net = Netns::new();
    let file = net.write("desired.yaml", FILE);
    // An editor that goes on writing.
    let (code, shown) =
        edit_on_terminal(&net, "sed -i 's/weight: 3/weight: 9/' .desired.yaml.*; printf 'y\\n'");
    assert!(
        code == "2\n" && shown.contains("the copy has changed since it was checked and shown"),
        "{shown}"
    );
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), copies(&net).len()), (FILE, 1));
    // Ctrl-C did nothing at the question; where it is so, the answer is yes.
    let keys =
        "printf '\\003'; for try in $(seq 50); do [ -s ended ] && exit; sleep 0.1; done; printf 'y\\n'";
    let (code, shown) = edit_on_terminal(&net, keys);
    assert!(code == "2\n" && shown.contains("error: nothing was changed"), "{shown}");
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), copies(&net).len()), (FILE, 1));
}
