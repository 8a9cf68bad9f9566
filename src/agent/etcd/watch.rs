//! Sees what changes in etcd.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use etcd_client::{WatchOptions, WatchResponse, WatchStream};

use super::Range;
use super::client::{Etcd, entry_of};
use super::error::{Attempt, EtcdError, shown};
use super::keys::{Keys, end_of};

/// What changes below the prefix of a fleet, as it does.
pub struct Changes {
    keys: Keys,
    stream: WatchStream,
    attempt: Attempt,
    /// Whether the connection to the member ended
    is_lost: Arc<AtomicBool>,
}

impl Etcd {
    /// Watches all keys of the fleet for what is written after this revision.
    ///
    /// # Errors
    /// Those of etcd.
    pub async fn watch(&mut self, after: i64) -> Result<Changes, EtcdError> {
        let action = "watch the fleet in etcd";
        let start = self.keys.whole("");
        let options =
            WatchOptions::new().with_range(end_of(&start)).with_start_revision(after.saturating_add(1));
        let mut client = self.client().await?;
        let created = async {
            let mut stream = client.watch(start, Some(options)).await?;
            let first = stream.message().await?;
            Ok((stream, first))
        };
        let (stream, first) = self.answer(action, created).await?;
        let changes = Changes {
            keys: self.keys.clone(),
            stream,
            attempt: self.attempt(action),
            is_lost: self.is_lost(),
        };
        changes.checked(first)?;
        Ok(changes)
    }
}

impl Changes {
    /// Waits until something has changed.
    ///
    /// # Errors
    /// The watch has ended, and does not go on: read again, and watch from there. A member that answers no more is seen after 7.5 s at most.
    pub async fn next(&mut self) -> Result<(), EtcdError> {
        while self.message().await?.events().is_empty() {}
        Ok(())
    }

    /// Waits until something has changed, and does the same with what was read: `range` has to be all keys of the fleet, at the revision from which
    /// this was watched, and changed by nothing else. It is what lies in etcd at its revision, as if it was read then.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn follow(&mut self, range: &mut Range) -> Result<(), EtcdError> {
        loop {
            let message = self.message().await?;
            for event in message.events() {
                let Some(entry) = event.kv() else { continue };
                let entry = entry_of(&self.keys, entry.clone());
                range.revision = range.revision.max(entry.modified);
                let place = range.entries.binary_search_by(|other| other.key.cmp(&entry.key));
                // A key that went has its name and the revision, and nothing else.
                match (place, entry.created > 0) {
                    (Ok(place), true) => {
                        if let Some(old) = range.entries.get_mut(place) {
                            *old = entry;
                        }
                    }
                    (Err(place), true) => range.entries.insert(place, entry),
                    (Ok(place), false) => drop(range.entries.remove(place)),
                    (Err(_), false) => {}
                }
            }
            if !message.events().is_empty() {
                return Ok(());
            }
        }
    }

    async fn message(&mut self) -> Result<WatchResponse, EtcdError> {
        let message = self.stream.message().await.map_err(|error| {
            let error = self.attempt.failed(&error);
            self.is_lost.fetch_or(error.is_of_member(), Ordering::Relaxed);
            error
        })?;
        self.checked(message)
    }

    /// A message that does not end the watch.
    fn checked(&self, message: Option<WatchResponse>) -> Result<WatchResponse, EtcdError> {
        let Some(message) = message else {
            self.is_lost.store(true, Ordering::Relaxed);
            return Err(self.attempt.interrupted("it has ended the watch"));
        };
        if message.compact_revision() > 0 {
            return Err(EtcdError::Compacted(self.attempt.action.clone()));
        }
        if !message.canceled() {
            return Ok(message);
        }
        if message.cancel_reason().contains("permission denied") {
            return Err(self.attempt.denied(message.cancel_reason()));
        }
        self.is_lost.store(true, Ordering::Relaxed);
        Err(self.attempt.interrupted(format!("it has ended the watch: {}", shown(message.cancel_reason()))))
    }
}
