//! The second process: it probes real servers, and has no power over the kernel.

mod engine;
mod probe;

pub use self::engine::Engine;
pub use self::probe::{Probed, Prober};
