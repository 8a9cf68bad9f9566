//! Which servers are reached by FULLNAT, and which source-NAT rules have to be there for them.

use std::collections::{HashMap, HashSet};

use super::SourceNat;
use crate::model::{Forwarding, Operation, ServerKey, ServerOp, ServiceKey, ServiceOp, Services};

/// The source-NAT rules that servers need, each with the ports of those servers: a rule applies to all ports, so it
/// stays until the last of them is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FullNat {
    ports: HashMap<SourceNat, HashSet<u16>>,
}

impl FullNat {
    /// Takes in the FULLNAT servers of these services.
    pub fn add_servers(&mut self, services: &Services) {
        for (service, contents) in services {
            for (server, real) in contents.servers.iter() {
                if real.forwarding == Forwarding::FullNat {
                    self.add(service, server);
                }
            }
        }
    }

    /// The rules.
    pub fn rules(&self) -> HashSet<SourceNat> {
        self.ports.keys().copied().collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ports.is_empty()
    }

    /// Takes in the server that an operation adds; returns the rule that has to be there before it and is not there yet.
    pub fn grow(&mut self, operation: &Operation) -> Option<SourceNat> {
        let (service, server, forwarding) = match operation {
            Operation::Server(ServerOp::Add { service, server, to }) => (service, server, to.forwarding),
            Operation::Server(ServerOp::Edit { service, server, to, .. }) => (service, server, to.forwarding),
            Operation::Server(ServerOp::Delete { .. })
            | Operation::Service(_)
            | Operation::Sysctl(_)
            | Operation::Timeouts(_)
            | Operation::Sync(_)
            | Operation::Marks(_)
            | Operation::Untracked(_) => return None,
        };
        if forwarding == Forwarding::FullNat { self.add(service, server) } else { None }
    }

    /// Takes out the servers that an operation takes away; returns the rules that are not needed after it, in order.
    pub fn shrink(&mut self, operation: &Operation) -> Vec<SourceNat> {
        match operation {
            Operation::Server(ServerOp::Delete { service, server }) => {
                self.remove(service, server).into_iter().collect()
            }
            Operation::Server(ServerOp::Edit { service, server, to, .. })
                if to.forwarding != Forwarding::FullNat =>
            {
                self.remove(service, server).into_iter().collect()
            }
            Operation::Service(ServiceOp::Delete { service }) => {
                let mut gone: Vec<SourceNat> =
                    self.ports.keys().filter(|rule| rule.service == *service).copied().collect();
                gone.sort_unstable();
                gone.iter().for_each(|rule| {
                    self.ports.remove(rule);
                });
                gone
            }
            Operation::Server(ServerOp::Add { .. } | ServerOp::Edit { .. })
            | Operation::Service(ServiceOp::Add { .. } | ServiceOp::Edit { .. })
            | Operation::Sysctl(_)
            | Operation::Timeouts(_)
            | Operation::Sync(_)
            | Operation::Marks(_)
            | Operation::Untracked(_) => Vec::new(),
        }
    }

    fn add(&mut self, service: &ServiceKey, server: &ServerKey) -> Option<SourceNat> {
        let rule = SourceNat::of(service, server);
        let is_new = !self.ports.contains_key(&rule);
        self.ports.entry(rule).or_default().insert(server.port);
        is_new.then_some(rule)
    }

    fn remove(&mut self, service: &ServiceKey, server: &ServerKey) -> Option<SourceNat> {
        let rule = SourceNat::of(service, server);
        let ports = self.ports.get_mut(&rule)?;
        ports.remove(&server.port);
        if ports.is_empty() {
            self.ports.remove(&rule);
            return Some(rule);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RealServer;
    use crate::model::Thresholds;

    fn operations() -> (ServiceKey, impl Fn(u16, Forwarding) -> Operation, impl Fn(u16) -> Operation) {
        let service: ServiceKey = "tcp://10.0.0.13:80".parse().unwrap();
        let key = |port| ServerKey { address: "192.168.8.14".parse().unwrap(), port };
        let real = |forwarding| RealServer { weight: 1, forwarding, thresholds: Thresholds::default() };
        let edit = move |port, forwarding| {
            Operation::Server(ServerOp::Edit {
                service,
                server: key(port),
                from: real(Forwarding::Nat).into(),
                to: Box::new(real(forwarding)),
            })
        };
        let delete = move |port| Operation::Server(ServerOp::Delete { service, server: key(port) });
        (service, edit, delete)
    }

    #[test]
    fn a_rule_stays_until_the_last_of_its_servers_is_gone() {
        let (service, edit, delete) = operations();
        let rule = SourceNat { service, address: "192.168.8.14".parse().unwrap() };
        let mut full_nat = FullNat::default();
        assert_eq!(full_nat.grow(&edit(80, Forwarding::FullNat)), Some(rule));
        assert_eq!(full_nat.grow(&edit(80, Forwarding::FullNat)), None);
        assert_eq!(full_nat.grow(&edit(81, Forwarding::FullNat)), None);
        assert_eq!(full_nat.grow(&edit(82, Forwarding::Nat)), None);
        assert_eq!(full_nat.shrink(&delete(82)), []);
        assert_eq!(full_nat.shrink(&delete(80)), []);
        assert_eq!(full_nat.rules(), HashSet::from([rule]));
        assert_eq!(full_nat.shrink(&edit(81, Forwarding::Nat)), [rule]);
        assert!(full_nat.is_empty());
    }

    #[test]
    fn the_rules_of_a_service_go_with_it() {
        let (service, edit, _) = operations();
        let mut full_nat = FullNat::default();
        let rule = full_nat.grow(&edit(80, Forwarding::FullNat)).unwrap();
        let other = "tcp://10.0.0.13:81".parse().unwrap();
        assert_eq!(full_nat.shrink(&Operation::Service(ServiceOp::Delete { service: other })), []);
        assert_eq!(full_nat.shrink(&Operation::Service(ServiceOp::Delete { service })), [rule]);
    }
}
