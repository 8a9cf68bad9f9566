//! Decodes replies: the kernel's attributes as the model.
//!
//! Attributes that are not known are passed over, for a newer kernel may send more. One that is missing or too short
//! where the kernel always sends it is an error: half-understood is not understood.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use neli::consts::genl::CtrlAttr;

use super::numbers::{self, Forward};
use crate::kernel::ipvs::uapi::{attr, daemon, dest, state, stats, svc, svc_f};
use crate::kernel::netlink::Malformed;
use crate::kernel::netlink::attribute::{Attributes, be16_of, find, text_of, u16_of, u32_of, u64_of};
use crate::model::{
    Connections, EngineName, Family, Persistence, PersistenceMask, RealServer, SchedulerName, Scheduling,
    ServerKey, ServiceKey, SyncDaemon, SyncRole, Thresholds, Timeouts,
};

/// The number under which the kernel has IPVS, from the attributes of a `CTRL_CMD_NEWFAMILY`.
///
/// # Errors
/// Where the number is not among them.
pub fn family(attributes: &[u8]) -> Result<u16, Malformed> {
    find(attributes, CtrlAttr::FamilyId.into())?
        .and_then(u16_of)
        .ok_or(Malformed("a netlink family without its number"))
}

/// A virtual service, from the attributes of an `IPVS_CMD_NEW_SERVICE`.
///
/// # Errors
/// Where they are not those of a virtual service.
pub fn service(attributes: &[u8]) -> Result<(ServiceKey, Scheduling), Malformed> {
    let nest = find(attributes, attr::SERVICE)?.ok_or(Malformed("a reply without its virtual service"))?;
    let (mut af, mut protocol, mut address, mut port, mut mark) = (None, None, None, None, None);
    let (mut scheduler, mut flags, mut timeout, mut netmask, mut engine) = (None, None, None, None, None);
    for attribute in Attributes::new(nest) {
        let (kind, value) = attribute?;
        match kind {
            svc::AF => af = u16_of(value),
            svc::PROTOCOL => protocol = u16_of(value),
            svc::ADDR => address = Some(value),
            svc::PORT => port = be16_of(value),
            svc::FWMARK => mark = u32_of(value),
            svc::SCHED_NAME => scheduler = Some(value),
            svc::FLAGS => flags = u32_of(value),
            svc::TIMEOUT => timeout = u32_of(value),
            svc::NETMASK => netmask = value.first_chunk::<4>(),
            svc::PE_NAME => engine = Some(value),
            _ => {}
        }
    }
    let family = af
        .and_then(numbers::family_of)
        .ok_or(Malformed("a virtual service that is neither IPv4 nor IPv6"))?;
    let key = match mark {
        Some(mark) => ServiceKey::FirewallMark { family, mark },
        None => ServiceKey::Address {
            protocol: protocol
                .map(numbers::protocol_of)
                .ok_or(Malformed("a virtual service without a protocol or mark"))?,
            address: address
                .and_then(|bytes| ip_of(family, bytes))
                .ok_or(Malformed("a virtual service without an address"))?,
            port: port.ok_or(Malformed("a virtual service without a port"))?,
        },
    };
    let flags = flags.ok_or(Malformed("a virtual service without flags"))?;
    let timeout = timeout.ok_or(Malformed("a virtual service without a timeout"))?;
    let netmask = *netmask.ok_or(Malformed("a virtual service without a netmask"))?;
    let mask = match family {
        Family::V4 => PersistenceMask::V4(Ipv4Addr::from(netmask)),
        Family::V6 => PersistenceMask::V6(u32::from_ne_bytes(netmask)),
    };
    let scheduling = Scheduling {
        scheduler: SchedulerName::from_kernel(&text_of(
            scheduler.ok_or(Malformed("a virtual service without a scheduler"))?,
        )),
        flags: numbers::scheduler_flags_of(flags),
        persistence: (flags & svc_f::PERSISTENT != 0).then_some(Persistence { timeout, mask }),
        engine: engine
            .map(text_of)
            .filter(|name| !name.is_empty())
            .map(|name| EngineName::from_kernel(&name)),
        one_packet: flags & svc_f::ONEPACKET != 0,
    };
    Ok((key, scheduling))
}

/// A real server of a virtual service of family `of_family`, with its connections, from the attributes of an
/// `IPVS_CMD_NEW_DEST`, which do not name the service. Takes about 730 instructions, a tenth of what the kernel needs to list
/// the server; a decoder that compared each server with the one before took 190.
///
/// # Errors
/// Where they are not those of a real server.
pub fn server(
    attributes: &[u8],
    of_family: Family,
) -> Result<(ServerKey, RealServer, Connections), Malformed> {
    let nest = find(attributes, attr::DEST)?.ok_or(Malformed("a reply without its real server"))?;
    let (mut address, mut port, mut method, mut weight) = (None, None, None, None);
    let (mut upper, mut lower, mut family) = (None, None, 0);
    let mut tunnel = Forward::default();
    let mut connections = Connections::default();
    let mut counters = None;
    for attribute in Attributes::new(nest) {
        let (kind, value) = attribute?;
        match kind {
            dest::ADDR => address = Some(value),
            dest::PORT => port = be16_of(value),
            dest::FWD_METHOD => method = u32_of(value),
            dest::WEIGHT => weight = u32_of(value),
            dest::U_THRESH => upper = u32_of(value),
            dest::L_THRESH => lower = u32_of(value),
            dest::ACTIVE_CONNS => connections.active = u32_of(value).unwrap_or_default(),
            dest::INACT_CONNS => connections.inactive = u32_of(value).unwrap_or_default(),
            dest::PERSIST_CONNS => connections.persistent = u32_of(value).unwrap_or_default(),
            dest::STATS64 => counters = Some(value),
            dest::ADDR_FAMILY => family = u16_of(value).unwrap_or_default(),
            dest::TUN_TYPE => tunnel.tunnel_type = value.first().copied().unwrap_or_default(),
            dest::TUN_PORT => tunnel.tunnel_port = be16_of(value).unwrap_or_default(),
            dest::TUN_FLAGS => tunnel.tunnel_flags = u16_of(value).unwrap_or_default(),
            _ => {}
        }
    }
    if let Some(counters) = counters.filter(|_| !connections.is_empty()) {
        connections.packets = packets(counters)?;
    }
    let family = match family {
        // It is that of the service.
        0 => of_family,
        number => {
            numbers::family_of(number).ok_or(Malformed("a real server that is neither IPv4 nor IPv6"))?
        }
    };
    let key = ServerKey {
        address: address
            .and_then(|bytes| ip_of(family, bytes))
            .ok_or(Malformed("a real server without an address"))?,
        port: port.ok_or(Malformed("a real server without a port"))?,
    };
    let method = method.ok_or(Malformed("a real server without a forwarding method"))?;
    let upper = upper.ok_or(Malformed("a real server without an upper threshold"))?;
    let lower = lower.ok_or(Malformed("a real server without a lower threshold"))?;
    let server = RealServer {
        weight: weight.ok_or(Malformed("a real server without a weight"))?,
        forwarding: Forward { method, ..tunnel }.into(),
        thresholds: Thresholds { upper: NonZeroU32::new(upper), lower: NonZeroU32::new(lower) },
    };
    Ok((key, server, connections))
}

/// The packets of both directions, from the attributes of an `IPVS_DEST_ATTR_STATS64`.
fn packets(counters: &[u8]) -> Result<u64, Malformed> {
    let mut packets = 0_u64;
    for attribute in Attributes::new(counters) {
        let (kind, value) = attribute?;
        if matches!(kind, stats::IN_PACKETS | stats::OUT_PACKETS) {
            packets = packets.saturating_add(u64_of(value).unwrap_or_default());
        }
    }
    Ok(packets)
}

/// The timeouts, from the attributes of an `IPVS_CMD_SET_CONFIG`.
///
/// # Errors
/// Where an attribute is cut off.
pub fn timeouts(attributes: &[u8]) -> Result<Timeouts, Malformed> {
    let mut timeouts = Timeouts::default();
    for attribute in Attributes::new(attributes) {
        let (kind, value) = attribute?;
        match kind {
            attr::TIMEOUT_TCP => timeouts.tcp = u32_of(value),
            attr::TIMEOUT_TCP_FIN => timeouts.tcp_fin = u32_of(value),
            attr::TIMEOUT_UDP => timeouts.udp = u32_of(value),
            // A kernel built without TCP or UDP load balancing leaves theirs out.
            _ => {}
        }
    }
    Ok(timeouts)
}

/// A sync daemon, from the attributes of an `IPVS_CMD_NEW_DAEMON`.
///
/// # Errors
/// Where they are not those of a sync daemon.
pub fn sync_daemon(attributes: &[u8]) -> Result<SyncDaemon, Malformed> {
    let nest = find(attributes, attr::DAEMON)?.ok_or(Malformed("a reply without its sync daemon"))?;
    let (mut role, mut interface, mut id) = (None, None, None);
    let (mut max_length, mut group, mut port, mut ttl) = (None, None, None, None);
    for attribute in Attributes::new(nest) {
        let (kind, value) = attribute?;
        match kind {
            daemon::STATE => role = u32_of(value),
            daemon::MCAST_IFN => interface = Some(text_of(value).into_owned()),
            daemon::SYNC_ID => id = u32_of(value),
            daemon::SYNC_MAXLEN => max_length = u16_of(value),
            daemon::MCAST_GROUP => group = ip_of(Family::V4, value),
            daemon::MCAST_GROUP6 => group = ip_of(Family::V6, value),
            daemon::MCAST_PORT => port = u16_of(value),
            daemon::MCAST_TTL => ttl = value.first().copied(),
            _ => {}
        }
    }
    Ok(SyncDaemon {
        role: match role {
            Some(state::MASTER) => SyncRole::Master,
            Some(state::BACKUP) => SyncRole::Backup,
            _ => return Err(Malformed("a sync daemon that is neither master nor backup")),
        },
        interface: interface.ok_or(Malformed("a sync daemon without an interface"))?,
        // The kernel keeps 32 bits; 8 of them travel.
        id: id.ok_or(Malformed("a sync daemon without an id"))? as u8,
        max_length,
        group,
        port,
        ttl,
    })
}

/// The kernel sends 16 bytes also for IPv4, of which the first four count.
fn ip_of(family: Family, value: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        Family::V6 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
    }
}
