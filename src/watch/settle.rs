//! Decides from what happened to the file, and when, the moment to look at it.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing must have happened after a completed change. A burst of events for one change is one look.
pub(super) const QUIET: Duration = Duration::from_millis(50);
/// The same for a young file whose writing nobody watched: its writer may be in the middle.
pub(super) const QUIET_UNWATCHED: Duration = Duration::from_millis(300);
/// How long a completed change waits for quiet, at most, while other completed changes follow it.
const PATIENCE: Duration = Duration::from_millis(400);

/// Why to look at the file, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The watching has just begun.
    Started,
    /// A writer closed the file.
    Written,
    /// Another file took its place: by a rename, or by a link.
    Replaced,
    /// It was deleted or renamed away.
    Removed,
    /// A symlink or a directory on the way to it changed.
    WayChanged,
    /// Its owner, mode or times changed.
    Attributes,
    /// It is not what it was, and no event told so.
    Found,
    /// Events may have been missed.
    Missed,
    /// Somebody asked.
    Asked,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "start",
            Self::Written => "the file was written",
            Self::Replaced => "the file was replaced",
            Self::Removed => "the file was removed",
            Self::WayChanged => "a symlink or directory on the way to the file changed",
            Self::Attributes => "the attributes of the file changed",
            Self::Found => "the file was found changed",
            Self::Missed => "changes of the file may have been missed",
            Self::Asked => "somebody asked",
        })
    }
}

/// What can happen to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It has come into being, with one name: opened next, it has a writer; not opened, it was linked as it is.
    Created,
    /// Somebody opened it, to read or to write.
    Opened,
    /// Its content changed.
    Modified,
    /// A writer closed it.
    Closed,
    /// What the path leads to is another file now, a whole one, or none.
    Changed(Reason),
    /// Something is known to be other than it was, but not whether a writer is at it.
    Noticed(Reason, Duration),
    /// Nothing known about a writer holds any more.
    Lost,
}

/// Who is at the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Nobody,
    /// It was created, and not opened so far
    Expected,
    /// It was opened right after it was created, and has not been modified
    Began(Instant),
    /// It was modified, and not closed since
    Writing(Instant),
}

/// A look that is owed.
#[derive(Debug, Clone, Copy)]
struct Owed {
    reason: Reason,
    /// When the first completed change was seen, if there was one: from then on `PATIENCE` runs
    completed: Option<Instant>,
    /// When it has been quiet for long enough, if nothing else happens
    quiet: Instant,
    /// Whether it was told that the file is whole
    told: bool,
}

/// The state between the events and the looks.
#[derive(Debug)]
pub(super) struct Settle {
    /// Grows with everything that can have changed what a reader reads
    generation: u64,
    writer: Writer,
    owed: Option<Owed>,
}

impl Settle {
    /// Nothing has happened.
    pub(super) fn new() -> Self {
        Self { generation: 0, writer: Writer::Nobody, owed: None }
    }

    /// Takes note of an event.
    pub(super) fn feed(&mut self, event: Event, now: Instant) {
        if event == Event::Opened {
            if self.writer == Writer::Expected {
                self.writer = Writer::Began(now);
            }
            return;
        }
        self.generation += 1;
        match event {
            Event::Opened => {}
            Event::Created => {
                self.writer = Writer::Expected;
                self.renew(Reason::Replaced, None, now);
            }
            Event::Modified => self.writer = Writer::Writing(self.written_since().unwrap_or(now)),
            Event::Closed => self.complete(Reason::Written, now),
            Event::Changed(reason) => self.complete(reason, now),
            Event::Noticed(reason, quiet) => self.owe(reason, quiet, now),
            Event::Lost => {
                self.writer = Writer::Nobody;
                self.owe(Reason::Missed, QUIET_UNWATCHED, now);
                // Whatever was seen before, another writer may have begun since.
                self.owed.iter_mut().for_each(|owed| owed.reason = Reason::Missed);
            }
        }
    }

    /// What is there now is whole.
    fn complete(&mut self, reason: Reason, now: Instant) {
        self.writer = Writer::Nobody;
        self.renew(reason, Some(now), now);
    }

    /// Owes a look for the latest reason, with what is known already of the changes that it will be for.
    fn renew(&mut self, reason: Reason, completed: Option<Instant>, now: Instant) {
        let before = self.owed;
        self.owed = Some(Owed {
            reason,
            completed: before.and_then(|owed| owed.completed).or(completed),
            quiet: now + QUIET,
            told: before.is_some_and(|owed| owed.told),
        });
    }

    fn owe(&mut self, reason: Reason, quiet: Duration, now: Instant) {
        let quiet = now + quiet;
        let owed = self.owed.get_or_insert(Owed { reason, completed: None, quiet, told: false });
        owed.quiet = owed.quiet.max(quiet);
    }

    /// When the next look will be due, if nothing else happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let owed = self.owed.filter(|_| self.written_since().is_none())?;
        Some(owed.completed.map_or(owed.quiet, |completed| owed.quiet.min(completed + PATIENCE)))
    }

    /// The look that is due now, if one is. It is owed no more.
    pub(super) fn take(&mut self, now: Instant) -> Option<Reason> {
        self.due().filter(|due| *due <= now)?;
        self.writer = Writer::Nobody;
        self.owed.take().map(|owed| owed.reason)
    }

    /// Tells whether the file is whole as it is, though more may come before the look: once for each look.
    pub(super) fn tell_whole(&mut self) -> bool {
        let is_whole =
            |owed: &&mut Owed| !owed.told && matches!(owed.reason, Reason::Written | Reason::Replaced);
        let owed = self.owed.as_mut().filter(|_| self.writer == Writer::Nobody).filter(is_whole);
        owed.map(|owed| owed.told = true).is_some()
    }

    /// What a reading has to be compared with: another generation is another content.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Since when a writer has been in the middle, if one is.
    pub(super) fn written_since(&self) -> Option<Instant> {
        match self.writer {
            Writer::Nobody | Writer::Expected => None,
            Writer::Began(since) | Writer::Writing(since) => Some(since),
        }
    }

    /// Whether a writer is believed to be at a new file that it has not put anything into.
    pub(super) fn has_only_begun(&self) -> bool {
        matches!(self.writer, Writer::Began(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    /// Feeds events at their milliseconds, asks every millisecond, and returns when the looks came.
    fn looks(events: &[(u64, Event)], until: u64) -> Vec<(u64, Reason)> {
        let (start, mut settle, mut looks) = (Instant::now(), Settle::new(), Vec::new());
        for millisecond in 0..until {
            for (_, event) in events.iter().filter(|(at, _)| *at == millisecond) {
                settle.feed(*event, after(start, millisecond));
            }
            looks.extend(settle.take(after(start, millisecond)).map(|reason| (millisecond, reason)));
        }
        looks
    }

    use Event::{Changed, Closed, Created, Lost, Modified, Noticed, Opened};
    use Reason::{Missed, Removed, Replaced, Written};

    /// After which of the events it is told that the file is whole.
    fn told_whole(events: &[Event]) -> Vec<usize> {
        let (now, mut settle) = (Instant::now(), Settle::new());
        let mut feed = |event: &Event| {
            settle.feed(*event, now);
            settle.tell_whole()
        };
        events.iter().enumerate().filter_map(|(place, event)| feed(event).then_some(place)).collect()
    }

    #[test]
    fn a_whole_file_is_told_of_at_once_and_once_for_each_look() {
        assert_eq!(told_whole(&[Changed(Replaced), Modified, Closed, Changed(Replaced)]), [0]);
        assert_eq!(told_whole(&[Changed(Removed), Created, Opened, Modified, Closed, Opened]), [4]);
        // Nobody knows whether these are whole.
        let uncertain = Noticed(Reason::Attributes, QUIET);
        let told = told_whole(&[Created, Opened, Modified, uncertain, Changed(Removed), Lost]);
        assert_eq!(told, [] as [usize; 0]);

        let (start, mut settle) = (Instant::now(), Settle::new());
        for at in [0, 1_000] {
            settle.feed(Closed, after(start, at));
            assert!(settle.tell_whole());
            assert_eq!(settle.take(after(start, at + 50)), Some(Written));
            assert!(!settle.tell_whole());
        }
    }

    #[test]
    fn a_burst_of_changes_is_one_look() {
        let burst =
            [(0, Changed(Removed)), (1, Created), (1, Opened), (2, Modified), (3, Closed), (20, Closed)];
        assert_eq!(looks(&burst, 1000), [(70, Written)]);
    }

    #[test]
    fn a_writer_may_pause_for_hours() {
        let hours = 3 * 3600 * 1000;
        let (start, mut settle) = (Instant::now(), Settle::new());
        settle.feed(Modified, start);
        settle.feed(Noticed(Reason::Attributes, QUIET), after(start, 10));
        assert_eq!((settle.due(), settle.take(after(start, hours))), (None, None));
        assert_eq!(settle.written_since(), Some(start));
        settle.feed(Modified, after(start, hours));
        assert_eq!(settle.written_since(), Some(start));
        settle.feed(Closed, after(start, hours));
        assert_eq!(settle.due(), Some(after(start, hours + 50)));
    }

    #[test]
    fn a_created_file_that_is_opened_waits_for_its_close_and_another_was_linked() {
        assert_eq!(looks(&[(0, Created), (1, Opened)], 5000), []);
        assert_eq!(looks(&[(0, Created), (1, Opened), (4000, Closed)], 5000), [(4050, Written)]);
        assert_eq!(looks(&[(0, Created)], 5000), [(50, Replaced)]);
        // A reader's opening later is not a writer's.
        assert_eq!(
            looks(&[(0, Created), (90, Opened), (200, Closed)], 5000),
            [(50, Replaced), (250, Written)]
        );
    }

    #[test]
    fn another_file_in_its_place_makes_the_writer_of_the_old_one_unimportant() {
        assert_eq!(looks(&[(0, Modified), (500, Changed(Replaced))], 5000), [(550, Replaced)]);
    }

    #[test]
    fn rewrites_without_a_pause_do_not_put_the_look_off_for_ever() {
        let rewrites: Vec<_> = (0..200).flat_map(|n| [(n * 10, Modified), (n * 10 + 3, Closed)]).collect();
        let looks = looks(&rewrites, 5000);
        assert!((2..=6).contains(&looks.len()), "{looks:?}");
        assert_eq!(looks.last(), Some(&(2043, Written)));
    }

    #[test]
    fn after_lost_events_it_is_looked_though_a_writer_seemed_to_be_in_the_middle() {
        assert_eq!(looks(&[(0, Modified), (500, Lost)], 5000), [(800, Missed)]);
        assert_eq!(looks(&[(0, Modified), (1, Closed), (2, Lost)], 5000), [(302, Missed)]);
    }

    #[test]
    fn a_young_file_waits_longer_but_not_if_its_close_is_seen() {
        let young = Noticed(Reason::WayChanged, QUIET_UNWATCHED);
        assert_eq!(looks(&[(0, young)], 5000), [(300, Reason::WayChanged)]);
        assert_eq!(looks(&[(0, young), (100, Closed)], 5000), [(150, Written)]);
    }

    proptest! {
        /// The two promises, over any order of events: no look between a modification and the end of it, and a look
        /// after the last completed change, within the quiet time.
        #[test]
        fn nothing_is_looked_at_half_and_nothing_is_lost(
            steps in prop::collection::vec((0u64..120, 0usize..5), 1..60),
        ) {
            let (mut now, mut events) = (0, Vec::new());
            for (pause, event) in steps {
                now += pause;
                events.push((now, [Created, Opened, Modified, Closed, Changed(Removed)][event]));
            }
            events.push((now + 1, Closed));
            let looks = looks(&events, now + 500);
            for (at, reason) in &looks {
                let last = events
                    .iter()
                    .rev()
                    .filter(|(when, _)| when <= at)
                    .find(|(_, event)| matches!(event, Modified | Closed | Changed(_) | Created));
                prop_assert!(!matches!(last, Some((_, Modified))), "looked for {reason:?} at {at} in {events:?}");
            }
            let last = looks.last().map(|(at, _)| *at).unwrap();
            prop_assert!((now + 1..=now + 51).contains(&last), "{last} in {events:?}");
        }
    }
}
