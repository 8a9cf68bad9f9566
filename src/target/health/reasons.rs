//! Keeps why servers are not what file and overrides say, so that each is found though there may be a hundred thousand.

use super::reason::CheckReason;
use crate::model::{ServerKey, ServiceKey, Table};
use crate::target::drains::ServerOf;

/// Why servers are not what file and overrides say, as far as checks are the cause.
#[derive(Debug, Clone, Default)]
pub(in crate::target) struct CheckReasons {
    /// Those of each virtual service, sorted by server: nothing is hashed for each of them
    services: Table<ServiceKey, Vec<(ServerKey, CheckReason)>>,
}

impl CheckReasons {
    /// Adds those of a virtual service.
    pub(super) fn add(&mut self, service: ServiceKey, mut reasons: Vec<(ServerKey, CheckReason)>) {
        if !reasons.is_empty() {
            reasons.sort_unstable_by_key(|(server, _)| *server);
            self.services.insert(service, reasons);
        }
    }

    /// That of a server, if there is one.
    pub(in crate::target) fn get(&self, (service, server): &ServerOf) -> Option<&CheckReason> {
        let reasons = self.services.get(service)?;
        let place = reasons.binary_search_by_key(server, |(server, _)| *server).ok()?;
        reasons.get(place).map(|(_, reason)| reason)
    }

    /// All of them, in the order of the file's virtual services.
    pub(in crate::target) fn iter(&self) -> impl Iterator<Item = (ServerOf, &CheckReason)> {
        self.services.iter().flat_map(|(service, reasons)| {
            reasons.iter().map(move |(server, reason)| ((*service, *server), reason))
        })
    }
}
