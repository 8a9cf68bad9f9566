//! Decodes the statistics of virtual services and real servers, for those who want to see them: a pass does without.

use super::decode;
use crate::kernel::ipvs::uapi::{attr, dest, stats, svc};
use crate::kernel::netlink::Malformed;
use crate::kernel::netlink::attribute::{Attributes, find, u32_of, u64_of};
use crate::model::{Counters, Family, ServerKey, ServiceKey, Statistics};

/// A virtual service with its statistics, from the attributes of an `IPVS_CMD_NEW_SERVICE`.
///
/// # Errors
/// Where they are not those of a virtual service with statistics.
pub fn of_service(attributes: &[u8]) -> Result<(ServiceKey, Statistics), Malformed> {
    Ok((decode::service(attributes)?.0, in_service(attributes)?))
}

/// The statistics in the same attributes.
///
/// # Errors
/// Where there are none.
pub fn in_service(attributes: &[u8]) -> Result<Statistics, Malformed> {
    let missing = Malformed("a virtual service without statistics");
    let nest = find(attributes, attr::SERVICE)?.unwrap_or_default();
    statistics(nest, svc::STATS64, svc::STATS, missing)
}

/// A real server of a virtual service of family `of_family` with its statistics, from the attributes of an `IPVS_CMD_NEW_DEST`.
///
/// # Errors
/// Where they are not those of a real server with statistics.
pub fn of_server(attributes: &[u8], of_family: Family) -> Result<(ServerKey, Statistics), Malformed> {
    Ok((decode::server(attributes, of_family)?.0, in_server(attributes)?))
}

/// The statistics in the same attributes.
///
/// # Errors
/// Where there are none.
pub fn in_server(attributes: &[u8]) -> Result<Statistics, Malformed> {
    let missing = Malformed("a real server without statistics");
    let nest = find(attributes, attr::DEST)?.unwrap_or_default();
    statistics(nest, dest::STATS64, dest::STATS, missing)
}

/// The statistics in the attributes of an entry: those of 64 bits, or the older ones where the kernel has none.
fn statistics(nest: &[u8], wide: u16, narrow: u16, missing: Malformed) -> Result<Statistics, Malformed> {
    let values = match find(nest, wide)? {
        Some(values) => values,
        None => find(nest, narrow)?.ok_or(missing)?,
    };
    let (mut counters, mut rates) = (Counters::default(), Counters::default());
    for attribute in Attributes::new(values) {
        let (kind, value) = attribute?;
        let to = match kind {
            stats::CONNECTIONS => &mut counters.connections,
            stats::IN_PACKETS => &mut counters.incoming_packets,
            stats::OUT_PACKETS => &mut counters.outgoing_packets,
            stats::IN_BYTES => &mut counters.incoming_bytes,
            stats::OUT_BYTES => &mut counters.outgoing_bytes,
            stats::CONNECTION_RATE => &mut rates.connections,
            stats::IN_PACKET_RATE => &mut rates.incoming_packets,
            stats::OUT_PACKET_RATE => &mut rates.outgoing_packets,
            stats::IN_BYTE_RATE => &mut rates.incoming_bytes,
            stats::OUT_BYTE_RATE => &mut rates.outgoing_bytes,
            // Empty attributes come between, which put the others into places that 8 divides.
            _ => continue,
        };
        *to = number(value).ok_or(Malformed("a counter that is neither of 32 nor of 64 bits"))?;
    }
    Ok(Statistics { counters, rates })
}

/// A number in host order, as long as the value is.
fn number(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => u32_of(value).map(u64::from),
        8 => u64_of(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ipvs::codec::encode;
    use crate::kernel::ipvs::codec::request::Request;
    use crate::kernel::netlink::attribute::{append_bytes, append_nest};
    use crate::model::{Forwarding, RealServer, Thresholds};

    /// The attributes of a server 192.168.8.14:80, and behind them `more`.
    fn server(more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut request = Vec::new();
        let service = "tcp://10.0.0.13:80".parse().unwrap();
        let to = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let server = "192.168.8.14:80".parse().unwrap();
        encode::request(&mut request, &Request::AddServer { service: &service, server: &server, to: &to });
        let sent = find(&request[4..], attr::DEST).unwrap().unwrap();
        let mut attributes = Vec::new();
        append_nest(&mut attributes, attr::DEST, |nest| {
            nest.extend_from_slice(sent);
            more(nest);
        });
        attributes
    }

    /// The counters 1 to 5 and the rates 6 to 10: those of bytes with 64 bits, the others with as many as `is_wide` says.
    fn append_statistics(nest: &mut Vec<u8>, kind: u16, is_wide: bool) {
        append_nest(nest, kind, |values| {
            for place in 1..=10_u16 {
                if is_wide || matches!(place, stats::IN_BYTES | stats::OUT_BYTES) {
                    // The padding of the kernel.
                    append_bytes(values, 11, []);
                    append_bytes(values, place, (u64::from(place) << 32).to_ne_bytes());
                } else {
                    append_bytes(values, place, u32::from(place).to_ne_bytes());
                }
            }
        });
    }

    fn counters(numbers: [u64; 5]) -> Counters {
        let [connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes] = numbers;
        Counters { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes }
    }

    #[test]
    fn the_wide_counters_are_taken_where_there_are_any_and_the_narrow_ones_elsewhere() {
        let key: ServerKey = "192.168.8.14:80".parse().unwrap();
        let both = server(|nest| {
            append_statistics(nest, dest::STATS, false);
            append_statistics(nest, dest::STATS64, true);
        });
        let wide = Statistics {
            counters: counters([1, 2, 3, 4, 5].map(|number| number << 32)),
            rates: counters([6, 7, 8, 9, 10].map(|number| number << 32)),
        };
        assert_eq!(of_server(&both, Family::V4), Ok((key, wide)));
        let old = server(|nest| append_statistics(nest, dest::STATS, false));
        let narrow =
            Statistics { counters: counters([1, 2, 3, 4 << 32, 5 << 32]), rates: counters([6, 7, 8, 9, 10]) };
        assert_eq!(of_server(&old, Family::V4), Ok((key, narrow)));
    }

    #[test]
    fn a_server_without_statistics_or_with_half_a_counter_is_an_error() {
        let none = of_server(&server(|_| ()), Family::V4);
        assert_eq!(none, Err(Malformed("a real server without statistics")));
        let half = server(|nest| {
            append_nest(nest, dest::STATS64, |values| append_bytes(values, stats::CONNECTIONS, [1, 2, 3]));
        });
        let half = of_server(&half, Family::V4);
        assert_eq!(half, Err(Malformed("a counter that is neither of 32 nor of 64 bits")));
    }
}
