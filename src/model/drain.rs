//! How long a server that leaves the file keeps its connections, as the file says or by default.

use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::{Desired, Persistence, Protocol, ServerKey, ServiceKey};

/// How long a server drains where the file does not say it: for TCP, SCTP and firewall marks.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(5 * 60);

/// How long servers keep their connections when they leave the file, where the file says it. What says the same as what is above it is not
/// kept: ten thousand services need no entry for a value that `defaults` has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainTimes {
    /// That of `defaults`
    default: Option<Duration>,
    /// Those of clusters, for each of their virtual services
    services: HashMap<ServiceKey, Duration, RandomState>,
    /// Those of servers
    servers: HashMap<(ServiceKey, ServerKey), Duration, RandomState>,
}

impl DrainTimes {
    /// Those of a file with this value in `defaults`.
    pub fn new(default: Option<Duration>) -> Self {
        Self { default, ..Self::default() }
    }

    /// Sets the value of a virtual service. It comes before those of its servers.
    pub fn set_service(&mut self, service: ServiceKey, drain: Duration) {
        if self.default != Some(drain) {
            self.services.insert(service, drain);
        }
    }

    /// Sets the value of a real server.
    pub fn set_server(&mut self, service: ServiceKey, server: ServerKey, drain: Duration) {
        if self.of_service(&service) != Some(drain) {
            self.servers.insert((service, server), drain);
        }
    }

    fn of_service(&self, service: &ServiceKey) -> Option<Duration> {
        self.services.get(service).copied().or(self.default)
    }

    /// The most specific value for a server, if there is one.
    fn of_server(&self, service: &ServiceKey, server: &ServerKey) -> Option<Duration> {
        // Most files have none of their own for a server, and then nothing is hashed.
        let own = (!self.servers.is_empty()).then(|| self.servers.get(&(*service, *server)).copied());
        own.flatten().or_else(|| self.of_service(service))
    }
}

/// What holds where the file says nothing: clients that persistence leads back to a server come for so long after their last
/// connection, and UDP has no end by which a connection could be seen to be gone.
fn by_default(service: &ServiceKey, persistence: Option<Persistence>) -> Duration {
    let drains = match service {
        ServiceKey::Address { protocol, .. } => match protocol {
            Protocol::Tcp | Protocol::Sctp => true,
            Protocol::Udp | Protocol::Other(_) => false,
        },
        ServiceKey::FirewallMark { .. } => true,
    };
    let timeout = persistence.map_or(0, |persistence| persistence.timeout);
    if drains { DEFAULT_DRAIN.max(Duration::from_secs(timeout.into())) } else { Duration::ZERO }
}

impl Desired {
    /// How long this server keeps its connections when it leaves the file; zero where it is deleted at once. It is the file that still has
    /// the server which says it.
    pub fn drain(&self, service: &ServiceKey, server: &ServerKey) -> Duration {
        self.drains.of_server(service, server).unwrap_or_else(|| {
            let scheduling = self.state.services.get(service).map(|service| &service.scheduling);
            by_default(service, scheduling.and_then(|scheduling| scheduling.persistence))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_as_what_is_above_it_is_not_kept() {
        let (service, other): (ServiceKey, ServiceKey) =
            ("tcp://10.0.0.1:80".parse().unwrap(), "tcp://10.0.0.2:80".parse().unwrap());
        let server = |number: u8| ServerKey { address: [192, 168, 8, number].into(), port: 80 };
        let minutes = |number: u64| Duration::from_secs(number * 60);
        let mut drains = DrainTimes::new(Some(minutes(1)));
        drains.set_service(service, minutes(2));
        drains.set_service(other, minutes(1));
        drains.set_server(service, server(1), minutes(2));
        drains.set_server(service, server(2), minutes(1));
        drains.set_server(other, server(1), minutes(1));
        let expected = DrainTimes {
            default: Some(minutes(1)),
            services: [(service, minutes(2))].into_iter().collect(),
            servers: [((service, server(2)), minutes(1))].into_iter().collect(),
        };
        assert_eq!(drains, expected);
        let desired = Desired { drains: drains.into(), ..Desired::default() };
        let found = [(service, 1), (service, 2), (service, 3), (other, 1)]
            .map(|(service, number)| desired.drain(&service, &server(number)));
        assert_eq!(found, [2, 1, 2, 1].map(minutes));
    }
}
