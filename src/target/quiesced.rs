//! Keeps in a state what leaves it, quiesced: it keeps its connections and gets no new clients.

use std::sync::Arc;

use super::{refuses_clients, rules};
use crate::model::{
    Desired, Family, OnFailure, Prune, RealServer, ServerKey, ServiceKey, State, SyncDaemon, VirtualService,
};

/// Adds to a desired state all that it lacks of the state before it. Servers get weight 0, but for those that would refuse clients of
/// a service that stays (see [`refuses_clients`]), which are not kept; nor is a fallback that serves no more, where what fails is deleted, nor what cannot be there together: the kernel runs no sync daemon
/// while a service has a server of another family. The rules of services that leave are kept, see
/// [`rules::keep`].
/// `file` is the desired state without verdicts: a server of it that checks have deleted is not kept.
pub(super) fn keep(desired: &mut Desired, file: &State, before: &Desired) {
    let (state, old) = (&mut desired.state, &before.state);
    // What the file has comes first.
    let is_mixed = has_mixed(state);
    let is_kept =
        |daemon: &&SyncDaemon| !is_mixed && !state.sync.iter().any(|other| other.role == daemon.role);
    let kept: Vec<SyncDaemon> = old.sync.iter().filter(is_kept).cloned().collect();
    state.sync.extend(kept);
    let may_be_mixed = state.sync.is_empty();
    keep_servers(state, file, before, may_be_mixed);
    // What another setting of the policy leaves alone is no part of it.
    if desired.policy.prune == Prune::Never {
        return;
    }
    let leaving: Vec<ServiceKey> =
        old.services.keys().filter(|key| !state.services.contains_key(*key)).copied().collect();
    rules::keep(state, old, &leaving);
    for key in &leaving {
        let Some(VirtualService { scheduling, servers }) = old.services.get(key) else { continue };
        let mut service = VirtualService { scheduling: Arc::clone(scheduling), servers: Arc::clone(servers) };
        if service.servers.values().any(RealServer::serves) {
            service.servers_mut().values_mut().for_each(|real| real.weight = 0);
        }
        if !may_be_mixed && service.servers.keys().any(|server| is_mixed_in(key, server)) {
            service.servers_mut().retain(|server, _| !is_mixed_in(key, server));
        }
        state.services.insert(*key, service);
        if let Some(cluster) = before.clusters.get(key) {
            Arc::make_mut(&mut desired.clusters).insert(*key, cluster.clone());
        }
    }
}

/// Adds the servers that leave services that stay.
fn keep_servers(state: &mut State, file: &State, old: &Desired, may_be_mixed: bool) {
    for (key, service) in &mut state.services {
        let Some(before) = old.state.services.get(key) else { continue };
        if Arc::ptr_eq(&before.servers, &service.servers) || refuses_clients(&service.scheduling) {
            continue;
        }
        // With weight 0 it would keep the clients of a persistent service.
        let health = old.health.services.get(key).filter(|health| health.on_failure == OnFailure::Remove);
        let fallback = health.and_then(|health| health.fallback).map(|(server, _)| server);
        let leaving = before.servers.iter().filter(|(server, _)| {
            !service.servers.contains_key(*server)
                && (may_be_mixed || !is_mixed_in(key, server))
                && fallback != Some(**server)
                && !file.services.get(key).is_some_and(|own| own.servers.contains_key(*server))
        });
        let leaving: Vec<_> =
            leaving.map(|(server, real)| (*server, RealServer { weight: 0, ..*real })).collect();
        if !leaving.is_empty() {
            service.servers_mut().extend(leaving);
        }
    }
}

/// Whether a server is of another family than its service.
pub(super) fn is_mixed_in(service: &ServiceKey, server: &ServerKey) -> bool {
    Family::of(server.address) != service.family()
}

fn has_mixed(state: &State) -> bool {
    let mut services = state.services.iter();
    services.any(|(key, service)| service.servers.keys().any(|server| is_mixed_in(key, server)))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::ops::RangeInclusive;

    use super::*;
    use crate::model::{
        Health, Mark, MarkMatch, MinServing, Prefix, SchedulerFlags, SchedulerName, Scheduling, Servers,
        ServiceHealth,
    };

    fn scheduling(name: &str) -> Scheduling {
        Scheduling {
            scheduler: SchedulerName::new(name).unwrap(),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        }
    }

    /// A service with servers of these last bytes and weights.
    fn service(scheduler: &str, servers: &[(u8, u32)]) -> VirtualService {
        let server = |(number, weight): &(u8, u32)| {
            let key = ServerKey { address: IpAddr::from([192, 168, 8, *number]), port: 80 };
            let real = RealServer {
                weight: *weight,
                forwarding: crate::model::Forwarding::Nat,
                thresholds: crate::model::Thresholds::default(),
            };
            (key, real)
        };
        VirtualService::new(scheduling(scheduler), servers.iter().map(server).collect::<Servers>())
    }

    fn desired(services: &[(&str, VirtualService)]) -> Desired {
        let services: Vec<(ServiceKey, VirtualService)> =
            services.iter().map(|(key, service)| (key.parse().unwrap(), service.clone())).collect();
        Desired {
            clusters: Arc::new(services.iter().map(|(key, _)| (*key, "c".into())).collect()),
            state: State { services: services.into_iter().collect(), ..State::default() },
            ..Desired::default()
        }
    }

    fn packets(text: &str, ports: &[RangeInclusive<u16>]) -> MarkMatch {
        let (address, length) = text.split_once('/').unwrap();
        MarkMatch {
            protocol: Some(crate::model::Protocol::Tcp),
            address: Some(Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }),
            ports: ports.to_vec(),
            source: None,
            interface: None,
        }
    }

    /// Without verdicts.
    fn kept(file: &mut Desired, before: &Desired) {
        let own = file.state.clone();
        keep(file, &own, before);
    }

    #[test]
    fn what_leaves_stays_with_weight_0_but_for_a_server_that_would_refuse_clients() {
        let before = desired(&[
            ("tcp://10.0.0.1:80", service("rr", &[(1, 5), (2, 5)])),
            ("tcp://10.0.0.2:80", service("sh", &[(1, 5), (2, 5)])),
            ("tcp://10.0.0.3:80", service("sh", &[(1, 5), (2, 0)])),
        ]);
        let mut file = desired(&[
            ("tcp://10.0.0.1:80", service("rr", &[(2, 7), (3, 1)])),
            ("tcp://10.0.0.2:80", service("sh", &[(2, 7)])),
        ]);
        kept(&mut file, &before);
        let expected = desired(&[
            ("tcp://10.0.0.1:80", service("rr", &[(1, 0), (2, 7), (3, 1)])),
            ("tcp://10.0.0.2:80", service("sh", &[(2, 7)])),
            ("tcp://10.0.0.3:80", service("sh", &[(1, 0), (2, 0)])),
        ]);
        assert_eq!(file, expected);
    }

    // Clients stayed on the sorry server until the trial ended, though the tried file has servers that pass.
    #[test]
    fn a_fallback_that_serves_no_more_is_deleted_where_what_fails_is() {
        let state = |on_failure| {
            let mut before = desired(&[("tcp://10.0.0.1:80", service("rr", &[(1, 5), (3, 1), (99, 1)]))]);
            let (fallback, real) = before.state.services[0].servers.get_index(2).unwrap();
            let health = ServiceHealth {
                checks: [].into(),
                servers: Default::default(),
                on_failure,
                reset_after: None,
                min_serving: MinServing::DEFAULT,
                fallback: Some((*fallback, *real)),
                slow_start: None,
            };
            let services = before.state.services.keys().map(|key| (*key, health.clone())).collect();
            before.health = Arc::new(Health { services });
            // A server of the file that checks have deleted is none that leaves.
            let own = desired(&[("tcp://10.0.0.1:80", service("rr", &[(2, 7), (3, 1)]))]);
            let mut file = desired(&[("tcp://10.0.0.1:80", service("rr", &[(2, 7)]))]);
            keep(&mut file, &own.state, &before);
            file.state
        };
        let with = |servers| desired(&[("tcp://10.0.0.1:80", service("rr", servers))]).state;
        assert_eq!(state(OnFailure::Remove), with(&[(1, 0), (2, 7)]));
        assert_eq!(state(OnFailure::Quiesce), with(&[(1, 0), (2, 7), (99, 0)]));
    }

    #[test]
    fn with_prune_never_a_service_that_leaves_is_left_alone() {
        let before = desired(&[("tcp://10.0.0.1:80", service("rr", &[(1, 5)]))]);
        let mut file = desired(&[]);
        file.policy.prune = Prune::Never;
        let expected = file.clone();
        kept(&mut file, &before);
        assert_eq!(file, expected);
    }

    #[test]
    fn the_rules_of_what_leaves_stay_but_for_packets_that_go_to_a_new_service() {
        let web = || packets("10.0.0.1/32", &[80..=80]);
        let mail = || packets("10.0.0.0/24", &[25..=25]);
        let mut before = desired(&[("fwmark://7", service("rr", &[(1, 5)]))]);
        before.state.marks = vec![Mark { mark: 7, matches: vec![web(), mail()] }];
        before.state.untracked = vec![mail(), web()];
        let mut file = desired(&[("tcp://10.0.0.1:80", service("rr", &[(1, 5)]))]);
        kept(&mut file, &before);
        assert_eq!(file.state.marks, [Mark { mark: 7, matches: vec![mail()] }]);
        assert_eq!(file.state.untracked, [mail()]);
    }
}
