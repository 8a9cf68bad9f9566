//! When to pass: the file, the clock, a signal. The one loop of the daemon.

mod backoff;
mod fight;
mod keeper;

pub use keeper::{Connect, Goal, Keeper, Reason};
