//! Defines what is probed: each distinct target and expectation once, however many clusters share it.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use compact_str::CompactString;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::files::sha256;
use crate::model::{Check, CheckKind, Desired, ServerKey, ServiceKey, Timing};

/// Where a probe goes to; the port of an echo or a program without one is 0.
pub type Endpoint = SocketAddr;

/// What is checked, apart from the target: the first 64 bits of a SHA-256 of the type, what is sent and what is expected, as hexadecimal digits.
/// Neither times nor names are part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(u64);

impl Digest {
    /// That of a check in a cluster, whose name a program may be given.
    fn of(kind: &CheckKind, source: Option<IpAddr>, cluster: Option<&str>) -> Self {
        // Plain data: it can always be written.
        let text = serde_json::to_string(&(kind, source, cluster)).unwrap_or_default();
        Self(
            sha256(&text).get(..16).and_then(|start| u64::from_str_radix(start, 16).ok()).unwrap_or_default(),
        )
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// What a verdict belongs to: a target and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeKey {
    /// What is checked
    pub what: Digest,
    /// The target
    pub target: Endpoint,
}

/// A check with all targets that are probed by it at the same times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedCheck {
    /// What is checked
    pub what: Digest,
    /// The name of the check, for people; where several share the probe, that of the first
    pub name: CompactString,
    /// The cluster, for a program
    pub cluster: Option<CompactString>,
    /// The address to connect from
    pub source: Option<IpAddr>,
    /// What is sent, and what is expected
    pub kind: CheckKind,
    /// How often; where several share the probe, that of the one with the shortest interval
    pub timing: Timing,
    /// The targets
    pub targets: Vec<Endpoint>,
}

/// What is probed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probes {
    /// The checks, each with its targets
    pub checks: Vec<ProbedCheck>,
}

/// Finds the keys of the probes of servers; the digest of each check is computed once.
#[derive(Debug, Default)]
pub struct Keys<'a> {
    digests: HashMap<(*const Check, Option<&'a str>), Digest, RandomState>,
}

impl<'a> Keys<'a> {
    /// The key of the probe by which a check looks at a server of a virtual service.
    pub fn of(
        &mut self,
        check: &'a Check,
        cluster: &'a str,
        service: &ServiceKey,
        server: &ServerKey,
    ) -> ProbeKey {
        let cluster = cluster_of(check, cluster);
        let digest = || Digest::of(&check.kind, check.source, cluster);
        let what = *self.digests.entry((std::ptr::from_ref(check), cluster)).or_insert_with(digest);
        ProbeKey { what, target: target(check, service, server) }
    }
}

/// The cluster where it is part of what is checked: a program gets its name.
fn cluster_of<'a>(check: &Check, cluster: &'a str) -> Option<&'a str> {
    matches!(check.kind, CheckKind::Exec(_)).then_some(cluster)
}

/// Where a check looks at a server of a virtual service.
fn target(check: &Check, service: &ServiceKey, server: &ServerKey) -> Endpoint {
    let own = match server.port {
        0 => match service {
            ServiceKey::Address { port, .. } => *port,
            ServiceKey::FirewallMark { .. } => 0,
        },
        port => port,
    };
    let port = match &check.kind {
        CheckKind::Ping => 0,
        CheckKind::Exec(_)
        | CheckKind::Tcp(_)
        | CheckKind::Tls(..)
        | CheckKind::Http(_)
        | CheckKind::Https(..)
        | CheckKind::Dns(_)
        | CheckKind::Udp(_) => check.port.unwrap_or(own),
    };
    Endpoint::new(check.address.unwrap_or(server.address), port)
}

impl Probes {
    /// What is probed for a desired file: all servers that have checks, also those of weight 0. Pure.
    pub fn of(desired: &Desired) -> Self {
        let mut keys = Keys::default();
        // The check with the shortest interval counts, of equal ones the first in the file.
        let mut found: indexmap::IndexMap<ProbeKey, (&Check, Option<&str>), RandomState> = Default::default();
        for (service, virtual_service) in &desired.state.services {
            let Some(health) = desired.health.services.get(service) else { continue };
            let cluster = desired.clusters.get(service).map_or("", CompactString::as_str);
            for server in virtual_service.servers.keys() {
                for check in health.checks(server) {
                    let key = keys.of(check, cluster, service, server);
                    let of_this = (&**check, cluster_of(check, cluster));
                    let best = found.entry(key).or_insert(of_this);
                    if check.timing.interval < best.0.timing.interval {
                        *best = of_this;
                    }
                }
            }
        }
        let mut checks: indexmap::IndexMap<(Digest, Timing), ProbedCheck, RandomState> = Default::default();
        for (key, (check, cluster)) in found {
            let of_this = || ProbedCheck {
                what: key.what,
                name: check.name.clone(),
                cluster: cluster.map(CompactString::from),
                source: check.source,
                kind: check.kind.clone(),
                timing: check.timing,
                targets: Vec::new(),
            };
            checks.entry((key.what, check.timing)).or_insert_with(of_this).targets.push(key.target);
        }
        Self { checks: checks.into_values().collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.checks.iter().map(|check| check.targets.len()).sum()
    }

    /// Whether nothing is probed.
    pub fn is_empty(&self) -> bool {
        self.checks.iter().all(|check| check.targets.is_empty())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (ProbeKey, &ProbedCheck)> {
        self.checks.iter().flat_map(|check| {
            let key = |target: &Endpoint| ProbeKey { what: check.what, target: *target };
            check.targets.iter().map(move |target| (key(target), check))
        })
    }

    /// The SHA-256 of them: the verdicts of other probes are none of these.
    pub fn hash(&self) -> String {
        // Plain data: it can always be written.
        sha256(&serde_json::to_string(self).unwrap_or_default())
    }
}
