//! Reads the events as they come, also behind a file that is renamed since it is long.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::Store;
use super::events::{EVENTS, LARGEST, OLDER};
use super::history::DIRECTORY;
use crate::files::{Directory, FileError, Identity};
use crate::history::{HistoryEvent, LONGEST_LINE, read_events};

/// The events of a store, each given once, the oldest first.
pub struct Follower {
    directory: Directory,
    /// The files of events, the older one first. Who has opened it before it was renamed may still write into it once.
    tails: Vec<Tail>,
}

/// An open file, of which a part was read.
struct Tail {
    file: File,
    identity: Option<Identity>,
    /// What was read of a line whose end is not there yet
    rest: Vec<u8>,
    /// How much of the file was read
    offset: u64,
}

impl Store {
    /// Begins with the events that are kept.
    ///
    /// # Errors
    /// Where a file of them cannot be opened, or cannot be trusted.
    pub fn follow_events(&self) -> Result<Follower, FileError> {
        let mut follower = Follower { directory: self.directory.inside(DIRECTORY), tails: Vec::new() };
        // In this order: renamed meanwhile, a file is found twice, and not never.
        let newest = follower.open(EVENTS)?;
        let older = follower.open(OLDER)?;
        let is_newest = |tail: &Tail| newest.as_ref().is_some_and(|newest| newest.identity == tail.identity);
        follower.tails.extend(older.filter(|older| !is_newest(older)));
        follower.tails.extend(newest);
        Ok(follower)
    }
}

impl Follower {
    /// The events that have come since the last call, and how many lines could not be read.
    ///
    /// # Errors
    /// Where a file of them cannot be read.
    pub fn next_events(&mut self) -> Result<(Vec<HistoryEvent>, usize), FileError> {
        let newest = self.directory.identity(EVENTS)?;
        let is_known = self.tails.last().is_some_and(|tail| tail.identity == newest);
        let (mut events, mut skipped) = (Vec::new(), 0);
        for tail in &mut self.tails {
            let path = self.directory.path().join(EVENTS);
            let (more, unread) = tail.read().map_err(|error| FileError { path, cause: error.into() })?;
            events.extend(more);
            skipped += unread;
        }
        if newest.is_some() && !is_known {
            let beyond = self.tails.len().saturating_sub(1);
            self.tails.drain(..beyond);
            self.tails.extend(self.open(EVENTS)?);
        }
        Ok((events, skipped))
    }

    /// Opens a file of events, if there is one.
    fn open(&self, name: &str) -> Result<Option<Tail>, FileError> {
        match self.directory.open_file(name) {
            Ok(file) => {
                let identity = Identity::of_file(&file).ok();
                Ok(Some(Tail { file, identity, rest: Vec::new(), offset: 0 }))
            }
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Tail {
    /// The events in the lines that have got their ends since the last call, and how many of these lines could not be read.
    fn read(&mut self) -> io::Result<(Vec<HistoryEvent>, usize)> {
        if self.file.metadata()?.len() < self.offset {
            // It was emptied.
            (self.offset, self.rest) = (0, Vec::new());
        }
        self.file.seek(SeekFrom::Start(self.offset))?;
        // However fast it grows.
        let read = (&self.file).take(LARGEST).read_to_end(&mut self.rest)?;
        self.offset += read as u64;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        // A longer line is no event.
        self.rest.truncate(LONGEST_LINE + 1);
        Ok(read_events(&lines))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::history::EventKind;

    #[test]
    fn each_event_is_given_once_when_it_comes_also_behind_a_renamed_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let event = |number: usize| HistoryEvent::new(UNIX_EPOCH, EventKind::Conflict, number);
        let note = |number: usize| store.note_event(&event(number)).unwrap();
        let at = |name: &str| directory.path().join(DIRECTORY).join(name);
        let texts = |follower: &mut Follower| -> (Vec<String>, usize) {
            let (events, skipped) = follower.next_events().unwrap();
            (events.into_iter().map(|event| event.text).collect(), skipped)
        };
        let some = |numbers: &[usize]| (numbers.iter().map(ToString::to_string).collect::<Vec<_>>(), 0);
        let mut early = store.follow_events().unwrap();
        assert_eq!(texts(&mut early), some(&[]));
        note(1);
        fs::rename(at(EVENTS), at(OLDER)).unwrap();
        note(2);
        let mut follower = store.follow_events().unwrap();
        assert_eq!(texts(&mut follower), some(&[1, 2]));
        assert_eq!(texts(&mut follower), some(&[]));
        // Half a line is no event yet.
        let mut old = fs::OpenOptions::new().append(true).open(at(EVENTS)).unwrap();
        let line = event(3).line();
        old.write_all(&line[..20]).unwrap();
        assert_eq!(texts(&mut follower), some(&[]));
        old.write_all(&line[20..]).unwrap();
        fs::rename(at(EVENTS), at(OLDER)).unwrap();
        note(4);
        assert_eq!(texts(&mut follower), some(&[3]));
        // Its writer had opened the file before that.
        old.write_all(&event(5).line()).unwrap();
        assert_eq!(texts(&mut follower), some(&[5, 4]));
        old.write_all(b"\0\n").unwrap();
        assert_eq!(texts(&mut follower), (vec![], 1));
        // The directory was removed, and an event has created it again.
        fs::remove_dir_all(at("")).unwrap();
        assert_eq!(texts(&mut follower), some(&[]));
        note(6);
        assert_eq!(texts(&mut follower), some(&[]));
        assert_eq!(texts(&mut follower), some(&[6]));
        assert_eq!(texts(&mut early), some(&[]));
        assert_eq!(texts(&mut early), some(&[6]));
    }
}
