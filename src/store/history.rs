//! Stores the history: a list of the files that were verified, and each different text once, by its SHA-256.

use std::collections::HashSet;
use std::io::Write;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{LoadError, Store, VERIFIED, is_equal};
use crate::files::seal::{self, SealError};
use crate::files::{Directory, FileError, sha256};
use crate::history::{Cause, Counts, Entry, History, MOST_BYTES, MOST_ENTRIES, Trigger};
use crate::status::{ChangedBy, Timestamp};

/// The directory of the history.
pub(super) const DIRECTORY: &str = "history";
/// The list.
const INDEX: &str = "index.json";
/// The file to which a corrupt list is renamed.
const CORRUPT: &str = "index.json.bad";
/// The longest list that is read, in bytes: that of [`MOST_ENTRIES`] is shorter.
const LARGEST_INDEX: u64 = 2 << 20;
/// The version of the list; the first that has a checksum.
const VERSION: u32 = 2;
/// The end of a text's name.
const TEXT: &str = ".yaml";

/// The list on disk.
#[derive(Serialize, Deserialize)]
struct OnDisk<T> {
    history: T,
}

impl Store {
    fn history_directory(&self) -> Directory {
        self.directory.inside(DIRECTORY)
    }

    /// Reads the list of the history; an empty one where there is none yet.
    ///
    /// # Errors
    /// Where there is one that cannot be read, or is not what lbd wrote.
    pub fn load_history(&self) -> Result<History, LoadError> {
        let directory = self.history_directory();
        let Some(text) = directory.read(INDEX, LARGEST_INDEX)? else { return Ok(History::default()) };
        let corrupt = |reason: String| SealError::Corrupt(format!("not a history of lbd ({reason})"));
        let read = || -> Result<History, SealError> {
            seal::check_json(&text, VERSION)?;
            let read: Result<OnDisk<History>, _> = serde_json::from_slice(&text);
            let history = read.map_err(|error| corrupt(error.to_string()))?.history;
            history.problem().map_or(Ok(history), |problem| Err(corrupt(problem.to_owned())))
        };
        read().map_err(|error| self.load_error(&format!("{DIRECTORY}/{INDEX}"), &error))
    }

    /// Reads the text of a file of the history.
    ///
    /// # Errors
    /// Where it cannot be read, or is not what was verified.
    pub fn load_history_text(&self, entry: &Entry) -> Result<String, LoadError> {
        let name = text_name(&entry.sha256);
        let bytes = self.history_directory().read(&name, MOST_BYTES)?;
        let path = format!("{DIRECTORY}/{name}");
        let gone = || {
            LoadError::Unreadable(format!("{}: it is not there", self.directory.path().join(&path).display()))
        };
        let text =
            String::from_utf8(bytes.ok_or_else(gone)?).ok().filter(|text| sha256(text) == entry.sha256);
        text.ok_or_else(|| {
            self.load_error(
                &path,
                &SealError::Corrupt("its text is not the one that its name says".to_owned()),
            )
        })
    }

    /// Adds a file that a pass has verified, unless it is the newest one; `most` is how many are kept. To be called under the lock of a pass,
    /// before the text is kept as the one that was verified last: where the history is empty, that one is added before it. Gives a
    /// warning where the history was corrupt, and begins anew.
    ///
    /// # Errors
    /// Where it cannot be written, or the list cannot be read.
    pub fn note_verified(
        &self,
        text: &str,
        trigger: &Trigger,
        done: Counts,
        most: usize,
    ) -> Result<Option<String>, LoadError> {
        let Trigger { command, by, done: before } = trigger;
        let counts = Counts {
            added: before.added + done.added,
            edited: before.edited + done.edited,
            deleted: before.deleted + done.deleted,
        };
        let (mut history, warning) = self.history_to_write()?;
        if history.last_number() == 0 && most > 0 {
            self.add_earlier(&mut history, text, most)?;
        }
        let digest = sha256(text);
        if !history.is_newest(&digest) {
            // The daemon does not see who changed the file; a command that did has said so.
            let by = match command {
                ChangedBy::Run { .. } => self.installer(&digest),
                ChangedBy::Apply
                | ChangedBy::Rollback
                | ChangedBy::Try
                | ChangedBy::Confirm
                | ChangedBy::Restore
                | ChangedBy::Teardown => by.clone(),
            };
            let cause = Cause::verified(*command, by.as_deref());
            let now = SystemTime::now().into();
            self.add_to_history(&mut history, now, cause, counts, (text, digest), most)?;
        }
        Ok(warning)
    }

    /// Adds a desired file that another one is about to replace, unless the history has it. To be called under the lock of a pass.
    ///
    /// # Errors
    /// Where it cannot be written, or the list cannot be read.
    pub fn note_replaced(&self, text: &str, by: &str, most: usize) -> Result<(), LoadError> {
        let (mut history, _) = self.history_to_write()?;
        let digest = sha256(text);
        if history.with_digest(&digest).is_some() {
            return Ok(());
        }
        let cause = Cause::replaced(by);
        let counts = Counts::default();
        self.add_to_history(&mut history, SystemTime::now().into(), cause, counts, (text, digest), most)
    }

    /// The list, to be written again: a corrupt one is kept under another name, as the warning says, and numbers go on after its own
    /// where they can be read.
    fn history_to_write(&self) -> Result<(History, Option<String>), LoadError> {
        match self.load_history() {
            Err(LoadError::Corrupt(reason)) => {
                #[derive(Deserialize)]
                struct Last {
                    next: u64,
                }
                let directory = self.history_directory();
                let text = directory.read(INDEX, LARGEST_INDEX)?.unwrap_or_default();
                let last: Option<OnDisk<Last>> = serde_json::from_slice(&text).ok();
                directory.rename(INDEX, CORRUPT)?;
                let warning = format!("{reason}; it is kept as {CORRUPT}, and the history begins anew");
                Ok((History::after(last.map_or(0, |last| last.history.next)), Some(warning)))
            }
            history => history.map(|history| (history, None)),
        }
    }

    /// Adds the file that was verified before there was a history, so that there is a way back to it.
    fn add_earlier(&self, history: &mut History, text: &str, most: usize) -> Result<(), LoadError> {
        // What cannot be read is named by the pass.
        let Some(earlier) = self.load_verified().ok().flatten().filter(|earlier| earlier != text) else {
            return Ok(());
        };
        let written =
            self.directory.open_file(VERIFIED).ok().and_then(|file| file.metadata().ok()?.modified().ok());
        let at = written.unwrap_or_else(SystemTime::now).into();
        let text = (&*earlier, sha256(&earlier));
        self.add_to_history(history, at, Cause::Earlier, Counts::default(), text, most)
    }

    fn add_to_history(
        &self,
        history: &mut History,
        at: Timestamp,
        cause: Cause,
        counts: Counts,
        (text, digest): (&str, String),
        most: usize,
    ) -> Result<(), LoadError> {
        let directory = self.history_directory();
        let name = text_name(&digest);
        history.add(at, cause, counts, (digest, text.len() as u64), most);
        let is_kept = history.entries().last().is_some_and(|entry| text_name(&entry.sha256) == name);
        let is_there = directory.open_file(&name).is_ok_and(|file| is_equal(file, "", text).unwrap_or(false));
        if is_kept && !is_there {
            directory.replace(&name, |file| file.write_all(text.as_bytes()))?;
        }
        let on_disk = OnDisk { history: &*history };
        directory.replace(INDEX, |file| file.write_all(&seal::json(VERSION, &on_disk)?))?;
        Ok(remove_others(&directory, history)?)
    }
}

/// Removes the texts that no file of the list has, also those that an interrupted writer left.
fn remove_others(directory: &Directory, history: &History) -> Result<(), FileError> {
    let kept: HashSet<String> = history.entries().iter().map(|entry| text_name(&entry.sha256)).collect();
    // More than lbd ever wrote are the work of another program, and are removed bit by bit.
    for name in directory.names(4 * MOST_ENTRIES)? {
        let is_text = name.trim_end_matches(".new").ends_with(TEXT);
        if is_text && !kept.contains(&name) {
            directory.remove(&name)?;
        }
    }
    Ok(())
}

fn text_name(digest: &str) -> String {
    format!("{digest}{TEXT}")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn trigger() -> Trigger {
        Trigger { command: ChangedBy::Apply, by: Some("alice".into()), done: Counts::default() }
    }

    fn verified(store: &Store, text: &str, most: usize) {
        assert_eq!(store.note_verified(text, &trigger(), Counts::default(), most), Ok(None));
        store.save_verified(text).unwrap();
    }

    /// The numbers with their texts.
    fn texts(store: &Store) -> Vec<(u64, String)> {
        let history = store.load_history().unwrap();
        let text = |entry: &Entry| (entry.number, store.load_history_text(entry).unwrap());
        history.entries().iter().map(text).collect()
    }

    fn expected(texts: &[(u64, &str)]) -> Vec<(u64, String)> {
        texts.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
    }

    fn files(directory: &Path) -> usize {
        fs::read_dir(directory.join(DIRECTORY)).unwrap().count()
    }

    #[test]
    fn each_verified_file_is_kept_once_and_equal_texts_are_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        assert_eq!(store.load_history(), Ok(History::default()));
        for text in ["one", "one", "two", "one"] {
            verified(&store, text, 50);
        }
        assert_eq!(texts(&store), expected(&[(1, "one"), (2, "two"), (3, "one")]));
        // Both texts and the list.
        assert_eq!(files(directory.path()), 3);
        fs::write(directory.path().join(DIRECTORY).join("0123.yaml.new"), "torn").unwrap();
        verified(&store, "three", 2);
        assert_eq!((texts(&store), files(directory.path())), (expected(&[(3, "one"), (4, "three")]), 3));
        // None are kept; and numbers go on.
        verified(&store, "four", 0);
        assert_eq!((texts(&store), files(directory.path())), (vec![], 1));
        verified(&store, "five", 1);
        assert_eq!(texts(&store), expected(&[(6, "five")]));
    }

    #[test]
    fn the_file_that_was_verified_before_there_was_a_history_is_its_first_entry() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        store.save_verified("earlier").unwrap();
        verified(&store, "new", 50);
        assert_eq!(texts(&store), expected(&[(1, "earlier"), (2, "new")]));
        assert_eq!(store.load_history().unwrap().get(1).unwrap().cause, Cause::Earlier);
        store.note_replaced("new", "alice", 50).unwrap();
        store.note_replaced("edited", "alice", 50).unwrap();
        assert_eq!(texts(&store), expected(&[(1, "earlier"), (2, "new"), (3, "edited")]));
        // It is verified now, and was not before.
        verified(&store, "edited", 50);
        assert_eq!(store.load_history().unwrap().last_number(), 4);
    }

    // User lbd may write all of it, and root's commands read it.
    #[test]
    fn what_another_program_wrote_is_neither_followed_nor_believed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        verified(&store, "one", 50);
        let at = |name: &str| directory.path().join(DIRECTORY).join(name);
        let entry = store.load_history().unwrap().entries()[0].clone();
        let text = at(&text_name(&entry.sha256));
        let reason =
            |error: LoadError| error.to_string().replace(&*directory.path().to_string_lossy(), "DIR");
        let read = || store.load_history_text(&entry).map_err(reason);
        fs::write(&text, "another").unwrap();
        let name = format!("DIR/history/{}.yaml", entry.sha256);
        assert_eq!(read(), Err(format!("{name}: its text is not the one that its name says")));
        fs::remove_file(&text).unwrap();
        assert_eq!(read(), Err(format!("{name}: it is not there")));
        symlink("/etc/passwd", &text).unwrap();
        assert_eq!(read(), Err(format!("{name}: is a symbolic link, not a regular file; remove it")));
        // A list whose numbers are wrong, whatever its checksum.
        let index = at(INDEX);
        let mut list: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
        list["history"]["entries"][0]["number"] = 9.into();
        let forged = OnDisk { history: &list["history"] };
        fs::write(&index, seal::json(VERSION, &forged).unwrap()).unwrap();
        let says = "DIR/history/index.json: not a history of lbd (its numbers do not ascend)";
        assert_eq!(store.load_history().map_err(reason), Err(says.to_owned()));
        // The next file goes on after it.
        fs::remove_file(&text).unwrap();
        let warning = store.note_verified("two", &trigger(), Counts::default(), 50).unwrap().unwrap();
        assert!(
            warning.ends_with("; it is kept as index.json.bad, and the history begins anew"),
            "{warning}"
        );
        assert_eq!((texts(&store), at(CORRUPT).exists()), (expected(&[(3, "two")]), true));
        fs::write(&index, vec![b' '; 3 << 20]).unwrap();
        assert!(matches!(store.load_history(), Err(LoadError::Unreadable(_))));
        assert!(store.note_verified("three", &trigger(), Counts::default(), 50).is_err());
    }
}
