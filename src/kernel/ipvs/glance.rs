//! Tells for little whether anything in IPVS is other than it was at the last full reading.
//!
//! The kernel announces nothing and counts no changes, so it has to be looked at. The services are listed over netlink
//! as ever; their servers, which cost nearly all of a reading, over the old socket option where that tells all of them:
//! IPv4 servers without a tunnel. What it hides is listed over netlink. Every attribute that a desired file has a word
//! for is compared; counters are not.

use std::hash::{BuildHasher, Hash};
use std::net::{Ipv4Addr, UdpSocket};

use foldhash::quality::RandomState;
use neli::consts::nl::NlmF;

use super::Ipvs;
use super::codec::{decode, forwarding_of, protocol_number, protocol_of};
use super::sockopt;
use super::uapi::cmd;
use crate::kernel::{KernelError, Live};
use crate::model::{
    Family, Forwarding, Protocol, RealServer, ServerKey, ServiceKey, SyncDaemon, Thresholds, Timeouts,
    VirtualService,
};

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
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)));
        let socket = match socket.ok() {
            // An IPv4 service may have got a server of the other family, which is not listed there, but counted.
            Some(socket) => match counts(&socket, seen) {
                Some(now) if now != seen.counts => return Ok(true),
                told => told.map(|_| socket),
            },
            None => None,
        };
        let mut room = Vec::new();
        for of in &seen.servers {
            let plainly = match &socket {
                Some(socket) if of.are_plain => plain_servers(socket, &seen.hasher, of, &mut room),
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
fn counts(socket: &UdpSocket, seen: &Seen) -> Option<(usize, u64)> {
    /// `struct ip_vs_get_services` without its entries, and one `struct ip_vs_service_entry`.
    const QUESTION: usize = 8;
    const ENTRY: usize = 104;
    let places = seen.counts.0 + 1;
    let mut room = vec![0; QUESTION + places * ENTRY];
    *room.first_chunk_mut()? = u32::try_from(places).ok()?.to_ne_bytes();
    sockopt::get(socket, sockopt::List::Services, &mut room).ok()?;
    let (mut count, mut services) = (0, 0_u64);
    for entry in room.get(QUESTION..)?.chunks_exact(ENTRY) {
        // A service that is there always has a flag.
        if u32_at(entry, 32)? == 0 {
            break;
        }
        let service = match u32_at(entry, 12)? {
            0 => ServiceKey::Address {
                protocol: protocol_of(u16::from_ne_bytes(*entry.first_chunk()?)),
                address: Ipv4Addr::from(*entry.get(4..)?.first_chunk::<4>()?).into(),
                port: u16::from_be_bytes(*entry.get(8..)?.first_chunk()?),
            },
            mark => ServiceKey::FirewallMark { family: Family::V4, mark },
        };
        count += 1;
        services = services.wrapping_add(hash(&seen.hasher, &service, &(u32_at(entry, 44)? as usize)));
    }
    Some((count, services))
}

/// `struct ip_vs_get_dests` without its entries, and one `struct ip_vs_dest_entry`: on every 64-bit kernel.
const QUESTION: usize = 24;
const ENTRY: usize = 96;

/// The same as the old interface tells them; `None` where it does not, or something is there that it may not tell.
fn plain_servers(
    socket: &UdpSocket,
    hasher: &RandomState,
    of: &SeenServers,
    room: &mut Vec<u8>,
) -> Option<(usize, u64)> {
    // One more than are known to be there, so that another one shows.
    let places = of.count + 1;
    room.clear();
    room.resize(QUESTION + places * ENTRY, 0);
    ask(room, &of.service, u32::try_from(places).ok()?)?;
    sockopt::get(socket, sockopt::List::Servers, room).ok()?;
    let (mut count, mut servers) = (0, 0_u64);
    for entry in room.get(QUESTION..)?.chunks_exact(ENTRY) {
        let flags = u32_at(entry, 8)?;
        // A server that is there always has a flag; behind the last one the room is as it was.
        if flags == 0 {
            break;
        }
        let forwarding = forwarding_of(flags);
        if matches!(forwarding, Forwarding::Tunnel(_)) {
            return None;
        }
        let server = ServerKey {
            address: Ipv4Addr::from(*entry.first_chunk::<4>()?).into(),
            port: u16::from_be_bytes(*entry.get(4..)?.first_chunk()?),
        };
        let thresholds = Thresholds {
            upper: u32_at(entry, 16)?.try_into().ok(),
            lower: u32_at(entry, 20)?.try_into().ok(),
        };
        let real = RealServer { weight: u32_at(entry, 12)?, forwarding, thresholds };
        count += 1;
        servers = servers.wrapping_add(hasher.hash_one((&server, &real)));
    }
    Some((count, servers))
}

/// Writes the question for the servers of a service: protocol, address, port, mark, and how many there is room for.
fn ask(room: &mut [u8], service: &ServiceKey, places: u32) -> Option<()> {
    let (protocol, address, port, mark) = match *service {
        ServiceKey::Address { protocol, address: std::net::IpAddr::V4(address), port } => {
            (protocol_number(protocol), address, port, 0)
        }
        ServiceKey::FirewallMark { family: Family::V4, mark } => {
            (protocol_number(Protocol::Tcp), Ipv4Addr::UNSPECIFIED, 0, mark)
        }
        _ => return None,
    };
    *room.first_chunk_mut()? = protocol.to_ne_bytes();
    *room.get_mut(4..)?.first_chunk_mut()? = address.octets();
    *room.get_mut(8..)?.first_chunk_mut()? = port.to_be_bytes();
    *room.get_mut(12..)?.first_chunk_mut()? = mark.to_ne_bytes();
    *room.get_mut(16..)?.first_chunk_mut()? = places.to_ne_bytes();
    Some(())
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().map(|number| u32::from_ne_bytes(*number))
}
