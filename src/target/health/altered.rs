//! Keeps what checks have made of servers, so that a pause in which checks go on lets them change just that.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{Desired, ServerKey, ServiceKey};
use crate::target::drains::ServerOf;
use crate::target::overrides::Text;
use crate::target::{Conditions, Target};

use super::in_force::InForce;

/// The servers that checks have made others than file and overrides say, each with the weight that they gave it; `None`: they have taken it out
/// of the table. What another program has made of a server is another weight, and no work of checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Altered(BTreeMap<ServerOf, Option<u32>>);

impl Altered {
    /// Checks have altered nothing.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Whether checks have altered nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The weight that checks gave a server, if they have altered it.
    pub(in crate::target) fn get(&self, server: &ServerOf) -> Option<Option<u32>> {
        self.0.get(server).copied()
    }

    /// Keeps some of them.
    pub fn retain(&mut self, is_kept: &dyn Fn(&ServerOf) -> bool) {
        self.0.retain(|server, _| is_kept(server));
    }

    fn of(target: &Target<'_>) -> Self {
        let services = &target.desired.state.services;
        let weight =
            |(service, server): &ServerOf| services.get(service)?.servers.get(server).map(|real| real.weight);
        Self(target.checked.iter().map(|(server, _)| (server, weight(&server))).collect())
    }
}

impl Conditions {
    /// Takes in what checks have altered so far, where a pause lets them go on; `before` was in force at the last pass, and `outstanding` is what
    /// earlier passes could not put back.
    pub fn take_in_altered(&mut self, file: &Desired, before: &InForce, outstanding: &Altered) {
        if !self.pauses.keep_checks() {
            self.altered = Altered::NONE;
            return;
        }
        let overrides = self.overrides.clone();
        let conditions = Self { health: before.clone(), overrides, ..Self::default() };
        let mut altered = Altered::of(&Target::new(file, &conditions));
        altered.0.extend(&outstanding.0);
        self.altered = altered;
    }
}

impl Serialize for Altered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let one =
            |((service, server), weight): (&ServerOf, &Option<u32>)| (Text(*service), Text(*server), *weight);
        serializer.collect_seq(self.0.iter().map(one))
    }
}

impl<'de> Deserialize<'de> for Altered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Vec::<(Text<ServiceKey>, Text<ServerKey>, Option<u32>)>::deserialize(deserializer)?;
        Ok(Self(all.into_iter().map(|(service, server, weight)| ((service.0, server.0), weight)).collect()))
    }
}
