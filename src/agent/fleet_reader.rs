//! Follows what lies in etcd: reads all of it, sees what changes, and reads it again after any error, and from time to time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::etcd::{Changes, Etcd, EtcdError, Range};
use super::settings::EtcdSettings;
use crate::error_chain::ErrorChain;
use crate::fleet::{StoredKey, Transaction, View};
use crate::status::Timestamp;

/// How often all is read anew, whatever the watch says.
const RESYNC: Duration = Duration::from_secs(300);
/// How long changes are collected before there is a new picture: in a large fleet many come at once, and each director makes its own.
const COLLECT: Duration = Duration::from_millis(100);
/// The first pause after an error, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// The fleet, as this director sees it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The last picture, also while etcd does not answer; `None`: there was none yet
    pub view: Option<Arc<View>>,
    /// Whether the picture is of now
    pub is_up: bool,
    /// Since when etcd does not answer, and why; `None`: it does
    pub down: Option<(Timestamp, String)>,
}

type Wish = (Transaction, oneshot::Sender<Result<bool, EtcdError>>);

/// A task that follows the fleet: whoever waits for it can do something else meanwhile.
pub struct Follower {
    seen: watch::Receiver<Seen>,
    wishes: mpsc::Sender<Wish>,
}

impl Follower {
    /// Begins to follow it.
    pub fn start(settings: EtcdSettings) -> Self {
        let (sender, seen) = watch::channel(Seen::default());
        let (wishes, receiver) = mpsc::channel(1);
        tokio::spawn(follow(FleetReader::new(settings), sender, receiver));
        Self { seen, wishes }
    }

    /// What is seen now.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until that has changed.
    pub async fn changed(&mut self) {
        if self.seen.changed().await.is_err() {
            // The task does not end while this is there.
            std::future::pending::<()>().await;
        }
    }

    /// Carries out a transaction; gives whether its conditions applied. What has changed by then is seen when this returns.
    ///
    /// # Errors
    /// Those of etcd; `None`: the task has ended.
    pub async fn transact(&self, transaction: Transaction) -> Result<bool, Option<EtcdError>> {
        let (sender, receiver) = oneshot::channel();
        self.wishes.send((transaction, sender)).await.map_err(|_| None)?;
        receiver.await.map_err(|_| None)?.map_err(Some)
    }
}

async fn follow(mut reader: FleetReader, sender: watch::Sender<Seen>, mut wishes: mpsc::Receiver<Wish>) {
    loop {
        let reply = tokio::select! {
            () = reader.changed() => None,
            wish = wishes.recv() => match wish {
                Some((transaction, reply)) => Some((reader.transact(&transaction).await, reply)),
                None => return,
            },
        };
        sender.send_replace(reader.seen());
        if let Some((done, reply)) = reply {
            let _ = reply.send(done);
        }
    }
}

/// Reads the fleet, and follows it.
struct FleetReader {
    etcd: Etcd,
    /// What was read, and what follows it
    watched: Option<(Range, Changes)>,
    view: Option<Arc<View>>,
    /// When what has changed since is in the picture, too
    collected: Option<Instant>,
    /// When it is read next
    due: Instant,
    backoff: Duration,
    /// Since when etcd does not answer, and why
    down: Option<(Timestamp, String)>,
}

impl FleetReader {
    /// Reads nothing yet.
    fn new(settings: EtcdSettings) -> Self {
        Self {
            etcd: Etcd::new(settings),
            watched: None,
            view: None,
            collected: None,
            due: Instant::now(),
            backoff: BACKOFF.0,
            down: None,
        }
    }

    fn seen(&self) -> Seen {
        Seen { view: self.view.clone(), is_up: self.watched.is_some(), down: self.down.clone() }
    }

    /// Waits until the picture has changed, or etcd has come or gone. Nothing is lost where the future is dropped.
    async fn changed(&mut self) {
        loop {
            let Some((range, changes)) = &mut self.watched else {
                sleep_until(self.due).await;
                return self.read().await;
            };
            tokio::select! {
                followed = changes.follow(range) => match followed {
                    Ok(()) => {
                        self.collected.get_or_insert_with(|| Instant::now() + COLLECT);
                    }
                    Err(error) => return self.failed(&error),
                },
                () = sleep_until(self.collected.unwrap_or(self.due)) => {
                    if self.collected.take().is_none() {
                        return self.read().await;
                    }
                    self.view = Some(Arc::new(view_of(range, self.view.as_deref())));
                    return;
                }
            }
        }
    }

    /// Reads all anew.
    async fn read(&mut self) {
        match self.begin().await {
            Ok(watched) => {
                // (After etcd was restored from a copy, another strategy could have the same number.)
                self.view = Some(Arc::new(view_of(&watched.0, None)));
                self.collected = None;
                self.watched = Some(watched);
                self.due = Instant::now() + RESYNC.mul_f64(0.9 + 0.2 * fastrand::f64());
                self.backoff = BACKOFF.0;
                if self.down.take().is_some() {
                    info!("etcd answers again");
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    async fn begin(&mut self) -> Result<(Range, Changes), EtcdError> {
        let range = self.etcd.range("").await?;
        let changes = self.etcd.watch(range.revision).await?;
        Ok((range, changes))
    }

    fn failed(&mut self, error: &EtcdError) {
        self.watched = None;
        self.collected = None;
        let why = ErrorChain(error).to_string();
        match &mut self.down {
            Some((_, cause)) => *cause = why,
            // After one error the next look may be well, as after a compaction.
            None if self.backoff == BACKOFF.0 => debug!("{why}; reading the fleet again"),
            None => {
                warn!("{why}; no new revision is taken until etcd answers");
                self.down = Some((SystemTime::now().into(), why));
            }
        }
        // Many directors lose etcd together, and come back one after the other.
        self.due = Instant::now() + self.backoff.mul_f64(0.5 + fastrand::f64());
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
    }

    /// Carries out a transaction; what it wrote is in the picture when this returns.
    async fn transact(&mut self, transaction: &Transaction) -> Result<bool, EtcdError> {
        let Transaction { conditions, writes } = transaction;
        let done = self.etcd.transact(conditions, writes).await;
        match &done {
            // Done or not, the picture is old by then.
            Ok(_) => self.read().await,
            // What is not allowed, or finds no space, is no matter of the connection.
            Err(
                EtcdError::Denied { .. }
                | EtcdError::NoSpace(_)
                | EtcdError::TooLarge(_)
                | EtcdError::Refused { .. },
            ) => {}
            Err(error) => self.failed(error),
        }
        done
    }
}

/// The picture of what was read.
pub(super) fn view_of(range: &Range, before: Option<&View>) -> View {
    let entries = range.entries.iter();
    let entries =
        entries.map(|entry| StoredKey { key: &entry.key, value: &entry.value, modified: entry.modified });
    View::read(range.revision, entries, before)
}
