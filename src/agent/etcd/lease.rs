//! Keeps a lease of etcd: what is written under it goes when this program does.

use etcd_client::{Client, Error, LeaseKeepAliveStream, LeaseKeeper};

/// How long a lease lasts when it is not kept, in seconds.
const LASTS: i64 = 30;

/// What became of the lease.
#[must_use = "under a new lease nothing is written yet"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It is a new one, and nothing is written under it: there was none, or it has ended.
    New,
    /// It is the one of before.
    Kept,
}

/// A lease.
pub(super) struct Lease {
    id: i64,
    /// By way of the member that is connected to; none yet
    stream: Option<(LeaseKeeper, LeaseKeepAliveStream)>,
}

impl Lease {
    pub(super) async fn grant(client: &mut Client) -> Result<Self, Error> {
        let granted = client.lease_grant(LASTS, None).await?;
        Ok(Self { id: granted.id(), stream: None })
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// The same lease, with the connection of this one, which has to open another.
    pub(super) fn with_stream(&mut self) -> Self {
        Self { id: self.id, stream: self.stream.take() }
    }

    /// Makes it last anew; gives whether it has not ended meanwhile.
    pub(super) async fn keep(&mut self, client: &mut Client) -> Result<bool, Error> {
        let Some((keeper, stream)) = &mut self.stream else {
            return match client.lease_keep_alive(self.id).await {
                Ok(stream) => {
                    self.stream = Some(stream);
                    Ok(true)
                }
                // It says so in no other way.
                Err(Error::LeaseKeepAliveError(text)) if text == "lease not found" => Ok(false),
                Err(error) => Err(error),
            };
        };
        keeper.keep_alive().await?;
        match stream.message().await? {
            Some(answer) => Ok(answer.ttl() > 0),
            None => Err(Error::LeaseKeepAliveError("etcd has ended what keeps the lease".to_owned())),
        }
    }
}
