//! Decides which connections are wanted: by cluster, client, server and state.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::names::Belonging;
use crate::kernel::connections::ConnectionEntry;
use crate::model::{Family, Prefix};

/// What is wanted; what is `None` or empty does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionFilter {
    /// Those of these clusters
    pub clusters: Vec<String>,
    /// Those of these clients, and the templates that such a client has, unless a port is given, which no template has
    pub client: Option<Endpoint>,
    /// Those to these real servers
    pub server: Option<Endpoint>,
    /// Those in this state, in the kernel's word, small or large; `persistence` for templates
    pub state: Option<String>,
}

/// Addresses, and a port where only that one is meant. It reads `192.0.2.7`, `192.0.2.7:80`, `192.0.2.0/24`, `fd00::7`, `[fd00::7]:80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    addresses: Prefix,
    port: Option<u16>,
}

/// The text is no address with or without a port, and no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEndpoint;

impl fmt::Display for NoEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected an address, such as 192.0.2.7, 192.0.2.7:80, 192.0.2.0/24, fd00::7 or [fd00::7]:80",
        )
    }
}

impl std::error::Error for NoEndpoint {}

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        let of = |address: IpAddr, port| Self {
            addresses: Prefix { address, length: Family::of(address).bits() },
            port,
        };
        if let Some((address, length)) = text.split_once('/') {
            let address: IpAddr = address.parse().map_err(|_| NoEndpoint)?;
            let is_short = length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
            let length: Option<u8> = is_short.then(|| length.parse().ok()).flatten();
            let length = length.filter(|length| *length <= Family::of(address).bits()).ok_or(NoEndpoint)?;
            return Ok(Self { addresses: Prefix::around(address, length), port: None });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(of(address, None));
        }
        let socket: SocketAddr = text.parse().map_err(|_| NoEndpoint)?;
        Ok(of(socket.ip(), Some(socket.port())))
    }
}

impl Endpoint {
    fn meets(&self, addresses: Prefix, port: u16) -> bool {
        self.addresses.meets(addresses) && self.port.is_none_or(|of| of == port)
    }
}

impl ConnectionFilter {
    /// Whether a connection is wanted.
    pub fn has(&self, entry: &ConnectionEntry, belonging: &Belonging<'_>) -> bool {
        let is_of = |cluster: &str| self.clusters.iter().any(|name| name == cluster);
        let state = if entry.is_template { "persistence" } else { entry.state.as_str() };
        let server = entry.server.address;
        let server = Prefix { address: server, length: Family::of(server).bits() };
        (self.clusters.is_empty() || belonging.cluster.is_some_and(is_of))
            && self.client.is_none_or(|client| client.meets(belonging.clients, entry.client.port()))
            && self.server.is_none_or(|of| of.meets(server, entry.server.port))
            && self.state.as_ref().is_none_or(|of| of.eq_ignore_ascii_case(state))
    }
}
