//! Remembers on disk what lbd owns and what was last applied and verified, each file written whole or not at all.

mod lock;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::record::Scope;
use crate::status::Status;

pub use self::lock::{Lock, NoLock};
pub use self::record::Record;

/// The file that holds [`Record`].
const RECORD: &str = "state.json";
/// The desired file as it was when it was last verified, byte for byte.
const VERIFIED: &str = "verified.yaml";
/// Held while a pass changes the kernel.
const LOCK: &str = "lock";
/// Held by the daemon as long as it runs.
const DAEMON: &str = "daemon.lock";
/// What the daemon tells about itself.
const STATUS: &str = "status.json";

/// A state directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    scope: Scope,
}

impl Store {
    /// A state directory for the boot and network namespace that this thread runs in. Nothing is read or written yet.
    ///
    /// # Errors
    /// Where `/proc` does not tell the boot or the namespace.
    pub fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { directory: directory.to_owned(), scope: Scope::here()? })
    }

    /// What is remembered; nothing where there is no record yet.
    ///
    /// # Errors
    /// A record that cannot be read or understood, in words for the operator. It is safe to go on with an empty one:
    /// nothing is owned then, hence nothing is deleted.
    pub fn load(&self) -> Result<Record, String> {
        let path = self.directory.join(RECORD);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Record::read(&text, &self.scope).map_err(|error| {
            format!(
                "{}: not a record of lbd ({error}); going on as if nothing were owned: what the file no longer holds \
                 is left alone as foreign",
                path.display()
            )
        })
    }

    /// Writes the record; makes the directory where it is missing.
    ///
    /// # Errors
    /// Where the disk will not take it. The old record is whole then.
    pub fn save(&self, record: &Record) -> Result<(), String> {
        self.replace(RECORD, |file| json(file, &record.on_disk(&self.scope)))
    }

    /// Keeps the text of a desired file that was applied and verified.
    ///
    /// # Errors
    /// Where the disk will not take it. The old copy is whole then.
    pub fn save_verified(&self, text: &str) -> Result<(), String> {
        if holds(&self.directory.join(VERIFIED), text.as_bytes()).unwrap_or(false) {
            return Ok(());
        }
        self.replace(VERIFIED, |file| file.write_all(text.as_bytes()))
    }

    /// The text of the desired file that was last applied and verified, if there is one.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn load_verified(&self) -> Result<Option<String>, String> {
        let path = self.directory.join(VERIFIED);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Forgets what was verified: the table is meant to be empty from now on.
    ///
    /// # Errors
    /// Where the disk will not let go of it.
    pub fn forget_verified(&self) -> Result<(), String> {
        let path = self.directory.join(VERIFIED);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Writes what the daemon tells about itself.
    ///
    /// # Errors
    /// Where the disk will not take it.
    pub fn save_status(&self, status: &Status) -> Result<(), String> {
        self.replace(STATUS, |file| json(file, status))
    }

    /// What the daemon told last; `None` where it never did, or in words that this version does not know.
    pub fn load_status(&self) -> Option<Status> {
        serde_json::from_slice(&fs::read(self.directory.join(STATUS)).ok()?).ok()
    }

    /// Takes the lock that one pass at a time holds; it is released when the returned guard goes. `waiting` is called
    /// once where somebody else has it, with who that is.
    ///
    /// # Errors
    /// Where the directory or the lock cannot be made.
    pub fn lock(&self, waiting: impl FnOnce(&str)) -> Result<Lock, String> {
        let mut lock = self.open_lock(LOCK)?;
        if !lock.try_take()? {
            waiting(&lock.holder());
            lock.take()?;
        }
        Ok(lock)
    }

    /// Takes the lock that one daemon at a time holds.
    ///
    /// # Errors
    /// Who holds it; where the directory or the lock cannot be made.
    pub fn lock_daemon(&self) -> Result<Lock, NoLock> {
        let mut lock = self.open_lock(DAEMON).map_err(NoLock::Impossible)?;
        if lock.try_take().map_err(NoLock::Impossible)? {
            return Ok(lock);
        }
        Err(NoLock::Held(format!(
            "{}: another daemon runs already ({})",
            self.directory.display(),
            lock.holder()
        )))
    }

    /// Who runs as the daemon of this directory, if anybody does.
    pub fn daemon(&self) -> Option<String> {
        Lock::other_holder(&self.directory.join(DAEMON))
    }

    fn open_lock(&self, name: &str) -> Result<Lock, String> {
        fs::create_dir_all(&self.directory)
            .map_err(|error| format!("{}: {error}", self.directory.display()))?;
        Lock::open(self.directory.join(name))
    }

    /// Writes a file so that a reader, or a power cut, meets the old content or the new, whole.
    fn replace(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), String> {
        let path = self.directory.join(name);
        let new = self.directory.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.directory)?;
            // What an interrupted writer left may be another user's, whose file cannot be written but removed.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new)?;
            let mut file = BufWriter::with_capacity(64 * 1024, file);
            content(&mut file)?;
            file.into_inner()?.sync_all()?;
            fs::rename(&new, &path)?;
            // The rename itself is on disk only when the directory is.
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| {
            // Half a file on a full disk is of use to nobody; where it cannot be removed, the next writer will.
            let _ = fs::remove_file(&new);
            format!("{}: {error}", path.display())
        })
    }
}

/// Whether a file holds this and nothing else. It is compared piece by piece: it may be megabytes long.
fn holds(path: &Path, content: &[u8]) -> io::Result<bool> {
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path)?);
    let mut rest = content;
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

/// JSON as a person may read it, and a line's end.
fn json(file: &mut BufWriter<File>, content: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *file, content)?;
    file.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::model::{SyncRole, Timeouts};
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
                filter: true,
            },
            verified: [key("tcp://10.0.0.13:80")].into(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("made/when/missing")).unwrap();
        assert_eq!(store.load(), Ok(Record::default()));
        store.save(&record()).unwrap();
        assert_eq!(store.load(), Ok(record()));
    }

    #[test]
    fn ownership_ends_with_the_boot_and_with_the_namespace_but_what_was_verified_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path()).unwrap();
        store.save(&record()).unwrap();
        let after = |scope: Scope| Store { directory: directory.path().into(), scope }.load().unwrap();
        let nothing_owned = Record { verified: record().verified, ..Record::default() };
        assert_eq!(after(Scope { boot: "another".into(), ..store.scope.clone() }), nothing_owned);
        assert_eq!(after(Scope { namespace: "4:1".into(), ..store.scope.clone() }), nothing_owned);
    }

    #[test]
    fn a_spoilt_record_is_named_and_owns_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path()).unwrap();
        for text in ["", "{", "[]", "{\"version\":1}", "\u{0}\u{0}"] {
            fs::write(directory.path().join(RECORD), text).unwrap();
            let error = store.load().unwrap_err();
            assert!(error.contains("state.json: not a record of lbd"), "{error}");
        }
    }

    // What is there already is not written again: the disk of a director that only looks shall rest.
    #[test]
    fn a_verified_text_is_written_when_it_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path()).unwrap();
        let file = || fs::metadata(directory.path().join(VERIFIED)).unwrap().ino();
        let long = "a: b\n".repeat(100_000);
        for text in ["", "a: b\n", &long, &long[1..], &format!("{long}c"), "a: b"] {
            store.save_verified(text).unwrap();
            assert_eq!(store.load_verified().unwrap().as_deref(), Some(text));
            let before = file();
            store.save_verified(text).unwrap();
            assert_eq!(file(), before);
        }
    }

    #[test]
    fn one_pass_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path()).unwrap();
        let held = store.lock(|_| panic!("nobody else is here")).unwrap();
        let (told, holder) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn(move || {
            store.lock(|holder| told.send(holder.to_owned()).unwrap()).map(|_| ())
        });
        assert_eq!(holder.recv().unwrap(), format!("process {}", std::process::id()));
        drop(held);
        assert_eq!(waiter.join().unwrap(), Ok(()));
    }
}
