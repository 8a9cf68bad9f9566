//! Decides from the events of the file when to read it.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// How long there must be no event after a completed change. A burst of events for one change leads to one reading.
pub(super) const QUIET: Duration = Duration::from_millis(50);
/// The same for a young file that was written before it was watched: its writer may not be done.
pub(super) const QUIET_UNWATCHED: Duration = Duration::from_millis(300);
/// The longest time that further completed changes can postpone the reading.
const PATIENCE: Duration = Duration::from_millis(400);

/// Why the file is to be read, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadReason {
    /// The watch has just begun.
    Started,
    /// A writer closed the file.
    Written,
    /// Another file took its place, by a rename or a link.
    Replaced,
    /// It was deleted or renamed away.
    Removed,
    /// A symlink or a directory on the path to it changed.
    PathChanged,
    /// Its owner, mode or times changed.
    Attributes,
    /// It has changed without an event.
    Found,
    /// Events may have been missed.
    Missed,
    /// A reading was requested.
    Requested,
}

impl fmt::Display for ReadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "start",
            Self::Written => "the file was written",
            Self::Replaced => "the file was replaced",
            Self::Removed => "the file was removed",
            Self::PathChanged => "a symlink or directory on the path to the file changed",
            Self::Attributes => "the attributes of the file changed",
            Self::Found => "the file has changed without an event",
            Self::Missed => "events of the file may have been missed",
            Self::Requested => "a reading was requested",
        })
    }
}

/// An event of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileEvent {
    /// It was created, with one name. If it is opened next, it has a writer; if not, a complete file was linked.
    Created,
    /// A process opened it, to read or to write.
    Opened,
    /// Its content changed.
    Modified,
    /// A writer closed it.
    Closed,
    /// The path leads to another file now, which is complete, or to none.
    Changed(ReadReason),
    /// Something has changed; whether a process is writing is not known. The duration is the quiet time to wait for.
    Noticed(ReadReason, Duration),
    /// Events were lost, so that nothing is known about writers any more.
    Lost,
}

/// What is known about a writer of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// The file was created, and was not opened so far
    Expected,
    /// The file was opened right after it was created, and was not modified so far
    Began(Instant),
    /// The file was modified, and was not closed since
    Writing(Instant),
}

impl Writer {
    /// Since when it has been writing, if it is.
    fn since(self) -> Option<Instant> {
        match self {
            Self::Expected => None,
            Self::Began(since) | Self::Writing(since) => Some(since),
        }
    }
}

/// A reading that is due later.
#[derive(Debug, Clone, Copy)]
struct Pending {
    reason: ReadReason,
    /// When the first completed change was seen, if there was one: `PATIENCE` counts from here
    completed: Option<Instant>,
    /// When the quiet time ends, without further events
    quiet: Instant,
    /// Whether it was announced that the file is complete
    announced: bool,
}

/// Turns events into requests to read.
#[derive(Debug)]
pub(super) struct Debouncer {
    /// Grows with each event that can have changed the content
    generation: u64,
    /// Those that are known: of the desired file itself, or of one beside it, by its path
    writers: HashMap<Option<PathBuf>, Writer>,
    pending: Option<Pending>,
}

impl Debouncer {
    /// No event so far.
    pub(super) fn new() -> Self {
        Self { generation: 0, writers: HashMap::new(), pending: None }
    }

    /// Takes in an event of the desired file itself.
    pub(super) fn feed(&mut self, event: FileEvent, now: Instant) {
        self.feed_of(None, event, now);
    }

    /// Takes in an event of the desired file, or of what is beside it at this path.
    pub(super) fn feed_of(&mut self, beside: Option<&Path>, event: FileEvent, now: Instant) {
        let which = beside.map(Path::to_owned);
        if event == FileEvent::Opened {
            if let Some(writer @ Writer::Expected) = self.writers.get_mut(&which) {
                *writer = Writer::Began(now);
            }
            return;
        }
        self.generation += 1;
        match event {
            FileEvent::Opened => {}
            FileEvent::Created => {
                self.writers.insert(which, Writer::Expected);
                self.replace_pending(ReadReason::Replaced, None, now);
            }
            FileEvent::Modified => {
                let since = self.writers.get(&which).and_then(|writer| writer.since()).unwrap_or(now);
                self.writers.insert(which, Writer::Writing(since));
            }
            FileEvent::Closed => self.complete(&which, ReadReason::Written, now),
            FileEvent::Changed(reason) => self.complete(&which, reason, now),
            FileEvent::Noticed(reason, quiet) => self.schedule(reason, quiet, now),
            FileEvent::Lost => {
                self.writers.clear();
                self.schedule(ReadReason::Missed, QUIET_UNWATCHED, now);
                // Another writer may have begun since, whatever was seen before.
                self.pending.iter_mut().for_each(|pending| pending.reason = ReadReason::Missed);
            }
        }
    }

    /// Takes in that a file is complete.
    fn complete(&mut self, which: &Option<PathBuf>, reason: ReadReason, now: Instant) {
        self.writers.remove(which);
        self.replace_pending(reason, Some(now), now);
    }

    /// Schedules a reading for the latest reason; keeps what is known of the changes before.
    fn replace_pending(&mut self, reason: ReadReason, completed: Option<Instant>, now: Instant) {
        let before = self.pending;
        self.pending = Some(Pending {
            reason,
            completed: before.and_then(|pending| pending.completed).or(completed),
            quiet: now + QUIET,
            announced: before.is_some_and(|pending| pending.announced),
        });
    }

    /// Schedules a reading, or postpones the one that is scheduled.
    fn schedule(&mut self, reason: ReadReason, quiet: Duration, now: Instant) {
        let quiet = now + quiet;
        let pending =
            self.pending.get_or_insert(Pending { reason, completed: None, quiet, announced: false });
        pending.quiet = pending.quiet.max(quiet);
    }

    /// When the next reading is due, without further events.
    pub(super) fn due(&self) -> Option<Instant> {
        let pending = self.pending.filter(|_| self.written_since().is_none())?;
        Some(pending.completed.map_or(pending.quiet, |completed| pending.quiet.min(completed + PATIENCE)))
    }

    /// Takes the reading that is due now, if one is.
    pub(super) fn take(&mut self, now: Instant) -> Option<ReadReason> {
        self.due().filter(|due| *due <= now)?;
        self.writers.clear();
        self.pending.take().map(|pending| pending.reason)
    }

    /// Whether the file is complete now, though more changes may come before it is read; true once for each reading.
    pub(super) fn take_complete(&mut self) -> bool {
        let is_complete = |pending: &&mut Pending| {
            !pending.announced && matches!(pending.reason, ReadReason::Written | ReadReason::Replaced)
        };
        let pending = self.pending.as_mut().filter(|_| self.writers.is_empty()).filter(is_complete);
        pending.map(|pending| pending.announced = true).is_some()
    }

    /// The number of changes so far: a reading is outdated once it has grown.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Since when a process has been writing, if one is.
    pub(super) fn written_since(&self) -> Option<Instant> {
        self.writers.values().filter_map(|writer| writer.since()).min()
    }

    /// The files that are new, and that a process has opened and has not written to so far.
    pub(super) fn only_begun(&self) -> Vec<Option<PathBuf>> {
        let begun = self.writers.iter().filter(|(_, writer)| matches!(writer, Writer::Began(_)));
        begun.map(|(which, _)| which.clone()).collect()
    }

    /// Forgets the writers of files that are beside the desired file no more.
    pub(super) fn retain_beside(&mut self, is_beside: impl Fn(&Path) -> bool) {
        self.writers.retain(|which, _| which.as_deref().is_none_or(&is_beside));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    /// Feeds events at their milliseconds, polls every millisecond, and returns when readings were due.
    fn readings(events: &[(u64, FileEvent)], until: u64) -> Vec<(u64, ReadReason)> {
        let (start, mut debouncer, mut readings) = (Instant::now(), Debouncer::new(), Vec::new());
        for millisecond in 0..until {
            for (_, event) in events.iter().filter(|(at, _)| *at == millisecond) {
                debouncer.feed(*event, after(start, millisecond));
            }
            readings.extend(debouncer.take(after(start, millisecond)).map(|reason| (millisecond, reason)));
        }
        readings
    }

    use FileEvent::{Changed, Closed, Created, Lost, Modified, Noticed, Opened};
    use ReadReason::{Missed, Removed, Replaced, Written};

    /// After which of the events the file is announced as complete.
    fn completions(events: &[FileEvent]) -> Vec<usize> {
        let (now, mut debouncer) = (Instant::now(), Debouncer::new());
        let mut feed = |event: &FileEvent| {
            debouncer.feed(*event, now);
            debouncer.take_complete()
        };
        events.iter().enumerate().filter_map(|(place, event)| feed(event).then_some(place)).collect()
    }

    #[test]
    fn a_complete_file_is_announced_at_once_and_once_for_each_reading() {
        assert_eq!(completions(&[Changed(Replaced), Modified, Closed, Changed(Replaced)]), [0]);
        assert_eq!(completions(&[Changed(Removed), Created, Opened, Modified, Closed, Opened]), [4]);
        // Whether these are complete is not known.
        let uncertain = Noticed(ReadReason::Attributes, QUIET);
        let announced = completions(&[Created, Opened, Modified, uncertain, Changed(Removed), Lost]);
        assert_eq!(announced, [] as [usize; 0]);

        let (start, mut debouncer) = (Instant::now(), Debouncer::new());
        for at in [0, 1_000] {
            debouncer.feed(Closed, after(start, at));
            assert!(debouncer.take_complete());
            assert_eq!(debouncer.take(after(start, at + 50)), Some(Written));
            assert!(!debouncer.take_complete());
        }
    }

    #[test]
    fn a_burst_of_changes_is_one_reading() {
        let burst =
            [(0, Changed(Removed)), (1, Created), (1, Opened), (2, Modified), (3, Closed), (20, Closed)];
        assert_eq!(readings(&burst, 1000), [(70, Written)]);
    }

    #[test]
    fn a_writer_may_pause_for_hours() {
        let hours = 3 * 3600 * 1000;
        let (start, mut debouncer) = (Instant::now(), Debouncer::new());
        debouncer.feed(Modified, start);
        debouncer.feed(Noticed(ReadReason::Attributes, QUIET), after(start, 10));
        assert_eq!((debouncer.due(), debouncer.take(after(start, hours))), (None, None));
        assert_eq!(debouncer.written_since(), Some(start));
        debouncer.feed(Modified, after(start, hours));
        assert_eq!(debouncer.written_since(), Some(start));
        debouncer.feed(Closed, after(start, hours));
        assert_eq!(debouncer.due(), Some(after(start, hours + 50)));
    }

    #[test]
    fn a_created_file_that_is_opened_is_read_after_its_close_and_one_that_is_not_was_linked() {
        assert_eq!(readings(&[(0, Created), (1, Opened)], 5000), []);
        assert_eq!(readings(&[(0, Created), (1, Opened), (4000, Closed)], 5000), [(4050, Written)]);
        assert_eq!(readings(&[(0, Created)], 5000), [(50, Replaced)]);
        // A later opening is that of a reader.
        assert_eq!(
            readings(&[(0, Created), (90, Opened), (200, Closed)], 5000),
            [(50, Replaced), (250, Written)]
        );
    }

    #[test]
    fn a_replacement_ends_the_wait_for_the_writer_of_the_old_file() {
        assert_eq!(readings(&[(0, Modified), (500, Changed(Replaced))], 5000), [(550, Replaced)]);
    }

    #[test]
    fn rewrites_without_a_pause_do_not_postpone_the_reading_for_ever() {
        let rewrites: Vec<_> = (0..200).flat_map(|n| [(n * 10, Modified), (n * 10 + 3, Closed)]).collect();
        assert_eq!(readings(&rewrites, 5000), [403, 813, 1223, 1633, 2043].map(|at| (at, Written)));
    }

    #[test]
    fn after_lost_events_the_file_is_read_though_a_writer_seemed_to_be_at_work() {
        assert_eq!(readings(&[(0, Modified), (500, Lost)], 5000), [(800, Missed)]);
        assert_eq!(readings(&[(0, Modified), (1, Closed), (2, Lost)], 5000), [(302, Missed)]);
    }

    #[test]
    fn a_young_file_waits_longer_but_not_if_its_close_is_seen() {
        let young = Noticed(ReadReason::PathChanged, QUIET_UNWATCHED);
        assert_eq!(readings(&[(0, young)], 5000), [(300, ReadReason::PathChanged)]);
        assert_eq!(readings(&[(0, young), (100, Closed)], 5000), [(150, Written)]);
    }

    #[test]
    fn while_one_of_several_files_is_written_none_is_read() {
        let (start, mut debouncer) = (Instant::now(), Debouncer::new());
        let [a, b] = ["/d/a", "/d/b"].map(|path| Some(Path::new(path)));
        debouncer.feed_of(a, Modified, start);
        debouncer.feed_of(b, Created, start);
        debouncer.feed_of(b, Opened, start);
        debouncer.feed(Closed, start);
        debouncer.feed_of(a, Closed, after(start, 10));
        assert_eq!((debouncer.due(), debouncer.only_begun()), (None, vec![b.map(Path::to_owned)]));
        debouncer.feed_of(b, Closed, after(start, 30));
        assert_eq!(debouncer.take(after(start, 80)), Some(Written));
        // A writer of what was removed is waited for no more.
        debouncer.feed_of(a, Modified, after(start, 100));
        debouncer.feed_of(b, Closed, after(start, 100));
        debouncer.retain_beside(|path| Some(path) == b);
        assert_eq!(debouncer.take(after(start, 150)), Some(Written));
    }

    proptest! {
        /// The two promises, over any order of events: no reading between a modification and its end, and a reading after
        /// the last completed change, within the quiet time.
        #[test]
        fn no_half_written_file_is_read_and_no_change_is_lost(
            steps in prop::collection::vec((0u64..120, 0usize..5), 1..60),
        ) {
            let (mut now, mut events) = (0, Vec::new());
            for (pause, event) in steps {
                now += pause;
                events.push((now, [Created, Opened, Modified, Closed, Changed(Removed)][event]));
            }
            events.push((now + 1, Closed));
            let requests = readings(&events, now + 500);
            for (at, reason) in &requests {
                let last = events
                    .iter()
                    .rev()
                    .filter(|(when, _)| when <= at)
                    .find(|(_, event)| matches!(event, Modified | Closed | Changed(_) | Created));
                prop_assert!(!matches!(last, Some((_, Modified))), "read for {reason:?} at {at} in {events:?}");
            }
            let last = requests.last().map(|(at, _)| *at).unwrap();
            prop_assert!((now + 1..=now + 51).contains(&last), "{last} in {events:?}");
        }
    }
}
