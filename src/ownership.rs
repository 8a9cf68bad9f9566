//! Decides what lbd may touch, and remembers what it has to put back: the rest is somebody else's.

use std::collections::BTreeSet;
use std::sync::Arc;

use compact_str::CompactString;

use crate::model::{
    Desired, Operation, Prune, ServiceKey, Services, SetSysctl, SetTimeouts, SyncRole, Sysctls, Table,
    Timeouts, sysctl,
};

/// The services that lbd put into the kernel or adopted there, each with the cluster that it came from.
pub type Owned = Table<ServiceKey, CompactString>;

/// Parts the live services into those that lbd may change or delete, and those that it leaves alone.
///
/// What is in the file is lbd's to edit. Beyond it, `prune` says what lbd may delete.
pub fn part(mut live: Services, desired: &Services, owned: &Owned, prune: Prune) -> (Services, Services) {
    let is_own = |service: &ServiceKey| {
        desired.contains_key(service)
            || match prune {
                Prune::Owned => owned.contains_key(service),
                Prune::All => true,
                Prune::Never => false,
            }
    };
    let foreign = live.extract_if(.., |service, _| !is_own(service)).collect();
    (live, foreign)
}

/// Takes what is in the file into ownership: done before the first edit, so that a crash in the middle of a pass leaves
/// no service behind that nobody remembers. Where nothing else is owned, the table is the file's own, and held once.
pub fn claim(owned: &mut Arc<Owned>, desired: &Desired) {
    let wanted = &desired.clusters;
    if owned.keys().all(|service| wanted.contains_key(service)) {
        *owned = Arc::clone(wanted);
    } else if wanted.iter().any(|(service, cluster)| owned.get(service) != Some(cluster)) {
        let wanted = wanted.iter().map(|(service, cluster)| (*service, cluster.clone()));
        Arc::make_mut(owned).extend(wanted);
    }
}

/// Ends the ownership of what is neither in the file nor in the kernel any more: if it ever comes back, somebody else
/// put it there.
pub fn release(owned: &mut Arc<Owned>, desired: &Services, is_live: impl Fn(&ServiceKey) -> bool) {
    let stays = |service: &ServiceKey| desired.contains_key(service) || is_live(service);
    if !owned.keys().all(stays) {
        Arc::make_mut(owned).retain(|service, _| stays(service));
    }
}

/// What lbd changed beside the virtual services, and takes back in the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Kernel settings, as they were before lbd first changed them
    pub sysctls: Sysctls,
    /// Timeouts, likewise
    pub timeouts: Timeouts,
    /// Sync daemons that lbd started or adopted
    pub sync: BTreeSet<SyncRole>,
    /// Whether lbd has a table of its own in the packet filter
    pub filter: bool,
}

impl Changed {
    /// Notes what the operations are about to change, and how it is in the kernel now. What was noted before stays: that
    /// is how it was at first.
    pub fn claim<'a>(
        &mut self,
        desired: &Desired,
        live: &Sysctls,
        operations: impl Iterator<Item = &'a Operation>,
    ) {
        for operation in operations {
            match operation {
                // What the operation starts from may be what another one of the plan leaves behind.
                Operation::Sysctl(SetSysctl { name, .. }) => {
                    let touched =
                        live.iter().filter(|(other, _)| **other == **name || sysctl::reaches(name, other));
                    for (other, now) in touched {
                        let is_noted = |noted: &String| sysctl::canonical(noted) == sysctl::canonical(other);
                        if !self.sysctls.keys().any(is_noted) {
                            self.sysctls.insert(other.clone(), now.clone());
                        }
                    }
                }
                Operation::Timeouts(SetTimeouts { from, to }) => {
                    let first = |noted: Option<u32>, from: Option<u32>, to: Option<u32>| {
                        noted.or(from.filter(|_| to.is_some()))
                    };
                    let Timeouts { tcp, tcp_fin, udp } = self.timeouts;
                    self.timeouts = Timeouts {
                        tcp: first(tcp, from.tcp, to.tcp),
                        tcp_fin: first(tcp_fin, from.tcp_fin, to.tcp_fin),
                        udp: first(udp, from.udp, to.udp),
                    };
                }
                // Services have their own record, and the sync daemons and marks of the file are noted below.
                Operation::Service(_) | Operation::Server(_) | Operation::Sync(_) | Operation::Marks(_) => {}
            }
        }
        self.sync.extend(desired.state.sync.iter().map(|daemon| daemon.role));
        self.filter |= desired.state.needs_filter();
    }

    /// Forgets what is now as it was at first, be it that the file says so or says nothing of it, and what is gone.
    pub fn release(&mut self, desired: &Desired, live: &Sysctls) {
        let state = &desired.state;
        let now = |name: &str| {
            let is_same = |other: &&String| sysctl::canonical(other) == sysctl::canonical(name);
            let named = state.sysctls.keys().find(is_same).and_then(|name| state.sysctls.get(name));
            named.or_else(|| live.get(name))
        };
        // Once more for what only waited for another one, which is forgotten by then.
        for _ in 0..2 {
            let noted: Vec<String> = self.sysctls.keys().cloned().collect();
            self.sysctls.retain(|name, first| {
                // When that one is put back, this one has to be put back after it.
                let is_reached = noted.iter().any(|other| sysctl::reaches(other, name));
                is_reached || now(name) != Some(first)
            });
        }
        let Timeouts { tcp, tcp_fin, udp } = self.timeouts;
        let other = |first: Option<u32>, now: Option<u32>| first.filter(|_| first != now);
        self.timeouts = Timeouts {
            tcp: other(tcp, state.timeouts.tcp),
            tcp_fin: other(tcp_fin, state.timeouts.tcp_fin),
            udp: other(udp, state.timeouts.udp),
        };
        self.sync.retain(|role| state.sync.iter().any(|daemon| daemon.role == *role));
        self.filter = state.needs_filter();
    }
}
