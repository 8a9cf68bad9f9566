//! Modifies what file and overrides say by the verdicts in force: failing servers leave the service, within `min_serving`.
//!
//! `InForce` is what the checks of each server have shown last; `InForce::advance` takes in what a checker says now, and nothing else
//! changes it. The target is a function of it, so that neither a restart, a checker that is gone nor an edit of the file changes a
//! weight without a verdict.

mod advance;
mod altered;
mod changes;
mod effect;
mod guard;
mod in_force;
mod reason;
mod reasons;
mod report;
mod state;
mod survey;

pub(super) use self::effect::{Effects, put};
pub(super) use self::reasons::CheckReasons;

pub use self::advance::{Advance, SILENT};
pub use self::altered::Altered;
pub use self::guard::{Place, ServicePlace};
pub use self::in_force::InForce;
pub use self::reason::CheckReason;
pub use self::report::{HealthReport, ServerReport};
pub use self::state::{Failing, ServerHealth, ServerState, SlowStart};
