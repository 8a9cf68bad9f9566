//! Writes operations as the commands an operator would type, and tables as `ipvsadm -Sn` prints them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::escape;
use crate::model::{
    Checksum, EngineName, Family, Forwarding, Operation, Persistence, PersistenceMask, Protocol, RealServer,
    SchedulerName, Scheduling, ServerKey, ServerOp, ServiceKey, ServiceOp, SetTimeouts, State, SyncDaemon,
    SyncOp, Thresholds, Timeouts, Tunnel, TunnelKind,
};

/// The command (for a sync daemon that starts again, two) that does the same, to be typed in a shell: `ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1`.
///
/// An edit carries every attribute, since `ipvsadm -E` and `-e` reset what they are not told. What ipvsadm has no option
/// for (an unknown protocol, say, that only a deletion can meet) is a shell comment. `-p` beyond 2678400 seconds is
/// written though ipvsadm itself refuses it: the kernel takes it. `None` for what is none of IPVS' business.
pub fn command(operation: &Operation) -> Option<String> {
    let arguments = match operation {
        Operation::Service(ServiceOp::Add { service, to }) => add_service("-A", *service, to),
        Operation::Service(ServiceOp::Edit { service, to, .. }) => add_service("-E", *service, to),
        Operation::Service(ServiceOp::Delete { service }) => {
            service_option(*service).map(|service| format!("-D {service}"))
        }
        Operation::Server(ServerOp::Add { service, server, to }) => add_server("-a", *service, *server, to),
        Operation::Server(ServerOp::Edit { service, server, to, .. }) => {
            add_server("-e", *service, *server, to)
        }
        Operation::Server(ServerOp::Delete { service, server }) => {
            service_option(*service).map(|service| format!("-d {service} -r {server}"))
        }
        Operation::Timeouts(SetTimeouts { to: Timeouts { tcp, tcp_fin, udp }, .. }) => {
            // 0 leaves a timeout as it is.
            let seconds = |timeout: &Option<u32>| timeout.unwrap_or(0);
            Ok(format!("--set {} {} {}", seconds(tcp), seconds(tcp_fin), seconds(udp)))
        }
        Operation::Sync(SyncOp::Start { to }) => return Some(format!("ipvsadm {}", start_daemon(to))),
        Operation::Sync(SyncOp::Restart { to, .. }) => {
            let role = to.role;
            return Some(format!("ipvsadm --stop-daemon {role}\nipvsadm {}", start_daemon(to)));
        }
        Operation::Sync(SyncOp::Stop { role }) => Ok(format!("--stop-daemon {role}")),
        Operation::Sysctl(_) | Operation::Marks(_) | Operation::Untracked(_) => return None,
    };
    Some(match arguments {
        // An address of IPv6 is a pattern to a shell: `[fd00::13]:80` names a file `f:80`.
        Ok(arguments) => arguments
            .split(' ')
            .fold("ipvsadm".to_owned(), |command, word| command + " " + &escape::word(word)),
        Err(NoOption(what)) => {
            let comment = format!("# {operation}: ipvsadm has no option for {what}");
            escape::text(&comment).into_owned()
        }
    })
}

fn start_daemon(daemon: &SyncDaemon) -> String {
    let SyncDaemon { role, interface, id, max_length, group, port, ttl } = daemon;
    let interface = escape::word(interface);
    let mut words = format!("--start-daemon {role} --mcast-interface {interface} --syncid {id}");
    let options = [
        ("--sync-maxlen", max_length.map(|length| length.to_string())),
        ("--mcast-group", group.map(|group| group.to_string())),
        ("--mcast-port", port.map(|port| port.to_string())),
        ("--mcast-ttl", ttl.map(|ttl| ttl.to_string())),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            let _ = write!(words, " {option} {value}");
        }
    }
    words
}

/// The virtual services and their servers as `ipvsadm -Sn` prints them, sorted, to be given to `ipvsadm -R`.
///
/// It differs from the real one only where the real one loses something that `ipvsadm -R` takes: thresholds are
/// appended as `-x` and `-y`, `flag-3` of `sh` and `mh` is named, and a mark above 2147483647 has no minus sign. What
/// ipvsadm has no option for is a comment at the end, and not in its place: `ipvsadm -R` stops at a comment. Timeouts,
/// sync daemons, marks and sysctls are no part of it, as with the real one.
pub fn save(state: &State) -> String {
    let (mut text, unsaved) = saved(state);
    for what in unsaved {
        text.push_str("# ");
        text.push_str(&escape::text(&what));
        text.push('\n');
    }
    text
}

/// What of the services and servers ipvsadm has no option for, each in a sentence that names it: the comments of `save`.
pub fn unsaved(state: &State) -> Vec<String> {
    saved(state).1
}

fn saved(state: &State) -> (String, Vec<String>) {
    let (mut text, mut unsaved) = (String::new(), Vec::new());
    let mut line = |what: &dyn std::fmt::Display, arguments: Result<String, NoOption>| match arguments {
        Ok(arguments) => {
            text.push_str(&arguments);
            text.push('\n');
            true
        }
        Err(NoOption(word)) => {
            unsaved.push(format!("{what}: ipvsadm has no option for {word}"));
            false
        }
    };
    let mut services: Vec<_> = state.services.iter().collect();
    services.sort_by_key(|(key, _)| order(**key));
    for (key, service) in services {
        if !line(key, add_service("-A", *key, &service.scheduling)) {
            continue;
        }
        let mut servers: Vec<_> = service.servers.iter().collect();
        servers.sort_by_key(|(server, _)| **server);
        for (server, of) in servers {
            line(&format_args!("server {server} of {key}"), add_server("-a", *key, *server, of));
        }
    }
    (text, unsaved)
}

/// ipvsadm's own order: addresses before marks, IPv4 before IPv6, then by number.
fn order(key: ServiceKey) -> (u32, Family, Option<(Protocol, IpAddr, u16)>) {
    match key {
        ServiceKey::Address { protocol, address, port } => {
            (0, Family::of(address), Some((protocol, address, port)))
        }
        ServiceKey::FirewallMark { family, mark } => (mark, family, None),
    }
}

/// That ipvsadm has no option for something; names it.
struct NoOption(String);

fn add_service(verb: &str, service: ServiceKey, scheduling: &Scheduling) -> Result<String, NoOption> {
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = scheduling;
    // The kernel stores names with any bytes; those that no module can have might be more than one word.
    let odd = [Some(scheduler.as_str()), engine.as_ref().map(EngineName::as_str)].into_iter().flatten();
    if let Some(odd) = odd.into_iter().find(|name| SchedulerName::new(name).is_none()) {
        return Err(NoOption(format!("the name {odd:?}")));
    }
    let mut words = format!("{verb} {} -s {scheduler}", service_option(service)?);
    let mut word = |word: std::fmt::Arguments<'_>| {
        let _ = write!(words, " {word}");
    };
    if let Some(Persistence { timeout, mask }) = persistence {
        word(format_args!("-p {timeout}"));
        // ipvsadm leaves out the mask that it would set by itself.
        if *mask != PersistenceMask::single_client(service.family()) {
            word(format_args!("-M {mask}"));
        }
    }
    if let Some(engine) = engine {
        word(format_args!("--pe {engine}"));
    }
    if *one_packet {
        word(format_args!("-o"));
    }
    let names = flags.names(scheduler);
    if !names.is_empty() {
        word(format_args!("-b {}", names.join(",")));
    }
    Ok(words)
}

fn service_option(service: ServiceKey) -> Result<String, NoOption> {
    let (option, address, port) = match service {
        ServiceKey::FirewallMark { family: Family::V4, mark } => return Ok(format!("-f {mark}")),
        ServiceKey::FirewallMark { family: Family::V6, mark } => return Ok(format!("-f {mark} -6")),
        ServiceKey::Address { protocol: Protocol::Tcp, address, port } => ("-t", address, port),
        ServiceKey::Address { protocol: Protocol::Udp, address, port } => ("-u", address, port),
        ServiceKey::Address { protocol: Protocol::Sctp, address, port } => ("--sctp-service", address, port),
        ServiceKey::Address { protocol: Protocol::Other(number), .. } => {
            return Err(NoOption(format!("protocol {number}")));
        }
    };
    Ok(format!("{option} {}", SocketAddr::new(address, port)))
}

/// A limit that is not there needs no option: `-e` without `-x` takes it away.
fn add_server(
    verb: &str,
    service: ServiceKey,
    server: ServerKey,
    of: &RealServer,
) -> Result<String, NoOption> {
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = of;
    let (method, tunnel) = match forwarding {
        // The rest of FULLNAT is not IPVS' business.
        Forwarding::Nat | Forwarding::FullNat => ("-m", String::new()),
        Forwarding::DirectRouting => ("-g", String::new()),
        Forwarding::Tunnel(tunnel) => ("-i", tunnel_options(*tunnel)?),
        Forwarding::Other(_) => return Err(NoOption(format!("forwarding method {forwarding}"))),
    };
    let mut words = format!("{verb} {} -r {server} {method} -w {weight}{tunnel}", service_option(service)?);
    for (option, limit) in [("-x", upper), ("-y", lower)] {
        if let Some(limit) = limit {
            let _ = write!(words, " {option} {limit}");
        }
    }
    Ok(words)
}

fn tunnel_options(Tunnel { kind, port, checksum }: Tunnel) -> Result<String, NoOption> {
    let checksum = match checksum {
        Checksum::None => "--tun-nocsum",
        Checksum::Csum => "--tun-csum",
        Checksum::Remcsum if kind == TunnelKind::Gue => "--tun-remcsum",
        Checksum::Remcsum | Checksum::Other(_) => {
            return Err(NoOption(format!("{kind} with checksum {checksum}")));
        }
    };
    match kind {
        TunnelKind::Ipip => Ok(" --tun-type ipip".to_owned()),
        TunnelKind::Gue => Ok(format!(" --tun-type gue --tun-port {port} {checksum}")),
        TunnelKind::Gre => Ok(format!(" --tun-type gre {checksum}")),
        TunnelKind::Other(_) => Err(NoOption(format!("tunnel {kind}"))),
    }
}
