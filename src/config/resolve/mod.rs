//! Turns a document into the state that it asks for, and finds everything in it that cannot be meant.

mod address;
mod cluster;
mod mark;
mod scheduling;
mod server;
mod settings;
mod value;
pub(super) mod whole;

use indexmap::IndexMap;

use self::cluster::Clusters;
use super::format::document::{Cluster, Defaults, Document, Mark, Policy, SyncDaemon, SysctlValue, Timeouts};
use super::format::place::Findings;
use crate::model::Desired;

/// What the document asks for, and what is wrong with it. Where anything is, the state is of no use.
pub(super) fn resolve(document: Document) -> (Desired, Findings) {
    let Document { version: _, sysctls, marks, timeouts, sync, defaults, clusters, policy } = document;
    let mut resolution = Resolution::begin(&marks, defaults, !sync.is_empty());
    clusters.iter().for_each(|cluster| resolution.add(cluster));
    resolution.end(&sysctls, timeouts.as_ref(), &sync, policy.as_ref())
}

/// A document on the way to what it asks for.
pub(super) struct Resolution {
    clusters: Clusters,
    desired: Desired,
    findings: Findings,
}

impl Resolution {
    /// Begins with what the clusters depend on; of the sync daemons that is whether there are any.
    pub(super) fn begin(marks: &[Mark], defaults: Option<Defaults>, has_sync: bool) -> Self {
        let (mut desired, mut findings) = (Desired::default(), Findings::default());
        desired.state.marks = mark::marks(marks, &mut findings);
        let clusters = Clusters::new(&desired.state.marks, defaults, has_sync, &mut findings);
        Self { clusters, desired, findings }
    }

    /// Goes on with the next cluster.
    pub(super) fn add(&mut self, cluster: &Cluster) {
        self.clusters.add(cluster, &mut self.findings);
    }

    /// Ends with all that has nothing to do with single clusters.
    pub(super) fn end(
        self,
        sysctls: &IndexMap<String, SysctlValue>,
        timeouts: Option<&Timeouts>,
        sync: &[SyncDaemon],
        policy: Option<&Policy>,
    ) -> (Desired, Findings) {
        let Self { clusters, mut desired, mut findings } = self;
        desired.clusters = clusters.owners.into();
        desired.allow_empty = clusters.allow_empty;
        desired.state.services = clusters.services.into_iter().collect();
        desired.state.sysctls = settings::sysctls(sysctls, &mut findings);
        desired.state.timeouts = settings::timeouts(timeouts, &mut findings);
        desired.state.sync = settings::sync(sync, &mut findings);
        settings::for_fullnat(&mut desired.state, sysctls, &mut findings);
        desired.policy = settings::policy(policy, &mut findings);
        (desired, findings)
    }
}
