//! Plans the sync daemons.

use super::Plan;
use crate::model::{Family, Operation, RestartCause, State, SyncDaemon, SyncOp, Sysctls, sysctl};

/// Plans the sync daemons. The kernel runs none beside a server of another family than its service's: a daemon is stopped
/// before such a server is added, and started after such a server is deleted.
///
/// All daemons have as many threads as the setting was when the first of them started: for another number all are stopped
/// before one is started.
pub(super) fn plan(plan: &mut Plan, live: &State, desired: &State) {
    let find = |list: &[SyncDaemon], role| list.iter().find(|daemon| daemon.role == role).cloned();
    let threads = other_threads(live, &desired.sysctls);
    for from in &live.sync {
        if find(&desired.sync, from.role).is_none() {
            let stop = SyncOp::Stop { role: from.role }.into();
            let is_early = has_mixed_families(desired) || threads.is_some();
            if is_early { plan.prepare.push(stop) } else { plan.shrink.push(stop) }
        }
    }
    let (mut restarts, mut starts) = (Vec::<Operation>::new(), Vec::<Operation>::new());
    for to in &desired.sync {
        match find(&live.sync, to.role) {
            None => starts.push(SyncOp::Start { to: to.clone().into() }.into()),
            Some(from) => {
                let cause = if !from.is(to) {
                    Some(RestartCause::Attributes)
                } else if live.stale_sync.contains(&to.role) {
                    Some(RestartCause::StaleInterface)
                } else {
                    threads
                };
                restarts.extend(
                    cause.map(|cause| {
                        SyncOp::Restart { from: from.into(), to: to.clone().into(), cause }.into()
                    }),
                );
            }
        }
    }
    let phase = if has_mixed_families(live) { &mut plan.shrink } else { &mut plan.grow };
    phase.extend(restarts.into_iter().chain(starts));
}

/// The restart for another number of threads, where the file sets it and those that run have another one.
fn other_threads(live: &State, desired: &Sysctls) -> Option<RestartCause> {
    let (_, wanted) = desired.iter().find(|(name, _)| sysctl::is_same(name, sysctl::VS_SYNC_PORTS))?;
    let (from, to) = (live.sync_threads?, wanted.parse().ok()?);
    (from != to).then_some(RestartCause::Threads { from, to })
}

fn has_mixed_families(state: &State) -> bool {
    state.services.iter().any(|(service, contents)| {
        contents.servers.keys().any(|server| Family::of(server.address) != service.family())
    })
}
