//! The agent of a director: fetches its desired file from git, etcd or a directory, and puts it into place.
//!
//! It is a program of its own (`lbd-agent`) without any privilege. Its one effect on a director is a complete and validated file that it renames
//! into place, and that the daemon follows.

pub mod format;
mod load;
pub mod settings;
pub mod source;

pub use load::{load, schema};
