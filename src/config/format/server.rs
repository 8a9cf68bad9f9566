//! Defines how the file writes a real server. The comments on the types are the descriptions in the schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::CheckList;
use super::choice::Choice;
use super::non_null::{non_null, some};
use super::scalar::{Address, DrainText, Limit, PortNumber, Weight};
use crate::model::{Checksum, ForwardingMethod, TunnelKind};

/// A real server: its address alone, or with more about it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "a server")]
#[schemars(extend("examples" = ["192.168.8.14", { "address": "192.168.8.15:8080", "weight": 3 }]))]
#[schemars(rename = "Server")]
pub enum ServerEntry {
    /// The address alone
    Short(Address),
    /// The address and more
    Full(FullServer),
}

/// A real server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping that describes a server")]
#[schemars(rename = "RealServer")]
pub struct FullServer {
    /// The server's IP address, with or without a port (`192.168.8.14`, `192.168.8.14:8080`, `"[fd00::1]:8080"`).
    /// Without one, the port is the service's own.
    pub address: Address,

    /// The server's share of new connections; 0 keeps the connections it has and gives it no new ones. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    #[schemars(extend("default" = 1))]
    pub weight: Option<Weight>,

    /// How packets get to this server. Default: that of its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub forward: Option<Choice<ForwardingMethod>>,

    /// The packet around the packet, for `forward: tun`. Default: `{ type: ipip }`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub tunnel: Option<TunnelEntry>,

    /// At so many connections the server gets no more; 0 is no limit. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub upper_threshold: Option<Limit>,

    /// Below so many connections a server that had reached `upper_threshold` gets new ones again; at most
    /// `upper_threshold`. Default: three quarters of it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub lower_threshold: Option<Limit>,

    /// How long this server keeps its connections when it leaves the file; `0` deletes it at once. At most 30 days. Default:
    /// that of its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub drain: Option<DrainText>,

    /// The health checks of this server: the name of a check, a check itself, or a list of these, of which all must pass; `none` for no check, by which
    /// it counts as passing. Default: that of its cluster.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub check: Option<Box<CheckList>>,
}

impl FullServer {
    /// A server with nothing but an address.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            weight: None,
            forward: None,
            tunnel: None,
            upper_threshold: None,
            lower_threshold: None,
            drain: None,
            check: None,
        }
    }
}

/// The packet around the packet, for `forward: tun`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping that describes a tunnel, such as { type: gue, port: 5555 }")]
#[schemars(rename = "Tunnel")]
pub struct TunnelEntry {
    /// The encapsulation. Default: `ipip`.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "non_null"
    )]
    pub kind: Option<Choice<TunnelKind>>,

    /// The UDP port of the outer packet, for `gue` only, which needs it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub port: Option<PortNumber>,

    /// The checksum of the outer packet: `csum` for `gue` and `gre`, `remcsum` for `gue`. Default: `none`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub checksum: Option<Choice<Checksum>>,
}
