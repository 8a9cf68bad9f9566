//! Applies an edit of the file before the whole table is read.

use super::StateDiff;
use super::execution::execute;
use crate::guard::{self, Before};
use crate::kernel::{Kernel, KernelError};
use crate::model::{
    Desired, Operation, RealServer, ServerKey, ServiceKey, Services, Spared, State, VirtualService,
};
use crate::ownership::Owned;
use crate::store::{Lock, Record};

/// Applies what differs between two files in the virtual services that both have, before anything else is read: an edited
/// weight is in the kernel long before a large table is read and verified. Returns the operations that were executed. A
/// full pass must follow: it finds what this leaves and what failed here.
///
/// The services that differ are read first, so that the plan starts from the live state; `before` only tells in which
/// services there is nothing to do. Nothing is done where a service is deleted, a guard refuses, or anything but services
/// differs, since the order of operations might matter then.
///
/// # Errors
/// Where the kernel cannot be read, the result of the operations is not known, or `lock` was lost.
pub fn edit(
    kernel: &mut dyn Kernel,
    before: &Desired,
    after: &Desired,
    lock: Option<&Lock>,
) -> Result<Vec<Operation>, KernelError> {
    /// With more services than this, reading the whole table at once is quicker.
    const MOST: usize = 200;
    let (old, new) = (&before.state, &after.state);
    let stands_still = before.policy == after.policy
        && differ_in_services_only(old, new)
        && old.services.keys().all(|service| new.services.contains_key(service));
    let differs = |service: &&ServiceKey| {
        old.services.get(*service).is_some_and(|of| Some(of) != new.services.get(*service))
    };
    let touched: Vec<ServiceKey> =
        if stands_still { new.services.keys().filter(differs).copied().collect() } else { Vec::new() };
    if touched.is_empty() || touched.len() > MOST || is_refused(before, after) {
        return Ok(Vec::new());
    }
    let live = kernel.read_services(&touched)?;
    // One that is not there was deleted by another program: for the full pass.
    let wanted = |(service, there): (&ServiceKey, &VirtualService)| {
        let mut wanted = new.services.get(service)?.clone();
        keep_leaving(&mut wanted, there, |server| before.drain(service, server).is_zero());
        Some((*service, wanted))
    };
    let services = live.state.services.iter().filter_map(wanted).collect();
    let desired = Desired { state: State { services, ..State::default() }, ..Desired::default() };
    let mut comparison = StateDiff::new(live, &desired, Some(&desired), &Record::default());
    super::with_permit(kernel, lock, |kernel| Ok(execute(kernel, &mut comparison, &desired)?.done))
}

/// Keeps the servers that leave a service and may have to drain as they are: the full pass decides that.
fn keep_leaving(
    wanted: &mut VirtualService,
    live: &VirtualService,
    goes_at_once: impl Fn(&ServerKey) -> bool,
) {
    let leaves = |(server, _): &(&ServerKey, &RealServer)| {
        !wanted.servers.contains_key(*server) && !goes_at_once(server)
    };
    let leaving: Vec<(ServerKey, RealServer)> =
        live.servers.iter().filter(leaves).map(|(server, real)| (*server, *real)).collect();
    if !leaving.is_empty() {
        wanted.servers_mut().extend(leaving);
    }
}

/// Whether two states are the same but for their virtual services.
fn differ_in_services_only(old: &State, new: &State) -> bool {
    // How sync daemons run is the kernel's alone.
    let State {
        services: _,
        marks,
        untracked,
        strays,
        sysctls,
        timeouts,
        sync,
        sync_threads: _,
        stale_sync: _,
    } = old;
    (marks, untracked, strays, sysctls, timeouts, sync)
        == (&new.marks, &new.untracked, &new.strays, &new.sysctls, &new.timeouts, &new.sync)
}

/// Whether a guard refuses what is deleted from the services that both files have. The live state is not needed for that:
/// all of them were verified.
fn is_refused(before: &Desired, after: &Desired) -> bool {
    let (none, owned, spared) = (Services::default(), Owned::default(), Spared::default());
    let before = Before {
        verified: Some(before),
        verified_services: &[],
        owned: &owned,
        managed: &none,
        foreign: &none,
        spared: &spared,
    };
    guard::check(&before, after).is_some()
}
