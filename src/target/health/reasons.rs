//! Keeps why servers are not what file and overrides say, so that each is found though there may be a hundred thousand.

use std::ops::Range;

use super::reason::CheckReason;
use crate::model::{ServerKey, ServiceKey, Table};
use crate::target::drains::ServerOf;

/// Why servers are not what file and overrides say, as far as checks are the cause.
#[derive(Debug, Clone, Default)]
pub(in crate::target) struct CheckReasons {
    /// Those of one virtual service after the other, each sorted by server: nothing is hashed or allocated for each of them
    all: Vec<(ServerKey, CheckReason)>,
    /// Where those of a virtual service are
    services: Table<ServiceKey, Range<usize>>,
}

impl CheckReasons {
    /// Adds that of a server of the virtual service that [`Self::end`] names next.
    pub(super) fn push(&mut self, server: ServerKey, reason: CheckReason) {
        self.all.push((server, reason));
    }

    /// All those of a virtual service were added.
    pub(super) fn end(&mut self, service: ServiceKey) {
        let begin = self.services.last().map_or(0, |(_, range)| range.end);
        let range = begin..self.all.len();
        if let Some(of_service) = self.all.get_mut(range.clone()).filter(|of_service| !of_service.is_empty())
        {
            of_service.sort_unstable_by_key(|(server, _)| *server);
            self.services.insert(service, range);
        }
    }

    /// That of a server, if there is one.
    pub(in crate::target) fn get(&self, (service, server): &ServerOf) -> Option<&CheckReason> {
        let of_service = self.all.get(self.services.get(service)?.clone())?;
        let place = of_service.binary_search_by_key(server, |(server, _)| *server).ok()?;
        of_service.get(place).map(|(_, reason)| reason)
    }

    /// All of them, in the order of the file's virtual services.
    pub(in crate::target) fn iter(&self) -> impl Iterator<Item = (ServerOf, &CheckReason)> {
        self.services.iter().flat_map(|(service, range)| {
            let of_service = self.all.get(range.clone()).into_iter().flatten();
            of_service.map(move |(server, reason)| ((*service, *server), reason))
        })
    }
}
