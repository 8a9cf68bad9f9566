//! Records on disk what lbd owns and what was last applied and verified; each file is written completely or not at all.
//!
//! A file that cannot be read never counts as missing: see [`LoadError`].

mod conditions;
mod daemon;
mod events;
mod follow;
mod health;
mod history;
mod lock;
mod record;
mod trial;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use std::time::SystemTime;

use crate::files::seal::{self, SealError};
use crate::files::{Directory, FileError, Identity, Origin};
use crate::health::SharedFiles;

pub use self::conditions::unknown_health;
pub use self::daemon::DaemonLockError;
pub use self::follow::Follower;
pub use self::health::{Heard, KnownHealth, SILENCE, SavedHealth};
pub use self::lock::{Lock, LockMonitor};
pub use self::record::Record;

/// The file of the [`Record`].
const RECORD: &str = "state.json";
/// The file to which a corrupt record is renamed.
const CORRUPT: &str = "state.json.bad";
/// The desired file that was verified last, behind a line with its checksum.
const VERIFIED: &str = "verified.yaml";
/// The lock of a pass.
const LOCK: &str = "lock";
/// The longest state file that is read, in bytes; the largest desired file leads to a shorter one.
const LARGEST: u64 = 128 << 20;
/// A state directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: Directory,
    origin: Origin,
    /// What the daemon and the checker share, where that is of interest
    shared: Option<SharedFiles>,
}

/// Why the content of a state file is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// The file may be intact, and cannot be read at the moment, or not by this version of lbd. It must neither be overwritten nor
    /// count as empty.
    Unreadable(String),
    /// The file is corrupt: it is not what lbd wrote.
    Corrupt(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Unreadable(message) | Self::Corrupt(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for LoadError {}

impl From<FileError> for LoadError {
    fn from(error: FileError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl Store {
    /// Opens a state directory for the boot and network namespace of this thread. `cookie` is the number of that namespace that is not
    /// given again, where the kernel has one. Nothing is read or written yet.
    ///
    /// # Errors
    /// Where `/proc` does not show the boot or the namespace.
    pub fn new(directory: &Path, cookie: Option<u64>) -> io::Result<Self> {
        Ok(Self { directory: Directory::new(directory), origin: Origin::here(cookie)?, shared: None })
    }

    /// The same directory, as a host sees it that has booted again.
    #[cfg(feature = "fake")]
    pub fn in_boot(mut self, boot: &str) -> Self {
        boot.clone_into(&mut self.origin.boot);
        self
    }

    /// The boot and the network namespace for which it is.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Reads the record; an empty one where there is none yet.
    ///
    /// # Errors
    /// Where there is a record that cannot be read, or is corrupt.
    pub fn load(&self) -> Result<Record, LoadError> {
        self.load_for_pass().map(|(record, _)| record)
    }

    /// The same; and whether it is bound to this network namespace for good. One of an older lbd, which names only the inode
    /// number of the namespace, is not, and has to be written again: another namespace may get that number.
    ///
    /// # Errors
    /// As for [`Store::load`].
    pub fn load_for_pass(&self) -> Result<(Record, bool), LoadError> {
        match self.directory.read(RECORD, LARGEST)? {
            Some(text) => Record::read(&text, &self.origin).map_err(|error| self.load_error(RECORD, &error)),
            None => Ok((Record::default(), true)),
        }
    }

    /// Whether there is a record that was written in this boot and network namespace. Not known to be so counts as no.
    pub fn has_record_from_here(&self) -> bool {
        let text = self.directory.read(RECORD, LARGEST);
        text.is_ok_and(|text| text.is_some_and(|text| record::is_from(&text, &self.origin)))
    }

    fn load_error(&self, name: &str, error: &SealError) -> LoadError {
        let message = format!("{}: {error}", self.directory.path().join(name).display());
        match error {
            SealError::Newer(..) => LoadError::Unreadable(message),
            SealError::Corrupt(_) => LoadError::Corrupt(message),
        }
    }

    /// Writes the record; creates the directory where it is missing.
    ///
    /// # Errors
    /// Where it cannot be written. The old record stays intact then.
    pub fn save(&self, record: &Record) -> Result<(), FileError> {
        self.directory.replace(RECORD, |file| {
            file.write_all(&seal::json(record::VERSION, &record.on_disk(&self.origin))?)
        })
    }

    /// Gives the state files the owner, group and mode that they should have, where root wrote them with an older lbd.
    pub fn mend(&self) {
        self.directory.mend(RECORD);
        self.directory.mend(VERIFIED);
    }

    /// Renames a corrupt record, so that it can be examined; returns the new name.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn set_aside_record(&self) -> Result<&'static str, FileError> {
        self.directory.rename(RECORD, CORRUPT).map(|()| CORRUPT)
    }

    /// Keeps the text of a desired file that was applied and verified.
    ///
    /// # Errors
    /// Where it cannot be written. The old copy stays intact then.
    pub fn save_verified(&self, text: &str) -> Result<(), FileError> {
        self.directory.replace(VERIFIED, |file| {
            file.write_all(seal::text_head(text).as_bytes())?;
            file.write_all(text.as_bytes())
        })
    }

    /// Whether this is the text that was verified last; `None` where there is none, or it cannot be read.
    pub fn verified_is(&self, text: &str) -> Option<bool> {
        let file = self.directory.open_file(VERIFIED).ok()?;
        is_equal(file, &seal::text_head(text), text).ok()
    }

    /// Which file has the text that was verified last, and when it was written: another text is in another file, or of another time.
    pub fn verified_file(&self) -> Option<(Identity, SystemTime)> {
        let file = self.directory.open_file(VERIFIED).ok()?;
        Some((Identity::of_file(&file).ok()?, file.metadata().ok()?.modified().ok()?))
    }

    /// The text of the desired file that was last applied and verified, if there is one.
    ///
    /// # Errors
    /// Where it exists and cannot be read, or is corrupt.
    pub fn load_verified(&self) -> Result<Option<String>, LoadError> {
        let Some(bytes) = self.directory.read(VERIFIED, LARGEST)? else { return Ok(None) };
        let text = String::from_utf8(bytes)
            .map_err(|error| SealError::Corrupt(error.to_string()))
            .and_then(seal::check_text);
        text.map(Some).map_err(|error| self.load_error(VERIFIED, &error))
    }

    /// Removes the copy of the verified file: a boot must not restore it.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget_verified(&self) -> Result<(), FileError> {
        self.directory.remove(VERIFIED)
    }

    /// Takes the lock under which one pass at a time runs, for a command of this name. A holder that proves to be stopped loses it.
    /// `waiting` is called once where another process has it, with that holder.
    ///
    /// # Errors
    /// Where the directory or the lock cannot be created.
    pub fn lock(&self, command: &str, waiting: impl FnOnce(&str)) -> Result<Lock, FileError> {
        Lock::take(&self.directory, LOCK, command, waiting)
    }

    /// Whether another process has the lock of a pass; false where that is not known.
    pub fn is_locked(&self) -> bool {
        Lock::other_holder(&self.directory, LOCK).is_ok_and(|holder| holder.is_some())
    }

    /// Whether the directory exists. Without it there is no record, and a running daemon cannot be detected.
    pub fn is_there(&self) -> bool {
        self.directory.path().is_dir()
    }
}

/// Whether a file consists of this line and this text. It is compared in pieces, since it may be megabytes long.
fn is_equal(file: File, head: &str, text: &str) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(64 * 1024, file);
    let mut begin = vec![0; head.len()];
    if file.read_exact(&mut begin).is_err() || begin != head.as_bytes() {
        return Ok(false);
    }
    let mut rest = text.as_bytes();
    loop {
        let piece = file.fill_buf()?;
        if piece.is_empty() {
            return Ok(rest.is_empty());
        }
        let Some(behind) = rest.strip_prefix(piece) else { return Ok(false) };
        rest = behind;
        let length = piece.len();
        file.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::{Spared, SyncLink, SyncRole, Timeouts};
    use crate::ownership::{Changed, Owned};

    fn record() -> Record {
        let key = |text: &str| text.parse().unwrap();
        Record {
            owned: [(key("tcp://10.0.0.13:80"), "web".into()), (key("fwmark6://10"), "shop".into())]
                .into_iter()
                .collect::<Owned>()
                .into(),
            changed: Changed {
                sysctls: [("net.ipv4.ip_forward".to_owned(), "0".to_owned())].into(),
                timeouts: Timeouts { tcp: Some(900), ..Timeouts::default() },
                sync: [SyncRole::Backup].into(),
                master_link: Some(SyncLink { interface: "eth1".into(), index: 7 }),
                filter: true,
            },
            verified: [key("tcp://10.0.0.13:80")].into(),
            spared: Spared { services: vec![key("tcp://10.9.9.9:80")], of: 3 },
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("made/when/missing"), None).unwrap();
        assert_eq!(store.load(), Ok(Record::default()));
        store.save(&record()).unwrap();
        assert_eq!(store.load(), Ok(record()));
    }

    #[test]
    fn ownership_ends_with_the_boot_and_with_the_namespace_but_what_was_verified_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        store.save(&record()).unwrap();
        let after = |origin: Origin| {
            Store { directory: Directory::new(directory.path()), origin, shared: None }.load().unwrap()
        };
        let nothing_owned = Record { verified: record().verified, ..Record::default() };
        assert_eq!(after(Origin { boot: "another".into(), ..store.origin.clone() }), nothing_owned);
        assert_eq!(after(Origin { namespace: "4:1".into(), ..store.origin.clone() }), nothing_owned);
    }

    #[test]
    fn a_corrupt_record_is_distinguished_from_one_that_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let path = directory.path().join(RECORD);
        for text in ["", "{", "[]", "{\"version\":1}", "{\"version\":2}", "\u{0}\u{0}"] {
            fs::write(&path, text).unwrap();
            let error = store.load().unwrap_err();
            assert!(matches!(error, LoadError::Corrupt(_)), "{text}: {error}");
            assert!(error.to_string().contains("state.json: "), "{error}");
        }
        fs::write(&path, "{\"version\":3,\"all\":\"new\"}").unwrap();
        let newer = format!(
            "{}: version 3, and this lbd reads up to 2; install the newer lbd again, or remove the file",
            path.display()
        );
        assert_eq!(store.load(), Err(LoadError::Unreadable(newer)));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let kind = format!("{}: is a directory, not a regular file; remove it", path.display());
        assert_eq!(store.load(), Err(LoadError::Unreadable(kind.clone())));
        assert!(store.save(&record()).is_err());
    }

    // A forged record made root's `lbd teardown` set anything below /proc/sys/net, and beyond it.
    #[test]
    fn a_record_restores_only_what_a_desired_file_could_have_set() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        for (name, value) in [
            ("kernel.core_pattern", "|/tmp/x"),
            ("net/../kernel/core_pattern", "|/tmp/x"),
            ("net.ipv4.ip_forward", "1\u{0}"),
            ("net..ip_forward", "1"),
            ("", "1"),
        ] {
            let sysctls = [(name.to_owned(), value.to_owned())].into();
            let record = Record { changed: Changed { sysctls, ..Changed::default() }, ..record() };
            store.save(&record).unwrap();
            assert!(matches!(store.load(), Err(LoadError::Corrupt(_))), "{name:?} {value:?}");
        }
    }

    #[test]
    fn a_record_of_an_older_lbd_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let Origin { boot, namespace, cookie: _ } = store.origin.clone();
        let text = format!(
            r#"{{ "version": 1, "boot": "{boot}", "namespace": "{namespace}",
              "owned": {{ "tcp://10.0.0.13:80": "web", "fwmark6://10": "shop" }},
              "changed": {{ "sysctls": {{ "net.ipv4.ip_forward": "0" }}, "timeouts": [900, null, null], "sync": ["backup"],
                "filter": true }},
              "verified": ["tcp://10.0.0.13:80"] }}"#
        );
        fs::write(directory.path().join(RECORD), text).unwrap();
        let changed = Changed { master_link: None, ..record().changed };
        assert_eq!(store.load(), Ok(Record { changed, spared: Spared::default(), ..record() }));
        // And its verified file, which had no checksum.
        fs::write(directory.path().join(VERIFIED), "version: 1\nclusters: []\n").unwrap();
        assert_eq!(store.load_verified(), Ok(Some("version: 1\nclusters: []\n".to_owned())));
    }

    #[test]
    fn a_verified_file_that_is_not_what_was_written_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        store.save_verified("version: 1\nclusters: []\n").unwrap();
        let path = directory.path().join(VERIFIED);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(store.load_verified(), Err(LoadError::Corrupt(_))));
    }

    // What is on disk already is not to be written again, so that an idle director causes no writes.
    #[test]
    fn the_verified_text_is_told_from_each_other_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        assert_eq!(store.verified_is(""), None);
        let long = "a: b\n".repeat(100_000);
        for text in ["", "a: b\n", &long, &long[1..], &format!("{long}c"), "a: b"] {
            assert_ne!(store.verified_is(text), Some(true));
            store.save_verified(text).unwrap();
            assert_eq!(store.load_verified().unwrap().as_deref(), Some(text));
            assert_eq!(store.verified_is(text), Some(true));
        }
    }
}
