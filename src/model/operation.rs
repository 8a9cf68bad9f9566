//! The edits that a state can undergo, each with the fields that it changes.

use std::fmt;

use super::{
    Forwarding, Persistence, RealServer, SchedulerName, Scheduling, ServerKey, ServiceKey, Thresholds, Tunnel,
};

/// One edit of the kernel's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Add a virtual service, as yet without servers.
    AddService {
        /// Which
        service: ServiceKey,
        /// As what
        to: Scheduling,
    },
    /// Edit a virtual service in place.
    EditService {
        /// Which
        service: ServiceKey,
        /// What it is
        from: Scheduling,
        /// What it shall be
        to: Scheduling,
    },
    /// Delete a virtual service with all its servers.
    DeleteService {
        /// Which
        service: ServiceKey,
    },
    /// Add a real server to a virtual service.
    AddServer {
        /// To which service
        service: ServiceKey,
        /// Which server
        server: ServerKey,
        /// As what
        to: RealServer,
    },
    /// Edit a real server in place.
    EditServer {
        /// Of which service
        service: ServiceKey,
        /// Which server
        server: ServerKey,
        /// What it is
        from: RealServer,
        /// What it shall be
        to: RealServer,
    },
    /// Delete a real server.
    DeleteServer {
        /// Of which service
        service: ServiceKey,
        /// Which server
        server: ServerKey,
    },
}

/// What an operation does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Add,
    /// It stays, changed.
    Edit,
    /// It goes.
    Delete,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "add",
            Self::Edit => "edit",
            Self::Delete => "delete",
        })
    }
}

impl Operation {
    /// Whether it adds, edits or deletes.
    pub fn action(&self) -> Action {
        match self {
            Self::AddService { .. } | Self::AddServer { .. } => Action::Add,
            Self::EditService { .. } | Self::EditServer { .. } => Action::Edit,
            Self::DeleteService { .. } | Self::DeleteServer { .. } => Action::Delete,
        }
    }

    /// The virtual service that it concerns.
    pub fn service(&self) -> &ServiceKey {
        match self {
            Self::AddService { service, .. }
            | Self::EditService { service, .. }
            | Self::DeleteService { service }
            | Self::AddServer { service, .. }
            | Self::EditServer { service, .. }
            | Self::DeleteServer { service, .. } => service,
        }
    }

    /// The real server that it concerns, if it is not about the service itself.
    pub fn server(&self) -> Option<&ServerKey> {
        match self {
            Self::AddService { .. } | Self::EditService { .. } | Self::DeleteService { .. } => None,
            Self::AddServer { server, .. }
            | Self::EditServer { server, .. }
            | Self::DeleteServer { server, .. } => Some(server),
        }
    }

    /// The fields that it sets, by the names that they have in the file: those that differ for an edit, those that are
    /// set for an addition, none for a deletion.
    pub fn changes(&self) -> Vec<Change> {
        match self {
            Self::AddService { to, .. } => compare(None, scheduling_fields(to, &to.scheduler)),
            Self::EditService { from, to, .. } => {
                compare(Some(scheduling_fields(from, &to.scheduler)), scheduling_fields(to, &to.scheduler))
            }
            Self::AddServer { to, .. } => compare(None, server_fields(to)),
            Self::EditServer { from, to, .. } => compare(Some(server_fields(from)), server_fields(to)),
            Self::DeleteService { .. } | Self::DeleteServer { .. } => Vec::new(),
        }
    }
}

/// `add server 192.168.8.14:80 to tcp://10.0.0.13:80`: the noun of every message about an operation.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (action, service) = (self.action(), self.service());
        match self.server() {
            None => write!(f, "{action} service {service}"),
            Some(server) => {
                let word = match action {
                    Action::Add => "to",
                    Action::Edit => "of",
                    Action::Delete => "from",
                };
                write!(f, "{action} server {server} {word} {service}")
            }
        }
    }
}

/// One field that an operation sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key in the file
    pub field: &'static str,
    /// What it was; `None` where it was not set or the object is new
    pub from: Option<Value>,
    /// What it shall be; `None` where it shall not be set
    pub to: Option<Value>,
}

/// The value of a field, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number; seconds for a time
    Number(u32),
    /// A word
    Text(String),
    /// A switch
    Flag(bool),
    /// Several words
    List(Vec<&'static str>),
    /// How a packet is wrapped
    Tunnel(Tunnel),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Flag(on) => on.fmt(f),
            Self::List(words) => write!(f, "[{}]", words.join(", ")),
            Self::Tunnel(Tunnel { kind, port, checksum }) => {
                write!(f, "{{type: {kind}, port: {port}, checksum: {checksum}}}")
            }
        }
    }
}

type Fields = Vec<(&'static str, Option<Value>)>;

fn compare(from: Option<Fields>, to: Fields) -> Vec<Change> {
    let old = from.map_or_else(
        || to.iter().map(|_| None).collect(),
        |fields| fields.into_iter().map(|(_, value)| value).collect::<Vec<_>>(),
    );
    to.into_iter()
        .zip(old)
        .filter(|((_, to), from)| to != from)
        .map(|((field, to), from)| Change { field, from, to })
        .collect()
}

/// `words` is the scheduler that names the switches: the new one on both sides, so that a switch that stays on is equal.
fn scheduling_fields(scheduling: &Scheduling, words: &SchedulerName) -> Fields {
    let Scheduling { scheduler, flags, persistence, engine, one_packet } = scheduling;
    let mask = |Persistence { mask, .. }: Persistence| match mask {
        super::PersistenceMask::V4(mask) => Value::Text(mask.to_string()),
        super::PersistenceMask::V6(length) => Value::Number(length),
    };
    vec![
        ("scheduler", Some(Value::Text(scheduler.to_string()))),
        ("scheduler_flags", Some(Value::List(flags.names(words)))),
        ("persistence", persistence.map(|Persistence { timeout, .. }| Value::Number(timeout))),
        ("persistence_mask", persistence.map(mask)),
        ("persistence_engine", engine.as_ref().map(|name| Value::Text(name.to_string()))),
        ("one_packet", Some(Value::Flag(*one_packet))),
    ]
}

fn server_fields(server: &RealServer) -> Fields {
    let RealServer { weight, forwarding, thresholds: Thresholds { upper, lower } } = *server;
    let tunnel = match forwarding {
        Forwarding::Tunnel(tunnel) => Some(Value::Tunnel(tunnel)),
        Forwarding::Nat | Forwarding::DirectRouting | Forwarding::Other(_) => None,
    };
    vec![
        ("forward", Some(Value::Text(forwarding.to_string()))),
        ("tunnel", tunnel),
        ("weight", Some(Value::Number(weight))),
        ("upper_threshold", upper.map(|limit| Value::Number(limit.get()))),
        ("lower_threshold", lower.map(|limit| Value::Number(limit.get()))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SchedulerFlags;

    #[test]
    fn an_edit_names_the_fields_that_differ_and_an_addition_all_that_are_set() {
        let service = "tcp://10.0.0.13:80".parse().unwrap();
        let server = ServerKey { address: "192.168.8.14".parse().unwrap(), port: 80 };
        let one = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let three = RealServer { weight: 3, ..one };
        let edit = Operation::EditServer { service, server, from: one, to: three };
        assert_eq!(edit.to_string(), "edit server 192.168.8.14:80 of tcp://10.0.0.13:80");
        assert_eq!(
            edit.changes(),
            [Change { field: "weight", from: Some(Value::Number(1)), to: Some(Value::Number(3)) }]
        );
        let add = Operation::AddServer { service, server, to: three };
        assert_eq!(
            add.changes(),
            [
                Change { field: "forward", from: None, to: Some(Value::Text("nat".into())) },
                Change { field: "weight", from: None, to: Some(Value::Number(3)) },
            ]
        );
    }

    #[test]
    fn a_flag_that_keeps_its_bit_but_changes_its_name_is_no_change_of_its_own() {
        let with = |name: &str| Scheduling {
            scheduler: SchedulerName::new(name).unwrap(),
            flags: SchedulerFlags { flag_1: true, ..SchedulerFlags::default() },
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let service = "tcp://10.0.0.13:80".parse().unwrap();
        let edit = Operation::EditService { service, from: with("sh"), to: with("mh") };
        assert_eq!(
            edit.changes(),
            [Change {
                field: "scheduler",
                from: Some(Value::Text("sh".into())),
                to: Some(Value::Text("mh".into()))
            }]
        );
    }
}
