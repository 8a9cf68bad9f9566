//! Writes services as clusters: one for each virtual server, where all that it listens on has the same servers.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::checks::{Check, checks};
use super::model::{Forward, Granularity, Real, Sorry, Target, Virtual};
use super::services::{Behind, Service};
use super::text::Text;
use crate::config;
use crate::config::document::{
    self, CheckEntry, CheckList, CheckUse, Choice, Cluster, FullServer, Limit, Listen, Listener, Mask,
    MinServingText, Name, ServerEntry, TunnelEntry, Weight,
};
use crate::model::{
    Checksum, FailurePolicy, Family, ForwardingMethod, Named, PersistenceEngine, SchedulerName, ServerKey,
    ServiceKey, TunnelKind,
};

/// A virtual server with the checks of its servers, in the same order.
struct Checked<'a> {
    of: &'a Virtual,
    checks: Vec<Vec<Check>>,
}

/// The clusters of the services of each virtual server.
pub(super) struct Writer<'a> {
    virtuals: Vec<Checked<'a>>,
    names: HashSet<String>,
}

/// Which ports are written: those of servers and those of checks.
#[derive(Clone, Copy)]
struct Form {
    servers: bool,
    checks: bool,
}

/// With how many clusters of a virtual server another one is compared.
const MOST_COMPARED: usize = 64;

/// As few ports as there can be.
const SHORT: Form = Form { servers: false, checks: false };

/// As few ports as there can be; then such that more services have the same servers.
const FORMS: [Form; 3] = [SHORT, Form { servers: false, checks: true }, Form { servers: true, checks: true }];

impl<'a> Writer<'a> {
    pub(super) fn new(virtuals: &'a [Virtual], text: &mut Text) -> Self {
        let checked = |of: &'a Virtual| Checked {
            of,
            checks: of.servers.iter().map(|real| checks(real, of, text)).collect(),
        };
        Self { virtuals: virtuals.iter().map(checked).collect(), names: HashSet::new() }
    }

    /// The clusters of one virtual server.
    pub(super) fn clusters(
        &mut self,
        of: usize,
        services: &[(ServiceKey, &Service)],
        text: &mut Text,
    ) -> Vec<Cluster> {
        let Some(virtual_server) = self.virtuals.get(of).map(|checked| checked.of) else { return Vec::new() };
        let Some(groups) = FORMS
            .iter()
            .map(|form| self.groups(services, *form))
            // Of those with as few groups, the first has the fewest ports.
            .min_by_key(Vec::len)
        else {
            return Vec::new();
        };
        self.unchecked(services, virtual_server, text);
        let named = |(cluster, keys): (Cluster, Vec<ServiceKey>)| {
            let name = self.name(virtual_server, &keys);
            let url = |key: &ServiceKey| Listener::from(key.to_string());
            let listen = match keys.as_slice() {
                [only] => Listen::One(url(only)),
                several => Listen::Many(several.iter().map(url).collect()),
            };
            Cluster { name, listen, ..cluster }
        };
        groups.into_iter().map(named).collect()
    }

    /// The services that have the same servers and all else.
    fn groups(&self, services: &[(ServiceKey, &Service)], form: Form) -> Vec<(Cluster, Vec<ServiceKey>)> {
        let mut groups: Vec<(Cluster, Vec<ServiceKey>)> = Vec::new();
        for (key, service) in services {
            let cluster = self.cluster(*key, service, form);
            // Those that differ a lot are not compared with each other.
            match groups.iter_mut().take(MOST_COMPARED).find(|(other, _)| *other == cluster) {
                Some((_, keys)) => keys.push(*key),
                None => groups.push((cluster, vec![*key])),
            }
        }
        groups
    }

    /// Names the checks that have no port to look at.
    fn unchecked(&self, services: &[(ServiceKey, &Service)], of: &Virtual, text: &mut Text) {
        for (key, service) in services {
            for (server, behind) in &service.servers {
                for check in self.checks(behind) {
                    if check.behind(key, server, false).is_none() {
                        text.lost(
                            check.origin,
                            format!("the check is left out: the server behind {key} has no port, and keepalived would look at port 0; write `connect_port`"),
                        );
                    }
                }
            }
        }
        if of.granularity.is_some() && mask(of, &mut Vec::new()).is_none() {
            let mut wrong = Vec::new();
            mask(of, &mut wrong);
            wrong.into_iter().for_each(|why| text.lost(of.origin, why));
        }
    }

    fn checks(&self, behind: &Behind) -> &[Check] {
        let (of, position) = behind.at;
        let checks = self.virtuals.get(of).and_then(|checked| checked.checks.get(position));
        checks.map_or(&[], Vec::as_slice)
    }

    fn real(&self, behind: &Behind) -> Option<(&'a Real, &'a Virtual)> {
        let (of, position) = behind.at;
        let of = self.virtuals.get(of)?.of;
        of.servers.get(position).map(|real| (real, of))
    }

    /// A service as a cluster, without a name.
    fn cluster(&self, key: ServiceKey, service: &Service, form: Form) -> Cluster {
        let of = self.virtuals.get(service.of).map(|checked| checked.of);
        let mut methods = service.servers.values().map(|behind| behind.forward.method);
        let first = methods.next();
        let common = first.filter(|first| methods.all(|method| method == *first));
        let lists: Vec<Option<CheckList>> = service
            .servers
            .iter()
            .map(|(server, behind)| check_list(self.checks(behind), &key, server, form))
            .collect();
        let shared = lists
            .first()
            .cloned()
            .flatten()
            .filter(|first| lists.iter().all(|list| list.as_ref() == Some(first)));
        let servers: Vec<ServerEntry> = service
            .servers
            .iter()
            .zip(&lists)
            .filter_map(|((server, behind), list)| {
                let (real, of) = self.real(behind)?;
                let own = list.clone().filter(|_| shared.is_none());
                Some(server_entry(&key, *server, (real, of, behind), (common, own), form))
            })
            .collect();
        let has_checks = lists.iter().any(Option::is_some);
        let scheduler = of.and_then(|of| of.scheduler.as_deref()).unwrap_or("wlc");
        let flags = SchedulerName::new(scheduler)
            .map(|name| of.map_or_else(Vec::new, |of| of.flags.flags(&name).map(Choice).collect()));
        Cluster {
            name: Name::from(""),
            listen: Listen::Many(Vec::new()),
            scheduler: Some(scheduler.into()),
            scheduler_flags: flags.unwrap_or_default(),
            persistence: of.and_then(|of| of.persistence).map(config::duration),
            persistence_mask: of.and_then(|of| mask(of, &mut Vec::new())),
            persistence_engine: of.and_then(engine).map(Choice),
            one_packet: of.is_some_and(|of| of.one_packet),
            forward: common.map(Choice),
            untracked: false,
            drain: None,
            check: shared,
            on_failure: has_checks.then(|| Choice(self.on_failure(service))),
            reset_after: None,
            min_serving: has_checks.then(|| MinServingText::from(0_u32)),
            fallback: of.and_then(|of| fallback(&key, of, service, common)),
            slow_start: None,
            allow_empty: false,
            servers,
        }
    }

    /// What a failing check does: keepalived deletes the server, unless it is to inhibit it.
    fn on_failure(&self, service: &Service) -> FailurePolicy {
        let inhibits =
            |behind: &Behind| self.real(behind).is_some_and(|(real, of)| real.inhibit.unwrap_or(of.inhibit));
        let of = self.virtuals.get(service.of).map(|checked| checked.of);
        match service.servers.values().all(inhibits) {
            true if of.is_some_and(refuses_clients) => FailurePolicy::Auto,
            true => FailurePolicy::Quiesce,
            false => FailurePolicy::Remove,
        }
    }

    /// The name of a cluster: that of its group, else what it listens on.
    fn name(&mut self, of: &Virtual, keys: &[ServiceKey]) -> Name {
        let first = keys.first().map(|key| config::cluster_name(*key)).unwrap_or_default();
        let name = match &of.target {
            Target::Group(group) if config::is_name(group) => {
                let is_whole = keys.len() > 1 || !self.names.contains(group);
                if is_whole { group.clone() } else { format!("{group}-{first}") }
            }
            Target::Group(_) | Target::Address(..) | Target::Mark(_) => first.clone(),
        };
        let others = (2_u32..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(others).find(|name| !self.names.contains(name));
        let name = free.unwrap_or(name);
        self.names.insert(name.clone());
        name.into()
    }
}

/// What of a virtual server lbd does another way, in sentences with the places.
pub(super) fn differences(of: &Virtual, text: &mut Text) {
    let weights: u64 = of.servers.iter().map(|server| u64::from(server.weight.unwrap_or(of.weight))).sum();
    match (&of.quorum, &of.sorry) {
        (Some((quorum, origin)), Some(_))
            if (*quorum).min(u32::try_from(weights).unwrap_or(u32::MAX)) > 1 =>
        {
            text.lost(
                *origin,
                "keepalived sends to the sorry server as soon as the weights of the passing servers are below the quorum; lbd does when none passes",
            );
        }
        (Some((quorum, origin)), _) if *quorum > 1 => {
            text.note(*origin, "lbd has no quorum: it decides only what keepalived reports and runs");
        }
        _ => {}
    }
    if let Some((_, origin)) = of.hysteresis.filter(|(hysteresis, _)| *hysteresis > 0) {
        text.note(origin, "lbd has no hysteresis: `fall` and `rise` say how soon a verdict changes");
    }
    for server in &of.servers {
        for (name, limit) in [("uthreshold", server.upper), ("lthreshold", server.lower)] {
            if Limit::new(limit).is_none() {
                text.lost(server.origin, format!("`{name}` {limit} is beyond {}, and left out", Limit::MOST));
            }
        }
    }
    if of.granularity.is_some() && matches!(of.target, Target::Group(_)) {
        text.note(
            of.origin,
            "keepalived sets no `persistence_granularity` for a group: each address is a client of its own",
        );
    }
    let inhibits: Vec<bool> = of.servers.iter().map(|server| server.inhibit.unwrap_or(of.inhibit)).collect();
    let checked = of.servers.iter().any(|server| !server.checkers.is_empty());
    if checked && inhibits.contains(&true) {
        if inhibits.contains(&false) {
            text.lost(
                of.origin,
                "some of its servers have `inhibit_on_failure` and others have not; in lbd `on_failure` is for all of a cluster, and is `remove` here",
            );
        } else if refuses_clients(of) {
            text.note(
                of.origin,
                "with this scheduler a server of weight 0 refuses its clients: `on_failure` is `auto`, which deletes it",
            );
        }
    }
    if let Some(name) = of.engine.as_ref().filter(|_| engine(of).is_none()) {
        match of.persistence {
            Some(_) => text.lost(of.origin, format!("lbd has no persistence engine `{name}`")),
            None => text.note(of.origin, "keepalived ignores `persistence_engine`: it is not persistent"),
        }
    }
    if let Some(sorry) = &of.sorry {
        let method = sorry.forward.or(of.forward).unwrap_or(Forward::NAT);
        let is_server =
            |server: &Real| server.address == sorry.address && sorry_port(sorry, method) == server.port;
        if of.servers.iter().any(is_server) {
            text.lost(sorry.origin, "lbd's fallback cannot be one of the servers: there is none here");
        }
        if let Some(origin) = sorry.inhibit {
            text.lost(
                origin,
                "keepalived has its sorry server in the table with weight 0; lbd adds its fallback when it is to serve",
            );
        }
    }
}

/// The port of a sorry server, where the service does not say it.
fn sorry_port(sorry: &Sorry, forward: Forward) -> u16 {
    match forward.method {
        ForwardingMethod::Nat | ForwardingMethod::FullNat => sorry.port,
        ForwardingMethod::DirectRouting | ForwardingMethod::Tunnel => 0,
    }
}

fn refuses_clients(of: &Virtual) -> bool {
    match of.scheduler.as_deref() {
        Some("dh") => true,
        Some("sh" | "mh") => !of.flags.flag_1,
        _ => false,
    }
}

fn check_list(checks: &[Check], service: &ServiceKey, server: &ServerKey, form: Form) -> Option<CheckList> {
    let entries = checks.iter().filter_map(|check| check.behind(service, server, form.checks));
    let uses: Vec<CheckUse> = entries.map(|entry: CheckEntry| CheckUse::Inline(Box::new(entry))).collect();
    match <[CheckUse; 1]>::try_from(uses) {
        Ok([only]) => Some(CheckList::One(only)),
        Err(uses) if uses.is_empty() => None,
        Err(uses) => Some(CheckList::Many(uses)),
    }
}

/// A server, in as few words as there can be.
fn server_entry(
    service: &ServiceKey,
    server: ServerKey,
    (real, of, behind): (&Real, &Virtual, &Behind),
    (common, check): (Option<ForwardingMethod>, Option<CheckList>),
    form: Form,
) -> ServerEntry {
    let weight = real.weight.unwrap_or(of.weight);
    let threshold = |number: u32| Limit::new(number).filter(|_| number > 0);
    let full = FullServer {
        weight: Weight::new(weight).filter(|_| weight != 1),
        forward: common.is_none().then_some(Choice(behind.forward.method)),
        tunnel: tunnel(behind.forward),
        upper_threshold: threshold(real.upper),
        lower_threshold: threshold(real.lower),
        check: check.map(Box::new),
        ..FullServer::new(written(service, server, form).into())
    };
    let bare = FullServer::new(full.address.clone());
    if full == bare { ServerEntry::Short(full.address) } else { ServerEntry::Full(full) }
}

/// An address, with its port where that is not the one of the service.
fn written(service: &ServiceKey, ServerKey { address, port }: ServerKey, form: Form) -> String {
    if form.servers || service.default_server_port() != port {
        return SocketAddr::new(address, port).to_string();
    }
    config::bare_address(address)
}

fn tunnel(Forward { method, kind, port, checksum }: Forward) -> Option<TunnelEntry> {
    let is_plain = kind == TunnelKind::Ipip;
    (method == ForwardingMethod::Tunnel && !is_plain).then(|| TunnelEntry {
        kind: Some(Choice(kind)),
        port: document::Number::new(port.into()),
        checksum: (checksum != Checksum::None).then_some(Choice(checksum)),
    })
}

/// The sorry server of a service.
fn fallback(
    service: &ServiceKey,
    of: &Virtual,
    made: &Service,
    common: Option<ForwardingMethod>,
) -> Option<ServerEntry> {
    let sorry = of.sorry.as_ref()?;
    let forward = sorry.forward.or(of.forward).unwrap_or(Forward::NAT);
    let port = match sorry_port(sorry, forward) {
        0 => service.default_server_port(),
        port => port,
    };
    let key = ServerKey { address: sorry.address, port };
    if made.servers.contains_key(&key) {
        return None;
    }
    let full = FullServer {
        forward: Some(Choice(forward.method)).filter(|_| common != Some(forward.method)),
        tunnel: tunnel(forward),
        ..FullServer::new(written(service, key, SHORT).into())
    };
    let bare = FullServer::new(full.address.clone());
    Some(if full == bare { ServerEntry::Short(full.address) } else { ServerEntry::Full(full) })
}

fn engine(of: &Virtual) -> Option<PersistenceEngine> {
    of.persistence?;
    PersistenceEngine::from_name(of.engine.as_deref()?)
}

/// The mask of a virtual server, where there is one beside each address for itself; `wrong` says why it cannot be written.
fn mask(of: &Virtual, wrong: &mut Vec<String>) -> Option<Mask> {
    if matches!(of.target, Target::Group(_)) {
        return None;
    }
    match of.granularity.as_ref()? {
        Granularity::Length(length) => {
            Some(*length).filter(|length| *length != u32::from(Family::V6.bits())).map(Mask::from)
        }
        Granularity::Mask(mask) => {
            let bits = mask.to_bits();
            if bits.leading_ones() + bits.trailing_zeros() < 32 || bits == 0 {
                wrong.push(format!("`persistence_granularity` {mask} is no netmask that lbd takes; each address is a client of its own"));
                return None;
            }
            (bits != u32::MAX).then(|| mask.to_string().into())
        }
    }
}
