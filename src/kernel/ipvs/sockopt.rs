//! Calls the old socket options of IPVS, which list the real servers of an IPv4 service for a fifteenth of netlink's cost.
//!
//! The only unsafe code of lbd, and all of it is one system call: no safe library makes it.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// The lists that there are, by the numbers of `linux/ip_vs.h`.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    /// `IP_VS_SO_GET_SERVICES`: the IPv4 services, each with the number of its servers of either family
    Services = 64 + 1024 + 64 + 2,
    /// `IP_VS_SO_GET_DESTS`: the IPv4 servers of one service
    Servers = 64 + 1024 + 64 + 4,
}

/// Replaces the request at the start of `room` by the reply. The kernel wants the length to fit the number of entries
/// that the request has room for, and writes no more than that.
///
/// # Errors
/// `ESRCH` for a service that is not there, `EINVAL` for a length that does not fit the request, `EPERM` without
/// CAP_NET_ADMIN.
pub(super) fn get(socket: &UdpSocket, list: List, room: &mut [u8]) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(room.len()).map_err(io::Error::other)?;
    // SAFETY: `room` is exclusively ours for the length of the call and `length` is its length, which is how much of it
    // the kernel may read and write; the kernel may also write to `length`, a local variable.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            list as c_int,
            room.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
