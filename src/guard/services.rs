//! Which virtual services a change takes away, and which ones only move.

use std::collections::{HashMap, HashSet};

use compact_str::CompactString;

use super::refusal::named;
use super::{Before, NamedServices, Violation};
use crate::model::{Desired, Prune, ServiceKey, Table};

/// What a change of the file does to the services that there were.
#[derive(Debug, Default)]
pub(super) struct Leaving<'a> {
    /// The services of lbd that would be gone, beyond those that move, with their clusters
    lost: Vec<(ServiceKey, Option<&'a str>)>,
    /// The services that would be gone and never were in the file, sorted
    pub(super) unlisted: Vec<ServiceKey>,
    /// New services of a cluster that each take the place of one that it listens on no more
    pub(super) moved: HashMap<ServiceKey, ServiceKey>,
    /// How many services of lbd there are, or were verified last
    own: usize,
}

/// What was verified last, as far as it is known.
enum Verified<'a> {
    State(&'a Desired),
    Services(HashSet<&'a ServiceKey>),
}

impl<'a> Verified<'a> {
    fn of(before: &Before<'a>) -> Self {
        match before.verified {
            Some(state) => Self::State(state),
            None => Self::Services(before.verified_services.iter().collect()),
        }
    }

    fn contains(&self, service: &ServiceKey) -> bool {
        match self {
            Self::State(state) => state.state.services.contains_key(service),
            Self::Services(services) => services.contains(service),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::State(state) => state.state.services.len(),
            Self::Services(services) => services.len(),
        }
    }

    fn cluster(&self, service: &ServiceKey) -> Option<&'a str> {
        match self {
            Self::State(state) => state.clusters.get(service).map(CompactString::as_str),
            Self::Services(_) => None,
        }
    }
}

/// Compares the services that there were with those of the file.
pub(super) fn leaving<'a>(before: &Before<'a>, desired: &Desired) -> Leaving<'a> {
    let wanted = &desired.state.services;
    // With `never`, what is in the kernel stays there. Otherwise what was verified leaves with the file also where it
    // stays in the kernel since the record was lost.
    let stays = |service: &ServiceKey| desired.policy.prune == Prune::Never && before.is_live(service);
    let leaves = |service: &&ServiceKey| !wanted.contains_key(*service) && !stays(service);
    let mut gone: Vec<ServiceKey> = match before.verified {
        Some(_) if before.is(desired) => Vec::new(),
        Some(verified) => verified.state.services.keys().filter(leaves).copied().collect(),
        None => before.verified_services.iter().filter(leaves).copied().collect(),
    };
    let deleted: Vec<&ServiceKey> =
        before.managed.keys().filter(|service| !wanted.contains_key(*service)).collect();
    if gone.is_empty() && deleted.is_empty() {
        return Leaving::default();
    }
    let verified = Verified::of(before);
    let mut unlisted = Vec::new();
    let mut more = Vec::new();
    for service in deleted.into_iter().filter(|service| !verified.contains(service)) {
        if before.owned.contains_key(service) { more.push(*service) } else { unlisted.push(*service) }
    }
    // The order of the kernel means nothing.
    more.sort_unstable();
    unlisted.sort_unstable();
    gone.append(&mut more);
    // What this pass or one that was cut off has added is new until it is verified.
    let is_old = |service: &ServiceKey| match verified.len() {
        0 => before.owned.contains_key(service) && before.is_live(service),
        _ => verified.contains(service),
    };
    let cluster = |service: &ServiceKey| {
        verified.cluster(service).or_else(|| before.owned.get(service).map(CompactString::as_str))
    };
    let moved = moved(&gone, cluster, &desired.clusters, is_old);
    let old: HashSet<&ServiceKey> = moved.values().collect();
    let lost = gone.iter().filter(|service| !old.contains(service));
    let lost = lost.map(|service| (*service, cluster(service))).collect();
    let only_owned = before.owned.keys().filter(|service| !verified.contains(service));
    let own = verified.len() + only_owned.filter(|service| before.is_live(service)).count();
    Leaving { lost, unlisted, moved, own }
}

/// Pairs services that are gone with those that their clusters newly listen on.
fn moved<'a>(
    gone: &[ServiceKey],
    cluster: impl Fn(&ServiceKey) -> Option<&'a str>,
    wanted: &Table<ServiceKey, CompactString>,
    is_old: impl Fn(&ServiceKey) -> bool,
) -> HashMap<ServiceKey, ServiceKey> {
    let mut free: HashMap<&str, Vec<ServiceKey>> = HashMap::new();
    // The last is taken first.
    for service in gone.iter().rev() {
        if let Some(cluster) = cluster(service) {
            free.entry(cluster).or_default().push(*service);
        }
    }
    let mut moved = HashMap::new();
    if free.is_empty() {
        return moved;
    }
    for (service, cluster) in wanted {
        if let Some(gone) = free.get_mut(cluster.as_str())
            && !gone.is_empty()
            && !is_old(service)
            && let Some(from) = gone.pop()
        {
            moved.insert(*service, from);
        }
    }
    moved
}

impl Leaving<'_> {
    /// What of it is more than the policy allows.
    pub(super) fn violation(&self, before: &Before<'_>, desired: &Desired) -> Option<Violation> {
        let Self { lost, unlisted, moved: _, own } = self;
        let policy = &desired.policy;
        let only_unlisted = || {
            let mut services = NamedServices::default();
            unlisted.iter().for_each(|service| services.push(|| named(service, None)));
            services
        };
        let all = || {
            let mut services = NamedServices::default();
            lost.iter().for_each(|(service, cluster)| services.push(|| named(service, *cluster)));
            unlisted.iter().for_each(|service| services.push(|| named(service, None)));
            services
        };
        let deleted = lost.len() + unlisted.len();
        if deleted == 0 {
            return None;
        }
        if desired.state.services.is_empty() {
            return match policy.allow_empty {
                true => None,
                false if lost.is_empty() => Some(Violation::EmptiesUnlisted { services: only_unlisted() }),
                false => Some(Violation::Empties { services: all() }),
            };
        }
        let limit = policy.max_delete;
        let of = if policy.prune == Prune::All { self.there_are(before) } else { *own };
        if limit.allows(deleted, of) {
            None
        } else if !unlisted.is_empty() && limit.allows(lost.len(), *own) {
            Some(Violation::DeletesUnlisted { services: only_unlisted(), deleted, of, limit })
        } else {
            Some(Violation::DeletesServices { services: all(), of, limit })
        }
    }

    /// How many services are in the kernel or were verified last; how many there were then, where some of those that never
    /// were in the file have been spared before.
    pub(super) fn there_are(&self, before: &Before<'_>) -> usize {
        let live = before.managed.len() + before.foreign.len();
        let is_missing = |service: &&ServiceKey| !before.is_live(service);
        let missing = match before.verified {
            Some(verified) => verified.state.services.keys().filter(is_missing).count(),
            None => before.verified_services.iter().filter(is_missing).count(),
        };
        let was_spared = |service: &ServiceKey| self.unlisted.binary_search(service).is_ok();
        match before.spared.services.iter().any(was_spared) {
            true => before.spared.of.min(live + missing),
            false => live + missing,
        }
    }
}
