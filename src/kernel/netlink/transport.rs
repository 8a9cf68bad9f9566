//! Sends and receives datagrams over a netlink socket; a test can put another transport in its place.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg};

/// Room for the replies to one send if each of its messages is refused: an error echoes its request, 1280 bytes as the
/// kernel counts. It doubles the number and cuts it to `net.core.rmem_max`, 416 KiB by default: 332 of them.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Room for the frames of short lists: 19 real servers each. The kernel takes the memory for a frame before it knows how
/// much it will fill, and for more than 8 KiB, of which 320 bytes are its own, that is dear. It is never less than the
/// first frame of a kernel with pages of 64 KiB (`NLMSG_GOODSIZE` in linux/netlink.h).
pub(crate) const SMALL: usize = 8192 - 320;

/// Carries datagrams to the kernel and back.
pub trait Transport {
    /// Sends one datagram.
    ///
    /// # Errors
    /// Those of the socket.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Receives one datagram into `room` bytes, and returns its true length, also where that is more. How much of a list the
    /// kernel puts into one datagram depends on the largest room so far.
    ///
    /// # Errors
    /// `WouldBlock` where there is none yet; `ENOBUFS` where the kernel had to drop some.
    fn receive(&mut self, room: usize) -> io::Result<usize>;

    /// The datagram that was received last, as far as there was room for it.
    fn datagram(&self) -> &[u8];

    /// Waits until something can be received, or until a time; returns whether something can.
    ///
    /// # Errors
    /// Those of the selector.
    fn wait(&mut self, until: Instant) -> io::Result<bool>;
}

/// A netlink socket, in the network namespace of the thread that opened it.
///
/// The kernel has its replies ready when a request is sent, so that one call receives several: of a list, mostly all of
/// it and its end. For a table of 10,000 services that is 20,000 calls in place of 30,000.
pub struct NetlinkSocket {
    socket: NlSocket,
    /// How many are received at once
    at_once: usize,
    headers: MultiHeaders<()>,
    /// The buffers of all of them, one after another
    rooms: Vec<u8>,
    /// How long the buffer of each is
    room: usize,
    /// How long the datagrams in them truly are
    arrived: Vec<usize>,
    /// Which of them was received last
    current: usize,
}

impl NetlinkSocket {
    /// Opens a socket to the generic netlink, where IPVS is.
    ///
    /// # Errors
    /// Where the process may have none.
    pub fn open() -> io::Result<Self> {
        // Of a list there is mostly one frame, and then its end.
        let netlink = Self::to(NlFamily::Generic, 2)?;
        netlink.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(netlink)
    }

    /// Opens a socket to the kernel's interfaces, addresses and routes.
    ///
    /// # Errors
    /// Where the process may have none.
    pub(crate) fn routing() -> io::Result<Self> {
        // Many requests are sent at once, and the replies are short; but there are lists as well.
        let netlink = Self::to(NlFamily::Route, 4)?;
        netlink.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        // The kernel then lists only the routes of the request. Before 4.20 it lists them all.
        let _ = netlink.socket.enable_strict_checking(true);
        Ok(netlink)
    }

    /// Opens a socket to netfilter, of which nftables is a part.
    ///
    /// # Errors
    /// Where the process may have none, or the kernel has no netfilter.
    pub(crate) fn netfilter() -> io::Result<Self> {
        Self::to(NlFamily::Netfilter, 1)
    }

    fn to(family: NlFamily, at_once: usize) -> io::Result<Self> {
        Ok(Self {
            socket: NlSocket::connect(family, None, Groups::empty())?,
            at_once,
            headers: MultiHeaders::preallocate(at_once, None),
            rooms: Vec::new(),
            room: 0,
            arrived: Vec::with_capacity(at_once),
            current: 0,
        })
    }

    /// Whether the next datagram has arrived already, so that it costs no system call.
    pub fn is_ahead(&self) -> bool {
        self.current + 1 < self.arrived.len()
    }
}

impl Transport for NetlinkSocket {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram, Msg::empty()).map(|_| ())
    }

    fn receive(&mut self, room: usize) -> io::Result<usize> {
        self.current += 1;
        if let Some(length) = self.arrived.get(self.current) {
            return Ok(*length);
        }
        self.arrived.clear();
        self.current = 0;
        if self.room < room {
            self.room = room;
            self.rooms = vec![0; self.at_once * room];
        }
        let mut rooms: Vec<[IoSliceMut<'_>; 1]> =
            self.rooms.chunks_mut(self.room.max(1)).map(|room| [IoSliceMut::new(room)]).collect();
        // With TRUNC the kernel returns the true length of what it had to cut off.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let received = recvmmsg(self.socket.as_raw_fd(), &mut self.headers, rooms.iter_mut(), flags, None)?;
        self.arrived.extend(received.map(|datagram| datagram.bytes));
        self.arrived.first().copied().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn datagram(&self) -> &[u8] {
        let length = self.arrived.get(self.current).map_or(0, |length| *length.min(&self.room));
        self.rooms.get(self.current * self.room..).and_then(|room| room.get(..length)).unwrap_or_default()
    }

    // Replies are hardly ever waited for, so the selector is made when it is needed.
    fn wait(&mut self, until: Instant) -> io::Result<bool> {
        let mut poll = Poll::new()?;
        let fd = self.socket.as_raw_fd();
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
}
