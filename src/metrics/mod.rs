//! Gives account of lbd to monitoring: numbers with names, in the text formats of Prometheus.

mod families;
mod format;
mod passes;
mod snapshot;

pub use self::format::{Format, write};
pub use self::passes::{PassCounters, PassCounts, PassEnd};
pub use self::snapshot::{DaemonNumbers, LiveNumbers, ServerNumbers, ServiceNumbers, Snapshot};
