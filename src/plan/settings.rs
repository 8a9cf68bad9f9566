//! Plans what stands beside the virtual services: kernel settings, timeouts, sync daemons and marks.

use super::Plan;
use crate::model::{Family, Operation, State, SyncDaemon, Sysctls, Timeouts, mark, sysctl};

/// The settings that shall have other values, in an order in which none undoes another.
pub(super) fn sysctls(live: &Sysctls, desired: &Sysctls) -> Vec<Operation> {
    let mut names: Vec<&String> = desired.keys().collect();
    names.sort_by_key(|name| sysctl::rank(name));
    // What the kernel will hold once the operations before are carried out: one setting may change others.
    let mut held = live.clone();
    let mut operations = Vec::new();
    for name in names {
        let Some(to) = desired.get(name) else { continue };
        let from = held.get(name).cloned();
        if from.as_ref().is_some_and(|from| sysctl::is_set(name, from, to)) {
            continue;
        }
        sysctl::apply(&mut held, name, to);
        operations.push(Operation::SetSysctl {
            name: name.as_str().into(),
            from: from.map(Into::into),
            to: to.as_str().into(),
        });
    }
    operations
}

/// The timeouts that shall be others.
pub(super) fn timeouts(live: Timeouts, desired: Timeouts) -> Option<Operation> {
    let to = live.lacking(desired);
    (to != Timeouts::default()).then_some(Operation::SetTimeouts { from: live, to })
}

/// The sync daemons. The kernel runs none beside a server of another family than its service's: a daemon that goes stops
/// before such a server comes, and one that comes starts after such a server is gone.
pub(super) fn sync(plan: &mut Plan, live: &State, desired: &State) {
    let find = |list: &[SyncDaemon], role| list.iter().find(|daemon| daemon.role == role).cloned();
    for from in &live.sync {
        if find(&desired.sync, from.role).is_none() {
            let stop = Operation::StopSync { role: from.role };
            if has_mixed_families(desired) { plan.prepare.push(stop) } else { plan.shrink.push(stop) }
        }
    }
    for to in &desired.sync {
        let operation = match find(&live.sync, to.role) {
            None => Operation::StartSync { to: to.clone().into() },
            Some(from) if !from.is(to) => Operation::RestartSync { from: from.into(), to: to.clone().into() },
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

/// The marks, and what else lies in lbd's table and goes with them.
pub(super) fn marks(live: &State, desired: &State) -> Option<Operation> {
    let (from, to) = (live.mark_rules(), desired.mark_rules());
    let is_same = mark::are_same(&from, &to) && live.strays.is_empty();
    (!is_same).then(|| Operation::ReplaceMarks {
        from: from.into(),
        to: to.into(),
        strays: live.strays.as_slice().into(),
    })
}
