//! Reads socket options for which no safe library has a call: the old lists of IPVS, and the cookie of a network namespace.
//!
//! The lists have the real servers of an IPv4 service for a fifteenth of netlink's cost. The only unsafe code of lbd, and all of
//! it is one system call.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The options that are read, of which each has its own form of request and reply.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) enum SocketOption {
    /// `IP_VS_SO_GET_INFO`: the number of the IPv4 services
    Info,
    /// `IP_VS_SO_GET_SERVICES`: the IPv4 services, each with the number of its servers of either family
    Services,
    /// `IP_VS_SO_GET_DESTS`: the IPv4 servers of one service
    Servers,
    /// `SO_NETNS_COOKIE` (Linux 5.14): the number of the socket's network namespace, which no other one gets in this boot
    NamespaceCookie,
}

impl SocketOption {
    /// Its level and its name, by the numbers of `linux/ip_vs.h` and `asm-generic/socket.h`.
    fn number(self) -> (c_int, c_int) {
        /// `IP_VS_BASE_CTL`.
        const IP_VS: c_int = 64 + 1024 + 64;
        match self {
            Self::Info => (libc::IPPROTO_IP, IP_VS + 1),
            Self::Services => (libc::IPPROTO_IP, IP_VS + 2),
            Self::Servers => (libc::IPPROTO_IP, IP_VS + 4),
            // The few architectures with a number of their own (SPARC, PA-RISC) answer this one as an unknown option.
            Self::NamespaceCookie => (libc::SOL_SOCKET, 71),
        }
    }
}

/// Replaces the request at the start of `room` by the reply. The kernel wants the length to fit the option, for a list the
/// number of entries that the request has room for, and writes no more than that.
///
/// # Errors
/// `ESRCH` for a service that is not there, `EINVAL` for a length that does not fit, `EPERM` for a list without CAP_NET_ADMIN,
/// `ENOPROTOOPT` for an option that the kernel does not have.
pub(in crate::kernel) fn get(socket: impl AsFd, option: SocketOption, room: &mut [u8]) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(room.len()).map_err(io::Error::other)?;
    let socket = socket.as_fd();
    let (level, name) = option.number();
    // SAFETY: `room` is exclusively ours for the length of the call and `length` is its length, which is how much of it
    // the kernel may read and write; the kernel may also write to `length`, a local variable.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, room.as_mut_ptr().cast(), &raw mut length)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
