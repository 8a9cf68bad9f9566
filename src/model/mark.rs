//! Firewall marks: which packets get one before IPVS sees them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::{Family, Protocol, ServiceKey};

/// Packets that get a firewall mark before IPVS sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The mark; never 0
    pub mark: u32,
    /// Which packets; none where another program's firewall sets the mark
    pub matches: Vec<MarkMatch>,
}

/// Packets by their fields; what is `None` or empty matches every packet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MarkMatch {
    /// Transport protocol
    pub protocol: Option<Protocol>,
    /// Destination
    pub address: Option<Prefix>,
    /// Destination ports
    pub ports: Vec<RangeInclusive<u16>>,
    /// Source
    pub source: Option<Prefix>,
    /// The interface that the packet comes in by
    pub interface: Option<String>,
}

impl MarkMatch {
    /// The same packets in the one form in which they are compared: ports in order, ranges that touch or overlap as one,
    /// and a prefix of length 0 only where nothing else tells the family.
    #[must_use]
    pub fn normal(self) -> Self {
        let Self { protocol, mut address, ports, mut source, interface } = self;
        let is_wide = |prefix: &Prefix| prefix.length == 0;
        if source.as_ref().is_some_and(is_wide) {
            address = address.or(source);
            source = None;
        }
        if source.is_some() {
            address = address.filter(|prefix| !is_wide(prefix));
        }
        Self { protocol, address, ports: merged(ports), source, interface }
    }

    /// Whether some packet is among both.
    pub fn meets(&self, other: &Self) -> bool {
        fn both<T>(one: Option<T>, other: Option<T>, meet: impl Fn(T, T) -> bool) -> bool {
            one.zip(other).is_none_or(|(one, other)| meet(one, other))
        }
        let meet_in = |one: &RangeInclusive<u16>, other: &RangeInclusive<u16>| {
            one.start() <= other.end() && other.start() <= one.end()
        };
        let mut ports = self.ports.iter();
        let are_ports = self.ports.is_empty()
            || other.ports.is_empty()
            || ports.any(|one| other.ports.iter().any(|other| meet_in(one, other)));
        let families = [self.family(), other.family()];
        let [one, of_other] = families;
        are_ports
            && both(one, of_other, |one, other| one == other)
            && both(self.protocol, other.protocol, |one, other| one == other)
            && both(self.address, other.address, Prefix::meets)
            && both(self.source, other.source, Prefix::meets)
            && both(self.interface.as_ref(), other.interface.as_ref(), |one, other| one == other)
    }

    /// The family of the packets, where only one can be.
    fn family(&self) -> Option<Family> {
        self.address.or(self.source).map(|prefix| Family::of(prefix.address))
    }

    /// Whether some packet to a service that listens on an address is among them.
    pub fn reaches(&self, service: &ServiceKey) -> bool {
        let ServiceKey::Address { protocol, address, port } = *service else { return false };
        self.protocol.is_none_or(|of| of == protocol)
            && self.family().is_none_or(|family| family == Family::of(address))
            && self.address.is_none_or(|prefix| prefix.contains(address))
            && (port == 0 || self.ports.is_empty() || self.ports.iter().any(|range| range.contains(&port)))
    }
}

/// The ranges in order; those that touch or overlap become one, as the kernel's sets cannot hold two that do.
fn merged(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.sort_unstable_by_key(|range| (*range.start(), *range.end()));
    let mut merged: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(before) if *range.start() <= before.end().saturating_add(1) => {
                *before = *before.start()..=*range.end().max(before.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// As the file writes it: `{ protocol: tcp, address: 192.168.8.13, ports: [80, 443] }`.
impl fmt::Display for MarkMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, address, ports, source, interface } = self;
        let port = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let ports: Vec<String> = ports.iter().map(port).collect();
        let words = [
            protocol.map(|protocol| format!("protocol: {protocol}")),
            address.map(|address| format!("address: {address}")),
            (!ports.is_empty()).then(|| format!("ports: [{}]", ports.join(", "))),
            source.map(|source| format!("source: {source}")),
            interface.as_ref().map(|interface| format!("interface: {interface}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        write!(f, "{{ {} }}", words.join(", "))
    }
}

/// An IP prefix, with no bit set behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// First address
    pub address: IpAddr,
    /// Length in bits: up to 32 for IPv4, up to 128 for IPv6
    pub length: u8,
}

impl Prefix {
    /// The prefix of this length that an address lies in.
    pub fn around(address: IpAddr, length: u8) -> Self {
        let behind = |whole: u8| u32::from(whole.saturating_sub(length));
        let address = match address {
            IpAddr::V4(v4) => {
                Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl(behind(32)).unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => {
                Ipv6Addr::from_bits(v6.to_bits() & u128::MAX.checked_shl(behind(128)).unwrap_or(0)).into()
            }
        };
        Self { address, length }
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        Family::of(self.address) == Family::of(address) && Self::around(address, self.length) == self
    }

    /// Whether some address lies in both.
    pub fn meets(self, other: Self) -> bool {
        let (wide, narrow) = if self.length <= other.length { (self, other) } else { (other, self) };
        wide.contains(narrow.address)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == whole { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.length) }
    }
}

/// Whether two lists of rules give every packet the same mark: the matches of one mark may be in any order, as long
/// as no rule of another mark is between them.
pub fn are_same(one: &[Mark], other: &[Mark]) -> bool {
    fn all(mark: &Mark) -> Vec<&MarkMatch> {
        mark.matches.iter().collect()
    }
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.mark == other.mark
                && one.matches.len() == other.matches.len()
                && without(&all(one), &all(other)).is_empty()
        })
}

/// What of `all` is not in `others`; a match that is there twice is one too many.
pub(super) fn without(all: &[&MarkMatch], others: &[&MarkMatch]) -> Vec<MarkMatch> {
    let mut others = others.to_vec();
    let is_new = |packets: &&&MarkMatch| match others.iter().position(|other| other == *packets) {
        Some(place) => {
            others.swap_remove(place);
            false
        }
        None => true,
    };
    all.iter().filter(is_new).map(|packets| (*packets).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str, length: u8) -> Option<Prefix> {
        Some(Prefix { address: address.parse().unwrap(), length })
    }

    fn normal(
        address: Option<Prefix>,
        source: Option<Prefix>,
        ports: &[RangeInclusive<u16>],
    ) -> (Option<Prefix>, Option<Prefix>, Vec<RangeInclusive<u16>>) {
        let packets = MarkMatch {
            protocol: Some(Protocol::Tcp),
            address,
            ports: ports.to_vec(),
            source,
            interface: None,
        };
        let MarkMatch { address, source, ports, .. } = packets.normal();
        (address, source, ports)
    }

    #[test]
    fn the_same_ports_have_one_form() {
        assert_eq!(normal(None, None, &[443..=443, 80..=80]).2, [80..=80, 443..=443]);
        assert_eq!(
            normal(None, None, &[8005..=8020, 8000..=8010, 8021..=8021, 8001..=8001]).2,
            [8000..=8021]
        );
        assert_eq!(normal(None, None, &[65535..=65535, 1..=65535]).2, [1..=65535]);
        assert_eq!(normal(None, None, &[1..=10, 2..=3]).2, [1..=10]);
    }

    // nftables lists a rule about `0.0.0.0/0` and a source as one about the source.
    #[test]
    fn a_prefix_of_every_address_only_tells_the_family() {
        let (all, some) = (prefix("0.0.0.0", 0), prefix("10.0.0.0", 8));
        assert_eq!(normal(all, some, &[]), (None, some, vec![]));
        assert_eq!(normal(some, all, &[]), (some, None, vec![]));
        assert_eq!(normal(all, all, &[]), (all, None, vec![]));
        assert_eq!(normal(None, all, &[]), (all, None, vec![]));
        assert_eq!(normal(all, None, &[]), (all, None, vec![]));
        assert_eq!(normal(some, some, &[]), (some, some, vec![]));
    }

    fn some(text: &str, ports: &[RangeInclusive<u16>]) -> MarkMatch {
        let (address, length) = text.split_once('/').unwrap();
        MarkMatch {
            protocol: Some(Protocol::Tcp),
            address: prefix(address, length.parse().unwrap()),
            ports: ports.to_vec(),
            source: None,
            interface: None,
        }
    }

    #[test]
    fn packets_are_among_both_where_each_of_their_fields_may_be() {
        let one = some("10.0.0.0/24", &[80..=90]);
        for (other, expected) in [
            (some("10.0.0.9/32", &[90..=99]), true),
            (some("10.0.0.9/32", &[]), true),
            (some("10.0.0.9/32", &[91..=99]), false),
            (some("10.0.1.9/32", &[90..=99]), false),
            (some("0.0.0.0/0", &[80..=80]), true),
            (some("::/0", &[80..=80]), false),
            (MarkMatch { protocol: Some(Protocol::Udp), ..some("10.0.0.9/32", &[]) }, false),
            (MarkMatch { interface: Some("eth0".into()), ..some("10.0.0.9/32", &[]) }, true),
        ] {
            assert_eq!((one.meets(&other), other.meets(&one)), (expected, expected), "{other}");
        }
    }
}
