//! Firewall marks and the packets that get them.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::address::{self, PrefixError};
use super::{settings, value};
use crate::config::format::document::{Choice, MarkEntry, MatchEntry, Port, PortNumber, PrefixText, Scalar};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{Family, Mark, MarkMatch, Prefix, Protocol};

/// The declared marks.
pub(super) fn marks(declared: &[MarkEntry], issues: &mut Issues) -> Vec<Mark> {
    let mut seen: HashMap<u32, usize> = HashMap::new();
    let mut marks: Vec<Mark> = Vec::with_capacity(declared.len());
    // Two marks for the same packets: the later rule wins, and the earlier mark is never seen.
    let mut taken: HashMap<MatchKey, (usize, usize)> = HashMap::new();
    for (index, entry) in declared.iter().enumerate() {
        let here = || key_path!["marks", index, "mark"];
        let number = value::mark(&entry.mark, here, issues);
        if let Some(number) = number {
            if let Some(first) = seen.get(&number) {
                issues.push(
                    Issue::new(here(), format!("duplicate mark {number}"))
                        .first(key_path!["marks", *first, "mark"]),
                );
            } else {
                seen.insert(number, index);
            }
        }
        let mut matches = Vec::with_capacity(entry.matches.len());
        for (position, entry) in entry.matches.iter().enumerate() {
            let here = key_path!["marks", index, "match", position];
            let Some(found) = packets(entry, &here, issues) else { continue };
            if let Some((mark, first)) = taken.get(&key(&found)) {
                issues.push(
                    Issue::new(
                        here,
                        "duplicate match: the same packets are described already, and a packet has one mark",
                    )
                    .first(key_path!["marks", *mark, "match", *first]),
                );
            } else {
                taken.insert(key(&found), (index, position));
            }
            matches.push(found);
        }
        marks.extend(number.map(|mark| Mark { mark, matches }));
    }
    marks
}

type MatchKey = (Option<Protocol>, Option<Prefix>, Vec<RangeInclusive<u16>>, Option<Prefix>, Option<String>);

fn key(found: &MarkMatch) -> MatchKey {
    let MarkMatch { protocol, address, ports, source, interface } = found.clone();
    (protocol, address, ports, source, interface)
}

fn packets(entry: &MatchEntry, here: &KeyPath, issues: &mut Issues) -> Option<MarkMatch> {
    let MatchEntry { protocol, address, ports, source, interface } = entry;
    if *entry == MatchEntry::default() {
        issues.push(
            Issue::new(here.clone(), "an empty match would mark every packet")
                .expected("at least one of protocol, address, ports, source and interface")
                .involving(here.then("protocol"))
                .involving(here.then("address"))
                .involving(here.then("ports"))
                .involving(here.then("source"))
                .involving(here.then("interface")),
        );
        return None;
    }
    let before = issues.list.len() + issues.more;
    let destination = address.as_ref().and_then(|text| prefix(text, here.then("address"), issues));
    if let Some(Prefix { address, length: _ }) = destination
        && address.is_multicast()
    {
        issues.push(Issue::new(
            here.then("address"),
            format!("{address} is a multicast group, and IPVS does not balance multicast"),
        ));
    }
    let origin = source.as_ref().and_then(|text| prefix(text, here.then("source"), issues));
    if let (Some(destination), Some(origin)) = (destination, origin) {
        let (to, from) = (Family::of(destination.address), Family::of(origin.address));
        if to != from {
            issues.push(
                Issue::new(
                    here.then("source"),
                    format!("the source is {from} and the address is {to}: no packet is both"),
                )
                .expected(format!("an {to} address or prefix")),
            );
        }
    }
    if let Some(interface) = interface {
        settings::check_interface(interface, here.then("interface"), issues);
    }
    let ports = match ports {
        None => Vec::new(),
        Some(list) => {
            if list.is_empty() {
                issues.push(
                    Issue::new(here.then("ports"), "the list of ports is empty")
                        .expected("at least one port, or no `ports` for every port"),
                );
            }
            if protocol.is_none() {
                issues.push(
                    Issue::new(here.then("ports"), "ports need a protocol")
                        .at_key()
                        .expected("`protocol`: tcp, udp or sctp")
                        .involving(here.then("protocol")),
                );
            }
            port_ranges(list, here, issues)
        }
    };
    let sound = issues.list.len() + issues.more == before;
    sound
        .then(|| MarkMatch {
            protocol: protocol.map(|Choice(protocol)| protocol),
            address: destination,
            ports,
            source: origin,
            interface: interface.as_ref().map(|interface| interface.0.to_string()),
        })
        .map(MarkMatch::normal)
}

fn prefix(text: &PrefixText, here: KeyPath, issues: &mut Issues) -> Option<Prefix> {
    let issue = match address::prefix(text.as_str()) {
        Ok(Prefix { address, length }) => {
            if address.is_unspecified() && length != 0 {
                Issue::new(here, format!("no packet has the address {address}"))
            } else {
                return Some(Prefix { address, length });
            }
        }
        Err(PrefixError::HostBits(network)) => {
            Issue::new(here, format!("`{}` has bits set after the prefix length", text.as_str()))
                .expected("the first address of the network")
                .suggest(Some(network.to_string()))
        }
        Err(PrefixError::NotPrefix) => {
            Issue::new(here, format!("`{}` is neither an IP address nor a prefix", text.as_str()))
                .expected("an IP address or prefix such as 192.168.8.13 or 192.168.8.0/24")
        }
    };
    issues.push(issue);
    None
}

fn port_ranges(list: &[Port], here: &KeyPath, issues: &mut Issues) -> Vec<RangeInclusive<u16>> {
    let mut ranges = Vec::with_capacity(list.len());
    for (index, port) in list.iter().enumerate() {
        match port_range(&port.0) {
            Some((first, last)) if first <= last => ranges.push(first..=last),
            Some((first, last)) => issues.push(
                Issue::new(
                    here.then("ports").then(index),
                    format!("the range `{}` ends before it begins", port.0),
                )
                .suggest(Some(format!("{last}-{first}"))),
            ),
            None => issues.push(
                Issue::new(
                    here.then("ports").then(index),
                    format!("`{}` is neither a port nor a range", port.0),
                )
                .expected(format!(
                    "a port from {} to {}, or a range such as 8000-8010",
                    PortNumber::LEAST,
                    PortNumber::MOST
                )),
            ),
        }
    }
    ranges
}

fn port_range(port: &Scalar) -> Option<(u16, u16)> {
    let number = |digits: &str| {
        let digits = digits.trim();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok().filter(|port| *port != 0))?
    };
    match port {
        Scalar::Number(port) => u16::try_from(*port).ok().filter(|port| *port != 0).map(|port| (port, port)),
        Scalar::Text(text) => match text.split_once('-') {
            Some((first, last)) => Some((number(first)?, number(last)?)),
            None => number(text).map(|port| (port, port)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_ranges() {
        let ports: Vec<Port> = ["443", "80", "8000 - 8010"].iter().map(|text| Port::from(*text)).collect();
        let mut issues = Issues::default();
        assert_eq!(port_ranges(&ports, &key_path![], &mut issues), [443..=443, 80..=80, 8000..=8010]);
        assert_eq!(issues.list, []);
    }

    #[test]
    fn what_is_no_port_is_found() {
        for text in ["0", "65536", "-80", "80-", "-", "http", "80-http", "0-10", "80-90-100", ""] {
            assert_eq!(port_range(&Scalar::Text(text.into())), None, "{text}");
        }
        for number in [0, -1, 65_536, i64::MAX] {
            assert_eq!(port_range(&Scalar::Number(number)), None, "{number}");
        }
    }
}
