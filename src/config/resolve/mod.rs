//! Turns a document into the state that it asks for, and finds everything in it that cannot be meant.

mod address;
mod cluster;
mod mark;
mod scheduling;
mod server;
mod settings;
mod value;

use super::document::Document;
use super::place::Findings;
use crate::model::Desired;

/// What the document asks for, and what is wrong with it. Where anything is, the state is of no use.
pub(super) fn resolve(document: Document) -> (Desired, Findings) {
    let Document { version: _, sysctls, marks, timeouts, sync, defaults, clusters, policy } = document;
    let mut findings = Findings::default();
    let mut desired = Desired::default();
    desired.state.sysctls = settings::sysctls(&sysctls, &mut findings);
    desired.state.marks = mark::marks(&marks, &mut findings);
    desired.state.timeouts = settings::timeouts(timeouts.as_ref(), &mut findings);
    desired.state.sync = settings::sync(&sync, &mut findings);
    cluster::clusters(clusters, defaults.as_ref(), !sync.is_empty(), &mut desired, &mut findings);
    settings::for_fullnat(&mut desired.state, &sysctls, &mut findings);
    desired.policy = settings::policy(policy.as_ref(), &mut findings);
    (desired, findings)
}
