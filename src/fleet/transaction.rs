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

/// The next head: this revision, for everyone.
pub fn next_head(
    view: &View,
    revision: &str,
    by: &str,
    reason: Option<String>,
    is_rollback: bool,
    now: SystemTime,
) -> Head {
    Head {
        version: Version,
        revision: revision.to_owned(),
        previous: view
            .head
            .as_ref()
            .map(|head| head.value.revision.clone())
            .filter(|previous| previous != revision),
        is_rollback,
        by: by.to_owned(),
        at: now.into(),
        reason,
    }
}
