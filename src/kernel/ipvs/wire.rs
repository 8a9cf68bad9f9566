//! The wire to the kernel: datagrams out and in, so that a test can come between.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

/// Room for the replies to one send if each of its messages is refused: an error echoes its request, 1280 bytes as the
/// kernel counts. It doubles the number and cuts it to `net.core.rmem_max`, 416 KiB by default: 332 of them.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What carries requests to the kernel and replies back.
pub trait Wire {
    /// Sends one datagram.
    ///
    /// # Errors
    /// Those of the socket.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Receives one datagram into `room`, and gives its true length, also where the room was too small for it.
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
pub struct Netlink {
    socket: NlSocket,
}

impl Netlink {
    /// Opens a socket to the generic netlink, where IPVS is.
    ///
    /// # Errors
    /// Where the process may have none.
    pub fn open() -> io::Result<Self> {
        let netlink = Self::to(NlFamily::Generic)?;
        netlink.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(netlink)
    }

    /// Opens a socket to the interfaces, addresses and routes.
    ///
    /// # Errors
    /// Where the process may have none.
    pub(crate) fn routing() -> io::Result<Self> {
        let netlink = Self::to(NlFamily::Route)?;
        netlink.socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(netlink)
    }

    /// Opens a socket to the packet filter.
    ///
    /// # Errors
    /// Where the process may have none, or the kernel has no packet filter.
    pub(crate) fn netfilter() -> io::Result<Self> {
        Self::to(NlFamily::Netfilter)
    }

    fn to(family: NlFamily) -> io::Result<Self> {
        Ok(Self { socket: NlSocket::connect(family, None, Groups::empty())? })
    }
}

impl Wire for Netlink {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram, Msg::empty()).map(|_| ())
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // With TRUNC the kernel tells the true length of what it had to cut off.
        self.socket.recv(room, Msg::DONTWAIT | Msg::TRUNC).map(|(length, _)| length)
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
