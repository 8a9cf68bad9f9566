//! Probes by an ICMP echo, over a socket that needs no privilege.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};

use compact_str::format_compact;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::socket::failure;
use crate::health::{Endpoint, Outcome};

/// A check of type `ping`.
#[derive(Debug)]
pub(super) struct Ping {
    source: Option<IpAddr>,
}

impl Ping {
    pub(super) fn new(source: Option<IpAddr>) -> Self {
        Self { source }
    }

    pub(super) async fn probe(&self, target: Endpoint) -> Result<Outcome, Outcome> {
        let socket = self.socket(target).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::ACCESS | Errno::PERM) => {
                let group = rustix::process::getegid().as_raw();
                Outcome::Own(format_compact!(
                    "echo not permitted: net.ipv4.ping_group_range is without group {group}"
                ))
            }
            _ => failure(&error),
        })?;
        let (request, reply) = match target {
            SocketAddr::V4(_) => (8, 0),
            SocketAddr::V6(_) => (128, 129),
        };
        // The kernel writes checksum and identifier.
        let sequence = fastrand::u16(..).to_be_bytes();
        let content = fastrand::u64(..).to_be_bytes();
        let mut message = vec![request, 0, 0, 0, 0, 0];
        message.extend(sequence);
        message.extend(content);
        socket.send(&message).await.map_err(|error| failure(&error))?;
        let mut answer = [0; 256];
        loop {
            let length = socket.recv(&mut answer).await.map_err(|error| failure(&error))?;
            let answer = answer.get(..length).unwrap_or_default();
            if answer.first() == Some(&reply)
                && answer.get(6..8) == Some(&sequence)
                && answer.get(8..16) == Some(&content)
            {
                return Ok(Outcome::PASSED);
            }
        }
    }

    fn socket(&self, target: Endpoint) -> io::Result<UdpSocket> {
        let protocol = match target {
            SocketAddr::V4(_) => Protocol::ICMPV4,
            SocketAddr::V6(_) => Protocol::ICMPV6,
        };
        let socket = Socket::new(Domain::for_address(target), Type::DGRAM.nonblocking(), Some(protocol))?;
        if let Some(source) = self.source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect(&SocketAddr::new(target.ip(), 0).into())?;
        // Only sending and receiving are used of it, which are the same.
        UdpSocket::from_std(StdSocket::from(socket))
    }
}
