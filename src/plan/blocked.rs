//! Decides which services are blocked: nothing of them may be quiesced or deleted, since its replacement was rejected.

use std::collections::HashSet;

use crate::model::{Mark, Operation, RealServer, ReplaceMarks, ServerKey, ServiceKey, Services, State};

/// The services in which nothing may be quiesced or deleted yet, since the kernel rejected the servers that were to serve:
/// of the desired servers with a weight, none is there. And the services that may not be deleted yet, since their packets
/// are to be led to another service by a mark that was rejected.
///
/// `refused` are the operations that the kernel rejected before anything was quiesced or deleted.
pub fn blocked(live: &State, desired: &State, refused: &[Operation]) -> HashSet<ServiceKey> {
    let mut blocked = without_successor(&live.services, &desired.services, refused);
    for operation in refused {
        if let Operation::Marks(ReplaceMarks { from, to, .. }) = operation {
            let gone = live.services.keys().filter(|service| !desired.services.contains_key(*service));
            blocked.extend(gone.filter(|service| is_led_by(from, to, service)));
        }
    }
    blocked
}

/// Whether the packets of a service that is deleted depend on the marks: it listens on one that is still set, or its packets
/// are to get one from now on.
fn is_led_by(from: &[Mark], to: &[Mark], service: &ServiceKey) -> bool {
    match *service {
        ServiceKey::FirewallMark { mark, .. } => from.iter().any(|rules| rules.mark == mark),
        ServiceKey::Address { .. } => {
            to.iter().flat_map(|mark| &mark.matches).any(|packets| packets.reaches(service))
        }
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
