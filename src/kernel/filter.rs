//! lbd's own table of the packet filter, read and written by the program `nft`.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::generation::Generation;
use super::program::{self, Failure, Output};
use crate::nft::{self, Listing, TABLE, Table};

/// How long nft may take. Ten thousand rules with a set of ports in each took it 15 s on a busy machine, nearly all of them
/// in the kernel. lbd does nothing else meanwhile, and the service manager waits a minute for a sign of life.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it is left alone after it took longer: one pass has several questions for it.
const REST: Duration = Duration::from_secs(60);

/// How to get at the table, in the network namespace of the thread that asks.
pub struct Filter {
    /// The program; `None`: wherever it is installed
    program: Option<PathBuf>,
    patience: Duration,
    /// When it took too long
    stuck: Option<Instant>,
    generation: Generation,
    /// The table as it was read last, and the generation that it is of
    last: Option<(u32, Table)>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { program: None, patience: PATIENCE, stuck: None, generation: Generation::default(), last: None }
    }
}

impl Filter {
    /// The same with a certain program instead of the one that is installed.
    pub fn with_program(program: PathBuf) -> Self {
        Self { program: Some(program), ..Self::default() }
    }

    /// What the table holds; nothing where it is not there. No program is run where nobody changed any table since the
    /// last time.
    ///
    /// # Errors
    /// Why it cannot be told, in words an operator can act on.
    pub fn read(&mut self) -> Result<Table, String> {
        // Asked before the table is listed: a change in between is seen the next time.
        let now = self.generation.now();
        if let (Some(now), Some((then, table))) = (now, &self.last)
            && now == *then
        {
            return Ok(table.clone());
        }
        self.last = None;
        let table = self.list()?;
        self.last = now.map(|now| (now, table.clone()));
        Ok(table)
    }

    fn list(&mut self) -> Result<Table, String> {
        let output = self.nft(&["-n", "-j", "list", "table", "inet", TABLE], "")?;
        let listing = match Listing::read(&output.stdout) {
            Ok(listing) if output.status.success() => listing,
            unreadable => {
                // That the table is not there is no error here, but nft has no other answer to it.
                let tables = self.nft(&["list", "tables"], "")?;
                if !tables.status.success() {
                    return Err(cause(&tables, "read"));
                }
                if !nft::names_table(&tables.stdout) {
                    return Ok(Table::default());
                }
                Listing::of_flagged(&self.for_people()).ok_or_else(|| match unreadable {
                    Err(error) if output.status.success() => {
                        format!("cannot read nft's answer: {error}; try `nft -j list table inet {TABLE}`")
                    }
                    _ => cause(&output, "read"),
                })?
            }
        };
        let for_people = if listing.needs_names() { self.for_people() } else { String::new() };
        Ok(listing.table(&for_people))
    }

    /// The table as nft lists it for people; nothing where it cannot, so that what is in it is named by numbers.
    fn for_people(&mut self) -> String {
        self.nft(&["-s", "-a", "list", "table", "inet", TABLE], "")
            .map_or_else(|_| String::new(), |all| all.stdout)
    }

    /// Makes the table hold this, in one transaction.
    ///
    /// # Errors
    /// Why it cannot be done, in words an operator can act on. The table is as it was.
    pub fn write(&mut self, table: &Table) -> Result<(), String> {
        self.last = None;
        let output = self.nft(&["-f", "-"], &table.script())?;
        if output.status.success() { Ok(()) } else { Err(cause(&output, "change")) }
    }

    fn nft(&mut self, arguments: &[&str], input: &str) -> Result<Output, String> {
        let program = self.program.clone().or_else(|| program::installed("nft")).ok_or(NOT_INSTALLED)?;
        let name = program.display();
        let slow = |patience: Duration| {
            format!(
                "{name} took more than {} s and was killed; it is tried again in a while",
                patience.as_secs()
            )
        };
        if self.stuck.is_some_and(|since| since.elapsed() < REST) {
            return Err(slow(self.patience));
        }
        let mut command = Command::new(&program);
        // What it says is compared, and must not depend on anybody's language.
        command.args(arguments).env("LC_ALL", "C");
        let result = program::run(&mut command, input, self.patience);
        self.stuck = matches!(result, Err(Failure::Slow(_))).then(Instant::now);
        result.map_err(|failure| match failure {
            Failure::Start(error) if error.kind() == io::ErrorKind::NotFound => NOT_INSTALLED.to_owned(),
            Failure::Start(error) => format!("cannot start {name}: {error}"),
            Failure::Slow(patience) => slow(patience),
            Failure::Pipe(error) => format!("cannot talk to {name}: {error}; try again"),
            Failure::TooMuch(most) => format!("{name} said more than {} MiB and was killed", most >> 20),
        })
    }
}

const NOT_INSTALLED: &str = "marks and `fullnat` need the program nft, which is not installed: `apt install nftables`, or the \
                             package nftables of your system; everything else goes on without it";

/// Why nft failed. It ends with 1 whatever happened: the text is all there is.
fn cause(output: &Output, verb: &str) -> String {
    let said = &output.stderr;
    let is_said = |words: &[&str]| words.iter().any(|words| said.contains(words));
    // `/dev/stdin:3:1-2: Error: cause`, and then the line with a marker under it.
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let first = match first.split_once("Error: ") {
        Some((_, cause)) => cause,
        None => first,
    };
    if is_said(&["Operation not permitted", "Permission denied"]) {
        format!(
            "nft may not {verb} the packet filter (EPERM): it takes CAP_NET_ADMIN; run as root, or if another program \
             owns table inet {TABLE}, stop that"
        )
    } else if is_said(&[
        "Unable to initialize Netlink socket",
        "cache initialization failed",
        "Protocol not supported",
    ]) {
        format!(
            "this kernel has no nftables: {first}; is the module nf_tables installed? Try `modprobe nf_tables`"
        )
    } else if is_said(&["No such file or directory", "Operation not supported"]) {
        format!(
            "this kernel lacks a part of nftables: {first}; are the modules nf_tables, nft_chain_nat, nft_ct and nft_masq \
             installed? Try modprobe"
        )
    } else if first.is_empty() {
        format!("nft ended with {} and said nothing", output.status)
    } else {
        format!("nft cannot {verb} table inet {TABLE}: {first}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mark, MarkMatch, Protocol};

    /// An nft that is a shell script; it finds its arguments in `$*` and its directory in `$here`.
    fn fake(script: &str) -> (tempfile::TempDir, Filter) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("nft");
        let text = format!("#!/bin/sh\nhere={}\n{script}\n", directory.path().display());
        // Another test might start a program while this one has the file open for writing, and hold it open.
        let write =
            ["-c", "printf %s \"$1\" > \"$2\"; chmod 755 \"$2\"", "sh", &text, program.to_str().unwrap()];
        assert!(Command::new("sh").args(write).status().unwrap().success());
        (directory, Filter::with_program(program))
    }

    fn table() -> Table {
        let packets = MarkMatch {
            protocol: Some(Protocol::Tcp),
            address: None,
            ports: vec![80..=80],
            source: None,
            interface: None,
        };
        Table { marks: vec![Mark { mark: 10, matches: vec![packets] }], ..Table::default() }
    }

    #[test]
    fn the_script_goes_to_nft_word_for_word() {
        let (directory, mut filter) =
            fake("echo \"$*\" > $here/arguments; echo $LC_ALL >> $here/arguments; cat > $here/script");
        filter.write(&table()).unwrap();
        let read = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("arguments"), "-f -\nC\n");
        assert_eq!(read("script"), table().script());
    }

    #[test]
    fn a_table_that_is_not_there_is_empty_and_one_that_is_there_is_not() {
        let absent = "echo 'Error: No such file or directory' >&2; exit 1";
        let script = |name| format!("case $* in 'list tables') echo table inet {name};; *) {absent};; esac");
        let (_directory, mut filter) = fake(&script("other"));
        assert_eq!(filter.read(), Ok(Table::default()));
        let (_directory, mut filter) = fake(&script("lbd"));
        assert_eq!(
            filter.read().unwrap_err(),
            "this kernel lacks a part of nftables: No such file or directory; are the modules nf_tables, nft_chain_nat, \
             nft_ct and nft_masq installed? Try modprobe"
        );
    }

    #[test]
    fn what_nft_says_is_told_with_what_to_do() {
        let not_root = "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted";
        let no_socket = "netlink.c:65: Unable to initialize Netlink socket: Protocol not supported";
        let no_nat = "/dev/stdin:45:3-6: Error: Could not process rule: No such file or directory\n\t\tmasquerade\n\t\t^^^^";
        let other = "/dev/stdin:4:1-2: Error: Could not process rule: Device or resource busy\nadd\n^^";
        for (said, expected) in [
            (not_root, "nft may not change the packet filter (EPERM): it takes CAP_NET_ADMIN; "),
            (
                no_socket,
                "this kernel has no nftables: netlink.c:65: Unable to initialize Netlink socket: Protocol not supported; ",
            ),
            (
                no_nat,
                "this kernel lacks a part of nftables: Could not process rule: No such file or directory; ",
            ),
            (other, "nft cannot change table inet lbd: Could not process rule: Device or resource busy"),
            ("", "nft ended with exit status: 1 and said nothing"),
        ] {
            let (_directory, mut filter) = fake(&format!("cat > /dev/null; echo '{said}' >&2; exit 1"));
            let message = filter.write(&table()).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
        let (_directory, mut filter) = fake(&format!("echo '{not_root}' >&2; exit 1"));
        assert!(filter.read().unwrap_err().starts_with("nft may not read the packet filter (EPERM)"));
    }

    #[test]
    fn an_nft_that_cannot_be_used_is_told_from_an_empty_table() {
        let mut missing = Filter::with_program("/nonexistent/nft".into());
        assert_eq!(missing.read().unwrap_err(), NOT_INSTALLED);
        assert_eq!(missing.write(&table()).unwrap_err(), NOT_INSTALLED);
        let (_directory, mut crashing) = fake("kill -SEGV $$");
        assert_eq!(crashing.read().unwrap_err(), "nft ended with signal: 11 (SIGSEGV) and said nothing");
        let (_directory, mut babbling) =
            fake("[ \"$*\" = 'list tables' ] && echo table inet lbd || echo no JSON");
        assert!(babbling.read().unwrap_err().starts_with("cannot read nft's answer: "));
    }

    // One pass reads and writes several times, and the service manager does not wait for ever.
    #[test]
    fn an_nft_that_hangs_is_not_asked_again_at_once() {
        let (directory, mut hanging) = fake("echo once more >> $here/runs; exec sleep 60");
        hanging.patience = Duration::from_millis(500);
        let message = hanging.read().unwrap_err();
        assert!(
            message.ends_with("took more than 0 s and was killed; it is tried again in a while"),
            "{message}"
        );
        assert_eq!(hanging.write(&table()), Err(message));
        assert_eq!(std::fs::read_to_string(directory.path().join("runs")).unwrap(), "once more\n");
    }
}
