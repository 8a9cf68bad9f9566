//! Names the edits that IPVS carries out by one request.

use crate::kernel::ipvs::uapi::cmd;
use crate::model::{
    Operation, RealServer, Scheduling, ServerKey, ServerOp, ServiceKey, ServiceOp, SyncDaemon, SyncRole,
    Timeouts,
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
    /// The request that carries out an operation on a virtual service or a real server; `None` for every other one.
    pub fn of(operation: &'a Operation) -> Option<Self> {
        Some(match operation {
            Operation::Service(ServiceOp::Add { service, to }) => Self::AddService { service, to },
            Operation::Service(ServiceOp::Edit { service, from: _, to }) => Self::EditService { service, to },
            Operation::Service(ServiceOp::Delete { service }) => Self::DeleteService { service },
            Operation::Server(ServerOp::Add { service, server, to }) => {
                Self::AddServer { service, server, to }
            }
            Operation::Server(ServerOp::Edit { service, server, from: _, to }) => {
                Self::EditServer { service, server, to }
            }
            Operation::Server(ServerOp::Delete { service, server }) => Self::DeleteServer { service, server },
            Operation::Sysctl(_)
            | Operation::Timeouts(_)
            | Operation::Sync(_)
            | Operation::Marks(_)
            | Operation::Untracked(_) => {
                return None;
            }
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
