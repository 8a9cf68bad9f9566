//! Finds the virtual services whose packets pass connection tracking by, for `untracked` in a cluster.

use std::collections::HashSet;

use crate::model::{Forwarding, MarkMatch, RealServer, ServiceKey, State, VirtualService, untracked};

/// The packets for which lbd's own table has a rule.
pub(super) struct Untracked<'a> {
    state: &'a State,
    packets: HashSet<&'a MarkMatch>,
}

impl<'a> Untracked<'a> {
    /// Those of a state.
    pub(super) fn of(state: &'a State) -> Self {
        Self { state, packets: state.untracked.iter().collect() }
    }

    /// Whether all packets of a service are among them.
    pub(super) fn has(&self, key: &ServiceKey, service: &VirtualService) -> bool {
        if self.packets.is_empty() {
            return false;
        }
        let packets = untracked::packets(key, &self.state.marks);
        let is_one_way = |server: &RealServer| match server.forwarding {
            Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Other(_) => true,
            // They are among them for another service.
            Forwarding::Nat | Forwarding::FullNat => false,
        };
        !packets.is_empty()
            && packets.iter().all(|packets| self.packets.contains(packets))
            && service.servers.values().all(is_one_way)
    }

    /// What no cluster can express, in sentences.
    pub(super) fn unexpressed(&self) -> Vec<String> {
        let services = self.state.services.iter().filter(|(key, service)| self.has(key, service));
        let of_services: HashSet<MarkMatch> =
            services.flat_map(|(key, _)| untracked::packets(key, &self.state.marks)).collect();
        let others = self.state.untracked.iter().filter(|packets| !of_services.contains(packets));
        let sentence =
            |packets| format!("lbd's own nftables table: no service has the untracked packets {packets}");
        others.map(sentence).collect()
    }
}
