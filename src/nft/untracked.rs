//! The six sets of the addresses and ports whose packets pass connection tracking by, each with the one rule that looks into it.
//!
//! A packet is looked up once, however many services there are. What no set can hold (a prefix, several ports, a source, an
//! interface) has a rule of its own. Only the sets that have an element are there.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::sets::ip;
use crate::model::{Family, MarkMatch, Prefix, Protocol};

/// The chain of these rules. It comes before connection tracking, and before everything that might look at a state.
pub(super) const CHAIN: &str = "untracked";

/// A set, by what the services in it have in common.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UntrackedSet {
    pub(super) name: &'static str,
    protocol: Protocol,
    family: Family,
}

const fn set(name: &'static str, protocol: Protocol, family: Family) -> UntrackedSet {
    UntrackedSet { name, protocol, family }
}

/// All of them.
pub(super) static SETS: [UntrackedSet; 6] = [
    set("untracked_tcp4", Protocol::Tcp, Family::V4),
    set("untracked_tcp6", Protocol::Tcp, Family::V6),
    set("untracked_udp4", Protocol::Udp, Family::V4),
    set("untracked_udp6", Protocol::Udp, Family::V6),
    set("untracked_sctp4", Protocol::Sctp, Family::V4),
    set("untracked_sctp6", Protocol::Sctp, Family::V6),
];

impl UntrackedSet {
    /// The set that these packets are an element of, and that element as text; `None` for those that have a rule of their own.
    pub(super) fn element(packets: &MarkMatch) -> Option<(&'static Self, String)> {
        let MarkMatch { protocol, address, ports, source: None, interface: None } = packets else {
            return None;
        };
        let (protocol, Prefix { address, length }) = ((*protocol)?, (*address)?);
        let [port] = ports.as_slice() else { return None };
        let family = Family::of(address);
        let set = SETS.iter().find(|set| set.protocol == protocol && set.family == family)?;
        let is_one = length == family.bits() && port.start() == port.end();
        is_one.then(|| (set, format!("{address} . {}", port.start())))
    }

    /// What an element is made of, by nft's names.
    pub(super) fn types(&self) -> [&'static str; 2] {
        let address = match self.family {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        };
        [address, "inet_service"]
    }

    /// The rule that looks into the set.
    pub(super) fn rule(&self) -> String {
        format!("{} daddr . {} dport @{} notrack", ip(self.family), self.protocol, self.name)
    }

    /// Whether the statements of a listed rule are those of this rule.
    pub(super) fn is_rule(&self, statements: &[Value]) -> bool {
        let payload =
            |protocol: &str, field: &str| json!({ "payload": { "protocol": protocol, "field": field } });
        let packet = json!({ "concat": [
            payload(ip(self.family), "daddr"),
            payload(&self.protocol.to_string(), "dport"),
        ] });
        let looked_up =
            json!({ "match": { "op": "==", "left": packet, "right": format!("@{}", self.name) } });
        statements == [looked_up, json!({ "notrack": null })]
    }

    /// The packets of a listed element, if it is one of those that lbd writes.
    pub(super) fn read_element(&self, element: &Value) -> Option<MarkMatch> {
        let parts = element.as_object().filter(|object| object.len() == 1)?.get("concat")?.as_array()?;
        let [address, port] = parts.as_slice() else { return None };
        let address: IpAddr = address.as_str()?.parse().ok()?;
        let port = u16::try_from(port.as_u64()?).ok()?;
        (Family::of(address) == self.family).then(|| MarkMatch {
            protocol: Some(self.protocol),
            address: Some(Prefix { address, length: self.family.bits() }),
            ports: vec![port..=port],
            source: None,
            interface: None,
        })
    }
}
