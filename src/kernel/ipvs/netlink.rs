//! The netlink socket: requests out, replies in, never waiting without end and never taking silence for success.

use std::io;
use std::time::{Duration, Instant};

use neli::consts::nl::Nlmsg;

use super::codec::message::{Malformed, Messages};
use super::wire::{SMALL, Wire};

/// How long the kernel may say nothing. It carries a request out before `send` returns, so a reply is normally there
/// at once; but a handler that is interrupted answers never (seen for sync daemons).
const PATIENCE: Duration = Duration::from_secs(5);

/// Room for the longest frame of a list that the kernel makes, which is as long as the largest room so far, and no longer
/// than this (`netlink_recvmsg` in the kernel's af_netlink.c).
const LARGE: usize = 32 << 10;

/// A dump of more frames is a long one.
const FEW: usize = 4;

/// What went over the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// System calls that sent something
    pub sends: u64,
    /// Messages in them
    pub messages: u64,
    /// Those among them that edit the table
    pub writes: u64,
}

/// Why an exchange came to no end.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The socket failed.
    Io(io::Error),
    /// Replies were dropped for want of room; what was asked for has been done all the same.
    Lost,
    /// The kernel said nothing for so long.
    Silent(Duration),
    /// A reply was longer than the room for it.
    Oversized(usize),
    /// A reply made no sense.
    Malformed(Malformed),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// One reply.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply<'a> {
    /// The attributes of a data message
    Data(&'a [u8]),
    /// The end of a request, with a positive error number or 0
    End(i32),
}

/// Requests and their replies, kept together by number.
pub(super) struct Socket {
    wire: Box<dyn Wire>,
    sequence: u32,
    /// Room that is offered to the kernel for a datagram
    room: usize,
    patience: Duration,
    /// Whether the last exchange broke off, so that replies to it may still come
    unfinished: bool,
    /// What went over it so far
    pub(super) traffic: Traffic,
}

impl Socket {
    pub(super) fn over(wire: Box<dyn Wire>) -> Self {
        Self {
            wire,
            sequence: 0,
            room: SMALL,
            patience: PATIENCE,
            unfinished: false,
            traffic: Traffic::default(),
        }
    }

    /// Takes `count` numbers for the next requests, and gives the first.
    pub(super) fn number(&mut self, count: usize) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count as u32);
        first
    }

    /// Sends the requests in `outbox`, numbered from `first`, and hands each reply to `take` with the place of its
    /// request, until the last request has ended. Gives the number of frames that held data.
    ///
    /// Of the requests before the last only the refusals are awaited: the kernel answers in order, and a refusal
    /// always.
    pub(super) fn exchange(
        &mut self,
        outbox: &[u8],
        first: u32,
        count: usize,
        mut take: impl FnMut(usize, Reply<'_>) -> Result<(), Malformed>,
    ) -> Result<usize, Trouble> {
        if self.unfinished {
            self.drain()?;
        }
        self.unfinished = true;
        self.traffic.sends += 1;
        self.traffic.messages += count as u64;
        self.wire.send(outbox).map_err(Trouble::Io)?;
        let mut frames = 0;
        loop {
            if frames == FEW {
                // For good: from then on the kernel's frames are long.
                self.room = LARGE;
            }
            self.receive()?;
            let (mut data, mut ended) = (false, false);
            for message in Messages::new(self.wire.datagram()) {
                let message = message?;
                let place = message.sequence.wrapping_sub(first) as usize;
                if place >= count {
                    continue; // a late reply to an exchange that broke off
                }
                match Nlmsg::from(message.kind) {
                    Nlmsg::Error | Nlmsg::Done => {
                        take(place, Reply::End(message.errno()?))?;
                        ended |= place + 1 == count;
                    }
                    Nlmsg::Overrun => return Err(Trouble::Lost),
                    Nlmsg::Noop => {}
                    Nlmsg::UnrecognizedConst(_) => {
                        data = true;
                        take(place, Reply::Data(message.attributes()?))?;
                    }
                }
            }
            frames += usize::from(data);
            if ended {
                self.unfinished = false;
                return Ok(frames);
            }
        }
    }

    /// Receives the next datagram, as soon as there is one.
    fn receive(&mut self) -> Result<(), Trouble> {
        let mut until = None;
        loop {
            match self.wire.receive(self.room) {
                Ok(length) if length > self.wire.datagram().len() => return Err(Trouble::Oversized(length)),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *until.get_or_insert_with(|| Instant::now() + self.patience);
                    if !self.wire.wait(until).map_err(Trouble::Io)? {
                        return Err(Trouble::Silent(self.patience));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Err(Trouble::Lost),
                Err(error) => return Err(Trouble::Io(error)),
            }
        }
    }

    /// Throws away what an exchange that broke off left behind. A dump has to be read to its end, or the kernel
    /// refuses the next one (EBUSY).
    fn drain(&mut self) -> Result<(), Trouble> {
        let until = Instant::now() + self.patience;
        while Instant::now() < until {
            match self.wire.receive(self.room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if !is_transient(&error) => return Err(Trouble::Io(error)),
                Ok(_) | Err(_) => {}
            }
        }
        Err(Trouble::Lost)
    }
}

/// A signal came, or replies were dropped: the next call tells more.
fn is_transient(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted || error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(test)]
mod tests {
    use neli::consts::nl::{GenlId, NlmF};

    use super::super::codec::encode;
    use super::super::codec::message::Header;
    use super::super::wire::Netlink;
    use super::*;

    fn open() -> Socket {
        Socket::over(Box::new(Netlink::open().unwrap()))
    }

    /// Questions that every kernel can be asked, by anybody: to netlink's own family, for a command that there is not.
    fn questions(socket: &mut Socket, count: usize, flags: NlmF) -> (Vec<u8>, u32) {
        let first = socket.number(count);
        let mut outbox = Vec::new();
        for place in 0..count as u32 {
            let header = Header { family: GenlId::Ctrl.into(), flags, sequence: first + place };
            encode::question(&mut outbox, header, 200, None);
        }
        (outbox, first)
    }

    fn ends(socket: &mut Socket, count: usize) -> Result<Vec<(usize, i32)>, Trouble> {
        let (outbox, first) = questions(socket, count, NlmF::ACK);
        let mut ends = Vec::new();
        socket.exchange(&outbox, first, count, |place, reply| {
            if let Reply::End(errno) = reply {
                ends.push((place, errno));
            }
            Ok(())
        })?;
        Ok(ends)
    }

    #[test]
    fn each_refusal_is_told_with_the_place_of_its_request() {
        let mut socket = open();
        let expected: Vec<_> = (0..320).map(|place| (place, libc::EOPNOTSUPP)).collect();
        assert_eq!(ends(&mut socket, 320).unwrap(), expected);
        assert_eq!(socket.traffic, Traffic { sends: 1, messages: 320, writes: 0 });
    }

    // The kernel drops what does not fit into the socket's buffer: no answer must not be taken for a good one.
    #[test]
    fn lost_replies_are_no_success_and_the_next_exchange_is_in_order() {
        let mut socket = open();
        let lost = ends(&mut socket, 5000);
        assert!(matches!(lost, Err(Trouble::Lost)), "{lost:?}");
        assert_eq!(ends(&mut socket, 1).unwrap(), [(0, libc::EOPNOTSUPP)]);
    }

    #[test]
    fn silence_ends_after_a_while_and_late_replies_are_passed_over() {
        let mut socket = open();
        socket.patience = Duration::from_millis(50);
        // Without ACK a data message is all that comes, and the end is waited for in vain.
        let first = socket.number(1);
        let mut outbox = Vec::new();
        encode::family_question(&mut outbox, first, NlmF::empty(), "nlctrl");
        let mut heard = 0;
        let silent = socket.exchange(&outbox, first, 1, |_, _| {
            heard += 1;
            Ok(())
        });
        assert!(matches!(silent, Err(Trouble::Silent(_))), "{silent:?}");
        assert_eq!(heard, 1);
        assert_eq!(ends(&mut socket, 2).unwrap(), [(0, libc::EOPNOTSUPP), (1, libc::EOPNOTSUPP)]);
    }
}
