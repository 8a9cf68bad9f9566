//! Connects to servers, and says whose fault an error is: the server's, or the checker's own.

use std::io;
use std::net::{IpAddr, SocketAddr};

use compact_str::{CompactString, format_compact};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use rustix::io::Errno;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::health::{Endpoint, Outcome};

/// A TCP connection that is closed by a reset, so that none is left waiting on either side.
pub(super) async fn connect(target: Endpoint, source: Option<IpAddr>) -> Result<TcpStream, Outcome> {
    let stream = async {
        let socket = match target {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_zero_linger()?;
        socket.set_nodelay(true)?;
        if let Some(source) = source {
            // The kernel chooses the port when it knows the target: else each probe would use up one of all.
            // For IPv6 there is no such option.
            let _ = setsockopt(&socket, IpBindAddressNoPort, &true);
            socket.bind(SocketAddr::new(source, 0))?;
        }
        socket.connect(target).await
    };
    stream.await.map_err(|error| failure(&error))
}

/// A UDP socket that takes datagrams of this target only, and is notified where the target has no such port.
pub(super) async fn connect_udp(target: Endpoint, source: Option<IpAddr>) -> Result<UdpSocket, Outcome> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = async {
        let socket = UdpSocket::bind(SocketAddr::new(source.unwrap_or(any), 0)).await?;
        socket.connect(target).await?;
        Ok(socket)
    };
    socket.await.map_err(|error: io::Error| failure(&error))
}

/// What an error of a socket says. What this host lacks is no failure of the server: descriptors, ports, memory, routes,
/// permissions.
pub(super) fn failure(error: &io::Error) -> Outcome {
    let text = text(error);
    match Errno::from_io_error(error) {
        Some(
            Errno::MFILE
            | Errno::NFILE
            | Errno::ADDRNOTAVAIL
            | Errno::ADDRINUSE
            | Errno::AFNOSUPPORT
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::PERM
            | Errno::ACCESS
            | Errno::NOBUFS
            | Errno::NOMEM
            | Errno::INVAL,
        ) => Outcome::Own(text),
        _ => Outcome::Failed(text),
    }
}

/// An error in words that are not the library's.
pub(super) fn text(error: &io::Error) -> CompactString {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => "connection refused".into(),
        Some(Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED) => "connection reset".into(),
        Some(Errno::HOSTUNREACH) => "host unreachable".into(),
        Some(Errno::TIMEDOUT) => "connection timed out".into(),
        Some(Errno::NETUNREACH) => "no route to the network (ENETUNREACH)".into(),
        Some(Errno::ADDRNOTAVAIL) => "no free local address or port (EADDRNOTAVAIL)".into(),
        Some(Errno::MFILE | Errno::NFILE) => "too many open files (EMFILE)".into(),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => "connection closed".into(),
        Some(errno) => format_compact!("{}", io::Error::from(errno)),
        None => format_compact!("{error}"),
    }
}
