//! Defines overrides: an operator takes servers out of service, or gives them another weight, above what the file says.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::clock::{Clock, Period};
use crate::model::{ServerKey, ServiceKey, Services};
use crate::status::Timestamp;

/// An override.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What it is about, as it was typed: `web/192.168.8.14`, `192.168.8.14` or `web`
    pub name: String,
    /// The servers that it is about
    pub scope: Scope,
    /// What it does to them
    pub effect: Effect,
    /// Who has set it
    pub by: String,
    /// Why, in that person's words
    pub reason: Option<String>,
    /// Since when, by the wall clock
    pub since: Timestamp,
    /// Until when; for ever where there is no end
    pub period: Option<Period>,
}

/// The servers that an override is about, by what identifies them in the kernel: a new name of a cluster changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The servers with this address in every service, now or later
    Everywhere(Address),
    /// Those with this address in these services
    In(Vec<Text<ServiceKey>>, Address),
    /// All servers of these services, now or later
    All(Vec<Text<ServiceKey>>),
}

/// The address of a server, and its port where only that one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address
    pub address: IpAddr,
    /// The port
    pub port: Option<u16>,
}

impl Address {
    fn is(&self, server: &ServerKey) -> bool {
        let Self { address, port } = *self;
        server.address == address && port.is_none_or(|port| server.port == port)
    }
}

/// What an override does to its servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// They keep their connections and get no new ones: weight 0
    Drain,
    /// They are taken out of the table, so that also clients with a persistence template move at once
    Remove,
    /// They have this weight, as long as the weight in the file is the one that it was then
    Weight {
        /// The weight
        to: u32,
        /// The weights in the file when this was set; a server that is not here is not concerned
        from: Vec<FileWeight>,
        /// Whether they have it whatever their checks say
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        despite_checks: bool,
    },
}

/// The weight of a server in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWeight {
    /// The service
    pub service: Text<ServiceKey>,
    /// Its server
    pub address: Address,
    /// The weight
    pub weight: u32,
}

impl FileWeight {
    /// The weight of a server.
    pub fn new(service: ServiceKey, server: ServerKey, weight: u32) -> Self {
        let address = Address { address: server.address, port: Some(server.port) };
        Self { service: Text(service), address, weight }
    }

    /// The server.
    fn server(&self) -> (ServiceKey, ServerKey) {
        let Address { address, port } = self.address;
        (self.service.0, ServerKey { address, port: port.unwrap_or_default() })
    }

    /// Whether the server still has this weight in the file.
    fn holds_in(&self, file: &FileServers<'_>) -> bool {
        let (service, server) = self.server();
        file.weight(&service, &server) == Some(self.weight)
    }
}

/// The servers of a file, to be found by their addresses: a thousand overrides are about a hundred thousand servers.
pub struct FileServers<'a> {
    services: &'a Services,
    by_address: OnceCell<HashMap<IpAddr, Vec<(ServiceKey, ServerKey)>>>,
}

impl<'a> FileServers<'a> {
    /// Those of these services.
    pub fn of(services: &'a Services) -> Self {
        Self { services, by_address: OnceCell::new() }
    }

    fn everywhere(&self, address: &Address) -> Vec<(ServiceKey, ServerKey)> {
        let by_address = self.by_address.get_or_init(|| {
            let mut all: HashMap<_, Vec<_>> = HashMap::new();
            for (key, service) in self.services {
                for server in service.servers.keys() {
                    all.entry(server.address).or_default().push((*key, *server));
                }
            }
            all
        });
        let found = by_address.get(&address.address).into_iter().flatten();
        found.filter(|(_, server)| address.is(server)).copied().collect()
    }

    fn of_service(&self, key: &ServiceKey, address: Option<&Address>) -> Vec<(ServiceKey, ServerKey)> {
        let of = self.services.get(key).into_iter().flat_map(|service| service.servers.keys());
        let found = of.filter(|server| address.is_none_or(|address| address.is(server)));
        found.map(|server| (*key, *server)).collect()
    }

    fn weight(&self, service: &ServiceKey, server: &ServerKey) -> Option<u32> {
        Some(self.services.get(service)?.servers.get(server)?.weight)
    }
}

impl Scope {
    /// The servers of the file that are in it.
    pub fn servers(&self, file: &FileServers<'_>) -> Vec<(ServiceKey, ServerKey)> {
        match self {
            Self::Everywhere(address) => file.everywhere(address),
            Self::In(services, address) => {
                services.iter().flat_map(|key| file.of_service(&key.0, Some(address))).collect()
            }
            Self::All(services) => services.iter().flat_map(|key| file.of_service(&key.0, None)).collect(),
        }
    }
}

impl Override {
    /// The servers of the file that it is about. One whose weight in the file is not what it was is not among those of a weight.
    pub fn servers(&self, file: &FileServers<'_>) -> Vec<(ServiceKey, ServerKey)> {
        match &self.effect {
            Effect::Weight { from, .. } => {
                from.iter().filter(|weight| weight.holds_in(file)).map(FileWeight::server).collect()
            }
            Effect::Drain | Effect::Remove => self.scope.servers(file),
        }
    }

    /// The cluster that it was set for, by the name that was typed; none where it is about all of them.
    pub fn cluster(&self) -> Option<&str> {
        match self.scope {
            Scope::Everywhere(_) => None,
            // A name of a cluster may have a `/` in it.
            Scope::In(..) => self.name.rsplit_once('/').map(|(cluster, _)| cluster),
            Scope::All(_) => Some(&self.name),
        }
    }

    /// Its kind, for scripts.
    pub fn kind(&self) -> &'static str {
        match self.effect {
            Effect::Drain | Effect::Remove => "drain",
            Effect::Weight { .. } => "weight",
        }
    }

    /// When it ends by itself, if it does.
    pub fn until(&self) -> Option<Timestamp> {
        self.period.map(|period| period.until)
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, scope: _, effect, by, reason, since, period } = self;
        match effect {
            Effect::Drain => write!(f, "{name} is drained")?,
            Effect::Remove => write!(f, "{name} is taken out of the table")?,
            Effect::Weight { to, despite_checks: false, .. } => write!(f, "{name} has weight {to}")?,
            Effect::Weight { to, despite_checks: true, .. } => {
                write!(f, "{name} has weight {to} despite its checks")?;
            }
        }
        write!(f, " by {by} from {since}")?;
        match period {
            Some(Period { until, .. }) => write!(f, " until {until}")?,
            None => f.write_str(" for ever")?,
        }
        reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// The overrides in force, in the order in which they were set: the last one about a server counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Overrides(Vec<Override>);

/// The most overrides that a director keeps: all of them are looked at in each pass.
pub const MOST_OVERRIDES: usize = 1_000;

impl Overrides {
    /// There are none.
    pub const NONE: Self = Self(Vec::new());

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Override> {
        self.0.iter()
    }

    /// Whether one of them overrules checks.
    pub fn overrule_checks(&self) -> bool {
        self.0.iter().any(|one| matches!(one.effect, Effect::Weight { despite_checks: true, .. }))
    }

    /// Adds an override; it replaces one about the same.
    pub fn add(&mut self, new: Override) {
        self.0.retain(|other| other.scope != new.scope);
        self.0.push(new);
    }

    /// Takes out those that end; returns them.
    pub fn end(&mut self, ends: impl Fn(&Override) -> bool) -> Vec<Override> {
        self.0.extract_if(.., |one| ends(one)).collect()
    }

    /// Takes out what is over, and returns it.
    pub fn end_old(&mut self, now: Clock) -> Self {
        let is_over = |one: &Override| one.period.is_some_and(|period| period.left(now).is_none());
        Self(self.end(is_over))
    }

    /// How long all of them stay as they are, in milliseconds; `None` where none ends by itself.
    pub fn changes_in(&self, now: Clock) -> Option<u64> {
        self.0.iter().filter_map(|one| one.period?.left(now)).min()
    }

    /// After a reboot the ends are by the wall clock: they are put on the clock of this boot.
    pub fn begin_boot(&mut self, now: Clock) {
        for one in &mut self.0 {
            one.period = one.period.map(|period| period.in_new_boot(now));
        }
    }

    /// Takes out what a change of the file has ended: what is about none of its servers any more, or about one that has another weight
    /// now. Returns whether anything was.
    pub fn end_by_file(&mut self, file: &FileServers<'_>) -> bool {
        let before = self.clone();
        for one in &mut self.0 {
            if let Effect::Weight { from, .. } = &mut one.effect {
                from.retain(|weight| weight.holds_in(file));
            }
        }
        self.0.retain(|one| !one.servers(file).is_empty());
        *self != before
    }
}

/// A value that is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<T>(pub T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_override_belongs_to_the_cluster_that_was_named() {
        let address = Address { address: [192, 168, 8, 14].into(), port: None };
        let cluster = |name: &str, scope: Scope| {
            let one = Override {
                name: name.to_owned(),
                scope,
                effect: Effect::Drain,
                by: "alice".into(),
                reason: None,
                since: UNIX_EPOCH.into(),
                period: None,
            };
            one.cluster().map(str::to_owned)
        };
        assert_eq!(cluster("192.168.8.14", Scope::Everywhere(address)), None);
        assert_eq!(cluster("shop/web", Scope::All(Vec::new())).as_deref(), Some("shop/web"));
        assert_eq!(
            cluster("shop/web/192.168.8.14", Scope::In(Vec::new(), address)).as_deref(),
            Some("shop/web")
        );
    }
}
