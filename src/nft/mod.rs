//! Writes and reads lbd's own nftables table: as a script for `nft`, and from the JSON that `nft` lists.
//!
//! Firewall marks, FULLNAT's source NAT and packets that are not tracked are rules of nftables, and lbd keeps all of them in one table of its own, which
//! no other program's rules need to share. It is written and read by the program `nft`, text in and JSON out: of nftables'
//! interfaces these are the documented and stable ones, and they are present wherever nftables is. lbd links no library
//! beside libc and has no unsafe code for them, and the script that is executed is the very text that a person would
//! type. The program itself is run by `kernel::nftables`.

mod full_nat;
mod read;
mod rule;
mod sets;
mod untracked;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use crate::model::{Mark, MarkMatch, ServerKey, ServiceKey};

pub use full_nat::FullNat;
pub use read::{Listing, ListingError, names_table};
pub use write::{delete_marks, delete_untracked, replace_marks, replace_untracked, skeleton};

/// The name of lbd's table, in nftables' family `inet`.
pub const TABLE: &str = "lbd";

/// The contents of lbd's own table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The rules that set marks, in their order; the rules of one mark that follow each other are one entry
    pub marks: Vec<Mark>,
    /// The packets that pass connection tracking by, in the order of [`crate::model::untracked::sorted`]
    pub untracked: Vec<MarkMatch>,
    /// For whom the source address is replaced by the director's own (FULLNAT)
    pub source_nat: HashSet<SourceNat>,
    /// What else lies in the table, each as nft would name it; never written
    pub strays: Vec<String>,
}

/// The packets of a virtual service to one address, whose source is replaced by the director's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceNat {
    /// The virtual service that the client sent to
    pub service: ServiceKey,
    /// The real server's address; its ports are not told apart
    pub address: IpAddr,
}

impl SourceNat {
    /// The rule that a FULLNAT server needs.
    pub fn of(service: &ServiceKey, server: &ServerKey) -> Self {
        Self { service: *service, address: server.address }
    }
}

/// `source NAT of tcp://10.0.0.13:80 to 192.168.8.14`
impl fmt::Display for SourceNat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source NAT of {} to {}", self.service, self.address)
    }
}
