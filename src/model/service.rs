//! A virtual service: the address or firewall mark that clients reach, and how its connections are scheduled.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use compact_str::CompactString;

use super::named::{Named, named};
use super::{SchedulerFlags, Servers};

/// An address family of the Internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// How many bits an address has.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// What the URL of a service that listens on a firewall mark begins with.
    pub const fn mark_scheme(self) -> &'static str {
        match self {
            Self::V4 => "fwmark",
            Self::V6 => "fwmark6",
        }
    }

    fn of_mark_scheme(scheme: &str) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.mark_scheme() == scheme)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

named! {
    /// A transport protocol.
    pub enum Protocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// SCTP.
        Sctp = "sctp",
    }
    /// Any other number. The kernel stores whatever it is given (kernel-facts: "not validated"), so a foreign
    /// service may have one; a desired file may not.
    else Other(u16) = "protocol-{}"
}

/// What identifies a virtual service in the kernel. It reads and prints as a `listen` URL: `tcp://10.0.0.13:80`,
/// `udp://[fd00::1]:53`, `fwmark://10`, `fwmark6://10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceKey {
    /// Connections to one protocol, address and port; port 0 is every port of the address.
    Address {
        /// Transport protocol
        protocol: Protocol,
        /// Virtual address (VIP)
        address: IpAddr,
        /// Port, in host byte order
        port: u16,
    },
    /// Packets that carry a firewall mark. An IPv4 and an IPv6 service can share a mark.
    FirewallMark {
        /// Family of the packets
        family: Family,
        /// All 32 bits of the mark; never 0
        mark: u32,
    },
}

impl ServiceKey {
    /// What a `listen` URL can begin with, before `://`.
    pub fn schemes() -> impl Iterator<Item = &'static str> {
        let protocols = Protocol::ALL.iter().filter_map(|protocol| protocol.name());
        protocols.chain([Family::V4, Family::V6].map(Family::mark_scheme))
    }

    /// The address family of the service's clients.
    pub fn family(&self) -> Family {
        match *self {
            Self::Address { address, .. } => Family::of(address),
            Self::FirewallMark { family, .. } => family,
        }
    }

    /// The port that a server without a port of its own gets: the service's, or 0 ("as the client sent it") for a mark.
    pub fn default_server_port(&self) -> u16 {
        match *self {
            Self::Address { port, .. } => port,
            Self::FirewallMark { .. } => 0,
        }
    }

    /// The firewall mark, where the service listens on one.
    pub fn mark(&self) -> Option<u32> {
        match *self {
            Self::Address { .. } => None,
            Self::FirewallMark { mark, .. } => Some(mark),
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address { protocol, address, port } => {
                write!(f, "{protocol}://{}", SocketAddr::new(address, port))
            }
            Self::FirewallMark { family, mark } => write!(f, "{}://{mark}", family.mark_scheme()),
        }
    }
}

/// Why a text is not a `listen` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// There is no `://`.
    NoScheme,
    /// The part before `://` is no protocol that IPVS schedules.
    UnknownScheme(String),
    /// The part behind `://` is no `ADDRESS:PORT`.
    NotAddressPort(String),
    /// The port is missing.
    NoPort(String),
    /// The part behind `://` is no mark from 1 to 4294967295.
    NotMark(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => f.write_str("the protocol is missing"),
            Self::UnknownScheme(word) => write!(f, "unknown protocol `{word}`"),
            Self::NotAddressPort(rest) => write!(f, "`{rest}` is not an IP address and port"),
            Self::NoPort(rest) => write!(f, "`{rest}` has no port"),
            Self::NotMark(rest) => write!(f, "`{rest}` is not a firewall mark"),
        }
    }
}

impl std::error::Error for KeyError {}

impl FromStr for ServiceKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts = text.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?)));
        let (scheme, rest) = parts.ok_or(KeyError::NoScheme)?;
        if let Some(family) = Family::of_mark_scheme(scheme) {
            let mark = parse_mark(rest).ok_or_else(|| KeyError::NotMark(rest.into()))?;
            return Ok(Self::FirewallMark { family, mark });
        }
        let protocol = Protocol::from_name(scheme).ok_or_else(|| KeyError::UnknownScheme(scheme.into()))?;
        let socket: SocketAddr = rest.parse().map_err(|_| {
            let bare = rest.trim_start_matches('[').trim_end_matches(']');
            match bare.parse::<IpAddr>() {
                Ok(_) => KeyError::NoPort(rest.into()),
                Err(_) => KeyError::NotAddressPort(rest.into()),
            }
        })?;
        // A zone (`fe80::1%2`) parses, but has no meaning to IPVS.
        if let SocketAddr::V6(v6) = socket
            && v6.scope_id() != 0
        {
            return Err(KeyError::NotAddressPort(rest.into()));
        }
        Ok(Self::Address { protocol, address: socket.ip(), port: socket.port() })
    }
}

/// A firewall mark as a person writes it, decimal or `0x…`; `None` for 0, which the kernel takes for "no mark".
fn parse_mark(text: &str) -> Option<u32> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_hexdigit());
    let mark = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if digits(hex) => u32::from_str_radix(hex, 16).ok()?,
        None if digits(text) => text.parse().ok()?,
        _ => return None,
    };
    (mark != 0).then_some(mark)
}

/// The longest name of a scheduler or persistence engine that the kernel takes, in bytes (16 with the final NUL).
const NAME_MAX: usize = 15;

/// Whether a kernel module can have this name: 1 to 15 printable characters, no space, no slash.
fn is_module_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// The name of a scheduler: a kernel module `ip_vs_NAME`, hence a checked name and not a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchedulerName(CompactString);

impl SchedulerName {
    /// The schedulers of the mainline kernel.
    pub const MAINLINE: [&'static str; 14] =
        ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos"];

    /// What the kernel calls a service that has no scheduler; it refuses every connection.
    pub const NONE: &'static str = "none";

    /// A scheduler by its name, or `None` where no kernel could have a module of that name.
    pub fn new(name: &str) -> Option<Self> {
        is_module_name(name).then(|| Self(name.into()))
    }

    /// The name as the kernel spells it, with any bytes: only for what was read from the kernel.
    pub fn from_kernel(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as the kernel spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchedulerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

named! {
    /// What recognises a client beside its address.
    pub enum PersistenceEngine {
        /// The Call-ID of SIP over UDP.
        Sip = "sip",
    }
}

impl From<PersistenceEngine> for EngineName {
    fn from(engine: PersistenceEngine) -> Self {
        Self(engine.as_str().into())
    }
}

/// The name of a persistence engine: a kernel module `ip_vs_pe_NAME`. The mainline kernel has `sip`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineName(Box<str>);

impl EngineName {
    /// An engine by its name, or `None` where no kernel could have a module of that name.
    pub fn new(name: &str) -> Option<Self> {
        is_module_name(name).then(|| Self(name.into()))
    }

    /// The name as the kernel spells it, with any bytes: only for what was read from the kernel.
    pub fn from_kernel(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as the kernel spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which clients count as one for persistence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PersistenceMask {
    /// A netmask. The kernel stores any 32 bits, also those that are no prefix.
    V4(Ipv4Addr),
    /// A prefix length, 1 to 128 (as read from the kernel: any number).
    V6(u32),
}

impl PersistenceMask {
    /// Each client for itself: 255.255.255.255 or 128.
    pub fn single_client(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Self::V6(128),
        }
    }
}

impl fmt::Display for PersistenceMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(mask) => mask.fmt(f),
            Self::V6(length) => length.fmt(f),
        }
    }
}

/// Persistence: a client stays with the server that it got first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Persistence {
    /// For how many seconds after its last connection; 1 to 4294967 in a desired file.
    pub timeout: u32,
    /// Which clients count as one.
    pub mask: PersistenceMask,
}

/// How a virtual service hands out its connections: everything of it that can be edited in place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scheduling {
    /// Scheduler
    pub scheduler: SchedulerName,
    /// The scheduler's switches
    pub flags: SchedulerFlags,
    /// Persistence, where the service has it. A time or mask that the kernel stores for a service without persistence
    /// has no effect and is not part of the model.
    pub persistence: Option<Persistence>,
    /// What recognises a client beside its address
    pub engine: Option<EngineName>,
    /// Each packet is scheduled for itself (UDP and marks)
    pub one_packet: bool,
}

/// A virtual service and the real servers behind it. Both parts can be shared: most services of a director have the
/// scheduling of their neighbours, and what is read back from the kernel is mostly what was desired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualService {
    /// What can be edited in place
    pub scheduling: Arc<Scheduling>,
    /// The real servers. Their order is that of the file in a desired state, and means nothing in a live one; it is
    /// not compared.
    pub servers: Arc<Servers>,
}

impl VirtualService {
    /// A virtual service of its two parts.
    pub fn new(scheduling: impl Into<Arc<Scheduling>>, servers: impl Into<Arc<Servers>>) -> Self {
        Self { scheduling: scheduling.into(), servers: servers.into() }
    }

    /// The scheduling, to be changed: for this service alone.
    pub fn scheduling_mut(&mut self) -> &mut Scheduling {
        Arc::make_mut(&mut self.scheduling)
    }

    /// The real servers, to be changed: for this service alone.
    pub fn servers_mut(&mut self) -> &mut Servers {
        Arc::make_mut(&mut self.servers)
    }

    /// Shares with another service what is the same in both, so that it is in memory once.
    pub fn share(&mut self, other: &Self) {
        if self.scheduling == other.scheduling {
            self.scheduling = Arc::clone(&other.scheduling);
        }
        if self.servers == other.servers {
            self.servers = Arc::clone(&other.servers);
        }
    }
}

/// Lets each service of a row share its scheduling with the one before it, where they have the same.
#[derive(Debug, Default)]
pub struct SchedulingCache(Option<Arc<Scheduling>>);

impl SchedulingCache {
    /// The scheduling of the next service.
    pub fn share(&mut self, scheduling: Scheduling) -> Arc<Scheduling> {
        match &self.0 {
            Some(before) if **before == scheduling => Arc::clone(before),
            _ => Arc::clone(self.0.insert(scheduling.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_url_prints_as_it_was_read() {
        for text in [
            "tcp://10.0.0.13:80",
            "udp://[fd00::1]:53",
            "sctp://10.0.0.1:0",
            "fwmark://10",
            "fwmark6://4294967295",
        ] {
            assert_eq!(text.parse::<ServiceKey>().map(|key| key.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("fwmark://0x10".parse(), Ok(ServiceKey::FirewallMark { family: Family::V4, mark: 16 }));
    }

    #[test]
    fn what_is_no_listen_url_says_why() {
        let error = |text: &str| text.parse::<ServiceKey>().unwrap_err();
        assert_eq!(error("10.0.0.1:80"), KeyError::NoScheme);
        assert_eq!(error("tpc://10.0.0.1:80"), KeyError::UnknownScheme("tpc".into()));
        assert_eq!(error("tcp://10.0.0.1"), KeyError::NoPort("10.0.0.1".into()));
        assert_eq!(error("tcp://[fd00::1]"), KeyError::NoPort("[fd00::1]".into()));
        assert_eq!(error("tcp://10.0.0.1:70000"), KeyError::NotAddressPort("10.0.0.1:70000".into()));
        assert_eq!(error("tcp://[fe80::1%2]:80"), KeyError::NotAddressPort("[fe80::1%2]:80".into()));
        for mark in ["0", "0x0", "-1", "+1", "4294967296", "", "0x", "ten"] {
            assert_eq!(error(&format!("fwmark://{mark}")), KeyError::NotMark(mark.into()));
        }
    }
}
