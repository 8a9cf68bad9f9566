//! What a director's state is, in plain data: no serialisation, no input or output, nothing of the kernel's bytes.

mod desired;
mod operation;
mod server;
mod service;
mod settings;
mod state;

pub use desired::{Desired, MaxDelete, Policy, Prune};
pub use operation::{Action, Change, Operation, Value};
pub use server::{Checksum, Connections, Forwarding, RealServer, ServerKey, Thresholds, Tunnel, TunnelKind};
pub use service::{
    EngineName, Family, KeyError, Persistence, PersistenceMask, Protocol, SchedulerFlags, SchedulerName,
    Scheduling, ServiceKey, VirtualService,
};
pub use settings::{Mark, MarkMatch, Prefix, SyncDaemon, SyncRole, Timeouts};
pub use state::{Servers, Services, State};
