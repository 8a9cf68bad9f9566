//! A real server: where the packets of a virtual service go, with which weight, and how they get there.

use std::borrow::Cow;
use std::fmt;
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;

use super::named::named;

/// What identifies a real server inside its virtual service. Prints as `ADDRESS:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey {
    /// The server's address
    pub address: IpAddr,
    /// Port in host byte order; 0 keeps the port that the client sent to
    pub port: u16,
}

impl FromStr for ServerKey {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: SocketAddr = text.parse()?;
        Ok(Self { address: address.ip(), port: address.port() })
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// How a packet gets to its real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forwarding {
    /// `nat`: the director rewrites the destination, and the answers come back through it.
    Nat,
    /// `fullnat`: like `nat`, and the director puts its own address into the source as well, so that the answers come
    /// back through it whatever the server's routes are. The kernel's IPVS knows it as `nat`; the rest is a rule of
    /// nftables and `net.ipv4.vs.conntrack`.
    FullNat,
    /// `dr` (direct routing): only the link-layer address changes; the server answers the client by itself.
    DirectRouting,
    /// `tun`: the packet travels inside another one; the server answers the client by itself.
    Tunnel(Tunnel),
    /// Another number, as the kernel stores it (1 local, 4 bypass, 5 to 7). No desired file can have it.
    Other(u8),
}

named! {
    /// How packets get to a real server.
    pub enum ForwardingMethod {
        /// The director rewrites the destination, and the answers come back through it.
        Nat = "nat",
        /// Direct routing: only the link-layer address changes; the server answers the client by itself.
        DirectRouting = "dr",
        /// The packet travels inside another one; the server answers the client by itself.
        Tunnel = "tun",
        /// NAT of both addresses: the answers come back through the director whatever the server's routes are.
        FullNat = "fullnat",
    }
}

impl Forwarding {
    /// The method by itself; `None` for one that no file can have.
    pub fn method(self) -> Option<ForwardingMethod> {
        match self {
            Self::Nat => Some(ForwardingMethod::Nat),
            Self::FullNat => Some(ForwardingMethod::FullNat),
            Self::DirectRouting => Some(ForwardingMethod::DirectRouting),
            Self::Tunnel(_) => Some(ForwardingMethod::Tunnel),
            Self::Other(_) => None,
        }
    }

    /// Its name in the file; a name of our own where no file can have it.
    pub fn word(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Nat => ForwardingMethod::Nat.as_str(),
            Self::FullNat => ForwardingMethod::FullNat.as_str(),
            Self::DirectRouting => ForwardingMethod::DirectRouting.as_str(),
            Self::Tunnel(_) => ForwardingMethod::Tunnel.as_str(),
            Self::Other(1) => "local",
            Self::Other(4) => "bypass",
            Self::Other(number) => return Cow::Owned(format!("method-{number}")),
        })
    }
}

impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}

/// The packet around the packet, for `tun`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// The encapsulation
    pub kind: TunnelKind,
    /// UDP port of the outer packet, in host byte order: 1 to 65535 for GUE, 0 for all others
    pub port: u16,
    /// Checksum of the outer packet: `None` for IPIP
    pub checksum: Checksum,
}

impl Tunnel {
    /// What `tun` means without a `tunnel` key.
    pub const IPIP: Self = Self { kind: TunnelKind::Ipip, port: 0, checksum: Checksum::None };
}

named! {
    /// The encapsulation of a tunnel.
    pub enum TunnelKind {
        /// IP in IP.
        Ipip = "ipip",
        /// Generic UDP encapsulation; needs a port.
        Gue = "gue",
        /// Generic routing encapsulation.
        Gre = "gre",
    }
    /// Another number, which the kernel stores without knowing it; never in a desired file
    else Other(u8) = "type-{}"
}

named! {
    /// The checksum of a tunnel's outer packet.
    pub enum Checksum {
        /// No checksum.
        None = "none",
        /// The outer protocol's own (`gue`, `gre`).
        Csum = "csum",
        /// Remote checksum offload (`gue`).
        Remcsum = "remcsum",
    }
    /// Other bits, which the kernel stores; never in a desired file
    else Other(u16) = "flags-{:#x}"
}

/// Connection limits of a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Thresholds {
    /// At so many connections the server gets no new ones
    pub upper: Option<NonZeroU32>,
    /// Below so many it gets new ones again; without it, three quarters of `upper`
    pub lower: Option<NonZeroU32>,
}

/// A real server: everything of it that can be edited in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RealServer {
    /// The share of new connections; 0 quiesces: connections stay, no new ones come. At most 2147483647
    pub weight: u32,
    /// How packets get there
    pub forwarding: Forwarding,
    /// Connection limits
    pub thresholds: Thresholds,
}

impl RealServer {
    /// Whether the scheduler gives new connections to this server.
    pub fn serves(&self) -> bool {
        self.weight > 0
    }
}

/// How many connections a real server has. They change by themselves and are never compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// Established ones
    pub active: u32,
    /// Those in every other state
    pub inactive: u32,
    /// Persistence templates
    pub persistent: u32,
    /// The packets in both directions that the server's counters have, which only a server with connections has here
    pub packets: u64,
}

impl Connections {
    /// Whether there is none of any kind.
    pub fn is_empty(&self) -> bool {
        let Self { active, inactive, persistent, packets: _ } = *self;
        (active, inactive, persistent) == (0, 0, 0)
    }
}
