//! Asks nftables whether anybody changed anything: its generation, a number that grows with each change.

use std::io;
use std::time::{Duration, Instant};

use neli::consts::nl::NlmF;

use super::ipvs::codec::decode;
use super::ipvs::codec::message::Messages;
use super::ipvs::{Netlink, Wire};

/// Of `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_NEWGEN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 15;
const NFT_MSG_GETGEN: u16 = NFNL_SUBSYS_NFTABLES << 8 | 16;
const NFTA_GEN_ID: u16 = 1;

/// The generation of a network namespace in which nothing was ever changed (`nf_tables_init_net` in the kernel's
/// nf_tables_api.c; seen on 6.1). Should a kernel begin with another one, its rules are looked at for nothing.
const FIRST: u32 = 1;

/// Room for an answer, which is 48 bytes long.
const ROOM: usize = 256;

/// The kernel answers before `send` returns.
const PATIENCE: Duration = Duration::from_secs(1);

/// The socket over which the question is asked.
#[derive(Default)]
pub(crate) struct Generation {
    /// In the network namespace of the thread that asked first
    wire: Option<Netlink>,
    sequence: u32,
}

impl Generation {
    /// The generation of all tables of this network namespace. `None` where the kernel does not tell: then every look at
    /// a table has to be a whole one.
    pub(super) fn now(&mut self) -> Option<u32> {
        let answer = self.ask();
        if answer.is_err() {
            // What comes late must not be taken for the answer to another question.
            self.wire = None;
        }
        answer.ok().flatten()
    }

    /// Whether nftables holds nothing, since nobody ever put anything there. Where it is not known, it may hold
    /// something.
    pub(crate) fn is_first(&mut self) -> bool {
        match self.ask() {
            Ok(generation) => generation == Some(FIRST),
            // A kernel without netfilter's netlink has no nftables either.
            Err(error) => error.raw_os_error() == Some(libc::EPROTONOSUPPORT),
        }
    }

    fn ask(&mut self) -> io::Result<Option<u32>> {
        let wire = match &mut self.wire {
            Some(wire) => wire,
            none => none.insert(Netlink::netfilter()?),
        };
        self.sequence = self.sequence.wrapping_add(1);
        wire.send(&question(self.sequence))?;
        let until = Instant::now() + PATIENCE;
        loop {
            match wire.receive(ROOM) {
                Ok(_) => return Ok(answer(wire.datagram(), self.sequence)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && wire.wait(until)? => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// netlink's header and that of netfilter: any family, version 0, nothing reserved.
fn question(sequence: u32) -> Vec<u8> {
    const LENGTH: u32 = 20;
    let mut request = LENGTH.to_ne_bytes().to_vec();
    request.extend(NFT_MSG_GETGEN.to_ne_bytes());
    request.extend(NlmF::REQUEST.bits().to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.extend([0; 8]);
    request
}

/// The number in a reply; none in a refusal.
fn answer(reply: &[u8], sequence: u32) -> Option<u32> {
    let message = Messages::new(reply).next()?.ok()?;
    if message.kind != NFT_MSG_NEWGEN || message.sequence != sequence {
        return None;
    }
    let number = decode::find(message.attributes().ok()?, NFTA_GEN_ID).ok()??;
    Some(u32::from_be_bytes(*number.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reply of Linux 6.18, on a little-endian machine, after two changes.
    const REPLY: [u8; 48] = [
        48, 0, 0, 0, 15, 10, 0, 0, 7, 0, 0, 0, 240, 58, 0, 0, 0, 0, 0, 3, // headers
        8, 0, 1, 0, 0, 0, 0, 3, // NFTA_GEN_ID
        8, 0, 2, 0, 0, 0, 58, 240, // NFTA_GEN_PROC_PID
        12, 0, 3, 0, b'p', b'y', b't', b'h', b'o', b'n', b'3', 0, // NFTA_GEN_PROC_NAME
    ];

    #[test]
    #[cfg(target_endian = "little")]
    fn the_generation_is_read_from_the_answer_to_this_question_only() {
        assert_eq!(answer(&REPLY, 7), Some(3));
        assert_eq!(answer(&REPLY, 8), None);
        for length in 0..28 {
            assert_eq!(answer(&REPLY[..length], 7), None, "{length}");
        }
        let mut refusal = REPLY;
        refusal[4..6].copy_from_slice(&[2, 0]);
        assert_eq!(answer(&refusal, 7), None);
    }
}
