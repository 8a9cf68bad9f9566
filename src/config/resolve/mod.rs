//! Turns a document into the state that it describes, and finds everything in it that cannot be right.

pub(super) mod address;
mod check;
mod checks;
mod cluster;
mod fallback;
mod fit;
mod health;
mod listener;
mod mark;
pub(super) mod name;
mod scheduling;
mod server;
mod settings;
mod untracked;
pub(super) mod value;

use self::cluster::Clusters;
use super::format::document::Document;
use super::format::issue::Issues;
use crate::model::Desired;

/// The state that the document describes, and what is wrong with it. Where anything is, the state is of no use.
pub(super) fn resolve(document: Document) -> (Desired, Issues) {
    let Document { version: _, sysctls, marks, timeouts, sync, checks, defaults, clusters, policy } =
        document;
    let (mut desired, mut issues) = (Desired::default(), Issues::default());
    desired.state.marks = mark::marks(&marks, &mut issues);
    let mut resolved = Clusters::new(&desired.state.marks, &checks, defaults, !sync.is_empty(), &mut issues);
    for cluster in clusters {
        // Each is freed as soon as it is resolved: a file can have a hundred thousand servers.
        resolved.add(&cluster, &mut issues);
    }
    desired.state.untracked = resolved.untracked.packets(&desired.state.marks, &mut issues);
    let (health, removing) = resolved.health.finish(&resolved.owners, &mut issues);
    desired.clusters = resolved.owners.into();
    desired.allow_empty = resolved.allow_empty;
    desired.drains = resolved.drains.into();
    desired.port_like = resolved.port_like;
    desired.state.services = resolved.services.into_iter().collect();
    desired.state.sysctls = settings::sysctls(&sysctls, &mut issues);
    desired.state.timeouts = settings::timeouts(timeouts.as_ref(), &mut issues);
    desired.state.sync = settings::sync(&sync, &mut issues);
    let has_fullnat = desired.state.has_fullnat() || health::has_fullnat(&health);
    settings::for_fullnat(&mut desired.state, has_fullnat, &sysctls, &mut issues);
    settings::for_checks(&mut desired.state, removing.as_deref(), &sysctls, &mut issues);
    desired.health = health.into();
    desired.policy = settings::policy(policy.as_ref(), &mut issues);
    (desired, issues)
}
