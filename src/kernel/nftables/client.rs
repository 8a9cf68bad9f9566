//! Reads and writes lbd's own table of nftables by the program `nft`.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::error::{NftAction, NftError};
use super::generation::Generation;
use crate::kernel::program::{self, ProgramOutput, RunError};
use crate::nft::{self, Listing, TABLE, Table};

/// How long nft may take. Ten thousand rules with a set of ports in each took it 15 s on a busy machine, nearly all of them
/// in the kernel. lbd does nothing else meanwhile, and the service manager waits a minute for a sign of life.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it is not run again after it took longer: one pass runs it several times.
const BACK_OFF: Duration = Duration::from_secs(60);

/// Access to the table, in the network namespace of the calling thread.
pub struct NftClient {
    /// The program; `None`: wherever it is installed
    program: Option<PathBuf>,
    /// How long it may take
    patience: Duration,
    /// When it took longer
    stuck: Option<Instant>,
    generation: Generation,
    /// The table as it was read last, and the generation that it is of
    last: Option<(u32, Table)>,
}

impl Default for NftClient {
    fn default() -> Self {
        Self { program: None, patience: PATIENCE, stuck: None, generation: Generation::default(), last: None }
    }
}

impl NftClient {
    /// The same with a certain program instead of the one that is installed.
    pub fn with_program(program: PathBuf) -> Self {
        Self { program: Some(program), ..Self::default() }
    }

    /// Reads the table; an empty one where it is not there. No program is run where no table was changed since the
    /// last time.
    ///
    /// # Errors
    /// Where nft cannot list the table.
    pub fn read(&mut self) -> Result<Table, NftError> {
        // Read before the table is listed: a change in between is seen the next time.
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

    fn list(&mut self) -> Result<Table, NftError> {
        let output = self.nft(&["-n", "-j", "list", "table", "inet", TABLE], "")?;
        let listing = match Listing::read(&output.stdout) {
            Ok(listing) if output.status.success() => listing,
            unreadable => {
                // A missing table is no error here, but nft reports it as one.
                let tables = self.nft(&["list", "tables"], "")?;
                if !tables.status.success() {
                    return Err(NftError::of(&tables, NftAction::Read));
                }
                if !nft::names_table(&tables.stdout) {
                    return Ok(Table::default());
                }
                Listing::of_flagged(&self.for_people()).ok_or_else(|| match unreadable {
                    Err(error) if output.status.success() => NftError::Unreadable(error),
                    Ok(_) | Err(_) => NftError::of(&output, NftAction::Read),
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

    /// Replaces the table, in one transaction.
    ///
    /// # Errors
    /// Where nft cannot do it. The table is as it was.
    pub fn write(&mut self, table: &Table) -> Result<(), NftError> {
        self.last = None;
        let output = self.nft(&["-f", "-"], &table.script())?;
        if output.status.success() { Ok(()) } else { Err(NftError::of(&output, NftAction::Change)) }
    }

    fn nft(&mut self, arguments: &[&str], input: &str) -> Result<ProgramOutput, NftError> {
        let program =
            self.program.clone().or_else(|| program::installed("nft")).ok_or(NftError::NotInstalled)?;
        if self.stuck.is_some_and(|since| since.elapsed() < BACK_OFF) {
            return Err(NftError::Run { program, error: RunError::Slow(self.patience) });
        }
        let mut command = Command::new(&program);
        // What it prints is compared, and must not depend on anybody's language.
        command.args(arguments).env("LC_ALL", "C");
        let result = program::run(&mut command, input, self.patience);
        self.stuck = matches!(result, Err(RunError::Slow(_))).then(Instant::now);
        result.map_err(|error| match error {
            RunError::Start(error) if error.kind() == io::ErrorKind::NotFound => NftError::NotInstalled,
            error => NftError::Run { program, error },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::model::{Mark, MarkMatch, Protocol};

    /// An nft that is a shell script; it finds its arguments in `$*` and its directory in `$here`.
    fn fake(script: &str) -> (tempfile::TempDir, NftClient) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("nft");
        let text = format!("#!/bin/sh\nhere={}\n{script}\n", directory.path().display());
        // Another test might start a program while this one has the file open for writing, and hold it open.
        let write =
            ["-c", "printf %s \"$1\" > \"$2\"; chmod 755 \"$2\"", "sh", &text, program.to_str().unwrap()];
        assert!(Command::new("sh").args(write).status().unwrap().success());
        (directory, NftClient::with_program(program))
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
        let (directory, mut nft) =
            fake("echo \"$*\" > $here/arguments; echo $LC_ALL >> $here/arguments; cat > $here/script");
        nft.write(&table()).unwrap();
        let read = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("arguments"), "-f -\nC\n");
        assert_eq!(read("script"), table().script());
    }

    #[test]
    fn a_table_that_is_not_there_is_empty_and_one_that_is_there_is_not() {
        let absent = "echo 'Error: No such file or directory' >&2; exit 1";
        let script = |name| format!("case $* in 'list tables') echo table inet {name};; *) {absent};; esac");
        let (_directory, mut nft) = fake(&script("other"));
        assert_eq!(nft.read().unwrap(), Table::default());
        let (_directory, mut nft) = fake(&script("lbd"));
        assert_eq!(
            nft.read().unwrap_err().to_string(),
            "this kernel lacks a part of nftables: No such file or directory; are the modules nf_tables, nft_chain_nat, \
             nft_ct and nft_masq installed? Try modprobe"
        );
    }

    #[test]
    fn an_error_of_nft_names_what_to_do() {
        let not_root = "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted";
        let no_socket = "netlink.c:65: Unable to initialize Netlink socket: Protocol not supported";
        let no_nat = "/dev/stdin:45:3-6: Error: Could not process rule: No such file or directory\n\t\tmasquerade\n\t\t^^^^";
        let other = "/dev/stdin:4:1-2: Error: Could not process rule: Device or resource busy\nadd\n^^";
        for (said, expected) in [
            (not_root, "nft may not change nftables (EPERM): it takes CAP_NET_ADMIN; "),
            (
                no_socket,
                "this kernel has no nftables: netlink.c:65: Unable to initialize Netlink socket: Protocol not supported; ",
            ),
            (
                no_nat,
                "this kernel lacks a part of nftables: Could not process rule: No such file or directory; ",
            ),
            (other, "nft cannot change table inet lbd: Could not process rule: Device or resource busy"),
            ("", "nft ended with exit status: 1 and printed no error"),
        ] {
            let (_directory, mut nft) = fake(&format!("cat > /dev/null; echo '{said}' >&2; exit 1"));
            let message = nft.write(&table()).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let (_directory, mut nft) = fake(&format!("echo '{not_root}' >&2; exit 1"));
        assert!(nft.read().unwrap_err().to_string().starts_with("nft may not read nftables (EPERM)"));
    }

    #[test]
    fn an_nft_that_cannot_be_used_is_told_from_an_empty_table() {
        let mut missing = NftClient::with_program("/nonexistent/nft".into());
        assert!(matches!(missing.read(), Err(NftError::NotInstalled)));
        assert!(matches!(missing.write(&table()), Err(NftError::NotInstalled)));
        let (_directory, mut crashing) = fake("kill -SEGV $$");
        assert_eq!(
            crashing.read().unwrap_err().to_string(),
            "nft ended with signal: 11 (SIGSEGV) and printed no error"
        );
        let (_directory, mut babbling) =
            fake("[ \"$*\" = 'list tables' ] && echo table inet lbd || echo no JSON");
        let error = babbling.read().unwrap_err();
        assert!(matches!(error, NftError::Unreadable(_)), "{error}");
        assert!(error.source().is_some());
    }

    // One pass reads and writes several times, and the service manager does not wait for ever.
    #[test]
    fn an_nft_that_hangs_is_not_run_again_at_once() {
        let (directory, mut hanging) = fake("echo once more >> $here/runs; exec sleep 60");
        hanging.patience = Duration::from_millis(500);
        let message = hanging.read().unwrap_err().to_string();
        assert!(
            message.ends_with("took more than 0 s and was killed; it is tried again in a while"),
            "{message}"
        );
        assert_eq!(hanging.write(&table()).unwrap_err().to_string(), message);
        assert_eq!(std::fs::read_to_string(directory.path().join("runs")).unwrap(), "once more\n");
    }
}
