//! Decides which virtual services lbd may touch, and which are somebody else's.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Desired, Prune, ServiceKey, Services};

/// The services that lbd put into the kernel or adopted there, each with the cluster that it came from.
pub type Owned = HashMap<ServiceKey, Arc<str>>;

/// Parts the live services into those that lbd may change or delete, and those that it leaves alone.
///
/// What is in the file is lbd's to edit. Beyond it, `prune` says what lbd may delete.
pub fn part(live: Services, desired: &Services, owned: &Owned, prune: Prune) -> (Services, Services) {
    live.into_iter().partition(|(service, _)| {
        desired.contains_key(service)
            || match prune {
                Prune::Owned => owned.contains_key(service),
                Prune::All => true,
                Prune::Never => false,
            }
    })
}

/// Takes what is in the file into ownership: done before the first edit, so that a crash in the middle of a pass leaves
/// no service behind that nobody remembers.
pub fn claim(owned: &mut Owned, desired: &Desired) {
    for (service, cluster) in &desired.clusters {
        owned.insert(*service, Arc::clone(cluster));
    }
}

/// Ends the ownership of what is neither in the file nor in the kernel any more: if it ever comes back, somebody else
/// put it there.
pub fn release(owned: &mut Owned, desired: &Services, is_live: impl Fn(&ServiceKey) -> bool) {
    owned.retain(|service, _| desired.contains_key(service) || is_live(service));
}
