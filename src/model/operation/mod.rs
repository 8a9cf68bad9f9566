//! The operations that change a director's state, nested by resource: one file for each kind of object.

mod change;
mod mark;
mod server;
mod service;
mod sync;
mod sysctl;
mod timeouts;
mod untracked;

use std::fmt;

use super::{Link, ServerKey, ServiceKey, SyncRole};

pub use self::change::{Change, Set, Value};
pub use self::mark::ReplaceMarks;
pub use self::server::ServerOp;
pub use self::service::ServiceOp;
pub use self::sync::{RestartCause, SyncOp};
pub use self::sysctl::SetSysctl;
pub use self::timeouts::SetTimeouts;
pub use self::untracked::ReplaceUntracked;

/// One operation on the kernel, which it carries out or rejects as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// On a virtual service
    Service(ServiceOp),
    /// On a real server
    Server(ServerOp),
    /// On a kernel setting
    Sysctl(SetSysctl),
    /// On the timeouts of connections
    Timeouts(SetTimeouts),
    /// On a sync daemon
    Sync(SyncOp),
    /// On the mark rules
    Marks(ReplaceMarks),
    /// On the rules by which packets pass connection tracking by
    Untracked(ReplaceUntracked),
}

impl From<ServiceOp> for Operation {
    fn from(operation: ServiceOp) -> Self {
        Self::Service(operation)
    }
}

impl From<ServerOp> for Operation {
    fn from(operation: ServerOp) -> Self {
        Self::Server(operation)
    }
}

impl From<SetSysctl> for Operation {
    fn from(operation: SetSysctl) -> Self {
        Self::Sysctl(operation)
    }
}

impl From<SetTimeouts> for Operation {
    fn from(operation: SetTimeouts) -> Self {
        Self::Timeouts(operation)
    }
}

impl From<SyncOp> for Operation {
    fn from(operation: SyncOp) -> Self {
        Self::Sync(operation)
    }
}

impl From<ReplaceMarks> for Operation {
    fn from(operation: ReplaceMarks) -> Self {
        Self::Marks(operation)
    }
}

impl From<ReplaceUntracked> for Operation {
    fn from(operation: ReplaceUntracked) -> Self {
        Self::Untracked(operation)
    }
}

/// What an operation of any kind tells about itself.
trait Edit: fmt::Display {
    /// Whether it adds, edits or deletes.
    fn action(&self) -> Action;

    /// The object that it changes.
    fn subject(&self) -> Subject;

    /// The interface without which the kernel rejects it, if there is one.
    fn link(&self) -> Option<Link>;

    /// Calls `take` with each field of its object that it changes.
    fn each_change(&self, take: &mut dyn FnMut(Set<'_>));
}

/// What an operation does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The object is new.
    Add,
    /// The object stays and changes.
    Edit,
    /// The object is deleted.
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

/// The kind of object that an operation changes.
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
    /// A rule by which packets pass connection tracking by
    Untracked,
}

impl Kind {
    /// All that there are.
    pub const ALL: [Self; 7] =
        [Self::Service, Self::Server, Self::Sysctl, Self::Timeouts, Self::Sync, Self::Mark, Self::Untracked];
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
            Self::Untracked => "untracked",
        })
    }
}

/// The object that an operation changes, as a key that is the same in every pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A virtual service
    Service(ServiceKey),
    /// A real server of a virtual service
    Server(ServiceKey, ServerKey),
    /// A kernel setting, by its name
    Sysctl(String),
    /// The timeouts of connections
    Timeouts,
    /// A sync daemon
    Sync(SyncRole),
    /// The mark rules in lbd's own nftables table
    Marks,
    /// The rules there by which packets pass connection tracking by
    Untracked,
}

impl Subject {
    /// The virtual service that it is or belongs to, if any.
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::Service(service) | Self::Server(service, _) => Some(service),
            Self::Sysctl(_) | Self::Timeouts | Self::Sync(_) | Self::Marks | Self::Untracked => None,
        }
    }
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
            Self::Untracked => f.write_str("untracked"),
        }
    }
}

/// One object that an operation adds, edits or deletes. Most operations change one; marks and untracked packets are replaced together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What happens to the object
    pub action: Action,
    /// The kind of object
    pub kind: Kind,
    /// Its name, where it is neither a service nor a server
    pub name: Option<String>,
    /// The fields that change, by the keys of the file: those that differ for an edit, those that are set for an addition
    pub changes: Vec<Change>,
}

impl Operation {
    /// The operation as its resource knows it.
    fn edit(&self) -> &dyn Edit {
        match self {
            Self::Service(edit) => edit,
            Self::Server(edit) => edit,
            Self::Sysctl(edit) => edit,
            Self::Timeouts(edit) => edit,
            Self::Sync(edit) => edit,
            Self::Marks(edit) => edit,
            Self::Untracked(edit) => edit,
        }
    }

    /// Whether it adds, edits or deletes, taken as a whole.
    pub fn action(&self) -> Action {
        self.edit().action()
    }

    /// Whether it deletes an object, or one of the marks that are replaced together.
    pub fn deletes(&self) -> bool {
        match self {
            Self::Marks(marks) => marks.deletes(),
            Self::Untracked(untracked) => untracked.deletes(),
            Self::Service(_) | Self::Server(_) | Self::Sysctl(_) | Self::Timeouts(_) | Self::Sync(_) => {
                self.action() == Action::Delete
            }
        }
    }

    /// The object that it changes.
    pub fn subject(&self) -> Subject {
        self.edit().subject()
    }

    /// The kind of object that it changes.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Service(_) => Kind::Service,
            Self::Server(_) => Kind::Server,
            Self::Sysctl(_) => Kind::Sysctl,
            Self::Timeouts(_) => Kind::Timeouts,
            Self::Sync(_) => Kind::Sync,
            Self::Marks(_) => Kind::Mark,
            Self::Untracked(_) => Kind::Untracked,
        }
    }

    /// The virtual service that it changes, or whose server it changes.
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::Service(edit) => Some(edit.service()),
            Self::Server(edit) => Some(edit.service()),
            Self::Sysctl(_) | Self::Timeouts(_) | Self::Sync(_) | Self::Marks(_) | Self::Untracked(_) => None,
        }
    }

    /// The real server that it changes, if it is about one.
    pub fn server(&self) -> Option<&ServerKey> {
        match self {
            Self::Server(edit) => Some(edit.server()),
            Self::Service(_)
            | Self::Sysctl(_)
            | Self::Timeouts(_)
            | Self::Sync(_)
            | Self::Marks(_)
            | Self::Untracked(_) => None,
        }
    }

    /// The interface without which the kernel rejects it, if there is one.
    pub fn link(&self) -> Option<Link> {
        self.edit().link()
    }

    /// Whether it restarts a sync daemon only for another number of threads.
    pub fn is_for_threads(&self) -> bool {
        matches!(self, Self::Sync(SyncOp::Restart { cause: RestartCause::Threads { .. }, .. }))
    }

    /// The objects that it adds, edits or deletes, with their fields.
    pub fn parts(&self) -> Vec<Part> {
        match self {
            Self::Marks(marks) => return marks.parts(),
            Self::Untracked(untracked) => return untracked.parts(),
            Self::Service(_) | Self::Server(_) | Self::Sysctl(_) | Self::Timeouts(_) | Self::Sync(_) => {}
        }
        let mut changes = Vec::new();
        self.each_change(|change| changes.push(change.into()));
        vec![Part { action: self.action(), kind: self.kind(), name: self.name(), changes }]
    }

    /// Whether it is about several objects, which are named by [`Operation::parts`] alone.
    pub fn has_parts(&self) -> bool {
        match self {
            Self::Marks(_) | Self::Untracked(_) => true,
            Self::Service(_) | Self::Server(_) | Self::Sysctl(_) | Self::Timeouts(_) | Self::Sync(_) => false,
        }
    }

    /// The name of its object, where it is neither a service nor a server.
    pub fn name(&self) -> Option<String> {
        match self.subject() {
            Subject::Service(_) | Subject::Server(..) => None,
            Subject::Sync(role) => Some(role.to_string()),
            subject @ (Subject::Sysctl(_) | Subject::Timeouts | Subject::Marks | Subject::Untracked) => {
                Some(subject.to_string())
            }
        }
    }

    /// Calls `take` with each field of its object that it changes. (For marks and untracked packets there are [`Operation::parts`].)
    pub fn each_change(&self, mut take: impl FnMut(Set<'_>)) {
        self.edit().each_change(&mut take);
    }
}

/// `add server 192.168.8.14:80 to tcp://10.0.0.13:80`: the noun of every message about an operation.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.edit().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A plan can have a hundred thousand of them: what is rare and long is boxed.
    #[test]
    fn an_operation_is_no_longer_than_the_edit_of_a_server() {
        assert!(size_of::<Operation>() <= 72, "{}", size_of::<Operation>());
    }
}
