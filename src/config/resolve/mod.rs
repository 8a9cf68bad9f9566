//! Turns a document into the state that it describes, and finds everything in it that cannot be right.

pub(super) mod address;
mod check;
mod checks;
mod cluster;
mod fallback;
mod files;
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
pub(super) use self::files::Files;
use super::format::document::Document;
use super::format::fragment::Fragment;
use super::format::issue::Issues;
use crate::model::{ClusterFiles, Desired};

/// The state that the document describes, and what is wrong with it. Where anything is, the state is of no use.
pub(super) fn resolve(document: Document) -> (Desired, Issues) {
    let (desired, issues, _) = resolve_all(document, &[], Vec::new());
    (desired, issues)
}

/// The same of a document with the fragments that it includes; `names` are those of all files where there are several, the document's first.
pub(super) fn resolve_all(
    document: Document,
    names: &[&str],
    fragments: Vec<Fragment>,
) -> (Desired, Issues, Files) {
    let Document {
        version: _,
        include,
        sysctls,
        mut marks,
        timeouts,
        sync,
        mut checks,
        defaults,
        clusters,
        policy,
    } = document;
    let (mut desired, mut issues) = (Desired::default(), Issues::default());
    files::check_includes(&include, names, &mut issues);
    let (mut files, mut origins) = (Files::default(), ClusterFiles::default());
    let mut parts = vec![(None, clusters)];
    for (index, fragment) in fragments.into_iter().enumerate() {
        let Fragment { marks: of_fragment, checks: named, defaults, clusters } = fragment;
        let before = parts.last().map_or(0, |(_, clusters): &(_, Vec<_>)| clusters.len());
        files.begin(before, marks.len());
        marks.extend(of_fragment);
        files.add_checks(index + 1, &mut checks, named, &mut issues);
        parts.push((defaults, clusters));
    }
    desired.state.marks = mark::marks(&marks, &mut issues);
    let mut resolved = Clusters::new(&desired.state.marks, &checks, defaults, !sync.is_empty(), &mut issues);
    for (index, (defaults, clusters)) in parts.into_iter().enumerate() {
        if index > 0 {
            resolved.enter(index, defaults, &mut issues);
        }
        if let Some(name) = names.get(index) {
            origins.begin(name, clusters.iter().map(|cluster| cluster.name.as_str()));
        }
        for cluster in clusters {
            // Each is freed as soon as it is resolved: a file can have a hundred thousand servers.
            resolved.add(&cluster, &mut issues);
        }
    }
    desired.state.untracked = resolved.untracked.packets(&desired.state.marks, &mut issues);
    desired.unused_checks = resolved.health.unused();
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
    desired.files = origins.into();
    desired.policy = settings::policy(policy.as_ref(), &mut issues);
    (desired, issues, files)
}
