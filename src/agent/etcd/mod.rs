//! The one door to etcd: reads what lies below the prefix of a fleet, writes under conditions, and sees what changes.
//!
//! One member at a time is connected to, and the next one after any error that may be the member's. Each request has a time limit; when to try
//! again is for who calls to decide.

mod client;
mod compress;
mod connect;
mod endpoint;
mod error;
mod keys;
mod lease;
mod watch;

pub use self::client::Etcd;
pub use self::compress::{ContentError, MOST_STORED, MOST_TEXT, compressed, decompressed};
pub use self::endpoint::Endpoint;
pub use self::error::EtcdError;
pub use self::lease::LeaseState;
pub use self::watch::Changes;
pub use crate::fleet::{Condition, Write};

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, without the prefix and the slash behind it: `slots/lb1`
    pub key: String,
    /// The value
    pub value: Vec<u8>,
    /// The revision of the store in which the key was made
    pub created: i64,
    /// The revision of the store in which the value was written last
    pub modified: i64,
    /// Whether it goes with a lease
    pub has_lease: bool,
}

/// What lies in etcd, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The revision of the store that this is; what was written later has a higher one
    pub revision: i64,
    /// The keys with their values, in the order of the keys' bytes
    pub entries: Vec<Entry>,
}
