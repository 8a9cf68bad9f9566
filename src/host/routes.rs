//! Reads from the kernel's routing which virtual addresses are local, which interfaces have them, and how their clients are reached.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use neli::consts::rtnl::{Arphrd, Ifa, Ifla, IflaInfo, Rta, Rtm, Rtn};

use super::local::Local;
use super::rtnetlink::{Answer, Rtnetlink, u16_at, u32_at};
use super::{Host, Target};
use crate::kernel::netlink::NetlinkError;
use crate::kernel::netlink::attribute::{Attributes, append, find, text_of};

/// An interface that carries a virtual address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressInterface {
    /// Its name
    pub interface: String,
    /// What it is
    pub kind: InterfaceKind,
    /// The virtual address
    pub address: IpAddr,
    /// The interfaces by which the default route leaves for packets from this address; none where there is none
    pub default_route: Vec<String>,
}

/// What matters of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceKind {
    /// Packets come in over it.
    Real,
    /// It only holds addresses: `lo`, `dummy`.
    AddressOnly,
    /// Packets that were wrapped in others come out of it.
    Tunnel,
}

/// An interface, as the kernel lists it.
struct Interface {
    name: String,
    kind: InterfaceKind,
}

/// A route, as the kernel tells it.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    /// Length of the destination's prefix; 0 is the default route
    length: u8,
    /// Who made it
    protocol: u8,
    /// Where packets go: `Local` is the host itself
    kind: Rtn,
    /// By which interfaces
    interfaces: Vec<u32>,
}

/// Addresses that no network routes by a route of its own (documentation and benchmarks): in the place of a client
/// somewhere beyond.
const FAR: [[u8; 4]; 4] = [[198, 18, 0, 1], [192, 0, 2, 1], [198, 51, 100, 1], [203, 0, 113, 1]];

/// Answer with the route that matches, in place of the way to that one address.
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// Made from what a router announced.
const RTPROT_RA: u8 = 9;

/// The hardware types of tunnels; the last is that of GRE over IPv6. neli has no constants for them.
const TUNNELS: [u16; 5] =
    [libc::ARPHRD_TUNNEL, libc::ARPHRD_TUNNEL6, libc::ARPHRD_SIT, libc::ARPHRD_IPGRE, 823];

/// Looks at what the addresses are to this host, and by what interfaces announced routes lead.
pub(super) fn look(mut addresses: Vec<Target>, learned: bool, host: &mut Host) -> Result<(), NetlinkError> {
    if addresses.is_empty() && !learned {
        return Ok(());
    }
    let mut kernel = Rtnetlink::open()?;
    let interfaces = interfaces(&mut kernel)?;
    let mut are_elsewhere = are_elsewhere(&mut kernel, &addresses)?.into_iter();
    // There can be ten thousand of them, and mostly all are the one or all are the other: no second list is made.
    let local: Vec<Target> = addresses.extract_if(.., |_| are_elsewhere.next() == Some(false)).collect();
    host.not_local = addresses;
    // What is not local is carried by none.
    host.address_interfaces = address_interfaces(&mut kernel, &local, &interfaces)?;
    if learned {
        let routes = kernel.list(Rtm::Getroute, &route_request(libc::AF_INET6, 0, &[]))?;
        let announced = routes.iter().filter_map(|payload| route(payload));
        let announced = announced.filter(|route| route.protocol == RTPROT_RA);
        let names: BTreeSet<&str> = announced
            .flat_map(|route| route.interfaces)
            .filter_map(|index| Some(interfaces.get(&index)?.name.as_str()))
            .collect();
        host.learned = names.into_iter().map(str::to_owned).collect();
    }
    Ok(())
}

fn interfaces(kernel: &mut Rtnetlink) -> Result<HashMap<u32, Interface>, NetlinkError> {
    let interface = |payload: Vec<u8>| {
        let (hardware, index) = (u16_at(&payload, 2)?, u32_at(&payload, 4)?);
        let (mut name, mut dummy) = (None, false);
        for attribute in Attributes::new(payload.get(16..)?) {
            let (kind, value) = attribute.ok()?;
            match Ifla::from(kind) {
                Ifla::Ifname => name = Some(text_of(value).into_owned()),
                Ifla::Linkinfo => {
                    let link = find(value, IflaInfo::Kind.into()).ok()?;
                    dummy = link.is_some_and(|kind| text_of(kind) == "dummy");
                }
                _ => {}
            }
        }
        let kind = match Arphrd::from(hardware) {
            Arphrd::Loopback => InterfaceKind::AddressOnly,
            _ if dummy => InterfaceKind::AddressOnly,
            _ if TUNNELS.contains(&hardware) => InterfaceKind::Tunnel,
            _ => InterfaceKind::Real,
        };
        Some((index, Interface { name: name?, kind }))
    };
    Ok(kernel.list(Rtm::Getlink, &[0; 16])?.into_iter().filter_map(interface).collect())
}

/// Of each address, whether the kernel would send its packets on, or throw them away. Where it does not know the family
/// at all, nothing can be said.
fn are_elsewhere(kernel: &mut Rtnetlink, addresses: &[Target]) -> Result<Vec<bool>, NetlinkError> {
    let mut of = |family: i32| {
        let is_there = addresses.iter().any(|target| self::family(target.address) == family);
        is_there.then(|| Local::read(kernel, family as u8)).flatten()
    };
    let (v4, v6) = (of(libc::AF_INET), of(libc::AF_INET6));
    let held: Vec<Option<bool>> = addresses
        .iter()
        .map(|target| {
            let table = if target.address.is_ipv4() { &v4 } else { &v6 };
            table.as_ref()?.contains(target.address)
        })
        .collect();
    let open = addresses.iter().zip(&held).filter(|(_, held)| held.is_none());
    let requests: Vec<Vec<u8>> = open.map(|(target, _)| to(target, 0, None)).collect();
    let mut answers = kernel.routes(&requests)?.into_iter();
    let is_local = |answer: Answer| match answer {
        Ok(payloads) => {
            payloads.first().and_then(|payload| route(payload)).map(|route| route.kind == Rtn::Local)
        }
        // No route, or one that refuses (`unreachable`, `prohibit`, `blackhole`).
        Err(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => Some(false),
        Err(_) => None,
    };
    let is_elsewhere = |held: Option<bool>| held.or_else(|| answers.next().and_then(is_local)) == Some(false);
    Ok(held.into_iter().map(is_elsewhere).collect())
}

/// The interfaces that carry one of the IPv4 addresses. Of IPv6 nothing is asked: it has no check of the way back.
fn address_interfaces(
    kernel: &mut Rtnetlink,
    addresses: &[Target],
    interfaces: &HashMap<u32, Interface>,
) -> Result<Vec<AddressInterface>, NetlinkError> {
    let mut wanted: HashSet<[u8; 4], RandomState> = HashSet::default();
    wanted.reserve(addresses.len());
    wanted.extend(addresses.iter().filter_map(|target| match target.address {
        IpAddr::V4(address) => Some(address.octets()),
        IpAddr::V6(_) => None,
    }));
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let listed = kernel.list(Rtm::Getaddr, &[libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0])?;
    let mut address_interfaces = Vec::new();
    for payload in &listed {
        let own = find(payload.get(8..).unwrap_or_default(), Ifa::Local.into())?
            .and_then(|value| value.first_chunk::<4>().copied());
        let Some(address) = own.filter(|address| wanted.contains(address)) else { continue };
        let Some(Interface { name, kind }) = u32_at(payload, 4).and_then(|index| interfaces.get(&index))
        else {
            continue;
        };
        let address = IpAddr::from(address);
        let default_route = match kind {
            InterfaceKind::Real => default_route(kernel, address, interfaces)?,
            InterfaceKind::AddressOnly | InterfaceKind::Tunnel => Vec::new(),
        };
        address_interfaces.push(AddressInterface {
            interface: name.clone(),
            kind: *kind,
            address,
            default_route,
        });
    }
    Ok(address_interfaces)
}

/// By which interfaces the default route leaves for packets from `source`, rules of routing by source included.
fn default_route(
    kernel: &mut Rtnetlink,
    source: IpAddr,
    interfaces: &HashMap<u32, Interface>,
) -> Result<Vec<String>, NetlinkError> {
    let far = |address: &[u8; 4]| Target { address: IpAddr::from(*address), mark: None };
    let requests: Vec<Vec<u8>> =
        FAR.iter().map(|address| to(&far(address), RTM_F_FIB_MATCH, Some(source))).collect();
    let answers = kernel.routes(&requests)?;
    let found = answers
        .iter()
        .filter_map(|answer| route(answer.as_ref().ok()?.first()?))
        .find(|route| route.length == 0);
    let name = |index: u32| Some(interfaces.get(&index)?.name.clone());
    Ok(found.map(|route| route.interfaces).unwrap_or_default().into_iter().filter_map(name).collect())
}

/// By which interfaces hosts are reached. Those to which there is no route, and the addresses of this host, are left out.
pub(super) fn interfaces_to(hosts: Vec<IpAddr>) -> Result<HashMap<IpAddr, Vec<String>>, NetlinkError> {
    let mut kernel = Rtnetlink::open()?;
    let interfaces = interfaces(&mut kernel)?;
    let requests: Vec<Vec<u8>> =
        hosts.iter().map(|address| to(&Target { address: *address, mark: None }, 0, None)).collect();
    let answers = kernel.routes(&requests)?;
    let names = |answer: Answer| -> Option<Vec<String>> {
        let route = route(answer.ok()?.first()?).filter(|route| route.kind == Rtn::Unicast)?;
        route.interfaces.iter().map(|index| Some(interfaces.get(index)?.name.clone())).collect()
    };
    Ok(hosts.into_iter().zip(answers).filter_map(|(host, answer)| Some((host, names(answer)?))).collect())
}

/// The body of a request for the route to an address.
fn to(target: &Target, flags: u32, source: Option<IpAddr>) -> Vec<u8> {
    let mut attributes = vec![(Rta::Dst, octets(target.address))];
    attributes.extend(target.mark.map(|mark| (Rta::Mark, mark.to_ne_bytes().to_vec())));
    attributes.extend(source.map(|source| (Rta::Src, octets(source))));
    route_request(family(target.address), flags, &attributes)
}

/// The body of a request for routes.
fn route_request(family: i32, flags: u32, attributes: &[(Rta, Vec<u8>)]) -> Vec<u8> {
    let length = |wanted: Rta| {
        attributes.iter().find(|(kind, _)| *kind == wanted).map_or(0, |(_, value)| value.len() as u8 * 8)
    };
    // As long as the longest request for one route.
    let mut body = Vec::with_capacity(64);
    body.extend([family as u8, length(Rta::Dst), length(Rta::Src), 0, 0, 0, 0, 0]);
    body.extend(flags.to_ne_bytes());
    for (kind, value) in attributes {
        append(&mut body, (*kind).into(), |body| body.extend_from_slice(value));
    }
    body
}

fn route(payload: &[u8]) -> Option<Route> {
    let (length, protocol, kind) = (*payload.get(1)?, *payload.get(5)?, Rtn::from(*payload.get(7)?));
    let mut interfaces = Vec::new();
    for attribute in Attributes::new(payload.get(12..)?) {
        let (kind, value) = attribute.ok()?;
        match Rta::from(kind) {
            Rta::Oif => interfaces.extend(u32_at(value, 0)),
            Rta::Multipath => {
                // Each hop: its length, flags, weight, the interface, then attributes.
                let mut hops = value;
                while let (Some(length), Some(interface)) = (u16_at(hops, 0), u32_at(hops, 4)) {
                    interfaces.push(interface);
                    hops = hops.get(usize::from(length).max(8).next_multiple_of(4)..).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    Some(Route { length, protocol, kind, interfaces })
}

fn family(address: IpAddr) -> i32 {
    if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netlink::attribute::append_bytes;

    #[test]
    fn a_route_over_several_interfaces_names_them_all() {
        // `default nexthop via 10.0.0.1 dev 2 nexthop via 10.0.1.1 dev 3`, made by hand.
        let mut payload = vec![2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        let mut hops = Vec::new();
        for index in [2_u32, 3] {
            hops.extend(16_u16.to_ne_bytes());
            hops.extend([0, 0]);
            hops.extend(index.to_ne_bytes());
            append_bytes(&mut hops, Rta::Gateway.into(), [10, 0, 0, 1]);
        }
        append(&mut payload, Rta::Multipath.into(), |payload| payload.extend_from_slice(&hops));
        assert_eq!(
            route(&payload),
            Some(Route { length: 0, protocol: 3, kind: Rtn::Unicast, interfaces: vec![2, 3] })
        );
        assert_eq!(route(&payload[..7]), None);
    }

    // On every host its own loopback address is local, and a multicast group is not.
    #[test]
    fn the_kernel_tells_what_is_local() {
        let target = |text: &str| Target { address: text.parse().unwrap(), mark: None };
        let mut host = Host::default();
        look(vec![target("127.0.0.1"), target("224.0.0.7")], true, &mut host).unwrap();
        assert_eq!(host.not_local, [target("224.0.0.7")]);
        assert_eq!(
            host.address_interfaces,
            [AddressInterface {
                interface: "lo".into(),
                kind: InterfaceKind::AddressOnly,
                address: "127.0.0.1".parse().unwrap(),
                default_route: Vec::new(),
            }]
        );
    }
}
