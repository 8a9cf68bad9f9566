//! The edits that a state can undergo, and by which names they are known.

use std::borrow::Cow;
use std::sync::Arc;
use std::{fmt, iter};

use super::change::{
    Change, Set, compare, scheduling_fields, server_fields, set, sync_fields, timeout_fields,
};
use super::{
    Link, Mark, RealServer, Scheduling, ServerKey, Servers, ServiceKey, SyncDaemon, SyncRole, Timeouts,
    Value, sysctl,
};

/// One edit of the kernel, or the few that belong together: see [`Operation::singles`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Add a virtual service and, in their order, its servers.
    AddService {
        /// Which
        service: ServiceKey,
        /// As what
        to: Arc<Scheduling>,
        /// With which servers
        servers: Arc<Servers>,
    },
    /// Edit a virtual service in place.
    EditService {
        /// Which
        service: ServiceKey,
        /// What it is
        from: Arc<Scheduling>,
        /// What it shall be
        to: Arc<Scheduling>,
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
        from: Box<RealServer>,
        /// What it shall be
        to: Box<RealServer>,
    },
    /// Delete a real server.
    DeleteServer {
        /// Of which service
        service: ServiceKey,
        /// Which server
        server: ServerKey,
    },
    /// Set a kernel setting.
    SetSysctl {
        /// Its full name
        name: Box<str>,
        /// What it is; `None` where the kernel does not have it
        from: Option<Box<str>>,
        /// What it shall be
        to: Box<str>,
    },
    /// Set timeouts of connections.
    SetTimeouts {
        /// What they are
        from: Timeouts,
        /// Those that shall be others
        to: Timeouts,
    },
    /// Start a sync daemon.
    StartSync {
        /// As what
        to: Box<SyncDaemon>,
    },
    /// Stop a sync daemon and start it again as another; the kernel has no edit.
    RestartSync {
        /// What it is
        from: Box<SyncDaemon>,
        /// What it shall be
        to: Box<SyncDaemon>,
    },
    /// Stop a sync daemon.
    StopSync {
        /// Which
        role: SyncRole,
    },
    /// Replace the mark rules in lbd's own table of the packet filter, all of them in one transaction.
    ReplaceMarks {
        /// The rules that are there, in their order
        from: Box<[Mark]>,
        /// The rules that shall be there
        to: Box<[Mark]>,
        /// What else lies in the table, and goes
        strays: Box<[String]>,
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

/// What kind of object an operation concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A virtual service
    Service,
    /// A real server
    Server,
    /// A kernel setting
    Sysctl,
    /// The timeouts of connections
    Timeouts,
    /// A sync daemon
    Sync,
    /// The rules of a firewall mark
    Mark,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Server => "server",
            Self::Sysctl => "sysctl",
            Self::Timeouts => "timeouts",
            Self::Sync => "sync",
            Self::Mark => "mark",
        })
    }
}

/// The object that an operation concerns, as a key by which it is known again in the next pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A virtual service
    Service(ServiceKey),
    /// A real server of a virtual service
    Server(ServiceKey, ServerKey),
    /// A kernel setting
    Sysctl(String),
    /// The timeouts
    Timeouts,
    /// A sync daemon
    Sync(SyncRole),
    /// lbd's own table of the packet filter
    Marks,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => service.fmt(f),
            Self::Server(service, server) => write!(f, "{server} of {service}"),
            Self::Sysctl(name) => f.write_str(name),
            Self::Timeouts => f.write_str("timeouts"),
            Self::Sync(role) => write!(f, "sync {role}"),
            Self::Marks => f.write_str("marks"),
        }
    }
}

/// One object that an operation adds, edits or deletes. Most operations are one; marks are replaced together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What happens to it
    pub action: Action,
    /// What it is
    pub kind: Kind,
    /// What it is called, where it is neither a service nor a server
    pub name: Option<String>,
    /// The fields that are set, by the names that they have in the file: those that differ for an edit, those that are
    /// set for an addition
    pub changes: Vec<Change>,
}

impl Operation {
    /// The single edits that it consists of, in their order: the kernel carries them out or refuses them one by one. All
    /// operations are one, but for a service that brings servers.
    pub fn singles(&self) -> impl Iterator<Item = Cow<'_, Self>> {
        let brought = match self {
            Self::AddService { service, to, servers } if !servers.is_empty() => Some((service, to, servers)),
            _ => None,
        };
        let first = match brought {
            Some((service, to, _)) => Cow::Owned(Self::AddService {
                service: *service,
                to: Arc::clone(to),
                servers: Arc::default(),
            }),
            None => Cow::Borrowed(self),
        };
        let servers = brought.into_iter().flat_map(|(service, _, servers)| {
            servers
                .iter()
                .map(move |(&server, &to)| Cow::Owned(Self::AddServer { service: *service, server, to }))
        });
        iter::once(first).chain(servers)
    }

    /// How many single edits it is.
    pub fn count(&self) -> usize {
        match self {
            Self::AddService { servers, .. } => 1 + servers.len(),
            _ => 1,
        }
    }

    /// Whether it adds, edits or deletes, taken as a whole.
    pub fn action(&self) -> Action {
        match self {
            Self::AddService { .. } | Self::AddServer { .. } | Self::StartSync { .. } => Action::Add,
            Self::EditService { .. }
            | Self::EditServer { .. }
            | Self::SetSysctl { .. }
            | Self::SetTimeouts { .. }
            | Self::RestartSync { .. } => Action::Edit,
            Self::DeleteService { .. } | Self::DeleteServer { .. } | Self::StopSync { .. } => Action::Delete,
            Self::ReplaceMarks { from, to, strays } => {
                match (from.is_empty() && strays.is_empty(), to.is_empty()) {
                    (true, _) => Action::Add,
                    (false, true) => Action::Delete,
                    (false, false) => Action::Edit,
                }
            }
        }
    }

    /// Whether anything goes with it: an object, or one of the marks that are replaced together.
    pub fn deletes(&self) -> bool {
        match self {
            Self::ReplaceMarks { strays, .. } => {
                !strays.is_empty() || self.parts().iter().any(|part| part.action == Action::Delete)
            }
            other => other.action() == Action::Delete,
        }
    }

    /// The object that it concerns.
    pub fn subject(&self) -> Subject {
        match self {
            Self::AddService { service, .. }
            | Self::EditService { service, .. }
            | Self::DeleteService { service } => Subject::Service(*service),
            Self::AddServer { service, server, .. }
            | Self::EditServer { service, server, .. }
            | Self::DeleteServer { service, server } => Subject::Server(*service, *server),
            Self::SetSysctl { name, .. } => Subject::Sysctl(name.to_string()),
            Self::SetTimeouts { .. } => Subject::Timeouts,
            Self::StartSync { to } | Self::RestartSync { to, .. } => Subject::Sync(to.role),
            Self::StopSync { role } => Subject::Sync(*role),
            Self::ReplaceMarks { .. } => Subject::Marks,
        }
    }

    /// What kind of object it concerns.
    pub fn kind(&self) -> Kind {
        match self {
            Self::AddService { .. } | Self::EditService { .. } | Self::DeleteService { .. } => Kind::Service,
            Self::AddServer { .. } | Self::EditServer { .. } | Self::DeleteServer { .. } => Kind::Server,
            Self::SetSysctl { .. } => Kind::Sysctl,
            Self::SetTimeouts { .. } => Kind::Timeouts,
            Self::StartSync { .. } | Self::RestartSync { .. } | Self::StopSync { .. } => Kind::Sync,
            Self::ReplaceMarks { .. } => Kind::Mark,
        }
    }

    /// The virtual service that it concerns, or whose server it concerns.
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::AddService { service, .. }
            | Self::EditService { service, .. }
            | Self::DeleteService { service }
            | Self::AddServer { service, .. }
            | Self::EditServer { service, .. }
            | Self::DeleteServer { service, .. } => Some(service),
            Self::SetSysctl { .. }
            | Self::SetTimeouts { .. }
            | Self::StartSync { .. }
            | Self::RestartSync { .. }
            | Self::StopSync { .. }
            | Self::ReplaceMarks { .. } => None,
        }
    }

    /// The real server that it concerns, if it is about one.
    pub fn server(&self) -> Option<&ServerKey> {
        match self {
            Self::AddServer { server, .. }
            | Self::EditServer { server, .. }
            | Self::DeleteServer { server, .. } => Some(server),
            _ => None,
        }
    }

    /// What the real server shall be, if it adds or edits one.
    pub fn real_server(&self) -> Option<&RealServer> {
        match self {
            Self::AddServer { to, .. } => Some(to),
            Self::EditServer { to, .. } => Some(to),
            _ => None,
        }
    }

    /// The interface without which it cannot be carried out, if there is one.
    pub fn link(&self) -> Option<Link> {
        match self {
            Self::SetSysctl { name, .. } => {
                sysctl::interface(name).map(|interface| Link { interface: interface.to_owned(), up: false })
            }
            // What sends wants a way out, while what receives does not mind to wait by itself (seen on 5.10 to 7.2).
            Self::StartSync { to } | Self::RestartSync { to, .. } => {
                Some(Link { interface: to.interface.clone(), up: to.role == SyncRole::Master })
            }
            _ => None,
        }
    }

    /// The objects that a single edit adds, edits or deletes, with their fields.
    pub fn parts(&self) -> Vec<Part> {
        if let Self::ReplaceMarks { from, to, strays } = self {
            return super::mark::parts(from, to, strays);
        }
        let mut changes = Vec::new();
        self.each_change(|change| changes.push(change.into()));
        vec![Part { action: self.action(), kind: self.kind(), name: self.name(), changes }]
    }

    /// What its object is called, where it is neither a service nor a server.
    pub fn name(&self) -> Option<String> {
        match self.subject() {
            Subject::Service(_) | Subject::Server(..) => None,
            Subject::Sync(role) => Some(role.to_string()),
            other => Some(other.to_string()),
        }
    }

    /// Hands on the fields of its object that a single edit sets, one by one. (For marks there are [`Operation::parts`].)
    pub fn each_change(&self, mut take: impl FnMut(Set<'_>)) {
        match self {
            Self::AddService { to, .. } => set(&scheduling_fields(to, &to.scheduler), take),
            Self::EditService { from, to, .. } => {
                let words = &to.scheduler;
                compare(&scheduling_fields(from, words), &scheduling_fields(to, words), take);
            }
            Self::AddServer { to, .. } => set(&server_fields(to), take),
            Self::EditServer { from, to, .. } => compare(&server_fields(from), &server_fields(to), take),
            Self::SetSysctl { name, from, to } => take(Set {
                field: &name.to_string().into(),
                from: from.as_ref().map(|from| Value::Setting(from.to_string())).as_ref(),
                to: Some(&Value::Setting(to.to_string())),
            }),
            Self::SetTimeouts { from, to } => {
                let (from, to) = (timeout_fields(*from), timeout_fields(*to));
                // What is left open is left alone.
                compare(&from, &to, |set| {
                    if set.to.is_some() {
                        take(set)
                    }
                });
            }
            Self::StartSync { to } => set(&sync_fields(to), take),
            // What runs says everything; what is left open is no change.
            Self::RestartSync { from, to } => {
                compare(&sync_fields(&from.completed(from)), &sync_fields(&to.completed(from)), take);
            }
            Self::DeleteService { .. }
            | Self::DeleteServer { .. }
            | Self::StopSync { .. }
            | Self::ReplaceMarks { .. } => {}
        }
    }
}

/// `add server 192.168.8.14:80 to tcp://10.0.0.13:80`: the noun of every message about an operation.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = self.action();
        match self {
            Self::AddService { service, .. }
            | Self::EditService { service, .. }
            | Self::DeleteService { service } => write!(f, "{action} service {service}"),
            Self::AddServer { service, server, .. } => write!(f, "add server {server} to {service}"),
            Self::EditServer { service, server, .. } => write!(f, "edit server {server} of {service}"),
            Self::DeleteServer { service, server } => write!(f, "delete server {server} from {service}"),
            Self::SetSysctl { name, to, .. } => write!(f, "set {name} to {to}"),
            Self::SetTimeouts { .. } => f.write_str("set the timeouts"),
            Self::StartSync { to } => write!(f, "start sync {} on {}", to.role, to.interface),
            Self::RestartSync { to, .. } => write!(f, "restart sync {} on {}", to.role, to.interface),
            Self::StopSync { role } => write!(f, "stop sync {role}"),
            Self::ReplaceMarks { .. } => write!(f, "{action} mark rules"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Forwarding, SchedulerFlags, SchedulerName, Thresholds};

    // A plan can have a hundred thousand of them: what is rare and long lies elsewhere.
    #[test]
    fn an_operation_is_no_longer_than_the_edit_of_a_server() {
        assert!(size_of::<Operation>() <= 72, "{}", size_of::<Operation>());
    }

    #[test]
    fn an_edit_names_the_fields_that_differ_and_an_addition_all_that_are_set() {
        let service: ServiceKey = "tcp://10.0.0.13:80".parse().unwrap();
        let server = ServerKey { address: "192.168.8.14".parse().unwrap(), port: 80 };
        let one = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let three = RealServer { weight: 3, ..one };
        let edit = Operation::EditServer { service, server, from: one.into(), to: three.into() };
        assert_eq!(edit.to_string(), "edit server 192.168.8.14:80 of tcp://10.0.0.13:80");
        assert_eq!(
            edit.parts().remove(0).changes,
            [Change { field: "weight".into(), from: Some(Value::Number(1)), to: Some(Value::Number(3)) }]
        );
        let add = Operation::AddServer { service, server, to: three };
        assert_eq!(
            add.parts().remove(0).changes,
            [
                Change { field: "forward".into(), from: None, to: Some(Value::Text("nat".into())) },
                Change { field: "weight".into(), from: None, to: Some(Value::Number(3)) },
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
        let service: ServiceKey = "tcp://10.0.0.13:80".parse().unwrap();
        let edit = Operation::EditService { service, from: with("sh").into(), to: with("mh").into() };
        assert_eq!(
            edit.parts().remove(0).changes,
            [Change {
                field: "scheduler".into(),
                from: Some(Value::Text("sh".into())),
                to: Some(Value::Text("mh".into()))
            }]
        );
    }
}
