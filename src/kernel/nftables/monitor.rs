//! Notices changes of nftables, so that lbd's own table is read again without waiting for a clock.
//!
//! `nft flush ruleset`, which a reload of nftables.service begins with, deletes lbd's table: its marks would be missing
//! until the next periodic pass.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::os::unix::net;
use std::time::Duration;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use tokio::net::UnixDatagram;
use tokio::time::sleep;

/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`: the kernel sends every change of a table to this group.
const NFTABLES: u32 = 7;

/// A change is a message for each rule; it is reported when no more come for this long.
const QUIET: Duration = Duration::from_millis(100);

/// Receives the kernel's messages about changes of nftables, in the network namespace in which it was opened.
pub struct RulesetMonitor {
    /// `None` where the kernel has no such messages, or does not let this process have them
    socket: Option<UnixDatagram>,
    /// Whether a change was received that was not reported yet
    is_pending: Cell<bool>,
}

impl RulesetMonitor {
    /// Receives changes from now on. Where that is not possible, none is ever reported, and the periodic pass has to do.
    pub fn open() -> Self {
        let open = || -> io::Result<UnixDatagram> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            // Not neli's socket, which tokio cannot wait for without unsafe code.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(NETFILTER))?;
            bind(&socket, &SocketAddrNetlink::new(0, 1 << (NFTABLES - 1)))?;
            // Only `recv` is used, which is the same for every kind of datagram, and tokio knows this one.
            UnixDatagram::from_std(net::UnixDatagram::from(socket))
        };
        Self { socket: open().ok(), is_pending: Cell::new(false) }
    }

    /// Waits until a table is changed, by lbd or another program. No change is lost where this future is dropped and made anew.
    pub async fn changed(&self) {
        let Some(socket) = &self.socket else { return pending().await };
        while !self.is_pending.get() {
            if socket.readable().await.is_err() {
                return pending().await;
            }
            self.is_pending.set(drain(socket));
        }
        sleep(QUIET).await;
        drain(socket);
        self.is_pending.set(false);
    }
}

/// Throws away all messages that are there; returns whether there were any. What they say does not matter.
fn drain(socket: &UnixDatagram) -> bool {
    let mut room = [0; 4096];
    let mut any = false;
    loop {
        match socket.try_recv(&mut room) {
            Ok(_) => any = true,
            // More than there was room for is something, too.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
            Err(_) => return any,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn nothing_is_reported_while_nothing_changes() {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let monitor = RulesetMonitor::open();
            assert!(timeout(Duration::from_millis(50), monitor.changed()).await.is_err());
        });
    }
}
