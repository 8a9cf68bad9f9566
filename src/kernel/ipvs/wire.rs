//! The wire to the kernel: datagrams out and in, so that a test can come between.

use std::collections::VecDeque;
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

/// The longest frame of a list, whatever there is room for (`netlink_recvmsg` in the kernel's af_netlink.c).
const FRAME: usize = 32 << 10;

/// What carries requests to the kernel and replies back.
pub trait Wire {
    /// Sends one datagram.
    ///
    /// # Errors
    /// Those of the socket.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Receives one datagram into `room`, and gives its true length, also where the room was too small for it. What a
    /// kernel puts into one frame of a list depends on the longest room so far.
    ///
    /// # Errors
    /// `WouldBlock` where there is none yet; `ENOBUFS` where the kernel had to drop some.
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize>;

    /// Waits until something can be received, or the time is up; gives whether something can.
    ///
    /// # Errors
    /// Those of the selector.
    fn wait(&mut self, until: Instant) -> io::Result<bool>;
}

/// A netlink socket, in the network namespace of the thread that opened it.
///
/// The kernel has its replies ready when a request is sent, so that one call receives several: of a list, mostly all of
/// it and its end. For a table of 10,000 services that is 20,000 calls in place of 30,000.
pub struct Netlink {
    socket: NlSocket,
    /// Room for the datagrams behind the one that is asked for, each as long as a frame can be: of memory that is never
    /// written to, none is used
    ahead: Vec<u8>,
    /// Those that lie there, in the order in which they came
    arrived: VecDeque<Arrived>,
}

impl Netlink {
    /// Opens a socket to the generic netlink, where IPVS is.
    ///
    /// # Errors
    /// Where the process may have none.
    pub fn open() -> io::Result<Self> {
        // Of a list there is mostly one frame, and then its end.
        let netlink = Self::to(NlFamily::Generic, 1)?;
        netlink.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(netlink)
    }

    /// Opens a socket to the interfaces, addresses and routes.
    ///
    /// # Errors
    /// Where the process may have none.
    pub(crate) fn routing() -> io::Result<Self> {
        // Many questions are asked at once, and the answers are short; but lists are asked for as well.
        let netlink = Self::to(NlFamily::Route, 31)?;
        netlink.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        // Of the routes it then lists those that it is asked for. Before 4.20 it lists them all.
        let _ = netlink.socket.enable_strict_checking(true);
        Ok(netlink)
    }

    /// Opens a socket to the packet filter.
    ///
    /// # Errors
    /// Where the process may have none, or the kernel has no packet filter.
    pub(crate) fn netfilter() -> io::Result<Self> {
        Self::to(NlFamily::Netfilter, 0)
    }

    fn to(family: NlFamily, ahead: usize) -> io::Result<Self> {
        let socket = NlSocket::connect(family, None, Groups::empty())?;
        Ok(Self { socket, ahead: vec![0; ahead * FRAME], arrived: VecDeque::with_capacity(ahead) })
    }

    /// Whether the next datagram has been received already, so that it costs no system call.
    pub fn is_ahead(&self) -> bool {
        !self.arrived.is_empty()
    }
}

/// A datagram that came behind another.
struct Arrived {
    /// The number of its room
    place: usize,
    /// Its true length
    length: usize,
    /// Whether there was room for all of it
    is_whole: bool,
}

impl Wire for Netlink {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram, Msg::empty()).map(|_| ())
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if let Some(Arrived { place, length, is_whole }) = self.arrived.pop_front() {
            if !is_whole {
                // Nobody can say what was in it.
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            let fits = length.min(room.len());
            let held = self.ahead.chunks(FRAME).nth(place).and_then(|datagram| datagram.get(..fits));
            if let (Some(to), Some(from)) = (room.get_mut(..fits), held) {
                to.copy_from_slice(from);
            }
            return Ok(length);
        }
        let longest = room.len().min(FRAME);
        let mut headers = MultiHeaders::<()>::preallocate(1 + self.ahead.len() / FRAME, None);
        let ahead = self.ahead.chunks_mut(FRAME).filter_map(|room| room.get_mut(..longest));
        let mut rooms: Vec<[IoSliceMut<'_>; 1]> =
            std::iter::once(room).chain(ahead).map(|room| [IoSliceMut::new(room)]).collect();
        // With TRUNC the kernel tells the true length of what it had to cut off.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let received = recvmmsg(self.socket.as_raw_fd(), &mut headers, rooms.iter_mut(), flags, None)?;
        let mut lengths = received.map(|datagram| datagram.bytes);
        let length = lengths.next().unwrap_or_default();
        self.arrived.extend(lengths.enumerate().map(|(place, length)| Arrived {
            place,
            length,
            is_whole: length <= longest,
        }));
        Ok(length)
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
