//! Reads the generation of nftables, a number that grows with each change of any table.

use std::time::Duration;

use neli::consts::nl::NlmF;

use crate::kernel::netlink::attribute::{be32_of, find};
use crate::kernel::netlink::message::attributes;
use crate::kernel::netlink::{Client, Malformed, NetlinkError, NetlinkSocket, Reply};

/// Of `linux/netfilter/nfnetlink.h` and `nf_tables.h`; neli has no constants for nftables.
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETGEN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 16;
const NFTA_GEN_ID: u16 = 1;

/// The header of netfilter's netlink: any family, version 0, nothing reserved.
const HEADER: [u8; 4] = [0; 4];

/// The generation of a network namespace in which nothing was ever changed (`nf_tables_init_net` in the kernel's
/// nf_tables_api.c; seen on 6.1). Should a kernel begin with another one, its rules are read for nothing.
const FIRST: u32 = 1;

/// The kernel replies before `send` returns.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The netlink socket over which the generation is read.
#[derive(Default)]
pub(crate) struct Generation {
    /// In the network namespace of the thread that used it first
    client: Option<Client>,
}

impl Generation {
    /// The generation of all tables of this network namespace. `None` where it cannot be read: then a table has to be listed
    /// to see whether it has changed.
    pub(super) fn now(&mut self) -> Option<u32> {
        let generation = self.read();
        if generation.is_err() {
            // The next try begins with a new socket.
            self.client = None;
        }
        generation.ok().flatten()
    }

    /// Whether nftables is empty, since nobody ever put anything there. Where the generation cannot be read, there may be
    /// something.
    pub(crate) fn is_first(&mut self) -> bool {
        match self.read() {
            Ok(generation) => generation == Some(FIRST),
            // A kernel without netfilter's netlink has no nftables either.
            Err(error) => error.errno() == Some(libc::EPROTONOSUPPORT),
        }
    }

    /// `None` where the kernel refuses: it has no nftables, or the process may not use it.
    fn read(&mut self) -> Result<Option<u32>, NetlinkError> {
        let client = match &mut self.client {
            Some(client) => client,
            none => {
                let socket = NetlinkSocket::netfilter().map_err(NetlinkError::Socket)?;
                none.insert(Client::over(Box::new(socket)).with_timeout(TIMEOUT))
            }
        };
        let mut batch = client.batch();
        batch.push(NFT_MSG_GETGEN, NlmF::ACK, |buffer| buffer.extend_from_slice(&HEADER));
        let mut generation = None;
        batch.exchange(|_, reply| {
            if let Reply::Data(payload) = reply {
                generation = decode(payload)?;
            }
            Ok(())
        })?;
        Ok(generation)
    }
}

fn decode(payload: &[u8]) -> Result<Option<u32>, Malformed> {
    Ok(find(attributes(payload)?, NFTA_GEN_ID)?.and_then(be32_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The payload of a reply of Linux 6.18, on a little-endian machine, after two changes.
    const REPLY: [u8; 32] = [
        0, 0, 0, 3, // netfilter's header
        8, 0, 1, 0, 0, 0, 0, 3, // NFTA_GEN_ID
        8, 0, 2, 0, 0, 0, 58, 240, // NFTA_GEN_PROC_PID
        12, 0, 3, 0, b'p', b'y', b't', b'h', b'o', b'n', b'3', 0, // NFTA_GEN_PROC_NAME
    ];

    #[test]
    #[cfg(target_endian = "little")]
    fn the_generation_is_read_from_a_whole_reply_only() {
        assert_eq!(decode(&REPLY), Ok(Some(3)));
        for length in 0..12 {
            assert_ne!(decode(&REPLY[..length]).unwrap_or_default(), Some(3), "{length}");
        }
        assert_eq!(decode(&[0; 4]), Ok(None));
    }
}
