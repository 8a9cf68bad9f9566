//! Repairs what keepalived repairs, and spreads virtual servers over the services that they are in the kernel.

use std::collections::HashSet;
use std::net::IpAddr;

use indexmap::IndexMap;

use super::group::{Group, Member};
use super::model::{Forward, Real, Target, Virtual};
use super::servers::PERSISTENCE;
use super::text::Text;
use crate::model::{Family, ForwardingMethod, Protocol, ServerKey, ServiceKey};

/// A virtual service as keepalived makes it.
#[derive(Debug)]
pub(super) struct Service {
    /// Which virtual server makes it, by its position
    pub(super) of: usize,
    pub(super) servers: IndexMap<ServerKey, Behind>,
}

/// A real server behind a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// The position of its virtual server, and its own there
    pub(super) at: (usize, usize),
    pub(super) forward: Forward,
}

/// The services of all virtual servers. Those that keepalived ignores are taken out of the list.
pub(super) fn services(
    virtuals: &mut Vec<Virtual>,
    groups: &[Group],
    text: &mut Text,
) -> IndexMap<ServiceKey, Service> {
    let mut services = IndexMap::new();
    let mut by_name: IndexMap<&str, &Group> = IndexMap::new();
    for group in groups {
        // Of two with one name keepalived finds the first.
        by_name.entry(&group.name).or_insert(group);
    }
    virtuals.retain_mut(|of| repaired(of, &by_name, text));
    for (index, of) in virtuals.iter().enumerate() {
        for (key, port) in listeners(of, &by_name) {
            add(&mut services, (key, port), (index, of), text);
        }
    }
    services
}

/// Repairs a virtual server; false where keepalived ignores it.
fn repaired(of: &mut Virtual, groups: &IndexMap<&str, &Group>, text: &mut Text) -> bool {
    let members = match &of.target {
        Target::Address(address, port) => vec![Member::Address(*address, *port)],
        Target::Mark(mark) => vec![Member::Mark(*mark, None)],
        Target::Group(name) => match groups.get(name.as_str()) {
            Some(group) => group.members.clone(),
            None => {
                text.note(of.origin, format!("left out, as by keepalived: there is no group `{name}`"));
                return false;
            }
        },
    };
    if of.servers.is_empty() {
        text.note(of.origin, "left out, as by keepalived: it has no real servers");
        return false;
    }
    settle_sorry(of, text);
    if !settle_family(of, &members, text) {
        return false;
    }
    let is_address = |member: &Member| matches!(member, Member::Address(..));
    if members.iter().any(is_address) {
        if of.protocol.is_none() {
            text.note(of.origin, "it says no `protocol`, and keepalived takes that for UDP");
        }
        let protocol = *of.protocol.get_or_insert(Protocol::Udp);
        if of.one_packet && protocol != Protocol::Udp {
            text.note(
                of.origin,
                format!("keepalived ignores `ops`, since it is for UDP and this is {protocol}"),
            );
            of.one_packet = false;
        }
    }
    if of.persistence.is_none() && members.iter().any(|member| matches!(member, Member::Address(_, 0))) {
        text.note(
            of.origin,
            format!(
                "without a port it is for all ports, and keepalived makes it persistent for {PERSISTENCE} s"
            ),
        );
        of.persistence = Some(PERSISTENCE);
    }
    if of.forward.is_none() && of.servers.iter().any(|server| server.forward.is_none()) {
        text.note(of.origin, "it says no `lb_kind`, and keepalived takes that for NAT");
    }
    of.forward.get_or_insert(Forward::NAT);
    let mut known: HashSet<(IpAddr, u16)> = HashSet::new();
    of.servers.retain(|Real { origin, address, port, upper, lower, .. }| {
        let is_new = known.insert((*address, *port));
        if !is_new {
            text.note(*origin, "left out, as by keepalived: the server is there already");
        } else if lower > upper {
            text.note(
                *origin,
                format!("left out, as by the kernel, which refuses the server to keepalived: `lthreshold` {lower} is above `uthreshold` {upper}"),
            );
        }
        is_new && lower <= upper
    });
    !of.servers.is_empty()
}

/// A sorry server of another family is left out, unless it is tunnelled.
fn settle_sorry(of: &mut Virtual, text: &mut Text) {
    let Some(sorry) = &of.sorry else { return };
    let method = sorry.forward.or(of.forward).map(|forward| forward.method);
    let family = Family::of(sorry.address);
    match of.family {
        _ if method == Some(ForwardingMethod::Tunnel) => {}
        None => of.family = Some(family),
        Some(other) if other != family => {
            text.note(
                sorry.origin,
                format!("left out, as by keepalived: the server is {family}, and the virtual server {other}"),
            );
            of.sorry = None;
        }
        Some(_) => {}
    }
}

/// The family of a virtual server that listens on a mark or a group; false where there cannot be one.
fn settle_family(of: &mut Virtual, members: &[Member], text: &mut Text) -> bool {
    let has = |family| members.iter().any(|member| member.family() == Some(family));
    let of_members = match (has(Family::V4), has(Family::V6)) {
        (true, true) if of.family.is_some() => {
            text.note(
                of.origin,
                "left out, as by keepalived: the group has IPv4 and IPv6, and the servers are not tunnelled",
            );
            return false;
        }
        (true, true) => return true,
        (true, false) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        (false, false) => None,
    };
    match (of.family, of_members) {
        (Some(own), Some(other)) if own != other => {
            text.note(
                of.origin,
                format!("left out, as by keepalived: the servers are {own}, and the group is {other}"),
            );
            false
        }
        (Some(_), _) => true,
        (None, Some(family)) => {
            of.family = Some(family);
            true
        }
        (None, None) => {
            // All servers are tunnelled: their family is that of the mark, where they have one in common.
            let mut families = of.servers.iter().map(|server| Family::of(server.address));
            let is_group = matches!(of.target, Target::Group(_));
            let first = families.next().filter(|first| !is_group && families.all(|other| other == *first));
            of.family = Some(first.unwrap_or(Family::V4));
            true
        }
    }
}

/// What a virtual server listens on, each with its port.
fn listeners(of: &Virtual, groups: &IndexMap<&str, &Group>) -> Vec<(ServiceKey, u16)> {
    let protocol = of.protocol.unwrap_or(Protocol::Udp);
    let own = of.family.unwrap_or(Family::V4);
    let key = |member: &Member| match *member {
        Member::Address(address, port) => (ServiceKey::Address { protocol, address, port }, port),
        Member::Mark(mark, family) => (ServiceKey::FirewallMark { family: family.unwrap_or(own), mark }, 0),
    };
    match &of.target {
        Target::Address(address, port) => vec![key(&Member::Address(*address, *port))],
        Target::Mark(mark) => vec![key(&Member::Mark(*mark, None))],
        Target::Group(name) => {
            groups.get(name.as_str()).map_or_else(Vec::new, |group| group.members.iter().map(key).collect())
        }
    }
}

/// Adds the servers of a virtual server to a service.
fn add(
    services: &mut IndexMap<ServiceKey, Service>,
    (key, port): (ServiceKey, u16),
    (index, of): (usize, &Virtual),
    text: &mut Text,
) {
    let is_group = matches!(of.target, Target::Group(_));
    let service = services.entry(key).or_insert_with(|| Service { of: index, servers: IndexMap::new() });
    if service.of != index {
        text.note(
            of.origin,
            format!("{key} is there already: as in keepalived's table, its servers are added to the first one, whose scheduler and persistence count"),
        );
    }
    for (position, server) in of.servers.iter().enumerate() {
        let forward = server.forward.or(of.forward).unwrap_or(Forward::NAT);
        let own = match forward.method {
            // In a group, a server without a port has port 0.
            ForwardingMethod::Nat | ForwardingMethod::FullNat if server.port == 0 && !is_group => port,
            ForwardingMethod::Nat | ForwardingMethod::FullNat => server.port,
            ForwardingMethod::DirectRouting | ForwardingMethod::Tunnel => {
                if server.port != 0 && server.port != port {
                    let at = if key.mark().is_some() { "no port" } else { "the port of the virtual server" };
                    text.note(
                        server.origin,
                        format!(
                            "keepalived gives the server {at}, since only NAT changes ports, not {}",
                            forward.method
                        ),
                    );
                }
                port
            }
        };
        let key = ServerKey { address: server.address, port: own };
        let behind = Behind { at: (index, position), forward };
        if service.servers.contains_key(&key) {
            text.note(
                server.origin,
                "left out, as by keepalived: with that port the server is there already",
            );
        } else {
            service.servers.insert(key, behind);
        }
    }
}
