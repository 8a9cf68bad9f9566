//! Decides what has to stay as it is, since what shall take its place was refused.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::model::{
    Family, Mark, MarkMatch, Operation, Prefix, RealServer, ReplaceMarks, ServerKey, ServiceKey, Services,
    State,
};

/// The services in which nothing may be quiesced or deleted yet, since operations that would have brought the serving
/// server were refused: of the servers that shall serve, none does. And the services that may not be deleted yet, since
/// their packets shall go another way by a mark that was refused.
///
/// `refused` are the operations that the kernel would not carry out before anything is quiesced or deleted.
pub fn withheld(live: &State, desired: &State, refused: &[Operation]) -> HashSet<ServiceKey> {
    let mut withheld = without_successor(&live.services, &desired.services, refused);
    for operation in refused {
        if let Operation::Marks(ReplaceMarks { from, to, .. }) = operation {
            let gone = live.services.keys().filter(|service| !desired.services.contains_key(*service));
            withheld.extend(gone.filter(|service| is_led_by(from, to, service)));
        }
    }
    withheld
}

/// Whether the packets of a service that goes depend on the marks: it listens on one that is still set, or its packets
/// shall get one from now on.
fn is_led_by(from: &[Mark], to: &[Mark], service: &ServiceKey) -> bool {
    match *service {
        ServiceKey::FirewallMark { mark, .. } => from.iter().any(|rules| rules.mark == mark),
        ServiceKey::Address { protocol, address, port } => {
            let covers = |packets: &MarkMatch| {
                packets.protocol.is_none_or(|of| of == protocol)
                    && packets.address.is_none_or(|prefix| contains(prefix, address))
                    && packets.source.is_none_or(|source| Family::of(source.address) == Family::of(address))
                    && (packets.ports.is_empty() || packets.ports.iter().any(|range| range.contains(&port)))
            };
            to.iter().flat_map(|mark| &mark.matches).any(covers)
        }
    }
}

fn contains(prefix: Prefix, address: IpAddr) -> bool {
    let length = u32::from(prefix.length);
    match (prefix.address, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u32::from(network) ^ u32::from(address)).leading_zeros() >= length
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            (u128::from(network) ^ u128::from(address)).leading_zeros() >= length
        }
        _ => false,
    }
}

fn without_successor(live: &Services, desired: &Services, refused: &[Operation]) -> HashSet<ServiceKey> {
    let refused_servers: HashSet<(&ServiceKey, &ServerKey)> =
        refused.iter().filter_map(|operation| operation.service().zip(operation.server())).collect();
    let touched: HashSet<&ServiceKey> = refused.iter().filter_map(|operation| operation.service()).collect();
    let left_empty = |service: &&ServiceKey| {
        let (Some(live), Some(desired)) = (live.get(*service), desired.get(*service)) else { return false };
        let serves = |(server, wanted): (&ServerKey, &RealServer)| {
            let already = live.servers.get(server).is_some_and(RealServer::serves);
            wanted.serves() && (already || !refused_servers.contains(&(*service, server)))
        };
        live.servers.values().any(RealServer::serves)
            && desired.servers.values().any(RealServer::serves)
            && !desired.servers.iter().any(serves)
    };
    touched.into_iter().filter(left_empty).copied().collect()
}
