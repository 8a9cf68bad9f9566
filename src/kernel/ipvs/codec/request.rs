//! Names what IPVS can be asked to do by one request.

use crate::kernel::ipvs::uapi::cmd;
use crate::model::{
    Operation, RealServer, Scheduling, ServerKey, ServiceKey, SyncDaemon, SyncRole, Timeouts,
};

/// One edit, as one netlink message.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// Add a virtual service
    AddService {
        /// Which
        service: &'a ServiceKey,
        /// As what
        to: &'a Scheduling,
    },
    /// Edit a virtual service
    EditService {
        /// Which
        service: &'a ServiceKey,
        /// What it shall be
        to: &'a Scheduling,
    },
    /// Delete a virtual service
    DeleteService {
        /// Which
        service: &'a ServiceKey,
    },
    /// Add a real server
    AddServer {
        /// To which service
        service: &'a ServiceKey,
        /// Which server
        server: &'a ServerKey,
        /// As what
        to: &'a RealServer,
    },
    /// Edit a real server
    EditServer {
        /// Of which service
        service: &'a ServiceKey,
        /// Which server
        server: &'a ServerKey,
        /// What it shall be
        to: &'a RealServer,
    },
    /// Delete a real server
    DeleteServer {
        /// Of which service
        service: &'a ServiceKey,
        /// Which server
        server: &'a ServerKey,
    },
    /// Set the timeouts that are given
    SetTimeouts(Timeouts),
    /// Start a sync daemon
    StartSync(&'a SyncDaemon),
    /// Stop a sync daemon
    StopSync(SyncRole),
}

impl<'a> Request<'a> {
    /// The requests that edit virtual services and real servers, one for each single edit; none where the operation is
    /// about something else.
    pub fn all(operation: &'a Operation) -> impl Iterator<Item = Self> {
        let brought = match operation {
            Operation::AddService { service, servers, .. } => Some((service, servers)),
            _ => None,
        };
        let servers = brought.into_iter().flat_map(|(service, servers)| {
            servers.iter().map(|(server, to)| Self::AddServer { service, server, to })
        });
        Self::first(operation).into_iter().chain(servers)
    }

    fn first(operation: &'a Operation) -> Option<Self> {
        Some(match operation {
            Operation::AddService { service, to, servers: _ } => Self::AddService { service, to },
            Operation::EditService { service, from: _, to } => Self::EditService { service, to },
            Operation::DeleteService { service } => Self::DeleteService { service },
            Operation::AddServer { service, server, to } => Self::AddServer { service, server, to },
            Operation::EditServer { service, server, from: _, to } => {
                Self::EditServer { service, server, to }
            }
            Operation::DeleteServer { service, server } => Self::DeleteServer { service, server },
            Operation::SetSysctl { .. }
            | Operation::SetTimeouts { .. }
            | Operation::StartSync { .. }
            | Operation::RestartSync { .. }
            | Operation::StopSync { .. }
            | Operation::ReplaceMarks { .. } => return None,
        })
    }

    /// The number that the kernel has for it.
    pub fn command(&self) -> u8 {
        match self {
            Self::AddService { .. } => cmd::NEW_SERVICE,
            Self::EditService { .. } => cmd::SET_SERVICE,
            Self::DeleteService { .. } => cmd::DEL_SERVICE,
            Self::AddServer { .. } => cmd::NEW_DEST,
            Self::EditServer { .. } => cmd::SET_DEST,
            Self::DeleteServer { .. } => cmd::DEL_DEST,
            Self::SetTimeouts(_) => cmd::SET_CONFIG,
            Self::StartSync(_) => cmd::NEW_DAEMON,
            Self::StopSync(_) => cmd::DEL_DAEMON,
        }
    }
}
