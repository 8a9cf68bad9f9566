//! Warns of nat services whose packets pass connection tracking by, since a cluster with `untracked: true` has the same.

use std::collections::HashSet;

use super::Advice;
use super::replies::forwarded;
use crate::model::{Family, MarkMatch, Prefix, State, untracked};

/// Adds a warning for each nat service with packets that are, all of them, among those of another cluster that are not tracked.
pub(super) fn nat(desired: &State) -> Vec<Advice> {
    if desired.untracked.is_empty() {
        return Vec::new();
    }
    let same: HashSet<&MarkMatch> = desired.untracked.iter().collect();
    // One address and port is found by looking it up; of others there are few.
    let wide: Vec<&MarkMatch> = desired.untracked.iter().filter(|packets| !is_one(packets)).collect();
    let mut warnings = Vec::new();
    for (key, service) in &desired.services {
        if forwarded(service).next().is_none() {
            continue;
        }
        let of_service = untracked::packets(key, &desired.marks);
        let found = of_service.iter().find_map(|packets| {
            let same = same.get(packets).copied();
            same.or_else(|| wide.iter().copied().find(|untracked| covers(untracked, packets)))
        });
        if let Some(packets) = found {
            warnings.push(Advice::new(
                "nat-untracked",
                key,
                format!(
                    "it has nat servers, and a cluster with `untracked: true` has its packets, too ({packets}): connection \
                     tracking does not see them, which FULLNAT and stateful firewalls need"
                ),
                "change the listener or `match` of one of them, or delete `untracked` from that cluster",
            ));
        }
    }
    warnings
}

fn is_one(packets: &MarkMatch) -> bool {
    let MarkMatch { protocol, address, ports, source, interface } = packets;
    protocol.is_some()
        && address.is_some_and(|prefix| prefix.length == Family::of(prefix.address).bits())
        && matches!(ports.as_slice(), [range] if range.start() == range.end())
        && source.is_none()
        && interface.is_none()
}

/// Whether all packets of one description are among those of the other.
fn covers(all: &MarkMatch, packets: &MarkMatch) -> bool {
    let contains = |all: &Option<Prefix>, one: &Option<Prefix>| match (all, one) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(all), Some(one)) => {
            Family::of(all.address) == Family::of(one.address)
                && all.length <= one.length
                && Prefix::around(one.address, all.length) == Prefix::around(all.address, all.length)
        }
    };
    let MarkMatch { protocol, address, ports, source, interface } = all;
    let has_ports = |one: &std::ops::RangeInclusive<u16>| {
        ports.iter().any(|range| range.contains(one.start()) && range.contains(one.end()))
    };
    (protocol.is_none() || *protocol == packets.protocol)
        && contains(address, &packets.address)
        && contains(source, &packets.source)
        && (ports.is_empty() || (!packets.ports.is_empty() && packets.ports.iter().all(has_ports)))
        && (interface.is_none() || *interface == packets.interface)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::desired;
    use crate::model::{Mark, Protocol};

    /// The warnings for services beside one by a mark, whose packets are not tracked.
    fn told(
        services: &str,
        address: &str,
        length: u8,
        ports: &[std::ops::RangeInclusive<u16>],
    ) -> Vec<Advice> {
        let mut state = desired(&format!("{services}\nfwmark://10 rr dr 192.168.8.9:0*1"));
        let matches = vec![MarkMatch {
            protocol: Some(Protocol::Tcp),
            address: Some(Prefix::around(address.parse().unwrap(), length)),
            ports: ports.into(),
            source: None,
            interface: None,
        }];
        state.marks = vec![Mark { mark: 10, matches }];
        state.untracked = untracked::packets(&"fwmark://10".parse().unwrap(), &state.marks);
        nat(&state)
    }

    #[test]
    fn a_nat_service_whose_packets_another_cluster_leaves_untracked_is_named() {
        let warning = |packets: &str| {
            let cause = format!(
                "it has nat servers, and a cluster with `untracked: true` has its packets, too ({packets}): connection tracking \
                 does not see them, which FULLNAT and stateful firewalls need"
            );
            let advice =
                "change the listener or `match` of one of them, or delete `untracked` from that cluster";
            vec![Advice::new("nat-untracked", "tcp://10.0.0.2:80", cause, advice)]
        };
        let service = "tcp://10.0.0.2:80 rr fullnat 192.168.8.1:80*1";
        let one = warning("{ protocol: tcp, address: 10.0.0.2, ports: [80] }");
        assert_eq!(told(service, "10.0.0.2", 32, &[80..=80]), one);
        let wide = warning("{ protocol: tcp, address: 10.0.0.0/24, ports: [80-90, 443] }");
        assert_eq!(told(&service.replace("fullnat", "nat"), "10.0.0.0", 24, &[80..=90, 443..=443]), wide);
        for (address, length, port) in
            [("10.0.0.3", 32, 80), ("10.0.0.2", 32, 81), ("10.0.1.0", 24, 80), ("fd00::", 64, 80)]
        {
            assert_eq!(told(service, address, length, &[port..=port]), [], "{address}/{length} {port}");
        }
        assert_eq!(told("udp://10.0.0.2:80 rr nat 192.168.8.1:80*1", "10.0.0.2", 32, &[80..=80]), []);
        assert_eq!(told(&service.replace("fullnat", "dr"), "10.0.0.2", 32, &[80..=80]), []);
    }
}
