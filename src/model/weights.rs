//! What the schedulers make of the weights of real servers, as the kernel has them.

use super::{OnFailure, Protocol, Scheduling, ServiceKey};

/// Whether a server of weight 0 refuses the clients that the scheduler leads to it, in place of keeping their connections: it has
/// a place in the table of sh and dh, and keeps the one that it had in that of mh (kernel-facts: seen on each).
pub fn refuses_clients(scheduling: &Scheduling) -> bool {
    match scheduling.scheduler.as_str() {
        "dh" => true,
        // The flag by the name `sh-fallback` or `mh-fallback`.
        "sh" | "mh" => !scheduling.flags.flag_1,
        _ => false,
    }
}

/// Why weights are no shares of the new connections, if so.
pub fn no_shares(scheduling: &Scheduling) -> Option<&'static str> {
    match scheduling.scheduler.as_str() {
        "rr" | "lc" | "dh" => Some("ignores weights, but for 0"),
        "fo" => Some("gives all connections to the server with the highest weight"),
        "ovf" => Some("takes a weight for a number of connections"),
        _ => None,
    }
}

impl OnFailure {
    /// What a failing check does to a server where the file leaves the choice to lbd. With weight 0, clients of a persistent service keep the
    /// server for the whole persistence time, and those of UDP for as long as they send (seen on 6.1); others are refused, see [`refuses_clients`].
    pub fn fitting(service: &ServiceKey, scheduling: &Scheduling) -> Self {
        let is_udp = match service {
            ServiceKey::Address { protocol, .. } => *protocol == Protocol::Udp,
            ServiceKey::FirewallMark { .. } => false,
        };
        let stay = scheduling.persistence.is_some() || is_udp && !scheduling.one_packet;
        if stay || refuses_clients(scheduling) { Self::Remove } else { Self::Quiesce }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Persistence, PersistenceMask, SchedulerFlags, SchedulerName};

    fn scheduling(name: &str, flag_1: bool, persistent: bool, one_packet: bool) -> Scheduling {
        let mask = PersistenceMask::single_client(Family::V4);
        Scheduling {
            scheduler: SchedulerName::new(name).unwrap(),
            flags: SchedulerFlags { flag_1, ..SchedulerFlags::default() },
            persistence: persistent.then_some(Persistence { timeout: 300, mask }),
            engine: None,
            one_packet,
        }
    }

    #[test]
    fn a_server_is_removed_where_weight_0_would_keep_or_refuse_clients() {
        let [tcp, udp, mark] =
            ["tcp://10.0.0.13:80", "udp://10.0.0.13:53", "fwmark://1"].map(|key| key.parse().unwrap());
        for (service, scheduling, expected) in [
            (tcp, scheduling("wlc", false, false, false), OnFailure::Quiesce),
            (mark, scheduling("wlc", false, false, false), OnFailure::Quiesce),
            (tcp, scheduling("wlc", false, true, false), OnFailure::Remove),
            (mark, scheduling("wlc", false, true, false), OnFailure::Remove),
            (udp, scheduling("rr", false, false, false), OnFailure::Remove),
            (udp, scheduling("rr", false, false, true), OnFailure::Quiesce),
            (tcp, scheduling("sh", false, false, false), OnFailure::Remove),
            (tcp, scheduling("sh", true, false, false), OnFailure::Quiesce),
            (tcp, scheduling("mh", false, false, false), OnFailure::Remove),
            (tcp, scheduling("mh", true, false, false), OnFailure::Quiesce),
            (tcp, scheduling("dh", true, false, false), OnFailure::Remove),
        ] {
            assert_eq!(OnFailure::fitting(&service, &scheduling), expected, "{service} {scheduling:?}");
        }
    }
}
