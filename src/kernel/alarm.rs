//! Hears that somebody changes the packet filter, so that lbd's own table is looked at without waiting for a clock.
//!
//! `nft flush ruleset`, which a reload of nftables.service begins with, takes lbd's table along: its marks would be gone
//! until the next look.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::os::unix::net;
use std::time::Duration;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::net::UnixDatagram;
use tokio::time::sleep;

/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`: every change of a table is told there.
const NFTABLES: u32 = 7;

/// A change is a message for each rule; a look is due when they have come to an end.
const QUIET: Duration = Duration::from_millis(100);

/// An ear at the packet filter of the network namespace in which it was opened.
pub struct Alarm {
    /// `None` where the kernel has no such messages, or has them not for us
    socket: Option<UnixDatagram>,
    /// Whether something was heard that nobody has been told yet
    heard: Cell<bool>,
}

impl Alarm {
    /// Listens from now on. Where that cannot be had, nothing is ever heard, and the clock has to do.
    pub fn open() -> Self {
        let open = || -> io::Result<UnixDatagram> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(NETFILTER))?;
            bind(&socket, &SocketAddrNetlink::new(0, 1 << (NFTABLES - 1)))?;
            // Nothing but receiving is asked of it, which is the same for every kind of datagram, and tokio knows this one.
            UnixDatagram::from_std(net::UnixDatagram::from(socket))
        };
        Self { socket: open().ok(), heard: Cell::new(false) }
    }

    /// Waits until somebody, lbd included, has changed a table. Nothing is lost where this is given up and begun again.
    pub async fn rings(&self) {
        let Some(socket) = &self.socket else { return pending().await };
        while !self.heard.get() {
            if socket.readable().await.is_err() {
                return pending().await;
            }
            self.heard.set(drain(socket));
        }
        sleep(QUIET).await;
        drain(socket);
        self.heard.set(false);
    }
}

/// Throws away what has come, and tells whether anything had. What it says does not matter.
fn drain(socket: &UnixDatagram) -> bool {
    let mut room = [0; 4096];
    let mut heard = false;
    loop {
        match socket.try_recv(&mut room) {
            Ok(_) => heard = true,
            // More than there was room for is something, too.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => heard = true,
            Err(_) => return heard,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn it_is_silent_while_nothing_happens() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let alarm = Alarm::open();
            assert!(timeout(Duration::from_millis(50), alarm.rings()).await.is_err());
        });
    }
}
