//! Health checks: what is probed, what the results add up to, and the files by which the daemon and the checker know of each other.
//!
//! All of it is pure but the two files. Neither the kernel nor the state directory is known here.

mod bounds;
mod files;
mod probe;
mod results;
mod run_dirs;
mod verdict;
mod verdicts_on_disk;

pub use self::bounds::{Bounds, COMMON_FROM, JITTER, Span};
pub use self::files::SharedFiles;
pub use self::probe::{Digest, Endpoint, Keys, ProbeKey, ProbedCheck, Probes};
pub use self::results::{Checks, Moment, Outcome, Start};
pub use self::run_dirs::RunDirs;
pub use self::verdict::{Addresses, ExecWeight, Failure, Finding, ProbeResults, Verdict, Verdicts};
