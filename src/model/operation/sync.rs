//! The operations on a sync daemon.

use std::borrow::Cow;
use std::fmt;

use super::change::{Fields, each_difference, each_set};
use super::{Action, Edit, Set, Subject, Value};
use crate::model::{Link, SyncDaemon, SyncRole};

/// An operation on a sync daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncOp {
    /// Start one.
    Start {
        /// The desired daemon
        to: Box<SyncDaemon>,
    },
    /// Stop one and start it with other attributes: the kernel cannot edit a daemon.
    Restart {
        /// The live daemon
        from: Box<SyncDaemon>,
        /// The desired daemon
        to: Box<SyncDaemon>,
    },
    /// Stop one.
    Stop {
        /// Its role, of which the kernel runs one each
        role: SyncRole,
    },
}

impl SyncOp {
    /// The role of the daemon.
    pub fn role(&self) -> SyncRole {
        match self {
            Self::Start { to } | Self::Restart { to, .. } => to.role,
            Self::Stop { role } => *role,
        }
    }
}

impl Edit for SyncOp {
    fn action(&self) -> Action {
        match self {
            Self::Start { .. } => Action::Add,
            Self::Restart { .. } => Action::Edit,
            Self::Stop { .. } => Action::Delete,
        }
    }

    fn subject(&self) -> Subject {
        Subject::Sync(self.role())
    }

    fn link(&self) -> Option<Link> {
        match self {
            // The kernel does not start a master on an interface that is down; a backup waits by itself (seen on 5.10 to
            // 7.2).
            Self::Start { to } | Self::Restart { to, .. } => {
                Some(Link { interface: to.interface.clone(), up: to.role == SyncRole::Master })
            }
            Self::Stop { .. } => None,
        }
    }

    fn each_change(&self, take: &mut dyn FnMut(Set<'_>)) {
        match self {
            Self::Start { to } => each_set(&fields(to), take),
            // The live daemon has every attribute; one that the file leaves out is no change.
            Self::Restart { from, to } => {
                each_difference(&fields(&from.completed(from)), &fields(&to.completed(from)), take);
            }
            Self::Stop { .. } => {}
        }
    }
}

impl fmt::Display for SyncOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { to } => write!(f, "start sync {} on {}", to.role, to.interface),
            Self::Restart { to, .. } => write!(f, "restart sync {} on {}", to.role, to.interface),
            Self::Stop { role } => write!(f, "stop sync {role}"),
        }
    }
}

/// The attributes of a sync daemon by the keys of the file.
fn fields(daemon: &SyncDaemon) -> Fields<6> {
    let SyncDaemon { role: _, interface, id, max_length, group, port, ttl } = daemon;
    [
        (Cow::Borrowed("interface"), Some(Value::Text(interface.clone().into()))),
        (Cow::Borrowed("id"), Some(Value::Number((*id).into()))),
        (Cow::Borrowed("sync_maxlen"), max_length.map(|length| Value::Number(length.into()))),
        (Cow::Borrowed("mcast_group"), group.map(|group| Value::Text(group.to_string().into()))),
        (Cow::Borrowed("mcast_port"), port.map(|port| Value::Number(port.into()))),
        (Cow::Borrowed("mcast_ttl"), ttl.map(|ttl| Value::Number(ttl.into()))),
    ]
}
