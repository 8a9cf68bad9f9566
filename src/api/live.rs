//! Gives a client the events as they come, each with a number that grows, also across restarts of the daemon.
//!
//! A thread for each such client reads the files of the events as fast as the client reads its connection: what a client has not read yet is
//! on disk, and not in memory.

use std::io;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use hyper::body::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::history::HistoryEvent;
use crate::report;
use crate::status::Timestamp;
use crate::store::{Follower, Store};

/// How often is looked for events.
const INTERVAL: Duration = Duration::from_millis(200);
/// How often a client is sent something, so that it sees that there is a daemon.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many events wait in memory for a client.
const MOST_WAITING: usize = 256;
/// How many events of one second have different numbers.
const EACH_SECOND: u64 = 1_000_000;

/// The events, each with its number: the second in which it happened times a million, and more where several happened in one. So they are the
/// same however often the files are read, and whichever process reads them.
struct Numbered {
    follower: Follower,
    last: u64,
}

impl Numbered {
    fn next_events(&mut self) -> Option<Vec<(u64, HistoryEvent)>> {
        // What cannot be read now is perhaps never read.
        let (events, _) = self.follower.next_events().ok()?;
        let numbered = events.into_iter().map(|event| {
            self.last = self.last.saturating_add(1).max(second(event.at).saturating_mul(EACH_SECOND));
            (self.last, event)
        });
        Some(numbered.collect())
    }
}

fn second(at: Timestamp) -> u64 {
    at.since(UNIX_EPOCH.into()).as_secs()
}

/// Starts to send the events behind the one of the number `after`; without a number, those that come from now on.
///
/// # Errors
/// Where no thread can be started, or the events cannot be read.
pub(super) fn events(store: &Store, after: Option<u64>) -> io::Result<Receiver<Bytes>> {
    let follower = store.follow_events().map_err(io::Error::other)?;
    let mut events = Numbered { follower, last: 0 };
    let (sender, receiver) = channel(MOST_WAITING);
    let send = move || {
        let after = match after {
            Some(after) => after,
            None => match events.next_events() {
                Some(_) => events.last,
                None => return,
            },
        };
        // (So that the client has the head of the reply at once.)
        if sender.blocking_send(HEARTBEAT_TEXT).is_ok() {
            follow(&mut events, after, &sender);
        }
    };
    thread::Builder::new().name("events".to_owned()).spawn(send)?;
    Ok(receiver)
}

/// A comment.
const HEARTBEAT_TEXT: Bytes = Bytes::from_static(b":\n\n");

/// Sends events until the client has gone.
fn follow(events: &mut Numbered, after: u64, sender: &Sender<Bytes>) {
    let mut sent = Instant::now();
    while let Some(come) = events.next_events() {
        for (number, event) in come.iter().filter(|(number, _)| *number > after) {
            let Ok(text) = text(*number, event) else { continue };
            sent = Instant::now();
            if sender.blocking_send(text).is_err() {
                return;
            }
        }
        if sent.elapsed() >= HEARTBEAT {
            sent = Instant::now();
            if sender.blocking_send(HEARTBEAT_TEXT).is_err() {
                return;
            }
        }
        if sender.is_closed() {
            return;
        }
        thread::sleep(INTERVAL);
    }
}

/// An event as it is sent.
fn text(number: u64, event: &HistoryEvent) -> io::Result<Bytes> {
    let kind = serde_json::to_value(event.kind)?;
    let mut text = format!("id: {number}\nevent: {}\ndata: ", kind.as_str().unwrap_or_default()).into_bytes();
    // One line, which ends with a line break.
    report::event_lines(&mut text, std::slice::from_ref(event))?;
    text.push(b'\n');
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::EventKind;

    fn note(store: &Store, second: u64, text: &str) {
        let at = UNIX_EPOCH + Duration::from_secs(second);
        store.note_event(&HistoryEvent::new(at, EventKind::Drift, text)).unwrap();
    }

    #[test]
    fn events_have_the_same_numbers_however_often_they_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let numbers = || {
            let mut events = Numbered { follower: store.follow_events().unwrap(), last: 0 };
            let come = events.next_events().unwrap();
            come.into_iter().map(|(number, event)| (number, event.text)).collect::<Vec<_>>()
        };
        // The clock was set back before the third.
        for (second, text) in [(7, "one"), (7, "two"), (5, "three"), (9, "four")] {
            note(&store, second, text);
        }
        let expected = [(7_000_000, "one"), (7_000_001, "two"), (7_000_002, "three"), (9_000_000, "four")];
        let expected = expected.map(|(number, text)| (number, text.to_owned()));
        assert_eq!((numbers(), numbers()), (expected.to_vec(), expected.to_vec()));
    }

    #[test]
    fn what_a_client_does_not_read_waits_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        for number in 0..400 {
            note(&store, number, "x\n\"");
        }
        let mut receiver = events(&store, Some(399 * EACH_SECOND - 1)).unwrap();
        let next = |receiver: &mut Receiver<Bytes>| {
            String::from_utf8(receiver.blocking_recv().unwrap().to_vec()).unwrap()
        };
        assert_eq!(next(&mut receiver), ":\n\n");
        assert_eq!(
            next(&mut receiver),
            "id: 399000000\nevent: drift\ndata: {\"at\": \"1970-01-01T00:06:39Z\",\"kind\": \"drift\",\"by\": null,\"text\": \"x\\n\\\"\",\
             \"clusters\": [],\"version\": 1}\n\n"
        );
        let mut all = events(&store, Some(0)).unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(all.len() <= MOST_WAITING);
        // (The first is a comment.)
        let come: Vec<String> = (0..=400).map(|_| next(&mut all)).collect();
        assert_eq!(come.iter().filter(|text| text.starts_with("id: ")).count(), 400);
        note(&store, 500, "new");
        assert!(next(&mut receiver).starts_with("id: 500000000\n"));
    }
}
