//! Keeps which verdicts are in force: for each real server that has checks, what they have shown last.
//!
//! It is the daemon's own, so that a checker that is gone, late or new changes nothing. The target is a function of it and of the file.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::state::{Failing, ServerHealth, ServerState, SlowStart};
use crate::health::ExecWeight;
use crate::model::{ServerKey, ServiceKey, Table, get_near};
use crate::target::drains::ServerOf;
use crate::target::overrides::Text;

/// What is in force for the servers of a virtual service; after an advance in the order of the file, in which they are looked for.
pub(super) type States = Table<ServerKey, ServerHealth>;

/// What is in force for the virtual services, in the order of the file, too. What stays from advance to advance is shared.
type ByService = Table<ServiceKey, Arc<States>>;

/// The verdicts in force. A server that has none is new.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InForce {
    /// `None` in place of an empty table
    services: Option<Arc<ByService>>,
}

impl InForce {
    /// Nothing is known: after a boot, or without any check.
    pub const NONE: Self = Self { services: None };

    /// Whether nothing is known of any server.
    pub fn is_empty(&self) -> bool {
        self.services.is_none()
    }

    /// What is in force for a server.
    pub fn of(&self, service: &ServiceKey, server: &ServerKey) -> Option<&ServerHealth> {
        self.services.as_ref()?.get(service)?.get(server)
    }

    /// What is in force for the servers of a virtual service that has this place in the file.
    pub(super) fn states(&self, place: usize, service: &ServiceKey) -> Option<&Arc<States>> {
        get_near(self.services.as_ref()?, place, service)
    }

    /// The virtual services of whose servers something is known.
    pub(super) fn services(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<States>)> {
        self.services.iter().flat_map(|services| services.iter())
    }

    /// The servers that have passed, and of which it came into force that they fail, at this time or later, in milliseconds since the boot.
    pub fn failed_since(&self, since: u64) -> impl Iterator<Item = (ServerOf, &Failing)> {
        self.iter().filter_map(move |(service, server, health)| match &health.state {
            ServerState::Failing(failing) if failing.passed_until.is_some_and(|until| until >= since) => {
                Some(((service, server), &**failing))
            }
            ServerState::Failing(_) | ServerState::Unproven | ServerState::Waiting | ServerState::Passing => {
                None
            }
        })
    }

    /// All servers of which something is known.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceKey, ServerKey, &ServerHealth)> {
        self.services()
            .flat_map(|(service, states)| states.iter().map(|(server, health)| (*service, *server, health)))
    }
}

impl FromIterator<(ServiceKey, Arc<States>)> for InForce {
    fn from_iter<I: IntoIterator<Item = (ServiceKey, Arc<States>)>>(services: I) -> Self {
        let services: ByService = services.into_iter().collect();
        Self { services: (!services.is_empty()).then(|| Arc::new(services)) }
    }
}

/// A virtual service as it is on disk: the servers of each state, so that what passes takes little room.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    service: Text<ServiceKey>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    passing: Vec<Text<ServerKey>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unproven: Vec<Text<ServerKey>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Text<ServerKey>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failing: Vec<(Text<ServerKey>, Failing)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    flapping: Vec<Text<ServerKey>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    weights: Vec<(Text<ServerKey>, ExecWeight)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slow_starts: Vec<(Text<ServerKey>, SlowStart)>,
}

impl OnDisk {
    fn new(service: ServiceKey, states: &States) -> Self {
        let mut on_disk = Self {
            service: Text(service),
            passing: Vec::new(),
            unproven: Vec::new(),
            waiting: Vec::new(),
            failing: Vec::new(),
            flapping: Vec::new(),
            weights: Vec::new(),
            slow_starts: Vec::new(),
        };
        for (server, ServerHealth { state, flapping, weight, slow_start }) in states {
            let server = Text(*server);
            match state {
                ServerState::Unproven => on_disk.unproven.push(server),
                ServerState::Waiting => on_disk.waiting.push(server),
                ServerState::Passing => on_disk.passing.push(server),
                ServerState::Failing(failing) => on_disk.failing.push((server, Failing::clone(failing))),
            }
            on_disk.flapping.extend(flapping.then_some(server));
            on_disk.weights.extend(weight.map(|weight| (server, weight)));
            on_disk.slow_starts.extend(slow_start.map(|start| (server, start)));
        }
        on_disk
    }

    fn states(self) -> States {
        let Self { service: _, passing, unproven, waiting, failing, flapping, weights, slow_starts } = self;
        let mut states = States::default();
        let plain = [
            (passing, ServerState::Passing),
            (unproven, ServerState::Unproven),
            (waiting, ServerState::Waiting),
        ];
        for (servers, state) in plain {
            states.extend(servers.into_iter().map(|server| (server.0, ServerHealth::new(state.clone()))));
        }
        let of = |(server, failing): (Text<ServerKey>, Failing)| {
            (server.0, ServerHealth::new(ServerState::Failing(Arc::new(failing))))
        };
        states.extend(failing.into_iter().map(of));
        for server in flapping {
            states.entry(server.0).and_modify(|health| health.flapping = true);
        }
        for (server, weight) in weights {
            states.entry(server.0).and_modify(|health| health.weight = Some(weight));
        }
        for (server, start) in slow_starts {
            states.entry(server.0).and_modify(|health| health.slow_start = Some(start));
        }
        states
    }
}

impl Serialize for InForce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.services().map(|(service, states)| OnDisk::new(*service, states)))
    }
}

impl<'de> Deserialize<'de> for InForce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Vec::<OnDisk>::deserialize(deserializer)?;
        Ok(all.into_iter().map(|one| (one.service.0, Arc::new(one.states()))).collect())
    }
}
