//! Decides which virtual services lbd may change, and records what it has to restore in the end.

use std::collections::BTreeSet;
use std::sync::Arc;

use compact_str::CompactString;

use crate::model::{
    Desired, Operation, Prune, ServiceKey, Services, SetSysctl, SetTimeouts, SyncLink, SyncRole, Sysctls,
    Table, Timeouts, sysctl,
};

/// The services that lbd put into the kernel or adopted there, each with the cluster that it came from.
pub type Owned = Table<ServiceKey, CompactString>;

/// Splits the live services into the managed ones, which lbd may change or delete, and the foreign ones.
///
/// lbd may edit what is in the file. Of all else, `prune` decides what it may delete.
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

/// Takes ownership of what is in the file: done before the first operation, so that after a crash in the middle of a pass
/// every service of lbd is still owned. Where nothing else is owned, the table is shared with the file's.
pub fn claim(owned: &mut Arc<Owned>, desired: &Desired) {
    let wanted = &desired.clusters;
    if owned.keys().all(|service| wanted.contains_key(service)) {
        *owned = Arc::clone(wanted);
    } else if wanted.iter().any(|(service, cluster)| owned.get(service) != Some(cluster)) {
        let wanted = wanted.iter().map(|(service, cluster)| (*service, cluster.clone()));
        Arc::make_mut(owned).extend(wanted);
    }
}

/// Ends the ownership of what is neither in the file nor in the kernel any more: if it ever comes back, another program
/// added it.
pub fn release(owned: &mut Arc<Owned>, desired: &Services, is_live: impl Fn(&ServiceKey) -> bool) {
    let stays = |service: &ServiceKey| desired.contains_key(service) || is_live(service);
    if !owned.keys().all(stays) {
        Arc::make_mut(owned).retain(|service, _| stays(service));
    }
}

/// What lbd changed beside the virtual services, and restores in the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// Kernel settings, as they were before lbd first changed them
    pub sysctls: Sysctls,
    /// Timeouts, likewise
    pub timeouts: Timeouts,
    /// Sync daemons that lbd started or adopted
    pub sync: BTreeSet<SyncRole>,
    /// The interface on which the sync master was started
    pub master_link: Option<SyncLink>,
    /// Whether lbd has a table of its own in nftables
    pub filter: bool,
}

impl Changed {
    /// Records the live values of what the operations are about to change. A value that was recorded before stays: it is
    /// the original one.
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
                // Services have their own record, and the sync daemons and rules of the file are noted below.
                Operation::Service(_)
                | Operation::Server(_)
                | Operation::Sync(_)
                | Operation::Marks(_)
                | Operation::Untracked(_) => {}
            }
        }
        self.sync.extend(desired.state.sync.iter().map(|daemon| daemon.role));
        self.filter |= desired.state.needs_filter();
    }

    /// Forgets what has its original value now, whether the file desires that or does not mention it, and what is not there
    /// any more.
    pub fn release(&mut self, desired: &Desired, live: &Sysctls) {
        let state = &desired.state;
        let now = |name: &str| {
            let is_same = |other: &&String| sysctl::canonical(other) == sysctl::canonical(name);
            let named = state.sysctls.keys().find(is_same).and_then(|name| state.sysctls.get(name));
            named.or_else(|| live.get(name))
        };
        // Twice: a setting may be kept only because of another one, which is forgotten in the first round.
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
        self.master_link.take_if(|_| !state.sync.iter().any(|daemon| daemon.role == SyncRole::Master));
        self.sync.retain(|role| state.sync.iter().any(|daemon| daemon.role == *role));
        self.filter = state.needs_filter();
    }
}
