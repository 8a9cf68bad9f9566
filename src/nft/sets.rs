//! The eight sets that say whose source address is replaced, each with the one rule that looks into it.
//!
//! A rule that names neither service nor server stays the same however many there are. All eight are there together, whether
//! or not their sets are empty: what comes later is one more element.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::SourceNat;
use crate::model::{Family, Protocol, ServiceKey};

/// A set, by what the services in it have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NatSet {
    pub(super) name: &'static str,
    /// `None`: services that listen on a firewall mark
    protocol: Option<Protocol>,
    family: Family,
}

const fn set(name: &'static str, protocol: Option<Protocol>, family: Family) -> NatSet {
    NatSet { name, protocol, family }
}

/// All of them.
pub(super) static SETS: [NatSet; 8] = [
    set("fullnat_tcp4", Some(Protocol::Tcp), Family::V4),
    set("fullnat_tcp6", Some(Protocol::Tcp), Family::V6),
    set("fullnat_udp4", Some(Protocol::Udp), Family::V4),
    set("fullnat_udp6", Some(Protocol::Udp), Family::V6),
    set("fullnat_sctp4", Some(Protocol::Sctp), Family::V4),
    set("fullnat_sctp6", Some(Protocol::Sctp), Family::V6),
    set("fullnat_mark4", None, Family::V4),
    set("fullnat_mark6", None, Family::V6),
];

impl NatSet {
    /// The set that a source NAT is an element of, and that element as text; `None` for what FULLNAT is not for: a protocol
    /// that no file can ask for, or a server of another family than its service.
    pub(super) fn element(of: &SourceNat) -> Option<(&'static Self, String)> {
        let SourceNat { service, address: server } = of;
        let family = service.family();
        let (protocol, text) = match service {
            ServiceKey::Address { protocol, address, port } => {
                (Some(*protocol), format!("{address} . {port} . {server}"))
            }
            ServiceKey::FirewallMark { mark, .. } => (None, format!("{mark} . {server}")),
        };
        let set = SETS.iter().find(|set| set.protocol == protocol && set.family == family)?;
        (Family::of(*server) == family).then_some((set, text))
    }

    /// What an element is made of, by nft's names.
    pub(super) fn types(&self) -> Vec<&'static str> {
        let address = match self.family {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        };
        match self.protocol {
            Some(_) => vec![address, "inet_service", address],
            None => vec!["mark", address],
        }
    }

    /// The rule that looks into the set. The protocol has to come first: without it nft does not know what a port is.
    pub(super) fn rule(&self) -> String {
        let (ip, name) = (ip(self.family), self.name);
        match self.protocol {
            Some(protocol) => format!(
                "meta l4proto {protocol} ct original {ip} daddr . ct original proto-dst . {ip} daddr @{name} masquerade"
            ),
            None => format!("meta mark . {ip} daddr @{name} masquerade"),
        }
    }

    /// Whether the statements of a listed rule are those of this rule.
    pub(super) fn is_rule(&self, statements: &[Value]) -> bool {
        let equal =
            |left: Value, right: Value| json!({ "match": { "op": "==", "left": left, "right": right } });
        let ip = ip(self.family);
        let original = |key: &str| json!({ "ct": { "key": key, "dir": "original" } });
        let server = json!({ "payload": { "protocol": ip, "field": "daddr" } });
        let set = Value::from(format!("@{}", self.name));
        let masquerade = json!({ "masquerade": null });
        match self.protocol {
            Some(protocol) => {
                let packet =
                    json!({ "concat": [original(&format!("{ip} daddr")), original("proto-dst"), server] });
                let protocol_is = |value: Value| equal(json!({ "meta": { "key": "l4proto" } }), value);
                let rest = [equal(packet, set), masquerade];
                matches!(statements, [first, others @ ..] if others == rest
                    && (*first == protocol_is(number(protocol).into())
                        || *first == protocol_is(protocol.to_string().into())))
            }
            None => {
                let packet = json!({ "concat": [{ "meta": { "key": "mark" } }, server] });
                statements == [equal(packet, set), masquerade]
            }
        }
    }

    /// The source NAT of a listed element, if it is one of those that lbd writes.
    pub(super) fn read_element(&self, element: &Value) -> Option<SourceNat> {
        let parts = element.as_object().filter(|object| object.len() == 1)?.get("concat")?.as_array()?;
        let address = |value: &Value| value.as_str()?.parse::<IpAddr>().ok();
        let (service, address) = match (self.protocol, parts.as_slice()) {
            (Some(protocol), [virtual_address, port, server]) => {
                let port = u16::try_from(port.as_u64()?).ok()?;
                (ServiceKey::Address { protocol, address: address(virtual_address)?, port }, address(server)?)
            }
            (None, [mark, server]) => {
                let mark = u32::try_from(mark.as_u64()?).ok()?;
                (ServiceKey::FirewallMark { family: self.family, mark }, address(server)?)
            }
            _ => return None,
        };
        let is_of_family = service.family() == self.family && Family::of(address) == self.family;
        is_of_family.then_some(SourceNat { service, address })
    }
}

/// The name of a family in rules.
pub(super) fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// The number of a protocol.
pub(super) fn number(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
        Protocol::Other(number) => number,
    }
}
