//! Writes down the transactions of a fleet: what has to be so in etcd, and what is written then, both at one moment.

use std::time::SystemTime;

use super::decide::{Decision, decide};
use super::keys;
use super::records::{Head, Outcome, Slot, Version};
use super::view::{View, written};

/// What has to be so for a transaction to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// There is no such key
    Absent(String),
    /// This revision of etcd wrote the key last
    ModifiedAt {
        /// The key
        key: String,
        /// The revision
        revision: i64,
    },
    /// No key of this folder was written after this revision of etcd
    NothingNewIn {
        /// The folder, with its slash
        folder: String,
        /// The revision
        since: i64,
    },
}

/// What a transaction writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A key and its value
    Put {
        /// The key
        key: String,
        /// The value
        value: Vec<u8>,
        /// Whether it goes with the lease of the connection
        is_leased: bool,
    },
    /// A key goes; also where it is not there
    Delete(String),
}

/// All or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What has to be so
    pub conditions: Vec<Condition>,
    /// What is written then
    pub writes: Vec<Write>,
}

fn put(key: String, value: Vec<u8>) -> Write {
    Write::Put { key, value, is_leased: false }
}

/// That a key is as this picture has it: written last by that revision, or not there.
fn unchanged(key: &str, modified: Option<i64>) -> Condition {
    match modified {
        Some(revision) => Condition::ModifiedAt { key: key.to_owned(), revision },
        None => Condition::Absent(key.to_owned()),
    }
}

fn head_unchanged(view: &View) -> Condition {
    unchanged(keys::HEAD, view.head.as_ref().map(|head| head.modified))
}

/// A director takes its slot, where nothing that it decided from has changed since it was read: no slot was taken and no result came, the
/// revision and the strategy are the same, and nothing is halted. `None`: from this picture it does not take the revision. So nobody decides from
/// one picture and takes the slot by another one.
pub fn claim(view: &View, director: &str, revision: &str, now: SystemTime) -> Option<Transaction> {
    if decide(view, director, now) != Decision::Take(revision.to_owned()) {
        return None;
    }
    let slot = Slot { version: Version, revision: revision.to_owned(), since: now.into() };
    let nothing_new = |folder: &str| Condition::NothingNewIn { folder: folder.to_owned(), since: view.at };
    Some(Transaction {
        conditions: vec![
            head_unchanged(view),
            unchanged(keys::STRATEGY, view.strategy.as_ref().map(|strategy| strategy.modified)),
            Condition::Absent(keys::HALT.to_owned()),
            Condition::Absent(keys::slot(director)),
            nothing_new(keys::SLOTS),
            nothing_new(keys::RESULTS),
        ],
        writes: vec![put(keys::slot(director), written(&slot))],
    })
}

/// A director writes how a revision went, and frees its slot where it has one: one moment for both, so that nobody sees a free slot without its
/// result.
pub fn finish(view: &View, director: &str, outcome: &Outcome) -> Transaction {
    let slot = unchanged(&keys::slot(director), view.slots.get(director).map(|slot| slot.modified));
    let mut writes = vec![put(keys::result(director), written(outcome))];
    if view.slots.contains_key(director) {
        writes.push(Write::Delete(keys::slot(director)));
    }
    Transaction { conditions: vec![slot], writes }
}

/// A director takes its result back: another file is in the place of the one that it was about.
pub fn forget(view: &View, director: &str) -> Transaction {
    let slot = unchanged(&keys::slot(director), view.slots.get(director).map(|slot| slot.modified));
    Transaction { conditions: vec![slot], writes: vec![Write::Delete(keys::result(director))] }
}

/// Makes a revision the one that all directors take, where the head is still the one that was read.
pub fn promote(view: &View, head: &Head) -> Transaction {
    Transaction {
        conditions: vec![head_unchanged(view)],
        writes: vec![put(keys::HEAD.to_owned(), written(head))],
    }
}

/// How many former revisions a head remembers.
const FORMER: usize = 50;

/// The next head: this revision, for everyone.
pub fn next_head(
    view: &View,
    revision: &str,
    by: &str,
    reason: Option<String>,
    is_rollback: bool,
    now: SystemTime,
) -> Head {
    let before = view.head.as_ref().map(|head| &head.value);
    let mut former: Vec<String> = before.map(|head| head.former.clone()).unwrap_or_default();
    former.extend(before.map(|head| head.revision.clone()));
    former.retain(|former| former != revision);
    former.drain(..former.len().saturating_sub(FORMER));
    let good = before.filter(|_| view.is_verified_by_all()).map(|head| head.revision.clone());
    let last_good = good.or_else(|| before.and_then(|head| head.last_good.clone()));
    Head {
        version: Version,
        revision: revision.to_owned(),
        former,
        last_good: last_good.filter(|good| good != revision),
        is_rollback,
        by: by.to_owned(),
        at: now.into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::fleet::{Healthy, OnFailure, OutcomeKind, Parallel, Stage, Stored, Strategy};

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    /// A fleet of one director, with this head, which is verified or not.
    fn view(head: Option<Head>, is_verified: bool) -> View {
        let result = if is_verified { OutcomeKind::Verified } else { OutcomeKind::Failed };
        let revision = head.as_ref().map(|head| head.revision.clone()).unwrap_or_default();
        let outcome = Outcome { version: Version, revision, result, error: None, at: now().into() };
        let stage = Stage { labels: BTreeMap::new(), hold: Duration::ZERO, max_parallel: Parallel::Count(1) };
        let strategy = Strategy {
            directors: [("lb1".to_owned(), BTreeMap::new())].into_iter().collect(),
            stages: vec![stage],
            healthy: Healthy::default(),
            on_failure: OnFailure::default(),
            max_unavailable: 0,
        };
        View {
            head: head.map(|value| Stored { value, modified: 5 }),
            strategy: Some(Stored { value: strategy, modified: 1 }),
            results: BTreeMap::from([("lb1".to_owned(), Stored { value: outcome, modified: 6 })]),
            ..View::default()
        }
    }

    fn head(before: Option<(Head, bool)>, revision: &str) -> Head {
        let view = match before {
            Some((head, is_verified)) => view(Some(head), is_verified),
            None => view(None, false),
        };
        next_head(&view, revision, "test", None, false, now())
    }

    // With git, the newest commit stays the newest after a way back: it must not be promoted again.
    #[test]
    fn a_head_remembers_what_was_before_it_and_what_all_had_verified() {
        let first = head(None, "r1");
        assert_eq!((first.former.as_slice(), first.last_good.as_deref()), (&[][..], None));
        let second = head(Some((first, true)), "r2");
        let third = head(Some((second, false)), "r3");
        assert_eq!(third.former, ["r1", "r2"]);
        assert_eq!(third.last_good.as_deref(), Some("r1"), "r2 was not verified by all");
        let back = head(Some((third, false)), "r1");
        assert_eq!(back.former, ["r2", "r3"]);
        assert_eq!(back.last_good, None, "it is that one now");
    }

    #[test]
    fn a_slot_is_claimed_only_from_a_picture_that_decides_for_it() {
        let now = now();
        let mut seen = view(Some(head(None, "r1")), false);
        seen.results.clear();
        assert!(claim(&seen, "lb1", "r1", now).is_some());
        assert_eq!(claim(&seen, "lb1", "r0", now), None);
        assert_eq!(claim(&seen, "lb9", "r1", now), None);
        let slot = Slot { version: Version, revision: "r1".to_owned(), since: now.into() };
        seen.slots.insert("lb1".to_owned(), Stored { value: slot, modified: 7 });
        assert_eq!(claim(&seen, "lb1", "r1", now), None);
    }
}
