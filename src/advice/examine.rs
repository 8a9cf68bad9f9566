//! Examines the host as far as a desired state depends on it, and says which warnings hold for a kernel that is in sync.

use std::path::Path;

use super::{Advice, Planned, advise, port_like, question, settings, untracked, unusable};
use crate::host::{self, Host, Part, Roots};
use crate::model::{Connections, Desired, ServiceKey, State};
use crate::plan::Plan;

/// Examines the host in the network namespace of this thread, and who may write the desired file. Each program that it runs
/// has a limit of time. `modules`: whether to look for the kernel modules that the file needs, before a pass does.
pub fn examine(desired: &State, file: &Path, modules: bool) -> Host {
    let live = host::settings(settings(desired));
    let mut scope = question(desired, &live);
    if !modules {
        scope.modules.clear();
    }
    let mut host = host::look(scope, live, &Roots::default());
    host.writable = host::writable(file);
    host
}

/// Warnings that need only the file.
pub fn of_the_file(desired: &Desired) -> Vec<Advice> {
    let may_be_empty = |service: &ServiceKey| {
        let health = desired.health.services.get(service);
        desired.allow_empty.contains(service) || health.is_some_and(|health| health.fallback.is_some())
    };
    let mut warnings = unusable(&desired.state.services, may_be_empty);
    warnings.extend(port_like(&desired.port_like));
    warnings.extend(untracked::nat(&desired.state));
    warnings
}

/// All warnings where the kernel is equal to the file.
pub fn in_sync(desired: &Desired, host: &Host) -> Vec<Advice> {
    let mut warnings = of_the_file(desired);
    let planned = Planned {
        plan: &Plan::default(),
        live: &desired.state.services,
        connections: &|_, _| Connections::default(),
    };
    warnings.extend(advise(&desired.state, host, Some(&planned)));
    warnings
}

/// The codes of the warnings that depend on what could not be read of the host: that one of them is missing means nothing.
pub fn undecided(host: &Host) -> Vec<&'static str> {
    let codes = |part: &Part| -> &[&'static str] {
        match part {
            Part::Routes => &[
                "address-not-local",
                "strict-reverse-path",
                "strict-reverse-path-tunnel",
                "learned-routes-lost",
            ],
            Part::Rules => &[
                "mark-not-set",
                "marks-changed",
                "connections-not-tracked",
                "one-way-connections",
                "untracked-dropped",
                "service-dropped",
                "replies-dropped",
            ],
        }
    };
    host.unread.iter().flat_map(codes).copied().collect()
}
