//! Reads and writes in etcd, by way of the member that answers.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use etcd_client::{Client, Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp};
use tokio::time::timeout;

use super::connect::{PATIENCE, connect};
use super::error::{Attempt, EtcdError, NO_SPACE, shown};
use super::keys::{Keys, end_of};
use super::lease::{Lease, LeaseState};
use super::{Condition, Entry, Range, Write};
use crate::agent::settings::EtcdSettings;

/// The most keys of one answer. Where their values are more than the 4 MiB that an answer of gRPC may have, fewer are read at once.
const PAGE: i64 = 1000;

/// The most bytes of all that is read at once: no director can fill the memory of the others.
const MOST_BYTES: usize = 64 << 20;

/// The etcd of a fleet.
///
/// It connects when there is something to do, to one member; after an error that may be the member's, to the next one.
pub struct Etcd {
    pub(super) keys: Keys,
    settings: EtcdSettings,
    /// Which member is used, or tried first; beyond the last it goes on with the first
    member: usize,
    connection: Option<Connection>,
    lease: Option<Lease>,
}

/// The connection to a member.
struct Connection {
    client: Client,
    /// Set by a watch whose connection ended
    is_lost: Arc<AtomicBool>,
}

impl Etcd {
    /// It does not connect yet. Which member is tried first is left to chance, so that a fleet uses all of them.
    pub fn new(settings: EtcdSettings) -> Self {
        let member = fastrand::usize(..settings.endpoints.len().max(1));
        Self { keys: Keys::new(&settings.prefix), settings, member, connection: None, lease: None }
    }

    /// The address of the member that is used, or tried next.
    pub fn member(&self) -> &str {
        let number = self.member.checked_rem(self.settings.endpoints.len()).unwrap_or(0);
        self.settings.endpoints.get(number).map_or("", String::as_str)
    }

    /// All keys with their values that begin with this; with an empty text, all keys of the fleet. They are what was there at one moment, the last
    /// writes of all members included.
    ///
    /// # Errors
    /// Those of etcd, and where it is more than 64 MiB.
    pub async fn range(&mut self, folder: &str) -> Result<Range, EtcdError> {
        let action = format!("read {folder}{} in etcd", if folder.is_empty() { "the fleet" } else { "" });
        let mut start = self.keys.whole(folder);
        let end = end_of(&start);
        let mut range = Range { revision: 0, entries: Vec::new() };
        let (mut limit, mut bytes) = (PAGE, 0);
        loop {
            // The pages behind the first are of its revision; no revision is the newest.
            let options =
                GetOptions::new().with_range(end.clone()).with_limit(limit).with_revision(range.revision);
            let mut client = self.client().await?;
            let mut page = match self.answer(&action, client.get(start.clone(), Some(options))).await {
                Err(EtcdError::TooLarge(_)) if limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                page => page?,
            };
            if range.revision == 0 {
                range.revision = page.header().map_or(0, |header| header.revision());
            }
            let has_more = page.more();
            let entries = page.take_kvs();
            let last = entries.last().map(|entry| [entry.key(), b"\0"].concat());
            for entry in entries {
                bytes += entry.key().len() + entry.value().len();
                range.entries.push(entry_of(&self.keys, entry));
            }
            if bytes > MOST_BYTES {
                return Err(EtcdError::TooLarge(action));
            }
            match last {
                Some(next) if has_more => start = next,
                _ => return Ok(range),
            }
        }
    }

    /// One key with its value, if there is such a key.
    ///
    /// # Errors
    /// Those of etcd.
    pub async fn get(&mut self, key: &str) -> Result<Option<Entry>, EtcdError> {
        let mut client = self.client().await?;
        let whole = self.keys.whole(key);
        let mut found = self.answer(&format!("read {key} in etcd"), client.get(whole, None)).await?;
        Ok(found.take_kvs().pop().map(|entry| entry_of(&self.keys, entry)))
    }

    /// What the member that is used says is wrong with etcd: its alarms, as when it is full, and where it has no leader. Each as a sentence.
    ///
    /// # Errors
    /// Those of etcd.
    pub async fn problems(&mut self) -> Result<Vec<String>, EtcdError> {
        let mut client = self.client().await?;
        let status = self.answer("read the status of etcd", client.status()).await?;
        Ok(status.errors().iter().map(|error| of_status(error)).collect())
    }

    /// Does all of these writes at once, or none where a condition does not apply; gives whether they were done.
    ///
    /// # Errors
    /// Those of etcd. After [`EtcdError::Interrupted`] it is not known whether they were done: read again.
    pub async fn transact(&mut self, conditions: &[Condition], writes: &[Write]) -> Result<bool, EtcdError> {
        let is_leased = writes.iter().any(|write| matches!(write, Write::Put { is_leased: true, .. }));
        if is_leased && self.lease.is_none() {
            let _new = self.keep_lease().await?;
        }
        let lease = self.lease.as_ref().map_or(0, Lease::id);
        let conditions: Vec<Compare> =
            conditions.iter().map(|condition| compare(&self.keys, condition)).collect();
        let operations: Vec<TxnOp> = writes.iter().map(|write| operation(&self.keys, write, lease)).collect();
        let mut client = self.client().await?;
        let transaction = Txn::new().when(conditions).and_then(operations);
        let done = self.answer(&action_of(writes), client.txn(transaction)).await;
        if matches!(done, Err(EtcdError::LeaseLost)) {
            self.lease = None;
        }
        Ok(done?.succeeded())
    }

    /// Keeps the lease for a further 30 s, or takes one where there is none: to be called every few seconds.
    ///
    /// Where it is [`LeaseState::New`], nothing is written under it yet: a former one, with the report, is gone.
    ///
    /// # Errors
    /// Those of etcd.
    pub async fn keep_lease(&mut self) -> Result<LeaseState, EtcdError> {
        let mut client = self.client().await?;
        if let Some(mut lease) = self.lease.as_mut().map(Lease::with_stream) {
            if self.answer("keep the lease in etcd", lease.keep(&mut client)).await? {
                self.lease = Some(lease);
                return Ok(LeaseState::Kept);
            }
            self.lease = None;
        }
        self.lease = Some(self.answer("take a lease in etcd", Lease::grant(&mut client)).await?);
        Ok(LeaseState::New)
    }

    /// Ends the lease, and with it what was written under it: for the end of the program.
    ///
    /// # Errors
    /// Those of etcd. The lease ends by itself, later.
    pub async fn end_lease(&mut self) -> Result<(), EtcdError> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let mut client = self.client().await?;
        match self.answer("end the lease in etcd", client.lease_revoke(lease.id())).await {
            Err(EtcdError::LeaseLost) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The client of the member that is connected to; of the first that answers, where none is.
    pub(super) async fn client(&mut self) -> Result<Client, EtcdError> {
        if let Some(connection) = &self.connection {
            if !connection.is_lost.load(Ordering::Relaxed) {
                return Ok(connection.client.clone());
            }
            self.leave();
        }
        let mut failures = Vec::new();
        for _ in 0..self.settings.endpoints.len() {
            let member = self.member().to_owned();
            match connect(&member, &self.settings).await {
                Ok(client) => {
                    let is_lost = Arc::new(AtomicBool::new(false));
                    self.connection = Some(Connection { client: client.clone(), is_lost });
                    return Ok(client);
                }
                Err(EtcdError::Interrupted { member, why, .. }) => failures.push((member, why)),
                Err(error) => return Err(error),
            }
            self.leave();
        }
        Err(EtcdError::Unreachable(failures))
    }

    /// The answer to a request. After an error that may be the member's, the next request goes to the next one.
    pub(super) async fn answer<T>(
        &mut self,
        action: &str,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        let error = match timeout(PATIENCE, request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => self.attempt(action).failed(&error),
            Err(_) => self.attempt(action).interrupted(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        if error.is_of_member() {
            self.leave();
        }
        Err(error)
    }

    /// What a watch sets when its connection ended.
    pub(super) fn is_lost(&self) -> Arc<AtomicBool> {
        self.connection.as_ref().map(|connection| connection.is_lost.clone()).unwrap_or_default()
    }

    pub(super) fn attempt(&self, action: &str) -> Attempt {
        let client = self.settings.tls.as_ref().and_then(|tls| tls.client.as_ref());
        Attempt {
            action: action.to_owned(),
            member: self.member().to_owned(),
            certificate: client.map(|client| client.certificate.clone()),
        }
    }

    fn leave(&mut self) {
        self.connection = None;
        // It goes by way of that connection, and would keep it.
        let _ended = self.lease.as_mut().map(Lease::with_stream);
        self.member = self.member.wrapping_add(1);
    }
}

pub(super) fn entry_of(keys: &Keys, entry: KeyValue) -> Entry {
    let (created, modified) = (entry.create_revision(), entry.mod_revision());
    let has_lease = entry.lease() != 0;
    let (key, value) = entry.into_key_value();
    Entry { key: keys.short(&key), value, created, modified, has_lease }
}

fn compare(keys: &Keys, condition: &Condition) -> Compare {
    match condition {
        Condition::Absent(key) => Compare::create_revision(keys.whole(key), CompareOp::Equal, 0),
        Condition::ModifiedAt { key, revision } => {
            Compare::mod_revision(keys.whole(key), CompareOp::Equal, *revision)
        }
        // Where no key is in the folder, etcd compares with one of revision 0.
        Condition::NothingNewIn { folder, since } => {
            let start = keys.whole(folder);
            let end = end_of(&start);
            Compare::mod_revision(start, CompareOp::Less, since.saturating_add(1)).with_range(end)
        }
    }
}

fn operation(keys: &Keys, write: &Write, lease: i64) -> TxnOp {
    match write {
        Write::Put { key, value, is_leased } => {
            let options = is_leased.then(|| PutOptions::new().with_lease(lease));
            TxnOp::put(keys.whole(key), value.as_slice(), options)
        }
        Write::Delete(key) => TxnOp::delete(keys.whole(key), None),
    }
}

/// An alarm is of one member, `memberID:… alarm:NOSPACE `, and counts for all.
fn of_status(error: &str) -> String {
    match error.contains("alarm:NOSPACE") {
        true => NO_SPACE.to_owned(),
        false => format!("etcd says: {}", shown(error.trim())),
    }
}

/// What writes do, for an error.
fn action_of(writes: &[Write]) -> String {
    let names = |is_put: bool| {
        let keys = writes.iter().filter_map(move |write| match write {
            Write::Put { key, .. } if is_put => Some(key.as_str()),
            Write::Delete(key) if !is_put => Some(key.as_str()),
            Write::Put { .. } | Write::Delete(_) => None,
        });
        keys.collect::<Vec<_>>().join(", ")
    };
    match (names(true), names(false)) {
        (put, deleted) if deleted.is_empty() => format!("write {put} in etcd"),
        (put, deleted) if put.is_empty() => format!("delete {deleted} in etcd"),
        (put, deleted) => format!("write {put} and delete {deleted} in etcd"),
    }
}
