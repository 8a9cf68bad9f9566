//! Finds what differs between two states of what is in force.

use std::sync::Arc;

use super::in_force::InForce;
use super::state::ServerHealth;
use crate::model::{ServerKey, ServiceKey};

impl InForce {
    /// The virtual services for whose servers other things are in force, in the order of their keys.
    pub fn services_other_than(&self, other: &Self) -> Vec<ServiceKey> {
        // Both are sorted.
        let (mut ours, mut theirs) = (self.services.iter().peekable(), other.services.iter().peekable());
        let mut services = Vec::new();
        loop {
            match (ours.peek(), theirs.peek()) {
                (Some((one, states)), Some((another, others))) if one == another => {
                    // Mostly they are shared.
                    if states != others {
                        services.push(**one);
                    }
                    ours.next();
                    theirs.next();
                }
                (Some((one, _)), Some((another, _))) if one < another => {
                    services.push(**one);
                    ours.next();
                }
                (_, Some((another, _))) => {
                    services.push(**another);
                    theirs.next();
                }
                (Some((one, _)), None) => {
                    services.push(**one);
                    ours.next();
                }
                (None, None) => return services,
            }
        }
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
