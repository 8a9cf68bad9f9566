//! Compares IPVS with a fingerprint of the last full reading, which costs a fraction of reading it again.
//!
//! The kernel reports no changes and counts none, so the table has to be listed. The services are listed over netlink
//! as ever; their servers, which cost nearly all of a reading, over the old socket option where that lists all of them:
//! IPv4 servers without a tunnel. What it hides is listed over netlink. Every attribute that a desired file can set
//! is compared; counters are not.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use neli::consts::nl::NlmF;

use super::Ipvs;
use super::codec::{decode, statistics};
use super::snapshot::Snapshot;
use super::uapi::cmd;
use crate::kernel::{KernelError, Live};
use crate::model::{
    Connections, Family, Forwarding, ServerKey, ServiceKey, Statistics, SyncDaemon, Timeouts, VirtualService,
};

/// What has changed without an edit, where that is wanted.
#[derive(Debug)]
pub(super) struct NewNumbers {
    /// The connections of the servers that have any
    pub(super) connections: HashMap<(ServiceKey, ServerKey), Connections>,
    /// What services have counted, where that is wanted
    pub(super) services: Option<HashMap<ServiceKey, Statistics>>,
}

impl NewNumbers {
    /// None yet; with those of services, or without.
    pub(super) fn new(statistics: bool) -> Self {
        Self { connections: HashMap::new(), services: statistics.then(HashMap::new) }
    }

    fn add(&mut self, service: &ServiceKey, server: ServerKey, connections: Connections) {
        if !connections.is_empty() {
            self.connections.insert((*service, server), connections);
        }
    }
}

/// Hashes of what a full reading showed.
#[derive(Debug)]
pub(super) struct Fingerprint {
    /// Hashes of which all 64 bits are good, and that are others in each process
    hasher: RandomState,
    /// All services with their scheduling, whatever their order
    services: u64,
    /// The servers of each service
    servers: Vec<ServersFingerprint>,
    /// How many IPv4 services there are, and all of them with the number of their servers
    counts: (usize, u64),
    timeouts: Timeouts,
    sync: Vec<SyncDaemon>,
}

#[derive(Debug)]
struct ServersFingerprint {
    service: ServiceKey,
    count: usize,
    /// All of them, whatever their order
    servers: u64,
    /// Whether the old interface lists all of them
    are_plain: bool,
}

impl Fingerprint {
    pub(super) fn of(live: &Live) -> Self {
        let hasher = RandomState::default();
        let services = &live.state.services;
        let servers = services.iter().map(|(service, VirtualService { servers, .. })| ServersFingerprint {
            service: *service,
            count: servers.len(),
            servers: sum(servers.iter().map(|entry| hasher.hash_one(entry))),
            are_plain: service.family() == Family::V4
                && servers.iter().all(|(server, real)| {
                    server.address.is_ipv4() && !matches!(real.forwarding, Forwarding::Tunnel(_))
                }),
        });
        let v4 = || services.iter().filter(|(service, _)| service.family() == Family::V4);
        let counted = v4().map(|(service, contents)| hash(&hasher, service, &contents.servers.len()));
        Self {
            counts: (v4().count(), sum(counted)),
            servers: servers.collect(),
            services: sum(services
                .iter()
                .map(|(service, contents)| hash(&hasher, service, &contents.scheduling))),
            timeouts: live.state.timeouts,
            sync: live.state.sync.clone(),
            hasher,
        }
    }

    /// Whether everything in IPVS is still as it was; with the numbers of now, where they are wanted.
    pub(super) fn matches(
        &self,
        ipvs: &mut Ipvs,
        numbers: &mut Option<NewNumbers>,
    ) -> Result<bool, KernelError> {
        let (mut count, mut services) = (0, 0_u64);
        let answer = ipvs.query(cmd::GET_SERVICE, NlmF::DUMP, None, |attributes| {
            let (service, scheduling) = decode::service(attributes)?;
            count += 1;
            services = services.wrapping_add(hash(&self.hasher, &service, &scheduling));
            if let Some(counted) = numbers.as_mut().and_then(|numbers| numbers.services.as_mut()) {
                counted.insert(service, statistics::in_service(attributes)?);
            }
            Ok(())
        })?;
        if answer.errno != 0 || count != self.servers.len() || services != self.services {
            return Ok(false);
        }
        // Where the old interface cannot be had, netlink has to do.
        let mut snapshot = match Snapshot::open() {
            // An IPv4 service may have got a server of the other family, which is not listed there, but counted.
            Some(mut snapshot) => match self.counts(&mut snapshot) {
                Some(now) if now != self.counts => return Ok(false),
                now => now.map(|_| snapshot),
            },
            None => None,
        };
        for of in &self.servers {
            let from_snapshot = match &mut snapshot {
                Some(snapshot) if of.are_plain => snapshot_servers(snapshot, &self.hasher, of, numbers),
                Some(_) | None => None,
            };
            let (count, servers) = match from_snapshot {
                Some(now) => now,
                None => netlink_servers(ipvs, &self.hasher, &of.service, numbers)?,
            };
            if (count, servers) != (of.count, of.servers) {
                return Ok(false);
            }
        }
        Ok(ipvs.timeouts()? == self.timeouts && ipvs.sync_daemons()? == self.sync)
    }

    /// How many IPv4 services there are, and all of them with the number of their servers; `None` where the old interface
    /// cannot be had.
    fn counts(&self, snapshot: &mut Snapshot) -> Option<(usize, u64)> {
        let mut services = 0_u64;
        let count = snapshot.services(self.counts.0, |service, servers| {
            services = services.wrapping_add(hash(&self.hasher, &service, &servers));
        })?;
        Some((count, services))
    }
}

/// One number for a set: the order of its members means nothing, and differs from kernel to kernel.
fn sum(hashes: impl Iterator<Item = u64>) -> u64 {
    hashes.fold(0, u64::wrapping_add)
}

fn hash(hasher: &RandomState, one: &impl Hash, other: &impl Hash) -> u64 {
    hasher.hash_one((one, other))
}

/// The servers of a service as netlink lists them: how many, and all of them as one number.
fn netlink_servers(
    ipvs: &mut Ipvs,
    hasher: &RandomState,
    service: &ServiceKey,
    numbers: &mut Option<NewNumbers>,
) -> Result<(usize, u64), KernelError> {
    let family = service.family();
    let (mut count, mut servers) = (0, 0_u64);
    ipvs.query(cmd::GET_DEST, NlmF::DUMP, Some(service), |attributes| {
        let (server, real, connections) = decode::server(attributes, family)?;
        count += 1;
        servers = servers.wrapping_add(hasher.hash_one((&server, &real)));
        if let Some(numbers) = numbers {
            numbers.add(service, server, connections);
        }
        Ok(())
    })?;
    Ok((count, servers))
}

/// The servers of a service as the old interface lists them; `None` where that may hide some.
fn snapshot_servers(
    snapshot: &mut Snapshot,
    hasher: &RandomState,
    of: &ServersFingerprint,
    numbers: &mut Option<NewNumbers>,
) -> Option<(usize, u64)> {
    let mut servers = 0_u64;
    let count = snapshot.servers(&of.service, of.count, |server, real, connections| {
        servers = servers.wrapping_add(hasher.hash_one((&server, &real)));
        if let Some(numbers) = numbers {
            numbers.add(&of.service, server, connections);
        }
    })?;
    Some((count, servers))
}
