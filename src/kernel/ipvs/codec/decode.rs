//! Reads replies: the kernel's attributes as the model's words, borrowed from the receive buffer.
//!
//! Attributes that are not known are passed over, for a newer kernel may send more. One that is missing or too short
//! where the kernel always sends it is an error: half-understood is not understood.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use neli::consts::genl::CtrlAttr;

use super::numbers::{self, Forward};
use crate::kernel::ipvs::uapi::{attr, daemon, dest, state, svc, svc_f};
use crate::kernel::netlink::Malformed;
use crate::kernel::netlink::attribute::{Attributes, be16_of, find, text_of, u16_of, u32_of};
use crate::model::{
    Connections, EngineName, Family, Forwarding, Persistence, PersistenceMask, RealServer, SchedulerName,
    Scheduling, ServerKey, ServiceKey, SyncDaemon, SyncRole, Thresholds, Timeouts,
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

/// Reads the real servers of one list after another.
///
/// The kernel writes the attributes of all of them in the same places, and most servers differ from their neighbours only
/// in a few of them. So one server is walked through, as an example; of those like it, only what differs is read.
#[derive(Debug, Default)]
pub struct ServerReader {
    example: Option<Example>,
}

impl ServerReader {
    /// A real server of a virtual service of this family, from the attributes of an `IPVS_CMD_NEW_DEST`. They do not say
    /// which service it is.
    ///
    /// # Errors
    /// Where they are not those of a real server.
    #[inline(always)] // of a hundred thousand servers, none is handed on through memory
    pub fn read(
        &mut self,
        attributes: &[u8],
        of_family: Family,
    ) -> Result<(ServerKey, RealServer, Connections), Malformed> {
        let example = match &self.example {
            Some(example) if example.is_like(attributes) => example,
            _ => self.example.insert(Example::of(attributes)?),
        };
        let value = |kind| example.values.word(attributes, kind);
        let number = |kind| value(kind).map(|word| u32::from_ne_bytes(*word));
        let address = example.values.from(attributes, dest::ADDR);
        let key = ServerKey {
            address: ip_of(example.family.unwrap_or(of_family), address)
                .ok_or(Malformed("a real server without an address"))?,
            port: value(dest::PORT)
                .map(|[a, b, ..]| u16::from_be_bytes([*a, *b]))
                .ok_or(Malformed("a real server without a port"))?,
        };
        let server = RealServer {
            weight: number(dest::WEIGHT).ok_or(Malformed("a real server without a weight"))?,
            forwarding: example.forwarding,
            thresholds: example.thresholds,
        };
        let connections = Connections {
            active: number(dest::ACTIVE_CONNS).unwrap_or_default(),
            inactive: number(dest::INACT_CONNS).unwrap_or_default(),
            persistent: number(dest::PERSIST_CONNS).unwrap_or_default(),
        };
        Ok((key, server, connections))
    }
}

/// A real server as the kernel told it: where everything lies, and what it shares with those that are like it.
#[derive(Debug)]
struct Example {
    /// Of how many bytes; none are like one with something of interest behind its beginning
    length: Option<usize>,
    beginning: Beginning,
    /// Which bits of that are shared: those of the headers, and of the values that are kept below
    shared: Beginning,
    /// The headers behind it, with their places
    headers: Vec<(usize, Word)>,
    values: Values,
    /// That of the virtual service, where it names none
    family: Option<Family>,
    forwarding: Forwarding,
    thresholds: Thresholds,
}

/// What the attributes begin with, as words. The kernel writes all that is of interest into 30 of them, and then numbers
/// that never rest.
type Beginning = [u32; BEGINNING];
const BEGINNING: usize = 32;

impl Example {
    /// Walks through the attributes.
    #[cold]
    fn of(attributes: &[u8]) -> Result<Self, Malformed> {
        let (mut headers, mut nest) = (Vec::new(), None);
        walk(attributes, |start, kind, value| {
            headers.push(start);
            if kind == attr::DEST {
                nest = Some((start + HEADER, value));
            }
        })?;
        let (before, nest) = nest.ok_or(Malformed("a reply without its real server"))?;
        let (mut shared, mut values) = (vec![0; attributes.len()], Values([NOWHERE; LAST_KNOWN + 1]));
        let mut share = |start: usize, length| {
            shared.get_mut(start..start + length).unwrap_or_default().fill(u8::MAX);
        };
        walk(nest, |start, kind, value| {
            headers.push(before + start);
            let start = before + start + HEADER;
            values.note(kind, start, value);
            if is_kept(kind) {
                share(start, value.len());
            }
        })?;
        headers.iter().for_each(|start| share(*start, HEADER));

        let header = |start: usize| Some((start / WORD, *words(attributes).get(start / WORD)?));
        let word = |kind| values.word(attributes, kind);
        let number = |kind| word(kind).map(|word| u32::from_ne_bytes(*word));
        let forward = Forward {
            method: number(dest::FWD_METHOD).ok_or(Malformed("a real server without a forwarding method"))?,
            tunnel_type: word(dest::TUN_TYPE).map_or(0, |[kind, ..]| *kind),
            tunnel_port: word(dest::TUN_PORT).map_or(0, |[a, b, ..]| u16::from_be_bytes([*a, *b])),
            tunnel_flags: word(dest::TUN_FLAGS).map_or(0, |[a, b, ..]| u16::from_ne_bytes([*a, *b])),
        };
        let upper = number(dest::U_THRESH).ok_or(Malformed("a real server without an upper threshold"))?;
        let lower = number(dest::L_THRESH).ok_or(Malformed("a real server without a lower threshold"))?;
        let family = match word(dest::ADDR_FAMILY).map_or(0, |[a, b, ..]| u16::from_ne_bytes([*a, *b])) {
            0 => None,
            number => Some(
                numbers::family_of(number).ok_or(Malformed("a real server that is neither IPv4 nor IPv6"))?,
            ),
        };
        Ok(Self {
            length: (values.end() <= BEGINNING).then_some(attributes.len()),
            beginning: beginning(attributes).unwrap_or_default(),
            shared: beginning(&shared).unwrap_or_default(),
            headers: headers
                .into_iter()
                .filter_map(header)
                .filter(|(place, _)| *place >= BEGINNING)
                .collect(),
            values,
            family,
            forwarding: forward.into(),
            thresholds: Thresholds { upper: NonZeroU32::new(upper), lower: NonZeroU32::new(lower) },
        })
    }

    /// Whether a walk through these bytes would show the same, but for the values that are read of each.
    fn is_like(&self, bytes: &[u8]) -> bool {
        let Some(beginning) = beginning(bytes) else { return false };
        let unlike = beginning
            .iter()
            .zip(&self.beginning)
            .zip(&self.shared)
            .fold(0, |unlike, ((word, same), shared)| unlike | (word ^ same) & shared);
        unlike == 0
            && self.length == Some(bytes.len())
            && self.headers.iter().all(|(place, header)| words(bytes).get(*place) == Some(header))
    }
}

/// `None` where it is shorter.
fn beginning(bytes: &[u8]) -> Option<Beginning> {
    words(bytes).first_chunk().map(|words| words.map(u32::from_ne_bytes))
}

/// Netlink aligns attributes to words.
type Word = [u8; WORD];
const WORD: usize = 4;

fn words(bytes: &[u8]) -> &[Word] {
    bytes.as_chunks().0
}

/// By the type of an attribute of a real server, in which word its value begins.
#[derive(Debug)]
struct Values([usize; LAST_KNOWN + 1]);

/// The highest type that is looked for.
const LAST_KNOWN: usize = dest::TUN_FLAGS as usize;

/// The place of what is not there.
const NOWHERE: usize = usize::MAX;

impl Values {
    /// Notes what is of interest. A value that is too short is none.
    fn note(&mut self, kind: u16, start: usize, value: &[u8]) {
        let least = match kind {
            dest::ADDR => 16,
            dest::WEIGHT | dest::ACTIVE_CONNS | dest::INACT_CONNS | dest::PERSIST_CONNS => 4,
            dest::FWD_METHOD | dest::U_THRESH | dest::L_THRESH => 4,
            dest::PORT | dest::ADDR_FAMILY | dest::TUN_PORT | dest::TUN_FLAGS => 2,
            dest::TUN_TYPE => 1,
            _ => return,
        };
        if let Some(known) = self.0.get_mut(usize::from(kind))
            && value.len() >= least
        {
            *known = start / WORD;
        }
    }

    /// The first word of a value.
    fn word<'a>(&self, bytes: &'a [u8], kind: u16) -> Option<&'a Word> {
        words(bytes).get(*self.0.get(usize::from(kind))?)
    }

    /// A value and what is behind it; nothing, where it is not there.
    fn from<'a>(&self, bytes: &'a [u8], kind: u16) -> &'a [u8] {
        let place = self.0.get(usize::from(kind)).copied().unwrap_or(NOWHERE);
        words(bytes).get(place..).map(<[Word]>::as_flattened).unwrap_or_default()
    }

    /// Behind which word there is nothing of interest.
    fn end(&self) -> usize {
        self.0.iter().filter(|place| **place != NOWHERE).max().map_or(0, |place| place + 1)
    }
}

/// Whether a value is kept with the example, and not read of each server.
fn is_kept(kind: u16) -> bool {
    matches!(
        kind,
        dest::FWD_METHOD
            | dest::U_THRESH
            | dest::L_THRESH
            | dest::ADDR_FAMILY
            | dest::TUN_TYPE
            | dest::TUN_PORT
            | dest::TUN_FLAGS
    )
}

/// The timeouts, from the attributes of an `IPVS_CMD_SET_CONFIG`.
///
/// # Errors
/// Where the attributes cannot be told apart.
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

/// The length and the type before each value.
const HEADER: usize = 4;

/// Hands on each attribute in a run of bytes: where it begins, its type and its value.
fn walk<'a>(bytes: &'a [u8], mut each: impl FnMut(usize, u16, &'a [u8])) -> Result<(), Malformed> {
    let mut attributes = Attributes::new(bytes);
    loop {
        let start = bytes.len() - attributes.rest().len();
        let Some(attribute) = attributes.next() else { return Ok(()) };
        let (kind, value) = attribute?;
        each(start, kind, value);
    }
}

/// The kernel sends 16 bytes also for IPv4, of which the first four count.
fn ip_of(family: Family, value: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        Family::V6 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
    }
}
