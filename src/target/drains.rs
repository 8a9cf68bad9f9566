//! Defines drains: a server that leaves the file gets no new connections, and keeps those that it has for a while.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::{Clock, Period};
use super::overrides::Text;
use crate::model::{Connections, Protocol, RealServer, ServerKey, ServiceKey, Services};

/// After this time without an active connection and without a packet a server has drained, though the kernel still lists inactive
/// connections: a director of dr sees only half of how a connection is closed, and lists it for two minutes more.
const QUIET: u64 = 10_000;

/// A service and one of its servers.
pub type ServerOf = (ServiceKey, ServerKey);

/// A server that has left the file and keeps its connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The cluster that it left, or that left with it, where that is known
    pub cluster: Option<String>,
    /// Whether it is the fallback of a service, which is in the file and serves no more
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_fallback: bool,
    /// Since when, and until when at the latest
    #[serde(flatten)]
    pub period: Period,
    /// Since when it is quiet, if it is
    quiet: Option<Quiet>,
}

/// A time in which a server had no active connection, and its counters no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Quiet {
    /// Its beginning, in milliseconds since the boot
    since: u64,
    /// What the counter of its packets was
    packets: u64,
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.is_fallback { "fallback: it serves no more" } else { "left the file" };
        write!(f, "{why}; drains until {}", self.period.until)
    }
}

/// Why a server that left the file is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainEnd {
    /// It has no connections any more, or they have been quiet for long enough.
    Drained,
    /// Its time is over.
    Deadline {
        /// The connections that it still had, active and inactive
        connections: u64,
    },
    /// Its scheduler refuses the clients of a server of weight 0, so that nothing can be drained.
    Refuses {
        /// The scheduler
        scheduler: String,
    },
    /// The file wants a sync daemon, which the kernel runs beside no server of another family than its service's.
    OtherFamily,
    /// The operator has ended it.
    Ended,
}

impl DrainEnd {
    /// Takes in the end of another server of the same service, which is deleted with it.
    pub fn add(&mut self, other: &Self) {
        if let (Self::Deadline { connections }, Self::Deadline { connections: more }) = (&mut *self, other) {
            *connections += more;
        } else if *self == Self::Drained {
            self.clone_from(other);
        }
    }
}

impl fmt::Display for DrainEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("drained"),
            Self::Deadline { connections: 1 } => f.write_str("deadline: 1 connection is cut"),
            Self::Deadline { connections } => write!(f, "deadline: {connections} connections are cut"),
            Self::Refuses { scheduler } => {
                write!(f, "not drained: {scheduler} refuses the clients of a server of weight 0")
            }
            Self::OtherFamily => f.write_str(
                "not drained: the kernel runs no sync daemon beside a server of another family than its service's",
            ),
            Self::Ended => f.write_str("the drain was ended by --drain=0"),
        }
    }
}

/// The drains under way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drains(BTreeMap<ServerOf, Drain>);

impl Drains {
    /// Nothing drains.
    pub const NONE: Self = Self(BTreeMap::new());

    /// Whether nothing drains.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, sorted by service and server.
    pub fn iter(&self) -> impl Iterator<Item = (&ServerOf, &Drain)> {
        self.0.iter()
    }

    /// The services with a server that drains, each once.
    pub fn services(&self) -> Vec<ServiceKey> {
        let mut services: Vec<ServiceKey> = self.0.keys().map(|(service, _)| *service).collect();
        services.dedup();
        services
    }

    /// That of a server, if it drains.
    pub fn get(&self, server: &ServerOf) -> Option<&Drain> {
        self.0.get(server)
    }

    /// Whether a service has a server that drains.
    pub fn concern(&self, service: &ServiceKey) -> bool {
        self.of_service(service).next().is_some()
    }

    /// The servers of a service that drain.
    fn of_service(&self, service: &ServiceKey) -> impl Iterator<Item = &ServerKey> {
        let lowest = ServerKey { address: Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        let from = self.0.range((*service, lowest)..);
        let service = *service;
        from.take_while(move |((of, _), _)| *of == service).map(|((_, server), _)| server)
    }

    /// Servers that an operator drains and whose connections are waited for.
    pub fn waiting_for(servers: &[ServerOf], now: Clock) -> Self {
        const LONG: Duration = Duration::from_secs(366 * 24 * 3_600);
        let drain = Drain::new(None, false, Period::new(now, LONG));
        Self(servers.iter().map(|server| (*server, drain.clone())).collect())
    }

    /// Takes out what has drained, or is not there any more. A server that still takes new connections has not drained, though it may have
    /// none at the moment.
    pub fn take_out_ended(&mut self, live: &LiveConnections<'_>, now: Clock) {
        self.0.retain(|server, drain| {
            let has_ended = drain.look(server, live, now).is_some();
            live.get(server).is_some_and(|real| real.serves() || !has_ended)
        });
    }

    pub(super) fn insert(&mut self, server: ServerOf, drain: Drain) {
        self.0.insert(server, drain);
    }

    /// Keeps those of some servers.
    pub fn retain(&mut self, is_kept: &dyn Fn(&ServerOf) -> bool) {
        self.0.retain(|server, _| is_kept(server));
    }

    /// How long all of them stay as they are at most, in milliseconds; `None` where none ends by itself. What is over already, and is kept by
    /// a pause, ends with it: a pass after another would change nothing.
    pub fn changes_in(&self, now: Clock) -> Option<u64> {
        self.0.values().filter_map(|drain| drain.period.left(now)).min()
    }

    /// Takes over since when servers are quiet from drains that this process has looked at.
    pub fn recall(&mut self, seen: &Self) {
        for (server, drain) in &mut self.0 {
            if let Some(known) = seen.0.get(server).filter(|known| known.period == drain.period) {
                drain.quiet = known.quiet;
            }
        }
    }

    /// The same, and takes over the drains that are missing: they could not be written to disk, or another process has ended them, and
    /// their servers are not in the kernel any more, or in the file again.
    pub fn recall_all(&mut self, known: &Self) {
        self.recall(known);
        for (server, drain) in &known.0 {
            self.0.entry(*server).or_insert_with(|| drain.clone());
        }
    }

    /// Looks at the connections of the servers, and says whether any has drained, or its time is over. Pure.
    pub fn look(&mut self, live: &LiveConnections<'_>, now: Clock) -> bool {
        let mut has_ended = false;
        for (server, drain) in &mut self.0 {
            let is_there = live.has(server);
            has_ended |= !is_there || drain.look(server, live, now).is_some();
        }
        has_ended
    }
}

/// A drain as it is on disk.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    service: Text<ServiceKey>,
    server: Text<ServerKey>,
    #[serde(flatten)]
    drain: Drain,
}

impl Serialize for Drains {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|((service, server), drain)| OnDisk {
            service: Text(*service),
            server: Text(*server),
            drain: drain.clone(),
        }))
    }
}

impl<'de> Deserialize<'de> for Drains {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = Vec::<OnDisk>::deserialize(deserializer)?;
        Ok(Self(all.into_iter().map(|one| ((one.service.0, one.server.0), one.drain)).collect()))
    }
}

/// What the kernel says of connections.
#[derive(Clone, Copy)]
pub struct LiveConnections<'a> {
    /// The virtual services
    pub services: &'a Services,
    /// The connections of the servers that have any
    pub connections: &'a HashMap<ServerOf, Connections>,
    /// `net.ipv4.vs.expire_quiescent_template`: a server of weight 0 gets no clients by a persistence template
    pub expire_quiescent_template: bool,
    /// The kernel takes no packets into its counters, so that nothing is known to be quiet
    pub counters_rest: bool,
}

impl LiveConnections<'_> {
    pub(super) fn has(&self, server: &ServerOf) -> bool {
        self.get(server).is_some()
    }

    fn get(&self, (service, server): &ServerOf) -> Option<&RealServer> {
        self.services.get(service)?.servers.get(server)
    }

    /// The connections that count: templates only where clients still come by them.
    pub(super) fn of(&self, server: &ServerOf) -> Connections {
        let all = self.connections.get(server).copied().unwrap_or_default();
        let persistent = if self.expire_quiescent_template { 0 } else { all.persistent };
        Connections { persistent, ..all }
    }
}

impl Drain {
    pub(super) fn new(cluster: Option<String>, is_fallback: bool, period: Period) -> Self {
        Self { cluster, is_fallback, period, quiet: None }
    }

    /// Takes in its connections; gives its end, if it has come.
    pub(super) fn look(
        &mut self,
        server: &ServerOf,
        live: &LiveConnections<'_>,
        now: Clock,
    ) -> Option<DrainEnd> {
        let Connections { active, inactive, persistent, packets } = live.of(server);
        let was_quiet = self.quiet.filter(|quiet| quiet.packets == packets);
        self.quiet = (active == 0).then(|| was_quiet.unwrap_or(Quiet { since: now.since_boot, packets }));
        // For UDP the kernel knows inactive ones only. The counters are up to two seconds late.
        let is_udp = matches!(server.0, ServiceKey::Address { protocol: Protocol::Udp, .. });
        let is_quiet = !is_udp
            && !live.counters_rest
            && self.quiet.is_some_and(|quiet| now.since_boot.saturating_sub(quiet.since) >= QUIET);
        if active == 0 && persistent == 0 && (inactive == 0 || is_quiet) {
            Some(DrainEnd::Drained)
        } else if self.period.left(now).is_none() {
            Some(DrainEnd::Deadline { connections: u64::from(active) + u64::from(inactive) })
        } else {
            None
        }
    }
}
