//! The data that all rooms share: a director's state, the desired file, and the operations; without I/O.

mod check;
mod cluster_files;
mod desired;
mod drain;
mod durations;
mod health;
pub mod link;
pub mod mark;
mod named;
mod operation;
mod scheduler_flags;
mod server;
mod service;
mod spared;
mod state;
mod statistics;
mod sync;
pub mod sysctl;
mod table;
mod timeouts;
pub mod untracked;
mod weights;

pub use check::{
    Body, Check, CheckKind, CheckType, Dns, Exchange, Exec, Http, Identity, RecordType, Timing, Tls, Verify,
    WeightSource,
};
pub use cluster_files::ClusterFiles;
pub use desired::{Desired, MaxDelete, Policy, Prune};
pub use drain::{DEFAULT_DRAIN, DrainTimes};
pub use durations::Durations;
pub use health::{Checks, FailurePolicy, Health, MinServing, OnFailure, ServiceHealth};
pub use link::Link;
pub use mark::{Mark, MarkMatch, Prefix};
pub use named::Named;
#[cfg(feature = "agent")]
pub(crate) use named::named;
pub use operation::{
    Action, Change, Kind, Operation, Part, ReplaceMarks, ReplaceUntracked, RestartCause, ServerOp, ServiceOp,
    Set, SetSysctl, SetTimeouts, Subject, SyncOp, Value,
};
pub use scheduler_flags::{SchedulerFlag, SchedulerFlags};
pub use server::{
    Checksum, Connections, Forwarding, ForwardingMethod, RealServer, ServerKey, Thresholds, Tunnel,
    TunnelKind,
};
pub use service::{
    EngineName, Family, KeyError, Persistence, PersistenceEngine, PersistenceMask, Protocol, SchedulerName,
    Scheduling, SchedulingCache, ServiceKey, VirtualService,
};
pub use spared::Spared;
pub use state::{Servers, Services, State};
pub use statistics::{Counters, Statistics};
pub use sync::{SyncDaemon, SyncLink, SyncRole};
pub use sysctl::Sysctls;
pub use table::{Table, get_near};
pub use timeouts::Timeouts;
pub use weights::{no_shares, refuses_clients};
