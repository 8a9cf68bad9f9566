//! The netlink socket: requests out, replies in, never waiting without end and never taking silence for success.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use neli::consts::nl::Nlmsg;
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use super::codec::message::{Malformed, Messages};

/// How long the kernel may say nothing. It carries a request out before `send` returns, so a reply is normally there
/// at once; but a handler that is interrupted answers never (seen for sync daemons).
const PATIENCE: Duration = Duration::from_secs(5);

/// Frames of a dump are up to 32 KiB long, and the kernel fills what the longest `recv` so far had room for.
const INBOX: usize = 64 * 1024;

/// Room for the replies to one send if each of its messages is refused: an error echoes its request, 1280 bytes as the
/// kernel counts. It doubles the number and cuts it to `net.core.rmem_max`, 416 KiB by default, which is enough.
const RECEIVE_BUFFER: usize = 1 << 20;

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

/// A socket of the generic netlink, in the network namespace of the thread that opened it.
pub(super) struct Socket {
    socket: NlSocket,
    sequence: u32,
    inbox: Vec<u8>,
    /// Whether the last exchange broke off, so that replies to it may still come
    unfinished: bool,
    /// What went over it so far
    pub(super) traffic: Traffic,
}

impl Socket {
    pub(super) fn open() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(Self {
            socket,
            sequence: 0,
            inbox: vec![0; INBOX],
            unfinished: false,
            traffic: Traffic::default(),
        })
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
        self.socket.send(outbox, Msg::empty()).map_err(Trouble::Io)?;
        let mut frames = 0;
        loop {
            let datagram = receive(&self.socket, &mut self.inbox)?;
            let (mut data, mut ended) = (false, false);
            for message in Messages::new(datagram) {
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

    /// Throws away what an exchange that broke off left behind. A dump has to be read to its end, or the kernel
    /// refuses the next one (EBUSY).
    fn drain(&mut self) -> Result<(), Trouble> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.socket.recv(&mut self.inbox[..], Msg::DONTWAIT) {
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

/// The next datagram, as soon as there is one.
fn receive<'a>(socket: &NlSocket, inbox: &'a mut [u8]) -> Result<&'a [u8], Trouble> {
    let mut until = None;
    loop {
        // With TRUNC the kernel tells the true length of what it had to cut off.
        match socket.recv(&mut *inbox, Msg::DONTWAIT | Msg::TRUNC) {
            Ok((length, _)) => return inbox.get(..length).ok_or(Trouble::Oversized(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
                if !wait(socket, until).map_err(Trouble::Io)? {
                    return Err(Trouble::Silent(PATIENCE));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Err(Trouble::Lost),
            Err(error) => return Err(Trouble::Io(error)),
        }
    }
}

/// Whether something can be received before the time is up. Replies are hardly ever waited for, so the selector is
/// made when it is needed.
fn wait(socket: &NlSocket, until: Instant) -> io::Result<bool> {
    let mut poll = Poll::new()?;
    let fd = socket.as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(1);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll.poll(&mut events, Some(left)) {
            Ok(()) if !events.is_empty() => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ if left.is_zero() => return Ok(false),
            Ok(()) | Err(_) => {}
        }
    }
}
