//! Sends requests and matches the replies to them: never waits without end, and never takes silence for success.

use std::io;
use std::time::{Duration, Instant};

use neli::consts::nl::{NlmF, Nlmsg};

use super::error::{Malformed, NetlinkError};
use super::message::{self, Header, Messages};
use super::transport::{SMALL, Transport};

/// How long to wait for a reply. The kernel carries a request out before `send` returns, so a reply is normally there
/// at once; but a handler that is interrupted never replies (seen for sync daemons).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Room for the longest frame of a list that the kernel makes, which is as long as the largest room so far, and no longer
/// than this (`netlink_recvmsg` in the kernel's af_netlink.c).
const LARGE: usize = 32 << 10;

/// A dump of more frames is a long one.
const FEW: usize = 4;

/// One reply to a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply<'a> {
    /// A data message: what follows netlink's header
    Data(&'a [u8]),
    /// The end of the replies to a request, with a positive error number or 0 for success
    End(i32),
}

/// A netlink socket with the requests that are sent over it; replies are matched to requests by sequence number.
pub(crate) struct Client {
    transport: Box<dyn Transport>,
    /// The number of the last request
    sequence: u32,
    /// The requests of the next send
    outbox: Vec<u8>,
    /// Room that is offered to the kernel for a datagram
    room: usize,
    timeout: Duration,
    /// Whether the last exchange broke off, so that replies to it may still come
    unfinished: bool,
    /// How often something was sent
    pub(crate) sends: u64,
    /// How many requests that were
    pub(crate) messages: u64,
}

impl Client {
    pub(crate) fn over(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            sequence: 0,
            outbox: Vec::new(),
            room: SMALL,
            timeout: TIMEOUT,
            unfinished: false,
            sends: 0,
            messages: 0,
        }
    }

    /// The same with another limit for how long a reply may take.
    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Begins a batch of requests that are sent together.
    pub(crate) fn batch(&mut self) -> Batch<'_> {
        self.outbox.clear();
        Batch { first: self.sequence.wrapping_add(1), count: 0, client: self }
    }

    /// Sends what is in the outbox, `count` requests numbered from `first`, and passes each reply to `take` with the place of
    /// its request, until the last request has ended. Returns the number of datagrams that held data.
    fn exchange(
        &mut self,
        first: u32,
        count: usize,
        mut take: impl FnMut(usize, Reply<'_>) -> Result<(), Malformed>,
    ) -> Result<usize, NetlinkError> {
        if self.unfinished {
            self.drain()?;
        }
        self.unfinished = true;
        self.sends += 1;
        self.messages += count as u64;
        self.transport.send(&self.outbox).map_err(NetlinkError::Socket)?;
        let mut frames = 0;
        loop {
            if frames == FEW {
                // For good: from then on the kernel's frames are long.
                self.room = LARGE;
            }
            self.receive()?;
            let (mut data, mut ended) = (false, false);
            for message in Messages::new(self.transport.datagram()) {
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
                    Nlmsg::Overrun => return Err(NetlinkError::Overrun),
                    Nlmsg::Noop => {}
                    Nlmsg::UnrecognizedConst(_) => {
                        data = true;
                        take(place, Reply::Data(message.payload))?;
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
    fn receive(&mut self) -> Result<(), NetlinkError> {
        let mut until = None;
        loop {
            match self.transport.receive(self.room) {
                Ok(length) if length > self.transport.datagram().len() => {
                    return Err(NetlinkError::Truncated(length));
                }
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let until = *until.get_or_insert_with(|| Instant::now() + self.timeout);
                    if !self.transport.wait(until).map_err(NetlinkError::Socket)? {
                        return Err(NetlinkError::NoReply(self.timeout));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Err(NetlinkError::Overrun);
                }
                Err(error) => return Err(NetlinkError::Socket(error)),
            }
        }
    }

    /// Throws away what an exchange that broke off left behind. A dump has to be read to its end, or the kernel
    /// refuses the next one (EBUSY).
    fn drain(&mut self) -> Result<(), NetlinkError> {
        let until = Instant::now() + self.timeout;
        while Instant::now() < until {
            match self.transport.receive(self.room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if !is_transient(&error) => return Err(NetlinkError::Socket(error)),
                Ok(_) | Err(_) => {}
            }
        }
        Err(NetlinkError::Overrun)
    }
}

/// Requests that go out in one send.
pub(crate) struct Batch<'a> {
    client: &'a mut Client,
    /// The number of the first request
    first: u32,
    count: usize,
}

impl Batch<'_> {
    /// Adds a request; `payload` appends what follows netlink's header.
    ///
    /// Refusals are answered in any case. A request with `ACK` or `DUMP` has an end in any case; the last one has to be such
    /// a request.
    pub(crate) fn push(&mut self, kind: u16, flags: NlmF, payload: impl FnOnce(&mut Vec<u8>)) {
        self.client.sequence = self.client.sequence.wrapping_add(1);
        let header = Header { kind, flags, sequence: self.client.sequence };
        message::append(&mut self.client.outbox, header, payload);
        self.count += 1;
    }

    /// Sends the requests and passes each reply to `take` with the place of its request, until the last request has ended.
    /// Returns the number of datagrams that held data.
    ///
    /// Of the requests before the last only the refusals are awaited: the kernel answers in order, and a refusal
    /// always.
    ///
    /// # Errors
    /// Where it is not known what became of the requests.
    pub(crate) fn exchange(
        self,
        take: impl FnMut(usize, Reply<'_>) -> Result<(), Malformed>,
    ) -> Result<usize, NetlinkError> {
        self.client.exchange(self.first, self.count, take)
    }
}

/// A signal came, or replies were dropped: the next call tells more.
fn is_transient(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted || error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(test)]
mod tests {
    use neli::consts::genl::{CtrlAttr, CtrlCmd};
    use neli::consts::nl::GenlId;

    use super::super::attribute::append_text;
    use super::super::transport::NetlinkSocket;
    use super::*;

    /// A kernel that replies with these datagrams, whatever is sent.
    struct Script(Vec<Vec<u8>>, usize);

    impl Transport for Script {
        fn send(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn receive(&mut self, _: usize) -> io::Result<usize> {
            self.1 += 1;
            self.0.get(self.1 - 1).map(Vec::len).ok_or(io::ErrorKind::WouldBlock.into())
        }

        fn datagram(&self) -> &[u8] {
            // Longer ones are cut off.
            self.0.get(self.1 - 1).map_or(&[], |datagram| &datagram[..datagram.len().min(100)])
        }

        fn wait(&mut self, _: Instant) -> io::Result<bool> {
            Ok(false)
        }
    }

    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::new();
        let header = Header { kind, flags: NlmF::empty(), sequence };
        message::append(&mut buffer, header, |buffer| buffer.extend_from_slice(payload));
        buffer
    }

    fn end(kind: Nlmsg, sequence: u32, errno: i32) -> Vec<u8> {
        message(kind.into(), sequence, &(-errno).to_ne_bytes())
    }

    /// The place of a request, and its data or the error number at its end.
    type Replied = (usize, Result<Vec<u8>, i32>);

    /// The replies to two requests, numbered 1 and 2.
    fn replies(datagrams: Vec<Vec<u8>>) -> Result<Vec<Replied>, NetlinkError> {
        let mut client = Client::over(Box::new(Script(datagrams, 0)));
        let mut batch = client.batch();
        batch.push(28, NlmF::empty(), |_| ());
        batch.push(28, NlmF::ACK, |_| ());
        let mut replies = Vec::new();
        batch.exchange(|place, reply| {
            replies.push(match reply {
                Reply::Data(payload) => (place, Ok(payload.to_vec())),
                Reply::End(errno) => (place, Err(errno)),
            });
            Ok(())
        })?;
        Ok(replies)
    }

    #[test]
    fn replies_are_matched_to_their_requests_and_those_of_others_are_passed_over() {
        let datagrams = vec![
            [message(28, 0, b"late"), end(Nlmsg::Error, 1, libc::EEXIST), message(28, 2, b"data")].concat(),
            end(Nlmsg::Done, 3, 0),
            end(Nlmsg::Done, 2, 0),
        ];
        let expected = [(0, Err(libc::EEXIST)), (1, Ok(b"data".to_vec())), (1, Err(0))];
        assert_eq!(replies(datagrams).unwrap(), expected);
    }

    #[test]
    fn what_is_lost_cut_off_or_missing_is_an_error() {
        let overrun = replies(vec![message(Nlmsg::Overrun.into(), 1, &[])]);
        assert!(matches!(overrun, Err(NetlinkError::Overrun)), "{overrun:?}");
        let truncated = replies(vec![message(28, 1, &[0; 200])]);
        assert!(matches!(truncated, Err(NetlinkError::Truncated(216))), "{truncated:?}");
        let cut_off = replies(vec![end(Nlmsg::Done, 2, 0)[..18].to_vec()]);
        assert!(matches!(cut_off, Err(NetlinkError::Malformed(_))), "{cut_off:?}");
        let silent = replies(vec![end(Nlmsg::Error, 1, 0)]);
        assert!(matches!(silent, Err(NetlinkError::NoReply(_))), "{silent:?}");
    }

    fn open() -> Client {
        Client::over(Box::new(NetlinkSocket::open().unwrap()))
    }

    /// Sends requests that every kernel refuses to anybody: to netlink's own family, for a command that there is not.
    fn ends(client: &mut Client, count: usize) -> Result<Vec<(usize, i32)>, NetlinkError> {
        let mut batch = client.batch();
        for _ in 0..count {
            batch.push(GenlId::Ctrl.into(), NlmF::ACK, |buffer| buffer.extend([200, 1, 0, 0]));
        }
        let mut ends = Vec::new();
        batch.exchange(|place, reply| {
            if let Reply::End(errno) = reply {
                ends.push((place, errno));
            }
            Ok(())
        })?;
        Ok(ends)
    }

    #[test]
    fn each_refusal_is_returned_with_the_place_of_its_request() {
        let mut client = open();
        let expected: Vec<_> = (0..320).map(|place| (place, libc::EOPNOTSUPP)).collect();
        assert_eq!(ends(&mut client, 320).unwrap(), expected);
        assert_eq!((client.sends, client.messages), (1, 320));
    }

    // The kernel drops what does not fit into the socket's buffer: no answer must not be taken for a good one.
    #[test]
    fn lost_replies_are_no_success_and_the_next_exchange_is_in_order() {
        let mut client = open();
        let lost = ends(&mut client, 5000);
        assert!(matches!(lost, Err(NetlinkError::Overrun)), "{lost:?}");
        assert_eq!(ends(&mut client, 1).unwrap(), [(0, libc::EOPNOTSUPP)]);
    }

    #[test]
    fn silence_ends_after_a_while_and_late_replies_are_passed_over() {
        let mut client = open();
        client.timeout = Duration::from_millis(50);
        // Without ACK a data message is all that comes, and the end is waited for in vain.
        let mut batch = client.batch();
        batch.push(GenlId::Ctrl.into(), NlmF::empty(), |buffer| {
            buffer.extend([CtrlCmd::Getfamily.into(), 2, 0, 0]);
            append_text(buffer, CtrlAttr::FamilyName.into(), "nlctrl");
        });
        let mut received = 0;
        let silent = batch.exchange(|_, _| {
            received += 1;
            Ok(())
        });
        assert!(matches!(silent, Err(NetlinkError::NoReply(_))), "{silent:?}");
        assert_eq!(received, 1);
        assert_eq!(ends(&mut client, 2).unwrap(), [(0, libc::EOPNOTSUPP), (1, libc::EOPNOTSUPP)]);
    }
}
