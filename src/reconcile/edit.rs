//! An edit of the file, brought about before the whole table is read.

use super::Comparison;
use super::attempts::execute;
use crate::guard::{self, Before};
use crate::kernel::{Kernel, KernelError, Live};
use crate::model::{Desired, Operation, ServiceKey, Services, Spared, State};
use crate::ownership::Owned;
use crate::store::{Lock, Record};

/// Brings about what differs between two files inside the virtual services that both have, before anything else is looked
/// at: a weight that was edited is in the kernel a good while before a large table is read and verified. Gives what was
/// carried out. A full pass must follow: it finds everything that this leaves, and everything that went wrong here.
///
/// The services that differ are read first, so that the plan is made from the kernel's word; what `before` says is
/// trusted only for which services there is nothing to do in. Nothing happens where a service goes or a guard objects, nor
/// where anything stands beside the services that another order might depend on.
///
/// # Errors
/// Where the kernel cannot be asked, it is not known what became of the operations, or `lock` was lost.
pub fn edit(
    kernel: &mut dyn Kernel,
    before: &Desired,
    after: &Desired,
    lock: Option<&Lock>,
) -> Result<Vec<Operation>, KernelError> {
    /// More than that is not a touch, and better read at once.
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
    // One that is not there, somebody took away: for the full pass.
    let wanted = |service: &ServiceKey| Some((*service, new.services.get(service)?.clone()));
    let services = live.keys().filter_map(wanted).collect();
    let desired = Desired { state: State { services, ..State::default() }, ..Desired::default() };
    let live = Live { state: State { services: live, ..State::default() }, ..Live::default() };
    let mut comparison = Comparison::new(live, &desired, Some(&desired), &Record::default());
    super::with_permit(kernel, lock, |kernel| Ok(execute(kernel, &mut comparison, &desired)?.done))
}

/// Whether two states are the same but for their virtual services.
fn differ_in_services_only(old: &State, new: &State) -> bool {
    let State { services: _, marks, strays, sysctls, timeouts, sync } = old;
    (marks, strays, sysctls, timeouts, sync)
        == (&new.marks, &new.strays, &new.sysctls, &new.timeouts, &new.sync)
}

/// Whether a guard objects to what leaves the services that both files have. The kernel need not be asked for that: all of
/// them were verified.
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
    guard::objection(&before, after).is_some()
}
