//! The documents against the program: files are valid, commands are run or at least parsed, links lead somewhere.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod complete;
mod languages;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use lbd::cli::{self, Arguments};
use lbd::config::{Source, load, read_closed};
use page::{Block, Page, command};
use tempfile::TempDir;

/// All pages for users and for those who build lbd.
fn pages() -> Vec<Page> {
    let mut names: Vec<String> =
        ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"].iter().map(|name| (*name).to_owned()).collect();
    for directory in ["docs", "docs/zh-CN"] {
        let Ok(entries) = fs::read_dir(directory) else { continue };
        let files = entries.map(|entry| format!("{directory}/{}", entry.unwrap().file_name().display()));
        names.extend(files.filter(|name| Path::new(name).extension().is_some_and(|word| word == "md")));
    }
    names.retain(|name| Path::new(name).exists());
    names.sort();
    names.iter().map(|name| Page::read(name)).collect()
}

/// The file that a block is: its second word, where that has a dot in it.
fn file_name(block: &Block) -> Option<&str> {
    let is_name =
        |word: &&str| word.contains('.') && !word.starts_with(RECORDED) && block.word(0) != "console";
    block.words.get(1).map(String::as_str).filter(is_name)
}

/// Where what tests have seen is kept. A block that names a file of it shows lines of that.
const RECORDED: &str = "tests/data/";

/// A root directory with the files of a page; the last plain block of YAML is `/etc/lbd/desired.yaml`.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(root.etc()).unwrap();
        root
    }

    fn etc(&self) -> PathBuf {
        self.0.path().join("etc/lbd")
    }

    /// Puts a file where its absolute path says, or else beside the desired file.
    fn put(&self, name: &str, text: &str) {
        let path = match name.strip_prefix('/') {
            Some(inside) => self.0.path().join(inside),
            None => self.etc().join(name),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What is wrong with the desired file.
    fn problems(&self) -> Option<String> {
        let source = read_closed(&self.etc().join("desired.yaml")).unwrap();
        load(&source).err().map(|problems| problems.to_string())
    }

    /// Runs a command of a console; what it wrote to both outputs is the result.
    fn run(&self, command: &str) -> String {
        let root = self.0.path().display().to_string();
        let bin = self.0.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        let lbd = bin.join("lbd");
        let program = env!("CARGO_BIN_EXE_lbd");
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -f '*) exec {program} \"$@\" ;; esac\nexec {program} -f {root}/etc/lbd/desired.yaml \"$@\"\n"
        );
        fs::write(&lbd, script).unwrap();
        fs::set_permissions(&lbd, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let command = command.replace("/etc/", &format!("{root}/etc/"));
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec 2>&1; {command}")).env("PATH", path).stdin(Stdio::null());
        let output = shell.current_dir(self.etc()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace(&root, "")
    }
}

#[test]
fn every_file_of_a_page_is_valid_or_is_refused_where_the_page_says_so() {
    let mut count = 0;
    for page in pages() {
        let root = Root::new();
        for block in page.blocks.iter().filter(|block| file_name(block).is_some()) {
            root.put(file_name(block).unwrap(), &block.text);
        }
        for block in page.blocks.iter().filter(|block| block.word(0) == "yaml") {
            let place = format!("{}:{}", page.name, block.line);
            count += 1;
            match block.word(1) {
                "other" => continue,
                "fragment" => {
                    root.put("desired.yaml", "version: 1\ninclude: [page.yaml]\nclusters: []\n");
                    root.put("page.yaml", &block.text);
                    assert_eq!(root.problems(), None, "{place}");
                }
                "bad" => assert!(load(&Source::new(&place, &block.text)).is_err(), "{place}: it is valid"),
                "agent" => {
                    let problems = lbd::agent::load(&Source::new(&place, &block.text), "lb1").err();
                    assert_eq!(problems.map(|problems| problems.to_string()), None, "{place}");
                }
                "strategy" => {
                    let problems = lbd::fleet::load_strategy(&Source::new(&place, &block.text)).err();
                    assert_eq!(problems.map(|problems| problems.to_string()), None, "{place}");
                }
                // A file of a directory is one that another file includes.
                name if name.contains('/') && !name.starts_with('/') => continue,
                name => {
                    assert!(name.is_empty() || name.contains('.'), "{place}: yaml {name}?");
                    root.put("desired.yaml", &block.text);
                    assert_eq!(root.problems(), None, "{place}");
                }
            }
        }
    }
    assert!(count > 0);
}

/// The commands of a block with what each prints.
fn sessions(block: &Block) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in block.text.lines() {
        match (command(line), all.last_mut()) {
            (Some(command), _) => all.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("line {}: it does not begin with a prompt: {line}", block.line),
        }
    }
    all
}

/// Whether a command of lbd needs neither a kernel nor privileges: nothing else is run on the machine of the test.
fn needs_no_kernel(words: &[String]) -> bool {
    let Ok(arguments) = Arguments::try_parse_from(words) else { return true };
    match arguments.command {
        cli::Command::Validate(validate) => !validate.host,
        cli::Command::Diff(diff) => diff.live.is_some(),
        cli::Command::Export(export) => export.from.is_some(),
        cli::Command::Schema { .. } | cli::Command::Completions { .. } => true,
        _ => false,
    }
}

#[test]
fn what_needs_no_kernel_prints_what_the_pages_show() {
    let mut wrong = Vec::new();
    for page in pages() {
        let root = Root::new();
        for block in &page.blocks {
            if let Some(name) = file_name(block) {
                root.put(name, &block.text);
            } else if block.words == ["yaml"] {
                root.put("desired.yaml", &block.text);
            } else if block.words == ["console"] {
                for (command, shown) in sessions(block) {
                    let place = format!("{}:{}", page.name, block.line);
                    let needs_none = calls(&command).iter().all(|words| needs_no_kernel(words));
                    assert!(
                        needs_none,
                        "{place}: `{command}` needs a kernel: `console kernel`, or the name of a lab"
                    );
                    let printed = root.run(&command);
                    if printed != shown {
                        wrong.push(format!("{place}: {command}\n{printed}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_needs_a_kernel_is_in_the_script_that_a_page_names() {
    let words = fs::read_to_string("examples/lab.d/words").unwrap();
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.word(0) == "console" && block.words.len() > 1) {
            let place = format!("{}:{}", page.name, block.line);
            let name = block.word(1);
            if let Some(lab) = name.strip_prefix("examples/") {
                let scripts = [format!("examples/{lab}/run"), format!("examples/{lab}.d/run")];
                let script = scripts.iter().find_map(|path| fs::read_to_string(path).ok());
                let script =
                    script.unwrap_or_else(|| panic!("{place}: there is no lab {lab}")).replace("\\\"", "\"");
                for command in block.commands() {
                    assert!(
                        script.contains(&command) || words.contains(&command),
                        "{place}: `{command}` is not in the lab"
                    );
                }
            } else {
                assert!(
                    name == "kernel" || Path::new(name).exists(),
                    "{place}: console {name}: what is that?"
                );
            }
        }
    }
}

#[test]
fn a_screen_on_a_page_is_one_that_a_test_has_recorded() {
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.word(1).starts_with(RECORDED)) {
            let recorded = fs::read_to_string(block.word(1)).unwrap();
            let mut lines = recorded.lines().map(str::trim_end);
            for shown in block.text.lines() {
                let place = format!("{}:{}", page.name, block.line);
                assert!(lines.any(|line| line == shown.trim_end()), "{place}: not recorded so: {shown}");
            }
        }
    }
}

/// The words of each command of lbd in a line of shell.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | ';' | '&') => {
                calls.last_mut().unwrap().extend(word.take());
                calls.push(Vec::new());
            }
            (None, ' ') => calls.last_mut().unwrap().extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    for call in &mut calls {
        let redirected = call.iter().position(|word| word.starts_with(['>', '<']) || word.starts_with("2>"));
        call.truncate(redirected.unwrap_or(call.len()));
        while call
            .first()
            .is_some_and(|word| word == "sudo" || word == "watch" || word == "if" || word == "!")
        {
            call.remove(0);
        }
    }
    calls.retain(|call| call.first().is_some_and(|word| word == "lbd"));
    calls
}

#[test]
fn the_commands_in_a_line_of_shell_are_found() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        calls("lbd -f 'a b' diff && sudo lbd weight x --reason \"a | b\" > /dev/null || curl lbd"),
        [words(&["lbd", "-f", "a b", "diff"]), words(&["lbd", "weight", "x", "--reason", "a | b"])]
    );
}

#[test]
fn every_command_of_a_page_is_one_that_the_program_takes() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            for call in block.commands().iter().flat_map(|line| calls(line)) {
                if let Err(error) = Arguments::try_parse_from(&call)
                    && error.use_stderr()
                {
                    wrong.push(format!("{}:{}: {}: {error}", page.name, block.line, call.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<PathBuf, _> =
        pages.iter().map(|page| (fs::canonicalize(&page.name).unwrap(), page.anchors())).collect();
    let mut wrong = Vec::new();
    for page in &pages {
        let directory = Path::new(&page.name).parent().unwrap();
        for (target, line) in &page.links {
            if target.starts_with("https://") || target.starts_with("http://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                PathBuf::from(&page.name)
            } else {
                Path::new(".").join(directory).join(file)
            };
            let leads = fs::canonicalize(path).is_ok_and(|path| {
                anchor.is_empty() || anchors.get(&path).is_some_and(|anchors| anchors.contains(anchor))
            });
            if !leads {
                wrong.push(format!("{}:{line}: {target}", page.name));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_readme_is_short_and_says_first_what_lbd_is_and_is_not() {
    let readme = Page::read("README.md");
    let words = readme.text.split_whitespace().count();
    assert!(words < 1800, "{words} words");
    let (before, _) = readme.text.split_once("```yaml\n").unwrap();
    let words = before.split_whitespace().count();
    assert!(words < 500, "{words} words before the first YAML");
    let first: Vec<&str> = readme.text.lines().take(10).collect();
    for word in ["no VRRP", "no BGP", "layer 7"] {
        assert!(first.iter().any(|line| line.contains(word)), "{word}");
    }
    // How the demonstration is begun, and all tests.
    let commands: Vec<String> = readme.blocks.iter().flat_map(Block::commands).collect();
    for command in ["examples/demo", "tests/run"] {
        assert!(commands.iter().any(|line| line == command) && Path::new(command).exists(), "{command}");
    }
}

#[test]
fn the_file_of_the_readme_is_that_of_the_demonstration() {
    let state = |name: &str, text: &str| load(&Source::new(name, text)).unwrap().state;
    let readme = Page::read("README.md");
    let block = readme.blocks.iter().find(|block| block.word(0) == "yaml").unwrap();
    let demonstration = fs::read_to_string("examples/demo.d/edited.yaml").unwrap();
    assert_eq!(state("README.md", &block.text), state("edited.yaml", &demonstration));
}

#[test]
fn every_long_proof_is_named() {
    let text = fs::read_to_string("CONTRIBUTING.md").unwrap();
    let proofs = fs::read_dir("tests/long").unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let missing: Vec<String> =
        proofs.filter(|name| !name.ends_with(".py") && !text.contains(&format!("`{name}"))).collect();
    assert_eq!(missing, Vec::<String>::new());
}
