//! The agent of a director: fetches its desired file from git, etcd or a directory, and puts it into place.
//!
//! It is a program of its own (`lbd-agent`) without any privilege. Its one effect on a director is a complete and validated file that it renames
//! into place, and that the daemon follows. `controller` decides what is next, purely; `runner` does it; `source` fetches, `fleet_reader` follows
//! etcd, `reporter` keeps the report there, `daemon` looks at lbd, and `verdict` judges what it says.

pub mod commands;
pub mod controller;
pub mod daemon;
pub mod etcd;
pub mod fleet_reader;
pub mod format;
mod load;
pub mod metrics;
pub mod pause;
pub mod place;
pub mod reporter;
pub mod rewind;
pub mod runner;
pub mod settings;
pub mod source;
pub mod state;
pub mod status;
pub mod verdict;
pub mod wake;

use self::fleet_reader::view_of;
pub use self::load::{load, schema};
use self::settings::{EtcdSettings, Settings, SourceSettings};

/// The etcd of the fleet: that of its rollout, else that of its source.
fn etcd_of(settings: &Settings) -> Option<&EtcdSettings> {
    settings.rollout.as_ref().or(match &settings.source {
        SourceSettings::Etcd(etcd) => Some(etcd),
        SourceSettings::Git(_) | SourceSettings::Directory(_) => None,
    })
}
