//! Counts connections by cluster, service, server and state; as much is kept as there are of these, however many connections there are.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;

use super::names::Belonging;
use crate::kernel::connections::ConnectionEntry;
use crate::model::{ServerKey, ServiceKey};

/// The numbers of connections.
#[derive(Debug, Default)]
pub struct ConnectionCounts(HashMap<Place, BTreeMap<State, u64>>);

/// Where connections go: the cluster and the service as far as they are known, and the server.
type Place = (Option<CompactString>, Option<ServiceKey>, ServerKey);

/// The kernel's word for a state; `None` for templates.
type State = Option<CompactString>;

/// How many connections of a service go to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The cluster; `None` where none is known
    pub cluster: Option<CompactString>,
    /// The virtual service; `None` where none is known
    pub service: Option<ServiceKey>,
    /// The real server
    pub server: ServerKey,
    /// How many there are in each state, by the kernel's word
    pub states: Vec<(CompactString, u64)>,
    /// How many persistence templates there are
    pub templates: u64,
}

impl ConnectionCounts {
    /// Counts one more.
    pub fn add(&mut self, entry: &ConnectionEntry, belonging: &Belonging<'_>) {
        let place = (belonging.cluster.map(CompactString::from), belonging.service, entry.server);
        let state = (!entry.is_template).then(|| entry.state.clone());
        *self.0.entry(place).or_default().entry(state).or_default() += 1;
    }

    /// All that were counted: by the names of the clusters, those of none last, then by service and server.
    pub fn sorted(self) -> Vec<Counted> {
        let counted = |((cluster, service, server), mut states): (Place, BTreeMap<State, u64>)| {
            let templates = states.remove(&None).unwrap_or_default();
            let states = states.into_iter().filter_map(|(state, number)| Some((state?, number))).collect();
            Counted { cluster, service, server, states, templates }
        };
        let mut all: Vec<Counted> = self.0.into_iter().map(counted).collect();
        let place = |of: &Counted| {
            (of.cluster.is_none(), of.cluster.clone(), of.service.is_none(), of.service, of.server)
        };
        all.sort_unstable_by_key(place);
        all
    }
}
