//! Reads lists by the old socket options of IPVS, each as it was at one moment: the kernel keeps its lock for all of it.
//!
//! They hide IPv6, tunnels and persistence engines, and so are never what is compared with a desired state. They show
//! whether anything has changed, and whether a netlink list of several datagrams is whole.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use super::codec::{forwarding_of, protocol_number, protocol_of};
use super::sockopt::{self, SocketOption};
use crate::model::{
    Connections, Family, Forwarding, Protocol, RealServer, ServerKey, ServiceKey, Thresholds,
};

/// The old interface, in the network namespace of the thread that opened it.
pub(super) struct Snapshot {
    socket: UdpSocket,
    /// For a request and its reply
    room: Vec<u8>,
}

impl Snapshot {
    /// `None` where there is no IPv4.
    pub(super) fn open() -> Option<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))
            .ok()?;
        Some(Self { socket, room: Vec::new() })
    }

    /// How many IPv4 services there are. `None` where that cannot be had.
    pub(super) fn service_count(&mut self) -> Option<usize> {
        // `struct ip_vs_getinfo`: the version, the size of the table of connections, the number of services.
        let mut info = [0; 12];
        sockopt::get(&self.socket, SocketOption::Info, &mut info).ok()?;
        Some(u32_at(&info, 8)? as usize)
    }

    /// Passes each IPv4 service with the number of its servers to `each`, and returns how many there are: no more than one
    /// above `expected`. `None` where the list cannot be had.
    pub(super) fn services(
        &mut self,
        expected: usize,
        mut each: impl FnMut(ServiceKey, usize),
    ) -> Option<usize> {
        /// `struct ip_vs_get_services` without its entries, and one `struct ip_vs_service_entry`.
        const REQUEST: usize = 8;
        const ENTRY: usize = 104;
        let places = self.make_room(REQUEST, ENTRY, expected)?;
        *self.room.first_chunk_mut()? = places.to_ne_bytes();
        sockopt::get(&self.socket, SocketOption::Services, &mut self.room).ok()?;
        let mut count = 0;
        for entry in self.room.get(REQUEST..)?.chunks_exact(ENTRY) {
            // A service that is there always has a flag; behind the last one the room is as it was.
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
            each(service, u32_at(entry, 44)? as usize);
        }
        Some(count)
    }

    /// Passes each IPv4 server of a service with its connections to `each`, and returns how many there are: no more than one above `expected`.
    /// `None` where the list cannot be had, or has a tunnel, of which the kernel leaves out the type.
    pub(super) fn servers(
        &mut self,
        service: &ServiceKey,
        expected: usize,
        mut each: impl FnMut(ServerKey, RealServer, Connections),
    ) -> Option<usize> {
        /// `struct ip_vs_get_dests` without its entries, and one `struct ip_vs_dest_entry`: on every 64-bit kernel.
        const REQUEST: usize = 24;
        const ENTRY: usize = 96;
        let places = self.make_room(REQUEST, ENTRY, expected)?;
        self.request_servers(service, places)?;
        sockopt::get(&self.socket, SocketOption::Servers, &mut self.room).ok()?;
        let mut count = 0;
        for entry in self.room.get(REQUEST..)?.chunks_exact(ENTRY) {
            let flags = u32_at(entry, 8)?;
            // A server that is there always has a flag, too.
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
            // (Behind them are the counters, of which those of packets have 32 bits.)
            let packets = u64::from(u32_at(entry, 44)?) + u64::from(u32_at(entry, 48)?);
            let connections = Connections {
                active: u32_at(entry, 24)?,
                inactive: u32_at(entry, 28)?,
                persistent: u32_at(entry, 32)?,
                packets,
            };
            count += 1;
            each(server, RealServer { weight: u32_at(entry, 12)?, forwarding, thresholds }, connections);
        }
        Some(count)
    }

    /// Makes room for a request and one entry more than are expected, so that another one shows; returns for how many.
    fn make_room(&mut self, request: usize, entry: usize, expected: usize) -> Option<u32> {
        let places = expected + 1;
        let length = request + places * entry;
        if length > self.room.capacity() {
            // New memory of the system's is empty, and is not filled with zeroes by us.
            self.room = vec![0; length];
        } else {
            self.room.clear();
            self.room.resize(length, 0);
        }
        u32::try_from(places).ok()
    }

    /// Writes the request for the servers of a service: protocol, address, port, mark, and how many there is room for.
    fn request_servers(&mut self, service: &ServiceKey, places: u32) -> Option<()> {
        let (protocol, address, port, mark) = match *service {
            ServiceKey::Address { protocol, address: IpAddr::V4(address), port } => {
                (protocol_number(protocol), address, port, 0)
            }
            ServiceKey::FirewallMark { family: Family::V4, mark } => {
                (protocol_number(Protocol::Tcp), Ipv4Addr::UNSPECIFIED, 0, mark)
            }
            _ => return None,
        };
        *self.room.first_chunk_mut()? = protocol.to_ne_bytes();
        *self.room.get_mut(4..)?.first_chunk_mut()? = address.octets();
        *self.room.get_mut(8..)?.first_chunk_mut()? = port.to_be_bytes();
        *self.room.get_mut(12..)?.first_chunk_mut()? = mark.to_ne_bytes();
        *self.room.get_mut(16..)?.first_chunk_mut()? = places.to_ne_bytes();
        Some(())
    }
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().map(|number| u32::from_ne_bytes(*number))
}
