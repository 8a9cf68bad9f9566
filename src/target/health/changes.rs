//! Finds what differs between two states of what is in force.

use std::sync::Arc;

use super::in_force::{InForce, States};
use super::state::ServerHealth;
use crate::model::{ServerKey, ServiceKey};

impl InForce {
    /// The virtual services for whose servers other things are in force, in the order of their keys.
    pub fn services_other_than(&self, other: &Self) -> Vec<ServiceKey> {
        // Mostly they are shared, and then not compared.
        let differs = |(place, (key, states)): (usize, (&ServiceKey, &Arc<States>))| {
            (other.states(place, key) != Some(states)).then_some(*key)
        };
        let is_gone =
            |(place, (key, _)): (usize, (&ServiceKey, _))| self.states(place, key).is_none().then_some(*key);
        let mut services: Vec<ServiceKey> = self.services().enumerate().filter_map(differs).collect();
        services.extend(other.services().enumerate().filter_map(is_gone));
        services.sort_unstable();
        services
    }

    /// The same for these virtual services alone; `None` where nothing is in force for one of them.
    pub fn part(&self, services: &[ServiceKey]) -> Option<Self> {
        let of = |(place, key): (usize, &ServiceKey)| Some((*key, Arc::clone(self.states(place, key)?)));
        services.iter().enumerate().map(of).collect()
    }

    /// The same, and for the virtual services of another one what that says.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let both = self.services().chain(other.services());
        both.map(|(key, states)| (*key, Arc::clone(states))).collect()
    }

    /// What is in force for the servers of a virtual service.
    pub fn of_service(&self, service: &ServiceKey) -> impl Iterator<Item = (&ServerKey, &ServerHealth)> {
        self.states(0, service).into_iter().flat_map(|states| states.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_new_gone_or_otherwise_is_one_that_differs() {
        let in_force = |services: &[(u16, &str)]| -> InForce {
            let one = |(port, state): &(u16, &str)| {
                format!(r#"{{"service":"tcp://10.0.0.1:{port}","{state}":["192.168.8.1:80"]}}"#)
            };
            let all = services.iter().map(one).collect::<Vec<_>>().join(",");
            serde_json::from_str(&format!("[{all}]")).unwrap()
        };
        let one = in_force(&[(1, "passing"), (2, "passing"), (4, "waiting"), (7, "passing")]);
        let other = in_force(&[(2, "passing"), (3, "passing"), (4, "passing"), (9, "passing")]);
        let differing = |one: &InForce, other: &InForce| -> Vec<String> {
            one.services_other_than(other).iter().map(ToString::to_string).collect()
        };
        let expected = [1, 3, 4, 7, 9].map(|port| format!("tcp://10.0.0.1:{port}"));
        assert_eq!(
            (differing(&one, &other), differing(&other, &one)),
            (expected.to_vec(), expected.to_vec())
        );
        assert_eq!(differing(&one, &one), [""; 0]);
        assert_eq!(differing(&InForce::NONE, &other).len(), 4);
    }
}
