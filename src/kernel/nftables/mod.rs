//! Reads and writes lbd's own table of nftables, and notices when another program changes nftables.

mod client;
mod error;
mod generation;
mod monitor;

pub use self::client::NftClient;
pub use self::error::{NftAction, NftError};
pub(crate) use self::generation::Generation;
pub use self::monitor::RulesetMonitor;
