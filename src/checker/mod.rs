//! The second process: it probes real servers, and has no power over the kernel.

mod changes;
mod engine;
pub mod privileges;
mod probe;
mod process;

pub use self::engine::Engine;
pub use self::probe::{Probed, Prober};
pub use self::process::run;
