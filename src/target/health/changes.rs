//! Finds what differs between two states of what is in force.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::in_force::InForce;
use super::state::ServerHealth;
use crate::model::{ServerKey, ServiceKey};

impl InForce {
    /// The virtual services for whose servers other things are in force, in the order of their keys.
    pub fn services_other_than(&self, other: &Self) -> Vec<ServiceKey> {
        let keys: BTreeSet<&ServiceKey> = self.services.keys().chain(other.services.keys()).collect();
        let differs = |key: &&ServiceKey| self.services.get(*key) != other.services.get(*key);
        keys.into_iter().filter(differs).copied().collect()
    }

    /// The same for these virtual services alone; `None` where nothing is in force for one of them.
    pub fn part(&self, services: &[ServiceKey]) -> Option<Self> {
        let of = |key: &ServiceKey| Some((*key, Arc::clone(self.services.get(key)?)));
        let services = services.iter().map(of).collect::<Option<_>>()?;
        Some(Self { services })
    }

    /// The same, and for the virtual services of another one what that says.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.services.extend(other.services);
        self
    }

    /// What is in force for the servers of a virtual service.
    pub fn of_service(&self, service: &ServiceKey) -> impl Iterator<Item = (&ServerKey, &ServerHealth)> {
        self.services.get(service).into_iter().flat_map(|states| states.iter())
    }
}
