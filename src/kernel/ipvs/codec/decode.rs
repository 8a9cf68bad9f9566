//! Reads replies: the kernel's attributes as the model's words, borrowed from the receive buffer.
//!
//! Attributes that are not known are passed over, for a newer kernel may send more. One that is missing or too short
//! where the kernel always sends it is an error: half-understood is not understood.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use neli::consts::genl::CtrlAttr;

use super::align;
use super::message::Malformed;
use super::numbers::{self, Forward};
use crate::kernel::ipvs::uapi::{attr, daemon, dest, state, svc, svc_f};
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
    for attribute in Attributes(nest) {
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
/// The kernel writes the attributes of all of them in the same places. So they are walked once; of the next server it is
/// enough that its headers are the same.
#[derive(Debug, Default)]
pub struct ServerReader {
    layout: Layout,
}

impl ServerReader {
    /// A real server of a virtual service of this family, from the attributes of an `IPVS_CMD_NEW_DEST`. They do not say
    /// which service it is.
    ///
    /// # Errors
    /// Where they are not those of a real server.
    pub fn read(
        &mut self,
        attributes: &[u8],
        of_family: Family,
    ) -> Result<(ServerKey, RealServer, Connections), Malformed> {
        let nest = find(attributes, attr::DEST)?.ok_or(Malformed("a reply without its real server"))?;
        if !self.layout.is_of(nest) {
            self.layout = Layout::of(nest)?;
        }
        let value = |kind| self.layout.value(nest, kind);
        let number = |kind| value(kind).map(|bytes| u32::from_ne_bytes(*bytes));
        let family = match value(dest::ADDR_FAMILY).map_or(0, |[a, b, ..]| u16::from_ne_bytes([*a, *b])) {
            0 => of_family,
            number => {
                numbers::family_of(number).ok_or(Malformed("a real server that is neither IPv4 nor IPv6"))?
            }
        };
        let forward = Forward {
            method: number(dest::FWD_METHOD).ok_or(Malformed("a real server without a forwarding method"))?,
            tunnel_type: value(dest::TUN_TYPE).map_or(0, |[kind, ..]| *kind),
            tunnel_port: value(dest::TUN_PORT).map_or(0, |[a, b, ..]| u16::from_be_bytes([*a, *b])),
            tunnel_flags: value(dest::TUN_FLAGS).map_or(0, |[a, b, ..]| u16::from_ne_bytes([*a, *b])),
        };
        let [a, b, ..] = value(dest::PORT).ok_or(Malformed("a real server without a port"))?;
        let key = ServerKey {
            address: self
                .layout
                .from(nest, dest::ADDR)
                .and_then(|bytes| ip_of(family, bytes))
                .ok_or(Malformed("a real server without an address"))?,
            port: u16::from_be_bytes([*a, *b]),
        };
        let upper = number(dest::U_THRESH).ok_or(Malformed("a real server without an upper threshold"))?;
        let lower = number(dest::L_THRESH).ok_or(Malformed("a real server without a lower threshold"))?;
        let server = RealServer {
            weight: number(dest::WEIGHT).ok_or(Malformed("a real server without a weight"))?,
            forwarding: forward.into(),
            thresholds: Thresholds { upper: NonZeroU32::new(upper), lower: NonZeroU32::new(lower) },
        };
        let connections = Connections {
            active: number(dest::ACTIVE_CONNS).unwrap_or_default(),
            inactive: number(dest::INACT_CONNS).unwrap_or_default(),
            persistent: number(dest::PERSIST_CONNS).unwrap_or_default(),
        };
        Ok((key, server, connections))
    }
}

/// Where the attributes of a real server lie in a run of bytes, counted in words of four: so netlink aligns them.
#[derive(Debug)]
struct Layout {
    length: usize,
    /// Each header with its place, in their order
    headers: Vec<(usize, Word)>,
    /// By type, where the value begins
    values: [usize; LAST_KNOWN + 1],
}

type Word = [u8; 4];

/// The highest type that is looked for.
const LAST_KNOWN: usize = dest::TUN_FLAGS as usize;

/// The place of what is not there.
const NOWHERE: usize = usize::MAX;

impl Default for Layout {
    fn default() -> Self {
        Self { length: 0, headers: Vec::new(), values: [NOWHERE; LAST_KNOWN + 1] }
    }
}

impl Layout {
    /// Walks the attributes.
    fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut layout = Self { length: bytes.len(), ..Self::default() };
        let mut attributes = Attributes(bytes);
        loop {
            let place = (bytes.len() - attributes.0.len()) / size_of::<Word>();
            let header = attributes.0.first_chunk().copied();
            let Some(attribute) = attributes.next() else { return Ok(layout) };
            let (kind, value) = attribute?;
            layout.headers.extend(header.map(|header| (place, header)));
            if value.len() >= least(kind)
                && let Some(known) = layout.values.get_mut(usize::from(kind))
            {
                *known = place + 1;
            }
        }
    }

    /// Whether a walk over these bytes would meet the same headers in the same places.
    fn is_of(&self, bytes: &[u8]) -> bool {
        let (words, _) = bytes.as_chunks();
        self.length == bytes.len()
            && self.headers.iter().all(|(place, header)| words.get(*place) == Some(header))
    }

    /// The first word of a value.
    fn value<'a>(&self, bytes: &'a [u8], kind: u16) -> Option<&'a Word> {
        let (words, _) = bytes.as_chunks();
        words.get(*self.values.get(usize::from(kind))?)
    }

    /// A value and what is behind it.
    fn from<'a>(&self, bytes: &'a [u8], kind: u16) -> Option<&'a [u8]> {
        let (words, _) = bytes.as_chunks::<{ size_of::<Word>() }>();
        words.get(*self.values.get(usize::from(kind))?..).map(<[Word]>::as_flattened)
    }
}

/// How long the value of an attribute of a real server is at least; a shorter one is none.
fn least(kind: u16) -> usize {
    match kind {
        dest::ADDR => 16,
        dest::TUN_TYPE => 1,
        dest::PORT | dest::ADDR_FAMILY | dest::TUN_PORT | dest::TUN_FLAGS => 2,
        _ => 4,
    }
}

/// The timeouts, from the attributes of an `IPVS_CMD_SET_CONFIG`.
///
/// # Errors
/// Where the attributes cannot be told apart.
pub fn timeouts(attributes: &[u8]) -> Result<Timeouts, Malformed> {
    let mut timeouts = Timeouts::default();
    for attribute in Attributes(attributes) {
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
    for attribute in Attributes(nest) {
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

/// The attributes in a run of bytes. Ends after the first that is malformed.
struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    #[inline]
    fn split(&mut self) -> Option<(u16, &'a [u8])> {
        /// The two highest bits of a type are flags.
        const TYPE: u16 = 0x3fff;
        let [l0, l1, t0, t1, ..] = *self.0 else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(HEADER..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([t0, t1]) & TYPE, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.split().ok_or_else(|| {
            self.0 = &[];
            Malformed("an attribute that is cut off")
        }))
    }
}

pub(crate) fn find(attributes: &[u8], wanted: u16) -> Result<Option<&[u8]>, Malformed> {
    for attribute in Attributes(attributes) {
        let (kind, value) = attribute?;
        if kind == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn u16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

fn be16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The kernel sends 16 bytes also for IPv4, of which the first four count.
fn ip_of(family: Family, value: &[u8]) -> Option<IpAddr> {
    match family {
        Family::V4 => value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes).into()),
        Family::V6 => value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes).into()),
    }
}

/// A string up to its final NUL.
fn text_of(value: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default())
}
