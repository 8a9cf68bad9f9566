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
    /// Stop one and start it again: the kernel cannot edit a daemon. Restarts that follow each other stop all of them first.
    Restart {
        /// The live daemon
        from: Box<SyncDaemon>,
        /// The desired daemon
        to: Box<SyncDaemon>,
        /// Why
        cause: RestartCause,
    },
    /// Stop one.
    Stop {
        /// Its role, of which the kernel runs one each
        role: SyncRole,
    },
}

/// Why a sync daemon is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartCause {
    /// It has other attributes.
    Attributes,
    /// The interface that it was started on is gone; there may be another one by that name.
    StaleInterface,
    /// It has another number of threads than `net.ipv4.vs.sync_ports`, which counts when the first daemon starts.
    Threads {
        /// How many it has
        from: u32,
        /// How many it should have
        to: u32,
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
            Self::Start { to } | Self::Restart { to, .. } => Some(to.needs()),
            Self::Stop { .. } => None,
        }
    }

    fn each_change(&self, take: &mut dyn FnMut(Set<'_>)) {
        match self {
            Self::Start { to } => each_set(&fields(to), take),
            // The live daemon has every attribute; one that the file leaves out is no change.
            Self::Restart { from, to, cause } => {
                each_difference(&fields(&from.completed(from)), &fields(&to.completed(from)), &mut *take);
                match cause {
                    RestartCause::Attributes => {}
                    RestartCause::StaleInterface => take(Set {
                        field: &Cow::Borrowed("interface"),
                        from: Some(&Value::Text(format!("{} (gone)", from.interface).into())),
                        to: Some(&Value::Text(to.interface.clone().into())),
                    }),
                    RestartCause::Threads { from, to } => take(Set {
                        field: &Cow::Borrowed("sync_ports"),
                        from: Some(&Value::Number(*from)),
                        to: Some(&Value::Number(*to)),
                    }),
                }
            }
            Self::Stop { .. } => {}
        }
    }
}

impl fmt::Display for SyncOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { to } => write!(f, "start sync {} on {}", to.role, to.interface),
            Self::Restart { to, cause, .. } => {
                write!(f, "restart sync {} on {}", to.role, to.interface)?;
                match cause {
                    RestartCause::Attributes => Ok(()),
                    RestartCause::StaleInterface => f.write_str(" (the interface that it ran on is gone)"),
                    RestartCause::Threads { to, .. } => write!(f, " (for {to} threads)"),
                }
            }
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
