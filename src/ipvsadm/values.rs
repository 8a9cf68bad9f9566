//! Turns the options of a command line into the model: which service, which server, how scheduled, how forwarded.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::str::FromStr;

use super::command_line::CommandLine;
use super::error::ValueError;
use super::reading::Reading;
use crate::model::{
    Checksum, EngineName, Family, Forwarding, Named, Persistence, PersistenceMask, Protocol, RealServer,
    SchedulerFlag, SchedulerFlags, SchedulerName, Scheduling, ServerKey, ServiceKey, SyncDaemon, SyncRole,
    Thresholds, Timeouts, Tunnel, TunnelKind,
};

/// Seconds of `-p` without a value. (The manual page says 300; 1.31 sets 360.)
const PERSISTENT: u32 = 360;

/// The service that a line is about.
pub(super) fn service(line: &mut CommandLine, reading: &mut Reading<'_>) -> Result<ServiceKey, ValueError> {
    let mut keys = Vec::new();
    for (option, protocol) in
        [("tcp-service", Protocol::Tcp), ("udp-service", Protocol::Udp), ("sctp-service", Protocol::Sctp)]
    {
        if let Some(text) = line.take_value(option) {
            let (address, port) = address_and_port(&text, protocol, reading)?;
            keys.push(ServiceKey::Address { protocol, address, port: port.unwrap_or(0) });
        }
    }
    if line.is_before("ipv6", "fwmark-service") {
        return Err(ValueError::Ipv6BeforeMark);
    }
    let v6 = line.take_switch("ipv6");
    if let Some(text) = line.take_value("fwmark-service") {
        let family = if v6 { Family::V6 } else { Family::V4 };
        keys.push(ServiceKey::FirewallMark { family, mark: mark(&text, reading)? });
    } else if v6 {
        return Err(ValueError::Ipv6WithoutMark);
    }
    match (keys.pop(), keys.is_empty()) {
        (Some(key), true) => Ok(key),
        (Some(_), false) => Err(ValueError::MoreThanOne("service")),
        (None, _) => Err(ValueError::Missing("no service such as `-t 10.0.0.13:80`")),
    }
}

/// Decimal, as ipvsadm reads it; or negative, as it prints a mark above 2147483647.
fn mark(text: &str, reading: &mut Reading<'_>) -> Result<u32, ValueError> {
    let negative = || text.parse::<i32>().ok().map(|negative| negative.cast_unsigned());
    let number: Option<u32> = text.parse().ok().or_else(|| {
        let mark = negative()?;
        reading.note(|| format!("ipvsadm prints the mark {mark} as {text}, and does not read that itself"));
        Some(mark)
    });
    number.filter(|mark| *mark != 0).ok_or_else(|| not_number(text, "a firewall mark", 1_u32, u32::MAX))
}

/// How a service is scheduled, with ipvsadm's own values for what is left out.
pub(super) fn scheduling(
    line: &mut CommandLine,
    service: ServiceKey,
    reading: &mut Reading<'_>,
) -> Result<Scheduling, ValueError> {
    let family = service.family();
    let name = line.take_value("scheduler").unwrap_or_else(|| "wlc".to_owned());
    if let Some(nearest) = reading.nearest_scheduler(&name) {
        return Err(ValueError::UnknownScheduler { name, nearest });
    }
    if !SchedulerName::MAINLINE.contains(&name.as_str()) {
        reading.note(|| {
            format!(
                "Linux has no scheduler `{name}`; `module:{name}` is written, for a kernel module of your own"
            )
        });
    }
    let scheduler = SchedulerName::new(&name).ok_or_else(|| not_name(&name, "a scheduler"))?;
    let flags =
        line.take("sched-flags").map(|words| flags(words.as_deref(), &name)).transpose()?.unwrap_or_default();
    let timeout = match line.take("persistent") {
        None => None,
        Some(None) => Some(PERSISTENT),
        Some(Some(text)) => {
            let (least, most) = reading.persistence_times();
            Some(number(&text, "a persistence time that ipvsadm takes", least, most)?)
        }
    };
    let is_overwritten =
        family == Family::V6 && (line.is_before_service("netmask") || line.is_before("netmask", "ipv6"));
    let mask = match line.take_value("netmask") {
        Some(text) if is_overwritten => {
            reading
                .note(|| format!("`-M {text}` stands before the IPv6 service, which sets it to 128 again"));
            PersistenceMask::single_client(family)
        }
        None => PersistenceMask::single_client(family),
        Some(text) => mask(&text, family)?,
    };
    let engine = line
        .take_value("pe")
        .map(|name| EngineName::new(&name).ok_or_else(|| not_name(&name, "a persistence engine")));
    let one_packet = line.take_switch("ops");
    // (A kernel can have both, by another program.)
    if let ServiceKey::Address { protocol, port, .. } = service
        && reading.is_for_ipvsadm()
    {
        if port == 0 && timeout.is_none() {
            return Err(ValueError::ZeroPort);
        }
        if one_packet && protocol != Protocol::Udp {
            return Err(ValueError::OnePacket(protocol));
        }
    }
    Ok(Scheduling {
        scheduler,
        flags,
        // A mask without persistence has no effect, and no place in the model.
        persistence: timeout.map(|timeout| Persistence { timeout, mask }),
        engine: engine.transpose()?,
        one_packet,
    })
}

fn flags(words: Option<&str>, scheduler: &str) -> Result<SchedulerFlags, ValueError> {
    let mut flags = SchedulerFlags::default();
    let Some(words) = words else {
        // `ipvsadm -S` prints a bare `-b` where the only switch is the third of `sh` or `mh`: it has no name for it.
        flags.flag_3 = matches!(scheduler, "sh" | "mh");
        return if flags.flag_3 {
            Ok(flags)
        } else {
            Err(ValueError::Missing("`--sched-flags` lacks its value"))
        };
    };
    for word in words.split(',') {
        let flag = SchedulerFlag::from_name(word).ok_or_else(|| ValueError::UnknownFlag(word.to_owned()))?;
        if let Some(owner) = flag.scheduler().filter(|owner| *owner != scheduler) {
            return Err(ValueError::FlagOfOther { flag, owner, scheduler: scheduler.to_owned() });
        }
        flags.switch_on(flag);
    }
    Ok(flags)
}

fn mask(text: &str, family: Family) -> Result<PersistenceMask, ValueError> {
    match family {
        Family::V4 => text
            .parse::<Ipv4Addr>()
            .map(PersistenceMask::V4)
            .map_err(|_| ValueError::Netmask(text.to_owned())),
        Family::V6 => number(text, "a prefix length", 1, 128).map(PersistenceMask::V6),
    }
}

/// The real server that a line is about. Without a port it has that of the service.
pub(super) fn server(
    line: &mut CommandLine,
    service: ServiceKey,
    reading: &mut Reading<'_>,
) -> Result<ServerKey, ValueError> {
    let text = line
        .take_value("real-server")
        .ok_or(ValueError::Missing("no real server such as `-r 192.168.8.14:80`"))?;
    let protocol = match service {
        ServiceKey::Address { protocol, .. } => protocol,
        // So does ipvsadm look up the names of ports where there is no protocol.
        ServiceKey::FirewallMark { .. } => Protocol::Tcp,
    };
    let is_first = line.is_before_service("real-server");
    if is_first && let Some(name) = port_word(&text).filter(|word| !is_number(word)) {
        return Err(ValueError::PortNameBeforeService(name.to_owned()));
    }
    let (address, port) = address_and_port(&text, protocol, reading)?;
    let port = port.unwrap_or_else(|| {
        // Without NAT ipvsadm sets the port of the service afterwards.
        let is_kept = is_first && service.default_server_port() != 0 && line.has("masquerading");
        if is_kept {
            reading.note(|| {
                format!("`-r {text}` has no port and stands before the service, so ipvsadm gives it port 0")
            });
            return 0;
        }
        service.default_server_port()
    });
    Ok(ServerKey { address, port })
}

/// What a server is, with ipvsadm's own values for what is left out; and the port that it really gets.
pub(super) fn real_server(
    line: &mut CommandLine,
    service: ServiceKey,
    mut key: ServerKey,
) -> Result<(ServerKey, RealServer), ValueError> {
    let forwarding = forwarding(line)?;
    if Family::of(key.address) != service.family() && !matches!(forwarding, Forwarding::Tunnel(_)) {
        return Err(ValueError::OtherFamily(key.address, service));
    }
    // As ipvsadm does: without NAT the packet arrives at the port of the service, whatever port is given.
    if service.mark().is_none() && forwarding != Forwarding::Nat {
        key.port = service.default_server_port();
    }
    let mut signed = |option: &str, what: &'static str, without: u32| {
        line.take_value(option).map_or(Ok(without), |text| number(&text, what, 0, i32::MAX.cast_unsigned()))
    };
    let weight = signed("weight", "a weight", 1)?;
    let upper = NonZeroU32::new(signed("u-threshold", "a threshold", 0)?);
    let lower = NonZeroU32::new(signed("l-threshold", "a threshold", 0)?);
    if lower > upper {
        return Err(ValueError::Thresholds);
    }
    Ok((key, RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } }))
}

fn forwarding(line: &mut CommandLine) -> Result<Forwarding, ValueError> {
    let methods = [
        ("masquerading", Forwarding::Nat),
        ("gatewaying", Forwarding::DirectRouting),
        ("ipip", Forwarding::Tunnel(Tunnel::IPIP)),
    ];
    let mut given: Vec<_> = methods
        .into_iter()
        .filter_map(|(option, method)| line.take_switch(option).then_some(method))
        .collect();
    let method = given.pop().unwrap_or(Forwarding::DirectRouting);
    match (given.is_empty(), method) {
        (false, _) => Err(ValueError::MoreThanOne("forwarding method")),
        (true, Forwarding::Tunnel(_)) => tunnel(line).map(Forwarding::Tunnel),
        (true, method) => Ok(method),
    }
}

fn tunnel(line: &mut CommandLine) -> Result<Tunnel, ValueError> {
    let kind = match line.take_value("tun-type") {
        None => TunnelKind::Ipip,
        Some(name) => TunnelKind::from_name(&name).ok_or(ValueError::UnknownTunnel(name))?,
    };
    if kind == TunnelKind::Ipip {
        return Ok(Tunnel::IPIP);
    }
    let port = match (kind, line.take_value("tun-port")) {
        (TunnelKind::Gue, None) => return Err(ValueError::Missing("a gue tunnel needs `--tun-port`")),
        (TunnelKind::Gue, Some(text)) => number(&text, "a tunnel port", 1, u16::MAX)?,
        (_, None) => 0,
        (_, Some(_)) => return Err(ValueError::TunnelPort(kind)),
    };
    let mut sums = Vec::new();
    for (option, checksum) in
        [("tun-nocsum", Checksum::None), ("tun-csum", Checksum::Csum), ("tun-remcsum", Checksum::Remcsum)]
    {
        if line.take_switch(option) {
            sums.push(checksum);
        }
    }
    match sums.as_slice() {
        [] => Ok(Tunnel { kind, port, checksum: Checksum::None }),
        [Checksum::Remcsum] if kind != TunnelKind::Gue => Err(ValueError::TunnelChecksum(kind)),
        [checksum] => Ok(Tunnel { kind, port, checksum: *checksum }),
        _ => Err(ValueError::MoreThanOne("tunnel checksum")),
    }
}

/// `--set TCP TCPFIN UDP`; 0 leaves what is.
pub(super) fn timeouts(line: &mut CommandLine, to: &mut Timeouts) -> Result<(), ValueError> {
    let words = std::mem::take(&mut line.words);
    let [tcp, tcp_fin, udp] = words.as_slice() else {
        return Err(ValueError::Missing("`--set` takes three times: TCP, TCP after a FIN, UDP"));
    };
    let read = |text: &String| number(text, "a time", 0, u32::MAX).map(|time| (time != 0).then_some(time));
    let (tcp, tcp_fin, udp) = (read(tcp)?, read(tcp_fin)?, read(udp)?);
    *to = Timeouts { tcp: tcp.or(to.tcp), tcp_fin: tcp_fin.or(to.tcp_fin), udp: udp.or(to.udp) };
    Ok(())
}

/// `master` or `backup`, of a sync daemon.
pub(super) fn role(line: &CommandLine) -> Result<SyncRole, ValueError> {
    let name = line.operand.as_deref().unwrap_or_default();
    SyncRole::from_name(name).ok_or_else(|| ValueError::Role(name.to_owned()))
}

/// `--start-daemon ROLE`
pub(super) fn sync_daemon(line: &mut CommandLine) -> Result<SyncDaemon, ValueError> {
    let role = role(line)?;
    let interface = line
        .take_value("mcast-interface")
        .ok_or(ValueError::Missing("a sync daemon needs `--mcast-interface`"))?;
    let group = line.take_value("mcast-group").map(|text| {
        text.parse::<IpAddr>().ok().filter(IpAddr::is_multicast).ok_or(ValueError::MulticastGroup(text))
    });
    let whole = |text: Option<String>, what: &'static str| {
        text.map(|text| number(&text, what, 1, u16::MAX)).transpose()
    };
    Ok(SyncDaemon {
        role,
        interface,
        id: line.take_value("syncid").map_or(Ok(0), |text| number(&text, "a sync ID", 0, u8::MAX))?,
        max_length: whole(line.take_value("sync-maxlen"), "a length")?,
        group: group.transpose()?,
        port: whole(line.take_value("mcast-port"), "a port")?,
        ttl: line
            .take_value("mcast-ttl")
            .map(|text| number(&text, "a time to live", 1, u8::MAX))
            .transpose()?,
    })
}

/// `10.0.0.13:80`, `10.0.0.13:http`, `[fd00::13]:80`, or an address alone.
fn address_and_port(
    text: &str,
    protocol: Protocol,
    reading: &mut Reading<'_>,
) -> Result<(IpAddr, Option<u16>), ValueError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, "")) => return Err(ValueError::BracketsWithoutPort(text.to_owned())),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(|| not_address(text))?)),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let address = match host.parse() {
        Ok(address) => address,
        Err(_) => reading.host(host, || not_address(host))?,
    };
    if text.starts_with('[') && !matches!(address, IpAddr::V6(_)) {
        return Err(not_address(text));
    }
    let Some(word) = port else { return Ok((address, None)) };
    let port =
        if is_number(word) { number(word, "a port", 0, u16::MAX)? } else { reading.port(word, protocol)? };
    Ok((address, Some(port)))
}

/// What stands behind the colon of an address with a port.
fn port_word(text: &str) -> Option<&str> {
    if text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let behind = text.rsplit_once(']').map_or(text, |(_, behind)| behind);
    behind.rsplit_once(':').map(|(_, port)| port)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn not_address(text: &str) -> ValueError {
    let a_name = text.bytes().any(|byte| byte.is_ascii_alphabetic()) && !text.contains([':', '[', ']']);
    if a_name { ValueError::HostName(text.to_owned()) } else { ValueError::Address(text.to_owned()) }
}

fn number<N: FromStr + PartialOrd + Copy + Into<u64>>(
    text: &str,
    what: &'static str,
    least: N,
    most: N,
) -> Result<N, ValueError> {
    // Digits only, and one plus sign, which strtol takes.
    Some(text.strip_prefix('+').unwrap_or(text))
        .filter(|text| is_number(text))
        .and_then(|text| text.parse().ok())
        .filter(|number| *number >= least && *number <= most)
        .ok_or_else(|| not_number(text, what, least, most))
}

fn not_number(text: &str, what: &'static str, least: impl Into<u64>, most: impl Into<u64>) -> ValueError {
    ValueError::Number { text: text.to_owned(), what, least: least.into(), most: most.into() }
}

fn not_name(text: &str, what: &'static str) -> ValueError {
    ValueError::Name { text: text.to_owned(), what }
}
