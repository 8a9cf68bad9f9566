//! Stores the events: lines at the end of a file, which is renamed when it is long; the one before it is kept.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::history::DIRECTORY;
use super::{LoadError, Store};
use crate::files::{FileError, Identity};
use crate::history::{HistoryEvent, LONGEST_LINE, read_events};

/// The file of the events.
pub(super) const EVENTS: &str = "events.jsonl";
/// The file of the events before them.
pub(super) const OLDER: &str = "events.jsonl.1";
/// How long each of both is at most, in bytes.
pub(super) const LARGEST: u64 = 5 << 20;

impl Store {
    /// Notes what happened, at the end of the others. Each event is one write, so that those of several processes are not mixed.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn note_event(&self, event: &HistoryEvent) -> Result<(), FileError> {
        self.note_event_within(event, LARGEST)
    }

    /// The same, with each of both files of at most `largest` bytes.
    fn note_event_within(&self, event: &HistoryEvent, largest: u64) -> Result<(), FileError> {
        let directory = self.directory.inside(DIRECTORY);
        let error = |cause: io::Error| FileError { path: directory.path().join(EVENTS), cause: cause.into() };
        let line = event.line();
        let mut file = directory.open_to_append(EVENTS)?;
        let length = file.metadata().map_err(error)?.len();
        // Another process may have renamed it a moment ago.
        let is_the_newest =
            || Some(Identity::of_file(&file).ok()) == Some(directory.identity(EVENTS).ok().flatten());
        if length > 0 && length + line.len() as u64 > largest && is_the_newest() {
            directory.rename(EVENTS, OLDER)?;
            file = directory.open_to_append(EVENTS)?;
        }
        let is_torn = is_torn(&file).map_err(error)?;
        let text = if is_torn { [b"\n", line.as_slice()].concat() } else { line };
        file.write_all(&text).map_err(error)
    }

    /// The user who made the file with this SHA-256 the desired one by a command, if that was not long ago.
    pub(super) fn installer(&self, sha256: &str) -> Option<String> {
        /// How much of the newest events is read.
        const TAIL: u64 = 64 << 10;
        let file = self.directory.inside(DIRECTORY).open_file(EVENTS).ok()?;
        let begin = file.metadata().ok()?.len().saturating_sub(TAIL);
        let mut text = Vec::new();
        let mut file = file;
        file.seek(SeekFrom::Start(begin)).ok()?;
        file.take(TAIL).read_to_end(&mut text).ok()?;
        let (events, _) = read_events(&text);
        events.into_iter().rev().find(|event| event.sha256.as_deref() == Some(sha256))?.by
    }

    /// Reads the events, the oldest first, and how many lines could not be read.
    ///
    /// # Errors
    /// Where a file of them cannot be read, or is longer than lbd writes it.
    pub fn load_events(&self) -> Result<(Vec<HistoryEvent>, usize), LoadError> {
        let directory = self.directory.inside(DIRECTORY);
        let (mut events, mut skipped) = (Vec::new(), 0);
        for name in [OLDER, EVENTS] {
            let text = directory.read(name, LARGEST + LONGEST_LINE as u64)?.unwrap_or_default();
            let (more, unread) = read_events(&text);
            events.extend(more);
            skipped += unread;
        }
        Ok((events, skipped))
    }
}

/// Whether the last line of a file has no end: its writer was interrupted.
fn is_torn(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::history::EventKind;

    fn event(number: usize) -> HistoryEvent {
        HistoryEvent::new(UNIX_EPOCH, EventKind::Conflict, number)
    }

    fn texts(store: &Store) -> (Vec<String>, usize) {
        let (events, skipped) = store.load_events().unwrap();
        (events.into_iter().map(|event| event.text).collect(), skipped)
    }

    #[test]
    fn a_long_file_is_renamed_and_the_one_before_it_goes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        assert_eq!(texts(&store), (vec![], 0));
        let largest = 3 * event(1).line().len() as u64;
        for number in 1..=8 {
            store.note_event_within(&event(number), largest).unwrap();
            let length = |name: &str| {
                fs::metadata(directory.path().join(DIRECTORY).join(name)).map_or(0, |metadata| metadata.len())
            };
            assert!(length(EVENTS) <= largest && length(OLDER) <= largest, "{number}");
        }
        assert_eq!(texts(&store), ((4..=8).map(|number| number.to_string()).collect(), 0));
    }

    #[test]
    fn an_event_behind_a_torn_line_is_a_line_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        store.note_event(&event(1)).unwrap();
        let path = directory.path().join(DIRECTORY).join(EVENTS);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(&event(2).line()[..20]);
        fs::write(&path, text).unwrap();
        store.note_event(&event(3)).unwrap();
        assert_eq!(texts(&store), (vec!["1".into(), "3".into()], 1));
        // What another program put there is neither followed nor read for ever.
        fs::write(&path, vec![b'\n'; 6 << 20]).unwrap();
        assert!(
            store.load_events().unwrap_err().to_string().contains("events.jsonl: is larger than the limit")
        );
        fs::remove_file(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        assert!(store.note_event(&event(4)).is_err() && store.load_events().is_err());
    }

    #[test]
    fn events_of_several_writers_are_not_mixed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let line = event(1_000).line().len() as u64;
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..100 {
                        store.note_event_within(&event(1_000 + writer * 100 + number), line * 1_000).unwrap();
                    }
                });
            }
        });
        let (mut texts, skipped) = texts(&store);
        texts.sort();
        let all: Vec<String> = (1_000..1_400).map(|number: usize| number.to_string()).collect();
        assert_eq!((texts, skipped), (all, 0));
    }
}
