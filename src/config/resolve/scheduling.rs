//! How a cluster hands out its connections: scheduler, flags, persistence, one-packet scheduling.

use std::net::Ipv4Addr;

use super::value::{self, ClientMask};
use crate::config::format::document::{Choice, Cluster, Defaults, PortNumber, SchedulerWord};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::PERSISTENCE;
use crate::config::format::nearest::nearest;
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{
    EngineName, Family, Persistence, PersistenceMask, Protocol, SchedulerFlag, SchedulerFlags, SchedulerName,
    Scheduling, ServiceKey,
};

/// What the file means where it names no scheduler.
const DEFAULT: &str = "wlc";

/// How a cluster hands out its connections, whatever it listens on.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    scheduler: SchedulerName,
    flags: SchedulerFlags,
    timeout: Option<u32>,
    mask: Option<ClientMask>,
    engine: Option<EngineName>,
    one_packet: bool,
}

/// Checks the scheduler of the defaults, for itself.
pub(super) fn check_default(word: &SchedulerWord, here: KeyPath, issues: &mut Issues) {
    named(word, here, issues);
}

/// Reads the rules of one cluster.
pub(super) fn rules(
    cluster: &Cluster,
    defaults: Option<&Defaults>,
    here: &KeyPath,
    issues: &mut Issues,
) -> Rules {
    let scheduler = match &cluster.scheduler {
        Some(word) => named(word, here.then("scheduler"), issues),
        None => match defaults.and_then(|defaults| defaults.scheduler.as_ref()) {
            // An issue with the default is reported there, once.
            Some(word) => parse(word.as_str()),
            None => SchedulerName::new(DEFAULT),
        },
    };
    let flags = flags(cluster, scheduler.as_ref(), here, issues);
    let timeout = cluster
        .persistence
        .as_ref()
        .and_then(|duration| value::seconds(duration, PERSISTENCE, || here.then("persistence"), issues));
    let mask = cluster
        .persistence_mask
        .as_ref()
        .and_then(|mask| value::mask(mask, || here.then("persistence_mask"), issues));
    if cluster.persistence.is_none() {
        let keys = [
            ("persistence_mask", cluster.persistence_mask.is_some()),
            ("persistence_engine", cluster.persistence_engine.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
            issues.push(
                Issue::new(here.then(key), format!("`{key}` has no effect without `persistence`"))
                    .at_key()
                    .expected("`persistence` with a duration")
                    .involving(here.then("persistence")),
            );
        }
    }
    Rules {
        scheduler: scheduler.unwrap_or_else(|| SchedulerName::from_kernel(DEFAULT)),
        flags,
        timeout,
        mask,
        engine: cluster.persistence_engine.map(|Choice(engine)| engine.into()),
        one_packet: cluster.one_packet,
    }
}

fn parse(word: &str) -> Option<SchedulerName> {
    match word.strip_prefix("module:") {
        Some(name) if name != SchedulerName::NONE => SchedulerName::new(name),
        Some(_) => None,
        None => SchedulerName::MAINLINE.contains(&word).then(|| SchedulerName::new(word))?,
    }
}

fn named(word: &SchedulerWord, here: KeyPath, issues: &mut Issues) -> Option<SchedulerName> {
    let word = word.as_str();
    let name = parse(word);
    if name.is_none() {
        let issue = match word.strip_prefix("module:") {
            Some(SchedulerName::NONE) => {
                Issue::new(here, "a service without a scheduler refuses every connection")
            }
            Some(name) => Issue::new(here, format!("no kernel module can be called `ip_vs_{name}`"))
                .expected("`module:` and a name of 1 to 15 letters, digits, `_`, `-` or `.`"),
            None => Issue::new(here, format!("unknown scheduler `{word}`"))
                .expected(format!(
                    "one of {}, or `module:NAME` for a module of your own",
                    SchedulerName::MAINLINE.join(", ")
                ))
                .suggest(nearest(word.strip_prefix("ip_vs_").unwrap_or(word), SchedulerName::MAINLINE)),
        };
        issues.push(issue);
    }
    name
}

fn flags(
    cluster: &Cluster,
    scheduler: Option<&SchedulerName>,
    here: &KeyPath,
    issues: &mut Issues,
) -> SchedulerFlags {
    let mut flags = SchedulerFlags::default();
    for (index, Choice(flag)) in cluster.scheduler_flags.iter().enumerate() {
        let path = || here.then("scheduler_flags").then(index);
        if flags.switch_on(*flag) {
            issues.push(Issue::new(
                path(),
                format!("`{flag}` is the same switch as another flag in this list"),
            ));
        }
        if let (Some(owner), Some(scheduler)) = (flag.scheduler(), scheduler)
            && owner != scheduler.as_str()
        {
            issues.push(
                Issue::new(
                    path(),
                    format!("`{flag}` is a flag of `{owner}`, and the scheduler here is `{scheduler}`"),
                )
                .suggest(flag.of(scheduler.as_str()).map(SchedulerFlag::as_str))
                .involving(here.then("scheduler"))
                .involving(key_path!["defaults", "scheduler"]),
            );
        }
    }
    flags
}

/// How one virtual service of the cluster hands out its connections; reports where the cluster's rules do not fit it.
pub(super) fn scheduling(
    rules: &Rules,
    cluster: &Cluster,
    service: &ServiceKey,
    listener: impl Fn() -> KeyPath,
    here: &KeyPath,
    issues: &mut Issues,
) -> Scheduling {
    let udp_or_mark = match service {
        ServiceKey::Address { protocol, .. } => *protocol == Protocol::Udp,
        ServiceKey::FirewallMark { .. } => true,
    };
    if cluster.one_packet && !udp_or_mark {
        issues.push(
            Issue::new(
                here.then("one_packet"),
                format!("one-packet scheduling is for UDP and marks, and this cluster listens on {service}"),
            )
            .involving(listener()),
        );
    }
    if let Some(Choice(engine)) = cluster.persistence_engine
        && !udp_or_mark
    {
        issues.push(
            Issue::new(
                here.then("persistence_engine"),
                format!("`{engine}` recognises clients over UDP only, and this cluster listens on {service}"),
            )
            .involving(listener()),
        );
    }
    if let ServiceKey::Address { port: 0, .. } = service
        && cluster.persistence.is_none()
    {
        issues.push(
            Issue::new(
                listener(),
                "port 0 means every port of the address, and works only with `persistence`: without it the service accepts \
                 no connection, and the other ports of the host at this address refuse theirs",
            )
            .expected(format!("a port from {} to {}, or `persistence`", PortNumber::LEAST, PortNumber::MOST))
            .involving(here.then("persistence")),
        );
    }
    let persistence = rules
        .timeout
        .map(|timeout| Persistence { timeout, mask: client_mask(rules.mask, service, here, issues) });
    Scheduling {
        scheduler: rules.scheduler.clone(),
        flags: rules.flags,
        persistence,
        engine: rules.engine.clone(),
        one_packet: rules.one_packet,
    }
}

fn client_mask(
    mask: Option<ClientMask>,
    service: &ServiceKey,
    here: &KeyPath,
    issues: &mut Issues,
) -> PersistenceMask {
    let family = service.family();
    let wrong = match (mask, family) {
        (None, _) => return PersistenceMask::single_client(family),
        (Some(ClientMask::Netmask(netmask)), Family::V4) => return PersistenceMask::V4(netmask),
        (Some(ClientMask::Length(length @ 0..=32)), Family::V4) => {
            let bits = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
            return PersistenceMask::V4(Ipv4Addr::from(bits));
        }
        (Some(ClientMask::Length(length @ 1..=128)), Family::V6) => {
            return PersistenceMask::V6(length.into());
        }
        (Some(ClientMask::Netmask(netmask)), Family::V6) => netmask.to_string(),
        (Some(ClientMask::Length(length)), _) => length.to_string(),
    };
    issues.push(
        Issue::new(
            here.then("persistence_mask"),
            format!("{wrong} is no mask for the {family} service {service}"),
        )
        .expected(match family {
            Family::V4 => "a netmask such as 255.255.255.0, or a prefix length from 0 to 32",
            Family::V6 => "a prefix length from 1 to 128",
        }),
    );
    PersistenceMask::single_client(family)
}
