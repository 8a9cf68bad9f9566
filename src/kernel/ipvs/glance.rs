//! Tells for little whether anything in IPVS is other than it was at the last full reading.
//!
//! The kernel announces nothing and counts no changes, so it has to be looked at. The services are listed over netlink
//! as ever; their servers, which cost nearly all of a reading, over the old socket option where that tells all of them:
//! IPv4 servers without a tunnel. What it hides is listed over netlink. Every attribute that a desired file has a word
//! for is compared; counters are not.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use neli::consts::nl::NlmF;

use super::Ipvs;
use super::codec::decode;
use super::snapshot::Snapshot;
use super::uapi::cmd;
use crate::kernel::{KernelError, Live};
use crate::model::{Family, Forwarding, ServiceKey, SyncDaemon, Timeouts, VirtualService};

/// What was seen at the last full reading.
#[derive(Debug)]
pub(super) struct Seen {
    /// Hashes of which all 64 bits are good, and that are others in each process
    hasher: RandomState,
    /// All services with their scheduling, whatever their order
    services: u64,
    /// The servers of each service
    servers: Vec<SeenServers>,
    /// How many IPv4 services there are, and all of them with the number of their servers
    counts: (usize, u64),
    timeouts: Timeouts,
    sync: Vec<SyncDaemon>,
}

#[derive(Debug)]
struct SeenServers {
    service: ServiceKey,
    count: usize,
    /// All of them, whatever their order
    servers: u64,
    /// Whether the old interface tells all of them
    are_plain: bool,
}

impl Seen {
    pub(super) fn of(live: &Live) -> Self {
        let hasher = RandomState::default();
        let services = &live.state.services;
        let servers = services.iter().map(|(service, VirtualService { servers, .. })| SeenServers {
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
}

/// One number for a set: the order of its members means nothing, and differs from kernel to kernel.
fn sum(hashes: impl Iterator<Item = u64>) -> u64 {
    hashes.fold(0, u64::wrapping_add)
}

fn hash(hasher: &RandomState, one: &impl Hash, other: &impl Hash) -> u64 {
    hasher.hash_one((one, other))
}

impl Ipvs {
    /// Whether anything is other than it was seen.
    pub(super) fn differs_from(&mut self, seen: &Seen) -> Result<bool, KernelError> {
        let (mut count, mut services) = (0, 0_u64);
        let answer = self.ask(cmd::GET_SERVICE, NlmF::DUMP, None, |attributes| {
            let (service, scheduling) = decode::service(attributes)?;
            count += 1;
            services = services.wrapping_add(hash(&seen.hasher, &service, &scheduling));
            Ok(())
        })?;
        if answer.errno != 0 || count != seen.servers.len() || services != seen.services {
            return Ok(true);
        }
        // Where the old interface cannot be had, netlink has to do.
        let mut snapshot = match Snapshot::open() {
            // An IPv4 service may have got a server of the other family, which is not listed there, but counted.
            Some(mut snapshot) => match counts(&mut snapshot, seen) {
                Some(now) if now != seen.counts => return Ok(true),
                told => told.map(|_| snapshot),
            },
            None => None,
        };
        for of in &seen.servers {
            let plainly = match &mut snapshot {
                Some(snapshot) if of.are_plain => plain_servers(snapshot, &seen.hasher, of),
                _ => None,
            };
            let (count, servers) = match plainly {
                Some(now) => now,
                None => self.listed_servers(&seen.hasher, &of.service)?,
            };
            if (count, servers) != (of.count, of.servers) {
                return Ok(true);
            }
        }
        Ok(self.timeouts()? != seen.timeouts || self.sync_daemons()? != seen.sync)
    }

    /// The servers of a service as netlink lists them: how many, and all of them as one number.
    fn listed_servers(
        &mut self,
        hasher: &RandomState,
        service: &ServiceKey,
    ) -> Result<(usize, u64), KernelError> {
        let family = service.family();
        let (mut count, mut servers) = (0, 0_u64);
        self.ask(cmd::GET_DEST, NlmF::DUMP, Some(service), |attributes| {
            let (server, real, _) = decode::server(attributes, family)?;
            count += 1;
            servers = servers.wrapping_add(hasher.hash_one((&server, &real)));
            Ok(())
        })?;
        Ok((count, servers))
    }
}

/// How many IPv4 services there are, and all of them with the number of their servers; `None` where the old interface
/// does not tell.
fn counts(snapshot: &mut Snapshot, seen: &Seen) -> Option<(usize, u64)> {
    let mut services = 0_u64;
    let count = snapshot.services(seen.counts.0, |service, servers| {
        services = services.wrapping_add(hash(&seen.hasher, &service, &servers));
    })?;
    Some((count, services))
}

/// The servers of a service as the old interface tells them; `None` where it may not tell all.
fn plain_servers(snapshot: &mut Snapshot, hasher: &RandomState, of: &SeenServers) -> Option<(usize, u64)> {
    let mut servers = 0_u64;
    let count = snapshot.servers(&of.service, of.count, |server, real| {
        servers = servers.wrapping_add(hasher.hash_one((&server, &real)));
    })?;
    Some((count, servers))
}
