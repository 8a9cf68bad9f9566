//! Reads the whole table over netlink, and makes sure that no entry of it is missing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use neli::consts::nl::NlmF;

use super::Ipvs;
use super::codec::{decode, statistics};
use super::snapshot::Snapshot;
use super::totals::{are_counters_stopped, whole};
use super::uapi::cmd;
use crate::kernel::netlink::Malformed;
use crate::kernel::{KernelError, Live, ProgressEvent, Query};
use crate::model::{
    Connections, Scheduling, SchedulingCache, ServerKey, Servers, ServiceKey, Services, Statistics,
    SyncDaemon, Table, Timeouts, VirtualService,
};

/// How often a list that changes under our eyes is read before we give up.
const ATTEMPTS: usize = 30;

/// Absent while the module is not loaded, and hidden from user namespaces by some kernels.
const EXPIRE_NODEST_CONN: &str = "/proc/sys/net/ipv4/vs/expire_nodest_conn";
const EXPIRE_QUIESCENT_TEMPLATE: &str = "/proc/sys/net/ipv4/vs/expire_quiescent_template";

/// Reads the settings that say what becomes of connections.
pub(super) fn settings(live: &mut Live) {
    live.expire_nodest_conn = is_set(EXPIRE_NODEST_CONN);
    live.expire_quiescent_template = is_set(EXPIRE_QUIESCENT_TEMPLATE);
    live.counters_rest = are_counters_stopped();
}

/// Whether a setting is there, and not 0.
fn is_set(path: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}

/// What was found in the lists beside what is compared with a desired state.
#[derive(Default)]
struct Counted {
    services: HashMap<ServiceKey, Statistics>,
    servers: HashMap<(ServiceKey, ServerKey), Statistics>,
}

impl Ipvs {
    /// The whole live state, with what has been counted or without. What is as expected is shared.
    pub(super) fn read_all(&mut self, expected: &Services, statistics: bool) -> Result<Live, KernelError> {
        let mut live = Live::default();
        self.report_progress(ProgressEvent::Listing);
        let mut counted = statistics.then(Counted::default);
        let listed = self.services(expected.len(), &mut counted)?;
        let of = listed.len();
        let mut services = Services::with_capacity_and_hasher(of, Default::default());
        // A service mostly has as many servers as the one before it.
        let mut expected_servers = 0;
        for (done, (key, scheduling)) in listed.into_iter().enumerate() {
            self.report_progress(ProgressEvent::Read { services: done, of });
            if let Some(servers) =
                self.servers(&key, &mut expected_servers, &mut live.connections, &mut counted)?
            {
                let mut service = VirtualService::new(scheduling, servers);
                if let Some(expected) = expected.get(&key) {
                    service.share(expected);
                }
                services.insert(key, service);
            }
        }
        live.state.services = services;
        live.state.timeouts = self.timeouts()?;
        live.state.sync = self.sync_daemons()?;
        live.statistics = counted.map(|Counted { services, servers }| whole(services, servers));
        settings(&mut live);
        Ok(live)
    }

    /// Some services with their servers and connections; those that are not there are left out.
    pub(super) fn read_some(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError> {
        let mut live = Live::default();
        let mut expected_servers = 0;
        for key in keys {
            let mut found = None;
            let answer = self.query(cmd::GET_SERVICE, NlmF::ACK, Some(key), |attributes| {
                found = Some(decode::service(attributes)?);
                Ok(())
            })?;
            if !matches!(answer.errno, 0 | libc::ESRCH) {
                return Err(KernelError::Refused { query: Query::Service(*key), errno: answer.errno });
            }
            let Some((key, scheduling)) = found else { continue };
            if let Some(servers) =
                self.servers(&key, &mut expected_servers, &mut live.connections, &mut None)?
            {
                live.state.services.insert(key, VirtualService::new(scheduling, servers));
            }
        }
        settings(&mut live);
        Ok(live)
    }

    /// Reads a list until it is known to be whole.
    ///
    /// The kernel drops its lock between two datagrams of a list and goes on by counting, and never marks that something
    /// changed in between (no `NLM_F_DUMP_INTR`): where an entry was deleted that had been listed already, another is skipped;
    /// where one was added, some come twice; and a kernel that enlarges its table of services (from 7.1 on, a moment after
    /// they were added) does both. So a list of several datagrams is compared with the old interface by `cross_check`. Where
    /// that has fewer entries, or cannot be had, the list is read again, until nothing of the reading before is missing;
    /// where it has an entry that the list lacks, no second reading makes up for that: what comes and goes in step with our
    /// readings would be skipped each time.
    ///
    /// The newest entry, which the kernel lists first, comes last. `expected` is how many entries there are likely to be,
    /// and then how many there were.
    pub(super) fn list<K: Hash + Eq, V>(
        &mut self,
        query: Query,
        command: u8,
        service: Option<&ServiceKey>,
        expected: &mut usize,
        mut decode: impl FnMut(&[u8]) -> Result<(K, V), Malformed>,
        cross_check: impl Fn(&Table<K, V>) -> CrossCheck,
    ) -> Result<Table<K, V>, KernelError> {
        let mut before: Option<Table<K, V>> = None;
        for _ in 0..ATTEMPTS {
            let mut entries = Vec::with_capacity(*expected);
            let answer = self.query(command, NlmF::DUMP, service, |attributes| {
                entries.push(decode(attributes)?);
                Ok(())
            })?;
            if answer.errno != 0 {
                return Err(KernelError::Refused { query, errno: answer.errno });
            }
            *expected = entries.len();
            let list: Table<K, V> = entries.into_iter().rev().collect();
            // One frame is one walk, under the kernel's lock or, in newer ones, under RCU: what stays is in it, and once.
            if answer.frames <= 1 {
                return Ok(list);
            }
            let all_left = |before: &Table<K, V>| before.keys().all(|key| list.contains_key(key));
            let is_whole = match cross_check(&list) {
                // As many entries, all of them known, and the old interface has none twice.
                CrossCheck::Same => true,
                CrossCheck::Fewer | CrossCheck::Unavailable => {
                    list.len() == *expected && before.as_ref().is_some_and(all_left)
                }
                CrossCheck::More => false,
            };
            if is_whole {
                return Ok(list);
            }
            before = Some(list);
        }
        Err(KernelError::Unsettled(query))
    }

    fn services(
        &mut self,
        mut expected: usize,
        counted: &mut Option<Counted>,
    ) -> Result<Table<ServiceKey, Arc<Scheduling>>, KernelError> {
        let mut neighbour = SchedulingCache::default();
        let decode = |attributes: &[u8]| {
            let (key, scheduling) = decode::service(attributes)?;
            if let Some(counted) = counted {
                counted.services.insert(key, statistics::in_service(attributes)?);
            }
            Ok((key, neighbour.share(scheduling)))
        };
        self.list(Query::Services, cmd::GET_SERVICE, None, &mut expected, decode, cross_check_services)
    }

    /// The servers of a service, in the order in which they were added, or `None` where the service is gone.
    fn servers(
        &mut self,
        service: &ServiceKey,
        expected: &mut usize,
        connections: &mut HashMap<(ServiceKey, ServerKey), Connections>,
        counted: &mut Option<Counted>,
    ) -> Result<Option<Servers>, KernelError> {
        let family = service.family();
        let mut busy = Vec::new();
        let mut decode = |attributes: &[u8]| {
            let (key, server, connections) = decode::server(attributes, family)?;
            if !connections.is_empty() {
                busy.push((key, connections));
            }
            if let Some(counted) = counted {
                counted.servers.insert((*service, key), statistics::in_server(attributes)?);
            }
            Ok((key, server))
        };
        let query = Query::Servers(*service);
        let cross_check = |list: &Servers| cross_check_servers(service, list);
        let mut servers =
            self.list(query, cmd::GET_DEST, Some(service), expected, &mut decode, cross_check)?;
        if servers.is_empty() {
            // The kernel lists nothing, and no error, for a service that is not there; and one that is there now may
            // not have been there then.
            if !self.exists(service)? {
                return Ok(None);
            }
            servers = self.list(query, cmd::GET_DEST, Some(service), expected, &mut decode, cross_check)?;
        }
        busy.retain(|(server, _)| servers.contains_key(server));
        connections.extend(busy.into_iter().map(|(server, connections)| ((*service, server), connections)));
        Ok(Some(servers))
    }

    pub(super) fn exists(&mut self, service: &ServiceKey) -> Result<bool, KernelError> {
        match self.query(cmd::GET_SERVICE, NlmF::ACK, Some(service), |_| Ok(()))?.errno {
            0 => Ok(true),
            libc::ESRCH => Ok(false),
            errno => Err(KernelError::Refused { query: Query::Service(*service), errno }),
        }
    }

    pub(super) fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        let mut timeouts = Timeouts::default();
        let answer = self.query(cmd::GET_CONFIG, NlmF::ACK, None, |attributes| {
            timeouts = decode::timeouts(attributes)?;
            Ok(())
        })?;
        match answer.errno {
            0 => Ok(timeouts),
            errno => Err(KernelError::Refused { query: Query::Timeouts, errno }),
        }
    }

    /// The sync daemons that run.
    pub(super) fn sync_daemons(&mut self) -> Result<Vec<SyncDaemon>, KernelError> {
        let mut daemons = Vec::new();
        let answer = self.query(cmd::GET_DAEMON, NlmF::DUMP, None, |attributes| {
            daemons.push(decode::sync_daemon(attributes)?);
            Ok(())
        })?;
        match answer.errno {
            0 => Ok(daemons),
            errno => Err(KernelError::Refused { query: Query::SyncDaemons, errno }),
        }
    }
}

/// How a list compares with the same list of the old interface, which is as it was at one moment.
pub(super) enum CrossCheck {
    /// Both have the same entries.
    Same,
    /// The old interface has only entries of the list, but not all of them: some were deleted meanwhile, or are hidden there.
    Fewer,
    /// The old interface has an entry that the list lacks.
    More,
    /// The old interface cannot be had, or may hide some entries.
    Unavailable,
}

impl CrossCheck {
    /// The list has `listed` entries, the old interface `old` of which `known` are in the list.
    fn of(listed: usize, old: Option<usize>, known: usize) -> Self {
        match old {
            None => Self::Unavailable,
            Some(old) if known < old => Self::More,
            Some(old) if old < listed => Self::Fewer,
            Some(_) => Self::Same,
        }
    }
}

pub(super) fn cross_check_services<V>(list: &Table<ServiceKey, V>) -> CrossCheck {
    let (mut known, mut contains) = (0, lookup(list));
    let old = Snapshot::open()
        .and_then(|mut old| old.services(list.len(), |key, _| known += usize::from(contains(&key))));
    CrossCheck::of(list.len(), old, known)
}

pub(super) fn cross_check_servers<V>(service: &ServiceKey, list: &Table<ServerKey, V>) -> CrossCheck {
    let (mut known, mut contains) = (0, lookup(list));
    let old = Snapshot::open().and_then(|mut old| {
        old.servers(service, list.len(), |key, _, _| known += usize::from(contains(&key)))
    });
    CrossCheck::of(list.len(), old, known)
}

/// Whether the list has a key. Mostly the next call is for the next key, in the kernel's order, which costs no search.
fn lookup<K: Hash + Eq, V>(list: &Table<K, V>) -> impl FnMut(&K) -> bool {
    let mut in_order = list.keys().rev();
    move |key| in_order.next() == Some(key) || list.contains_key(key)
}
