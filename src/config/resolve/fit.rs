//! Finds out whether checks fit the virtual services and servers that they are for.

use std::net::IpAddr;

use super::checks::Given;
use super::server::Wanted;
use crate::config::format::issue::Issue;
use crate::config::format::path::KeyPath;
use crate::model::{Check, CheckKind, Family, Protocol, Scheduling, ServiceKey, refuses_clients};

/// Why one of the checks of a server cannot look at it behind this virtual service, if so.
pub(super) fn misfit(given: &Given, service: &ServiceKey, wanted: &Wanted) -> Option<Issue> {
    given.checks.iter().find_map(|check| {
        no_port(check, service, wanted.key(service).port, &given.place)
            .or_else(|| other_protocol(check, service, &given.place))
            .or_else(|| other_family(check, wanted.address, &given.place))
    })
}

/// The same for a service whose cluster has no servers yet.
pub(super) fn without_servers(given: &Given, service: &ServiceKey) -> Option<Issue> {
    given.checks.iter().find_map(|check| {
        no_port(check, service, service.default_server_port(), &given.place)
            .or_else(|| other_protocol(check, service, &given.place))
    })
}

/// A server of a mark or of port 0 has no port of its own, but where its address has one.
fn no_port(check: &Check, service: &ServiceKey, own: u16, place: &KeyPath) -> Option<Issue> {
    let needs = match &check.kind {
        CheckKind::Tcp(_)
        | CheckKind::Tls(..)
        | CheckKind::Http(_)
        | CheckKind::Https(..)
        | CheckKind::Dns(_)
        | CheckKind::Udp(_) => true,
        CheckKind::Ping => false,
        CheckKind::Exec(exec) => exec.command.iter().any(|argument| argument.contains("{port}")),
    };
    (needs && own == 0 && check.port.is_none()).then(|| {
        Issue::new(
            place.clone(),
            format!(
                "the check `{}` needs a port: the servers behind {service} have none of their own",
                check.name
            ),
        )
        .expected("`port` in the check")
    })
}

/// A connection to the port of a UDP service says nothing of that service.
fn other_protocol(check: &Check, service: &ServiceKey, place: &KeyPath) -> Option<Issue> {
    let ServiceKey::Address { protocol: Protocol::Udp, port, .. } = service else { return None };
    let is_tcp = match &check.kind {
        CheckKind::Tcp(_) | CheckKind::Tls(..) | CheckKind::Http(_) | CheckKind::Https(..) => true,
        CheckKind::Dns(_) | CheckKind::Udp(_) | CheckKind::Ping | CheckKind::Exec(_) => false,
    };
    (is_tcp && check.port.is_none()).then(|| {
        Issue::new(
            place.clone(),
            format!("the check `{}` connects by TCP, and to the port of {service}, which is UDP", check.name),
        )
        .expected(format!("`type: udp` or `dns`; or a `port` in the check, such as `port: {port}`"))
    })
}

/// What is sent from an address goes to one of the same family.
fn other_family(check: &Check, server: IpAddr, place: &KeyPath) -> Option<Issue> {
    let (source, target) = (check.source?, check.address.unwrap_or(server));
    (Family::of(source) != Family::of(target)).then(|| {
        Issue::new(
            place.clone(),
            format!(
                "the check `{}` probes from {source}, which is {}, and {target} is {}",
                check.name,
                Family::of(source),
                Family::of(target)
            ),
        )
        .expected("a `source` of the family of the servers; or two checks, one for each family")
    })
}

/// Why failing servers cannot get weight 0, if so.
pub(super) fn quiesce_refuses(scheduling: &Scheduling, place: KeyPath) -> Option<Issue> {
    refuses_clients(scheduling).then(|| {
        let scheduler = &scheduling.scheduler;
        let flag = if scheduler.as_str() == "dh" { "" } else { ", or the scheduler flag for a fallback" };
        Issue::new(
            place.clone(),
            format!(
                "with the scheduler `{scheduler}`, a server of weight 0 refuses the clients that it would get"
            ),
        )
        .expected(format!("`auto` or `remove`{flag}"))
    })
}
