//! Names why the kernel cannot be read or written, with what to do about it.

use std::error::Error;
use std::fmt;

use super::explain;
use super::netlink::NetlinkError;
use crate::model::ServiceKey;

/// Something of IPVS that is read by one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// Whether the kernel has IPVS
    Family,
    /// The version, which shows whether this process may use IPVS
    Info,
    /// All virtual services
    Services,
    /// One virtual service
    Service(ServiceKey),
    /// The real servers of a virtual service
    Servers(ServiceKey),
    /// The timeouts of connections
    Timeouts,
    /// The sync daemons
    SyncDaemons,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Family | Self::Info => f.write_str("IPVS"),
            Self::Services => f.write_str("the virtual services"),
            Self::Service(service) => service.fmt(f),
            Self::Servers(service) => write!(f, "the servers of {service}"),
            Self::Timeouts => f.write_str("the timeouts"),
            Self::SyncDaemons => f.write_str("the sync daemons"),
        }
    }
}

/// Why the kernel cannot be read, or why it is not known what became of an edit.
///
/// Its text is one sentence with the way out; the cause, where it is another error, is its `source()`.
#[derive(Debug)]
pub enum KernelError {
    /// The kernel has no IPVS, and no module for it.
    NoIpvs,
    /// The kernel refuses to be read, with this error number.
    Refused {
        /// What was to be read
        query: Query,
        /// The error number, positive
        errno: i32,
    },
    /// The kernel refuses to set counters to zero, with this error number.
    NotZeroed {
        /// Of which service; `None`: of all
        service: Option<ServiceKey>,
        /// The error number, positive
        errno: i32,
    },
    /// A list changes faster than it can be read whole.
    Unsettled(Query),
    /// A request has no usable reply; whether an edit was carried out is not known.
    Netlink(NetlinkError),
    /// Another process writes to the kernel now, by the [`Permit`](super::Permit): nothing more was written.
    NotPermitted,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIpvs => f.write_str(
                "this kernel has no IPVS: the module ip_vs is neither built in nor can it be loaded; install the kernel's \
                 modules, or load it by `modprobe ip_vs` before lbd starts",
            ),
            Self::Refused { query: query @ (Query::Family | Query::Info), errno } => {
                write!(f, "cannot use {query}: {}", explain::read_refusal(*errno))
            }
            Self::Refused {
                query:
                    query @ (Query::Services
                    | Query::Service(_)
                    | Query::Servers(_)
                    | Query::Timeouts
                    | Query::SyncDaemons),
                errno,
            } => write!(f, "cannot read {query}: {}", explain::read_refusal(*errno)),
            Self::NotZeroed { service, errno } => {
                f.write_str("cannot set the counters of ")?;
                match service {
                    Some(service) => service.fmt(f)?,
                    None => f.write_str("all services")?,
                }
                write!(f, " to zero: {}", explain::read_refusal(*errno))
            }
            Self::Unsettled(query) => write!(
                f,
                "cannot read {query}: another program changes them all the time; find out which (keepalived, ipvsadm, \
                 kube-proxy?), or try again"
            ),
            Self::Netlink(error) => match error {
                NetlinkError::Socket(_) => write!(f, "{error}; what was requested last may or may not be done"),
                NetlinkError::Overrun => write!(
                    f,
                    "{error}; what was requested is done as far as it could be, read the table again to see"
                ),
                NetlinkError::NoReply(_) => write!(
                    f,
                    "{error}; it is not known whether it did what was requested, read the table again"
                ),
                NetlinkError::Truncated(_) | NetlinkError::Malformed(_) => {
                    write!(f, "{error} (is the kernel newer than this lbd knows?)")
                }
                NetlinkError::Refused(_) => write!(f, "the kernel refuses a request: {error}"),
            },
            Self::NotPermitted => f.write_str(
                "another process has taken over the lock, since this one was stopped for a while; nothing more was changed",
            ),
        }
    }
}

impl Error for KernelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Its own text is part of this one's.
            Self::Netlink(error) => error.source(),
            Self::NoIpvs
            | Self::Refused { .. }
            | Self::NotZeroed { .. }
            | Self::Unsettled(_)
            | Self::NotPermitted => None,
        }
    }
}

impl From<NetlinkError> for KernelError {
    fn from(error: NetlinkError) -> Self {
        Self::Netlink(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::netlink::Malformed;
    use super::*;
    use crate::error_chain::ErrorChain;

    #[test]
    fn each_error_names_its_cause_and_the_way_out() {
        let service = "tcp://192.0.2.1:443".parse().unwrap();
        let socket = NetlinkError::Socket(io::Error::from_raw_os_error(libc::ENOTCONN));
        for (error, expected) in [
            (
                KernelError::Refused { query: Query::Info, errno: libc::EPERM },
                "cannot use IPVS: the kernel lets only CAP_NET_ADMIN of the initial user namespace use IPVS, reading \
                 included (EPERM); run as root on the host (a rootless container will not do)",
            ),
            (
                KernelError::Refused { query: Query::Servers(service), errno: libc::EXDEV },
                "cannot read the servers of tcp://192.0.2.1:443: Invalid cross-device link (error 18)",
            ),
            (
                KernelError::Netlink(socket),
                "the netlink socket fails; what was requested last may or may not be done: Transport endpoint is not \
                 connected (os error 107)",
            ),
            (
                KernelError::Netlink(Malformed("a message that is cut off").into()),
                "a reply of the kernel cannot be understood (is the kernel newer than this lbd knows?): a message that is \
                 cut off",
            ),
            (
                KernelError::Netlink(NetlinkError::Overrun),
                "some of the kernel's replies were lost (ENOBUFS); what was requested is done as far as it could be, read \
                 the table again to see",
            ),
        ] {
            assert_eq!(ErrorChain(&error).to_string(), expected);
        }
    }
}
