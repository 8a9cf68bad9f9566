//! Packets that pass connection tracking by: those of the clusters with `untracked: true`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::{Family, Mark, MarkMatch, Prefix, Protocol, ServiceKey};

/// The packets of a virtual service, as the file describes them: its address and port, or what gets its mark. Empty for a mark
/// that another program sets.
pub fn packets(service: &ServiceKey, marks: &[Mark]) -> Vec<MarkMatch> {
    match *service {
        ServiceKey::Address { protocol, address, port } => vec![MarkMatch {
            protocol: Some(protocol),
            address: Some(Prefix { address, length: Family::of(address).bits() }),
            // The kernel's port 0 is every port.
            ports: if port == 0 { Vec::new() } else { vec![port..=port] },
            source: None,
            interface: None,
        }],
        ServiceKey::FirewallMark { family, mark } => {
            let of_mark = marks.iter().filter(|rules| rules.mark == mark).flat_map(|rules| &rules.matches);
            of_mark.filter_map(|packets| of_family(packets, family)).collect()
        }
    }
}

/// What of these packets is of a family: a mark leads to a service for each.
fn of_family(packets: &MarkMatch, family: Family) -> Option<MarkMatch> {
    let mut packets = packets.clone();
    match packets.address.or(packets.source) {
        Some(prefix) => (Family::of(prefix.address) == family).then_some(packets),
        None => {
            let all = match family {
                Family::V4 => IpAddr::from([0; 4]),
                Family::V6 => IpAddr::from([0; 16]),
            };
            packets.address = Some(Prefix { address: all, length: 0 });
            Some(packets)
        }
    }
}

/// The same packets in the one order in which they are compared. It does not matter to the kernel.
#[must_use]
pub fn sorted(mut packets: Vec<MarkMatch>) -> Vec<MarkMatch> {
    packets.sort_by_cached_key(key);
    packets
}

type SortKey = (Option<Prefix>, Option<Protocol>, Vec<(u16, u16)>, Option<Prefix>, Option<String>);

fn key(packets: &MarkMatch) -> SortKey {
    let MarkMatch { protocol, address, ports, source, interface } = packets;
    let bounds = |range: &RangeInclusive<u16>| (*range.start(), *range.end());
    (*address, *protocol, ports.iter().map(bounds).collect(), *source, interface.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str, marks: &[Mark]) -> Vec<String> {
        packets(&service.parse().unwrap(), marks).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_service_has_the_packets_to_its_address_or_those_of_its_family_that_get_its_mark() {
        assert_eq!(of("tcp://10.0.0.1:80", &[]), ["{ protocol: tcp, address: 10.0.0.1, ports: [80] }"]);
        assert_eq!(of("udp://[fd00::1]:0", &[]), ["{ protocol: udp, address: fd00::1 }"]);
        let any = MarkMatch { protocol: None, address: None, ports: vec![], source: None, interface: None };
        let prefix = |text: &str, length| Some(Prefix { address: text.parse().unwrap(), length });
        let matches = vec![
            MarkMatch { interface: Some("eth0".into()), source: prefix("10.0.0.0", 8), ..any.clone() },
            MarkMatch { protocol: Some(Protocol::Tcp), ports: vec![80..=90], ..any.clone() },
            MarkMatch { address: prefix("fd00::", 64), ..any.clone() },
        ];
        let marks = [Mark { mark: 9, matches: vec![any] }, Mark { mark: 10, matches }];
        assert_eq!(
            of("fwmark://10", &marks),
            [
                "{ source: 10.0.0.0/8, interface: eth0 }",
                "{ protocol: tcp, address: 0.0.0.0/0, ports: [80-90] }"
            ]
        );
        assert_eq!(
            of("fwmark6://10", &marks),
            ["{ protocol: tcp, address: ::/0, ports: [80-90] }", "{ address: fd00::/64 }"]
        );
        assert_eq!(of("fwmark://11", &marks), Vec::<String>::new());
    }
}
