//! How a cluster hands out its connections: scheduler, flags, persistence, one-packet scheduling.

use std::net::Ipv4Addr;

use super::value::{self, ClientMask};
use crate::config::format::document::{Cluster, Defaults, SchedulerFlag, SchedulerWord};
use crate::config::format::nearest::nearest;
use crate::config::format::place::{Finding, Findings, Place, place};
use crate::model::{
    EngineName, Family, Persistence, PersistenceMask, Protocol, SchedulerFlags, SchedulerName, Scheduling,
    ServiceKey,
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
pub(super) fn check_default(word: &SchedulerWord, here: Place, findings: &mut Findings) {
    named(word, here, findings);
}

/// Reads the rules of one cluster.
pub(super) fn rules(
    cluster: &Cluster,
    defaults: Option<&Defaults>,
    here: &Place,
    findings: &mut Findings,
) -> Rules {
    let scheduler = match &cluster.scheduler {
        Some(word) => named(word, here.then("scheduler"), findings),
        None => match defaults.and_then(|defaults| defaults.scheduler.as_ref()) {
            // What is wrong with the default is said there, once.
            Some(word) => parse(word.as_str()),
            None => SchedulerName::new(DEFAULT),
        },
    };
    let flags = flags(cluster, scheduler.as_ref(), here, findings);
    let timeout = cluster.persistence.as_ref().and_then(|duration| {
        // In the kernel a longer time wraps around to a short one.
        value::seconds(duration, 1..=4_294_967, || here.then("persistence"), findings)
    });
    let mask = cluster
        .persistence_mask
        .as_ref()
        .and_then(|mask| value::mask(mask, || here.then("persistence_mask"), findings));
    if cluster.persistence.is_none() {
        let keys = [
            ("persistence_mask", cluster.persistence_mask.is_some()),
            ("persistence_engine", cluster.persistence_engine.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
            findings.push(
                Finding::new(here.then(key), format!("`{key}` means nothing without `persistence`"))
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
        engine: cluster.persistence_engine.and_then(|engine| EngineName::new(engine.word())),
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

fn named(word: &SchedulerWord, here: Place, findings: &mut Findings) -> Option<SchedulerName> {
    let word = word.as_str();
    let name = parse(word);
    if name.is_none() {
        let finding = match word.strip_prefix("module:") {
            Some(SchedulerName::NONE) => {
                Finding::new(here, "a service without a scheduler refuses every connection")
            }
            Some(name) => Finding::new(here, format!("no kernel module can be called `ip_vs_{name}`"))
                .expected("`module:` and a name of 1 to 15 letters, digits, `_`, `-` or `.`"),
            None => Finding::new(here, format!("unknown scheduler `{word}`"))
                .expected(format!(
                    "one of {}, or `module:NAME` for a module of your own",
                    SchedulerName::MAINLINE.join(", ")
                ))
                .suggest(nearest(word.strip_prefix("ip_vs_").unwrap_or(word), SchedulerName::MAINLINE)),
        };
        findings.push(finding);
    }
    name
}

fn flags(
    cluster: &Cluster,
    scheduler: Option<&SchedulerName>,
    here: &Place,
    findings: &mut Findings,
) -> SchedulerFlags {
    let mut flags = SchedulerFlags::default();
    for (index, flag) in cluster.scheduler_flags.iter().enumerate() {
        let place = || here.then("scheduler_flags").then(index);
        let (owner, bit, elsewhere) = match flag {
            SchedulerFlag::ShFallback => (Some("sh"), &mut flags.flag_1, "mh-fallback"),
            SchedulerFlag::MhFallback => (Some("mh"), &mut flags.flag_1, "sh-fallback"),
            SchedulerFlag::ShPort => (Some("sh"), &mut flags.flag_2, "mh-port"),
            SchedulerFlag::MhPort => (Some("mh"), &mut flags.flag_2, "sh-port"),
            SchedulerFlag::Flag1 => (None, &mut flags.flag_1, ""),
            SchedulerFlag::Flag2 => (None, &mut flags.flag_2, ""),
            SchedulerFlag::Flag3 => (None, &mut flags.flag_3, ""),
        };
        if std::mem::replace(bit, true) {
            findings.push(Finding::new(
                place(),
                format!("`{}` switches on what another flag of this list does", flag.word()),
            ));
        }
        if let (Some(owner), Some(scheduler)) = (owner, scheduler)
            && owner != scheduler.as_str()
        {
            let twin = matches!(scheduler.as_str(), "sh" | "mh").then_some(elsewhere);
            findings.push(
                Finding::new(
                    place(),
                    format!(
                        "`{}` is a flag of `{owner}`, and the scheduler here is `{scheduler}`",
                        flag.word()
                    ),
                )
                .suggest(twin)
                .involving(here.then("scheduler"))
                .involving(place!["defaults", "scheduler"]),
            );
        }
    }
    flags
}

/// How one virtual service of the cluster hands out its connections; says where the cluster's rules do not fit it.
pub(super) fn scheduling(
    rules: &Rules,
    cluster: &Cluster,
    service: &ServiceKey,
    listener: impl Fn() -> Place,
    here: &Place,
    findings: &mut Findings,
) -> Scheduling {
    let udp_or_mark = match service {
        ServiceKey::Address { protocol, .. } => *protocol == Protocol::Udp,
        ServiceKey::FirewallMark { .. } => true,
    };
    if cluster.one_packet && !udp_or_mark {
        findings.push(
            Finding::new(
                here.then("one_packet"),
                format!("one-packet scheduling is for UDP and marks, and this cluster listens on {service}"),
            )
            .involving(listener()),
        );
    }
    if let Some(engine) = cluster.persistence_engine
        && !udp_or_mark
    {
        findings.push(
            Finding::new(
                here.then("persistence_engine"),
                format!(
                    "`{}` recognises clients over UDP only, and this cluster listens on {service}",
                    engine.word()
                ),
            )
            .involving(listener()),
        );
    }
    if let ServiceKey::Address { port: 0, .. } = service
        && cluster.persistence.is_none()
    {
        findings.push(
            Finding::new(
                listener(),
                "port 0 is every port of the address, and works with `persistence` only: without it the service \
                 takes no connection, and the host's other ports there refuse theirs",
            )
            .expected("a port from 1 to 65535, or `persistence`")
            .involving(here.then("persistence")),
        );
    }
    let persistence = rules
        .timeout
        .map(|timeout| Persistence { timeout, mask: client_mask(rules.mask, service, here, findings) });
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
    here: &Place,
    findings: &mut Findings,
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
    findings.push(
        Finding::new(
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
