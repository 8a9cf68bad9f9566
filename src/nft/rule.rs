//! Reads one rule about packets: which of them get which mark or pass connection tracking by, if the rule does that and nothing else.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;

use super::sets::number;
use crate::model::{Family, MarkMatch, Named, Prefix, Protocol};

/// The statements that lbd writes, as nft lists them. What has one key more is another one.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Statement {
    Match(MatchStatement),
    Mangle(Mangle),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchStatement {
    op: String,
    left: Left,
    right: Right,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mangle {
    key: Left,
    value: u32,
}

/// What of a packet is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Left {
    Meta(Meta),
    Payload(Payload),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    protocol: String,
    field: String,
}

/// What it has to be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Right {
    Number(u16),
    Text(String),
    Wrapped(Wrapped),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Wrapped {
    Prefix { addr: IpAddr, len: u8 },
    Range(u16, u16),
    Set(Vec<Port>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    One(u16),
    More(PortRange),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum PortRange {
    Range(u16, u16),
}

/// What was found in a rule so far, each at most once.
#[derive(Default)]
struct FoundConditions {
    interface: Option<String>,
    family: Option<Family>,
    source: Option<Prefix>,
    address: Option<Prefix>,
    protocol: Option<Protocol>,
    ports: Option<(Protocol, Vec<RangeInclusive<u16>>)>,
}

/// The mark and the packets that get it, in the normal form; `None` for a rule that is not one of lbd's.
pub(super) fn read(statements: &[Value]) -> Option<(u32, MarkMatch)> {
    let (last, before) = statements.split_last()?;
    let Statement::Mangle(Mangle { key: Left::Meta(Meta { key }), value: mark }) = statement(last)? else {
        return None;
    };
    if key != "mark" || mark == 0 {
        return None;
    }
    Some((mark, packets(before)?))
}

/// The packets that pass connection tracking by, in the normal form; `None` for a rule that is not one of lbd's.
pub(super) fn read_untracked(statements: &[Value]) -> Option<MarkMatch> {
    let (last, before) = statements.split_last()?;
    let is_last = *last == serde_json::json!({ "notrack": null });
    if is_last { packets(before) } else { None }
}

/// What the conditions of a rule describe; a rule has to have any.
fn packets(conditions: &[Value]) -> Option<MarkMatch> {
    if conditions.is_empty() {
        return None;
    }
    let mut found = FoundConditions::default();
    for value in conditions {
        match statement(value)? {
            Statement::Match(one) if one.op == "==" => found.take(one.left, one.right)?,
            _ => return None,
        }
    }
    found.packets()
}

fn statement(value: &Value) -> Option<Statement> {
    Statement::deserialize(value).ok()
}

impl FoundConditions {
    fn take(&mut self, left: Left, right: Right) -> Option<()> {
        match left {
            Left::Meta(Meta { key }) => match key.as_str() {
                "iifname" => put(&mut self.interface, interface(right)?),
                "nfproto" => put(&mut self.family, family(&right)?),
                "l4proto" => put(&mut self.protocol, protocol(&right)?),
                _ => None,
            },
            Left::Payload(Payload { protocol, field }) => match (protocol.as_str(), field.as_str()) {
                ("ip", "saddr") => put(&mut self.source, prefix(&right, Family::V4)?),
                ("ip", "daddr") => put(&mut self.address, prefix(&right, Family::V4)?),
                ("ip6", "saddr") => put(&mut self.source, prefix(&right, Family::V6)?),
                ("ip6", "daddr") => put(&mut self.address, prefix(&right, Family::V6)?),
                (name, "dport") => put(&mut self.ports, (Protocol::from_name(name)?, ports(right)?)),
                _ => None,
            },
        }
    }

    fn packets(self) -> Option<MarkMatch> {
        let Self { interface, family, source, mut address, protocol, ports } = self;
        let mut families = family
            .into_iter()
            .chain([source, address].into_iter().flatten().map(|Prefix { address, .. }| Family::of(address)));
        if let Some(first) = families.next() {
            // A rule that requires both matches no packet.
            if families.any(|other| other != first) {
                return None;
            }
            address = address.or_else(|| source.is_none().then(|| whole(first)));
        }
        let protocols = [protocol, ports.as_ref().map(|(protocol, _)| *protocol)];
        let (protocol, ports) = match (protocols, ports) {
            ([Some(one), Some(other)], _) if one != other => return None,
            ([one, other], ports) => (one.or(other), ports.map(|(_, ports)| ports).unwrap_or_default()),
        };
        Some(MarkMatch { protocol, address, ports, source, interface }.normal())
    }
}

/// A condition that is there twice is nothing that lbd wrote.
fn put<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Every address of a family.
fn whole(family: Family) -> Prefix {
    let address = match family {
        Family::V4 => IpAddr::from([0; 4]),
        Family::V6 => IpAddr::from([0; 16]),
    };
    Prefix { address, length: 0 }
}

/// A pattern such as `eth*` is not a name.
fn interface(right: Right) -> Option<String> {
    match right {
        Right::Text(name) if !name.contains(['*', '\\', '"']) => Some(name),
        _ => None,
    }
}

fn family(right: &Right) -> Option<Family> {
    match right {
        Right::Number(2) => Some(Family::V4),
        Right::Number(10) => Some(Family::V6),
        Right::Text(name) if name == "ipv4" => Some(Family::V4),
        Right::Text(name) if name == "ipv6" => Some(Family::V6),
        _ => None,
    }
}

fn protocol(right: &Right) -> Option<Protocol> {
    match right {
        Right::Text(name) => Protocol::from_name(name),
        Right::Number(of) => Protocol::ALL.iter().copied().find(|protocol| number(*protocol) == *of),
        Right::Wrapped(_) => None,
    }
}

fn prefix(right: &Right, family: Family) -> Option<Prefix> {
    let whole = family.bits();
    let (address, length) = match right {
        Right::Text(text) => (text.parse().ok()?, whole),
        Right::Wrapped(Wrapped::Prefix { addr, len }) if *len <= whole => (*addr, *len),
        _ => return None,
    };
    (Family::of(address) == family).then_some(Prefix { address, length })
}

fn ports(right: Right) -> Option<Vec<RangeInclusive<u16>>> {
    let range = |first, last| (first <= last).then_some(first..=last);
    match right {
        Right::Number(port) => Some(vec![port..=port]),
        Right::Wrapped(Wrapped::Range(first, last)) => Some(vec![range(first, last)?]),
        Right::Wrapped(Wrapped::Set(ports)) if !ports.is_empty() => ports
            .into_iter()
            .map(|port| match port {
                Port::One(port) => Some(port..=port),
                Port::More(PortRange::Range(first, last)) => range(first, last),
            })
            .collect(),
        Right::Text(_) | Right::Wrapped(_) => None,
    }
}
