//! Names what can go wrong between a netlink request and its reply.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a netlink request has no usable reply.
#[derive(Debug)]
pub enum NetlinkError {
    /// A system call on the socket failed; whether the request was carried out is not known.
    Socket(io::Error),
    /// The kernel dropped replies for want of room in the socket's buffer (ENOBUFS, or `NLMSG_OVERRUN`). The requests have
    /// been carried out all the same.
    Overrun,
    /// No reply came within this time.
    NoReply(Duration),
    /// A reply was longer than the buffer: so many bytes.
    Truncated(usize),
    /// The bytes of a reply make no sense.
    Malformed(Malformed),
    /// The kernel refused the request with this error number (`NLMSG_ERROR`), positive.
    Refused(i32),
}

impl NetlinkError {
    /// The error number of the kernel, where there is one: of the socket or of the refusal.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(error) => error.raw_os_error(),
            Self::Overrun => Some(libc::ENOBUFS),
            Self::Refused(errno) => Some(*errno),
            Self::NoReply(_) | Self::Truncated(_) | Self::Malformed(_) => None,
        }
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(_) => f.write_str("the netlink socket fails"),
            Self::Overrun => f.write_str("some of the kernel's replies were lost (ENOBUFS)"),
            Self::NoReply(time) => write!(f, "the kernel has not replied for {} s", time.as_secs()),
            Self::Truncated(length) => {
                write!(f, "a reply of the kernel is {length} bytes long, more than the buffer for it")
            }
            Self::Malformed(_) => f.write_str("a reply of the kernel cannot be understood"),
            Self::Refused(errno) => io::Error::from_raw_os_error(*errno).fmt(f),
        }
    }
}

impl std::error::Error for NetlinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket(error) => Some(error),
            Self::Malformed(malformed) => Some(malformed),
            Self::Overrun | Self::NoReply(_) | Self::Truncated(_) | Self::Refused(_) => None,
        }
    }
}

impl From<Malformed> for NetlinkError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What is wrong with the bytes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}
