//! Plans the kernel settings.

use super::Plan;
use crate::model::{SetSysctl, Sysctls, sysctl};

/// Plans the settings that differ, in an order in which none undoes another.
pub(super) fn plan(plan: &mut Plan, live: &Sysctls, desired: &Sysctls) {
    let mut names: Vec<&String> = desired.keys().collect();
    names.sort_by_key(|name| sysctl::rank(name));
    // The settings as they are after the operations so far: setting one may change others.
    let mut settings = live.clone();
    for name in names {
        let Some(to) = desired.get(name) else { continue };
        let from = settings.get(name).cloned();
        if from.as_ref().is_some_and(|from| sysctl::is_set(name, from, to)) {
            continue;
        }
        sysctl::apply(&mut settings, name, to);
        let set =
            SetSysctl { name: name.as_str().into(), from: from.map(Into::into), to: to.as_str().into() };
        plan.prepare.push(set.into());
    }
}
