//! Encodes requests: the model as generic netlink's header and the attributes of IPVS, appended to a buffer.

use std::net::IpAddr;

use neli::consts::genl::{CtrlAttr, CtrlCmd};

use super::numbers::{self, Forward};
use super::request::Request;
use crate::kernel::ipvs::uapi::{IPVS_GENL_VERSION, attr, daemon, dest, state, svc, svc_f};
use crate::kernel::netlink::attribute::{
    append, append_bytes as bytes, append_nest as nest, append_text as text,
};
use crate::model::{
    Family, Forwarding, Persistence, PersistenceMask, RealServer, Scheduling, ServerKey, ServiceKey,
    SyncDaemon, SyncRole, Timeouts,
};

/// The flags of a service that the model knows. Others that another program set stay as they are.
const OWN_FLAGS: u32 = svc_f::PERSISTENT | svc_f::ONEPACKET | svc_f::SCHED1 | svc_f::SCHED2 | svc_f::SCHED3;

/// Appends the header of generic netlink.
fn header(buffer: &mut Vec<u8>, command: u8, version: u8) {
    buffer.extend_from_slice(&[command, version, 0, 0]);
}

/// Appends one request to edit.
pub fn request(buffer: &mut Vec<u8>, request: &Request<'_>) {
    header(buffer, request.command(), IPVS_GENL_VERSION);
    match *request {
        // An edit replaces the whole: an engine or a tunnel that is not sent again is gone.
        Request::AddService { service, to } | Request::EditService { service, to } => {
            nest(buffer, attr::SERVICE, |buffer| {
                service_identity(buffer, service);
                scheduling(buffer, service.family(), to);
            });
        }
        Request::DeleteService { service } => {
            nest(buffer, attr::SERVICE, |buffer| service_identity(buffer, service));
        }
        Request::AddServer { service, server, to } | Request::EditServer { service, server, to } => {
            nest(buffer, attr::SERVICE, |buffer| service_identity(buffer, service));
            nest(buffer, attr::DEST, |buffer| {
                server_identity(buffer, server);
                real_server(buffer, to);
            });
        }
        Request::DeleteServer { service, server } => {
            nest(buffer, attr::SERVICE, |buffer| service_identity(buffer, service));
            nest(buffer, attr::DEST, |buffer| server_identity(buffer, server));
        }
        Request::SetTimeouts(to) => timeouts(buffer, to),
        Request::StartSync(to) => nest(buffer, attr::DAEMON, |buffer| sync_daemon(buffer, to)),
        Request::StopSync(role) => nest(buffer, attr::DAEMON, |buffer| sync_role(buffer, role)),
    }
}

/// A timeout that is left out stays as it is.
fn timeouts(buffer: &mut Vec<u8>, Timeouts { tcp, tcp_fin, udp }: Timeouts) {
    for (kind, seconds) in
        [(attr::TIMEOUT_TCP, tcp), (attr::TIMEOUT_TCP_FIN, tcp_fin), (attr::TIMEOUT_UDP, udp)]
    {
        if let Some(seconds) = seconds {
            bytes(buffer, kind, seconds.to_ne_bytes());
        }
    }
}

fn sync_role(buffer: &mut Vec<u8>, role: SyncRole) {
    let state = match role {
        SyncRole::Master => state::MASTER,
        SyncRole::Backup => state::BACKUP,
    };
    bytes(buffer, daemon::STATE, state.to_ne_bytes());
}

fn sync_daemon(buffer: &mut Vec<u8>, to: &SyncDaemon) {
    let SyncDaemon { role, interface, id, max_length, group, port, ttl } = to;
    sync_role(buffer, *role);
    text(buffer, daemon::MCAST_IFN, interface);
    bytes(buffer, daemon::SYNC_ID, u32::from(*id).to_ne_bytes());
    if let Some(length) = max_length {
        bytes(buffer, daemon::SYNC_MAXLEN, length.to_ne_bytes());
    }
    match group {
        Some(IpAddr::V4(group)) => bytes(buffer, daemon::MCAST_GROUP, group.octets()),
        Some(IpAddr::V6(group)) => bytes(buffer, daemon::MCAST_GROUP6, group.octets()),
        None => {}
    }
    if let Some(port) = port {
        bytes(buffer, daemon::MCAST_PORT, port.to_ne_bytes());
    }
    if let Some(ttl) = ttl {
        bytes(buffer, daemon::MCAST_TTL, [*ttl]);
    }
}

/// Appends a query of IPVS, for one virtual service or for all.
pub fn query(buffer: &mut Vec<u8>, command: u8, service: Option<&ServiceKey>) {
    header(buffer, command, IPVS_GENL_VERSION);
    if let Some(service) = service {
        nest(buffer, attr::SERVICE, |buffer| service_identity(buffer, service));
    }
}

/// Appends a query of netlink's own family, for the number of the family of this name.
pub fn family_query(buffer: &mut Vec<u8>, name: &str) {
    /// The version of netlink's own family.
    const CTRL_VERSION: u8 = 2;
    header(buffer, CtrlCmd::Getfamily.into(), CTRL_VERSION);
    text(buffer, CtrlAttr::FamilyName.into(), name);
}

fn service_identity(buffer: &mut Vec<u8>, key: &ServiceKey) {
    bytes(buffer, svc::AF, numbers::family(key.family()).to_ne_bytes());
    match *key {
        ServiceKey::Address { protocol, address, port } => {
            bytes(buffer, svc::PROTOCOL, numbers::protocol(protocol).to_ne_bytes());
            ip(buffer, svc::ADDR, address);
            bytes(buffer, svc::PORT, port.to_be_bytes());
        }
        ServiceKey::FirewallMark { mark, .. } => bytes(buffer, svc::FWMARK, mark.to_ne_bytes()),
    }
}

fn scheduling(buffer: &mut Vec<u8>, family: Family, scheduling: &Scheduling) {
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = scheduling;
    text(buffer, svc::SCHED_NAME, scheduler.as_str());
    let mut bits = numbers::scheduler_bits(*flags);
    if persistence.is_some() {
        bits |= svc_f::PERSISTENT;
    }
    if *one_packet {
        bits |= svc_f::ONEPACKET;
    }
    append(buffer, svc::FLAGS, |buffer| {
        buffer.extend_from_slice(&bits.to_ne_bytes());
        buffer.extend_from_slice(&OWN_FLAGS.to_ne_bytes());
    });
    // The kernel wants both from every service, and keeps them for one that is not persistent, too: what ipvsadm writes.
    let Persistence { timeout, mask } =
        persistence.unwrap_or(Persistence { timeout: 0, mask: PersistenceMask::single_client(family) });
    bytes(buffer, svc::TIMEOUT, timeout.to_ne_bytes());
    match mask {
        PersistenceMask::V4(mask) => bytes(buffer, svc::NETMASK, mask.octets()),
        PersistenceMask::V6(length) => bytes(buffer, svc::NETMASK, length.to_ne_bytes()),
    }
    if let Some(engine) = engine {
        text(buffer, svc::PE_NAME, engine.as_str());
    }
}

fn server_identity(buffer: &mut Vec<u8>, key: &ServerKey) {
    let ServerKey { address, port } = *key;
    ip(buffer, dest::ADDR, address);
    bytes(buffer, dest::PORT, port.to_be_bytes());
    // Without it the kernel assumes the service's family, and finds no server of the other one.
    bytes(buffer, dest::ADDR_FAMILY, numbers::family(Family::of(address)).to_ne_bytes());
}

fn real_server(buffer: &mut Vec<u8>, server: &RealServer) {
    let RealServer { weight, forwarding, thresholds } = *server;
    let Forward { method, tunnel_type, tunnel_port, tunnel_flags } = forwarding.into();
    let limit = |limit: Option<std::num::NonZeroU32>| limit.map_or(0, std::num::NonZeroU32::get);
    bytes(buffer, dest::FWD_METHOD, method.to_ne_bytes());
    bytes(buffer, dest::WEIGHT, weight.to_ne_bytes());
    bytes(buffer, dest::U_THRESH, limit(thresholds.upper).to_ne_bytes());
    bytes(buffer, dest::L_THRESH, limit(thresholds.lower).to_ne_bytes());
    // What is left out, the kernel sets to 0, whatever it was (`ip_vs_genl_parse_dest` in ip_vs_ctl.c).
    if let Forwarding::Tunnel(_) = forwarding {
        bytes(buffer, dest::TUN_TYPE, tunnel_type.to_ne_bytes());
        bytes(buffer, dest::TUN_PORT, tunnel_port.to_be_bytes());
        bytes(buffer, dest::TUN_FLAGS, tunnel_flags.to_ne_bytes());
    }
}

fn ip(buffer: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => bytes(buffer, kind, address.octets()),
        IpAddr::V6(address) => bytes(buffer, kind, address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use neli::consts::nl::NlmF;

    use super::*;
    use crate::kernel::netlink::message::{self, Header};
    use crate::model::{Checksum, EngineName, SchedulerFlags, SchedulerName, Thresholds, Tunnel, TunnelKind};

    /// No request is longer, whatever it carries: `batch::MOST` counts on it.
    const LONGEST_REQUEST: usize = 256;

    #[test]
    fn the_longest_requests_keep_to_their_limit() {
        let service: ServiceKey = "tcp://[fd00:1:2:3:4:5:6:7]:65535".parse().unwrap();
        let name = "abcdefghijklmno";
        let to = Scheduling {
            scheduler: SchedulerName::new(name).unwrap(),
            flags: SchedulerFlags { flag_1: true, flag_2: true, flag_3: true },
            persistence: Some(Persistence { timeout: u32::MAX, mask: PersistenceMask::V6(1) }),
            engine: EngineName::new(name),
            one_packet: true,
        };
        let server = ServerKey { address: "fd00::8:7:6:5".parse().unwrap(), port: 65535 };
        let real = RealServer {
            weight: 7,
            forwarding: Forwarding::Tunnel(Tunnel {
                kind: TunnelKind::Gue,
                port: 6080,
                checksum: Checksum::Csum,
            }),
            thresholds: Thresholds::default(),
        };
        let (service, server) = (&service, &server);
        for longest in
            [Request::AddService { service, to: &to }, Request::AddServer { service, server, to: &real }]
        {
            let mut buffer = Vec::new();
            let header = Header { kind: 28, flags: NlmF::ACK, sequence: 1 };
            message::append(&mut buffer, header, |buffer| request(buffer, &longest));
            assert!(buffer.len() <= LONGEST_REQUEST, "{} bytes for {longest:?}", buffer.len());
            assert_eq!(buffer.len() % 4, 0);
        }
    }
}
