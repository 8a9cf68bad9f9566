//! Talks netlink to the kernel: frames requests, sends them, and takes the replies apart. IPVS, routing and nftables use it.

pub(crate) mod attribute;
mod client;
mod error;
pub mod message;
mod transport;

pub(crate) use self::client::{Client, Reply};
pub use self::error::{Malformed, NetlinkError};
pub use self::transport::{NetlinkSocket, Transport};
