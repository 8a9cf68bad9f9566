//! Plans the sync daemons.

use super::Plan;
use crate::model::{Family, Operation, State, SyncDaemon, SyncOp};

/// Plans the sync daemons. The kernel runs none beside a server of another family than its service's: a daemon is stopped
/// before such a server is added, and started after such a server is deleted.
pub(super) fn plan(plan: &mut Plan, live: &State, desired: &State) {
    let find = |list: &[SyncDaemon], role| list.iter().find(|daemon| daemon.role == role).cloned();
    for from in &live.sync {
        if find(&desired.sync, from.role).is_none() {
            let stop = SyncOp::Stop { role: from.role }.into();
            if has_mixed_families(desired) { plan.prepare.push(stop) } else { plan.shrink.push(stop) }
        }
    }
    for to in &desired.sync {
        let operation: Operation = match find(&live.sync, to.role) {
            None => SyncOp::Start { to: to.clone().into() }.into(),
            Some(from) if !from.is(to) => SyncOp::Restart { from: from.into(), to: to.clone().into() }.into(),
            Some(_) => continue,
        };
        if has_mixed_families(live) { plan.shrink.push(operation) } else { plan.grow.push(operation) }
    }
}

fn has_mixed_families(state: &State) -> bool {
    state.services.iter().any(|(service, contents)| {
        contents.servers.keys().any(|server| Family::of(server.address) != service.family())
    })
}
