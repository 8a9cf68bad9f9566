//! Carries out what verdicts change in the services that they concern, without a reading of the whole table.

use std::collections::HashSet;
use std::ptr;

use super::StateDiff;
use super::execution::execute;
use crate::kernel::{Kernel, KernelError};
use crate::model::{Desired, Operation, Servers, ServiceKey, Services, State, Subject};
use crate::store::{Lock, Record};
use crate::target::{Conditions, Target};

/// With more services than this, reading the whole table at once is quicker.
const MOST: usize = 200;

/// What was done in a part of the table.
#[derive(Debug)]
pub struct PartialPass {
    /// The operations that were executed, in order
    pub done: Vec<Operation>,
    /// The difference of these services at the last reading
    pub last: StateDiff,
    /// Whether they were read again and are as they should be; else a whole pass has to follow
    pub is_verified: bool,
}

/// The servers that are in one of two targets of the same file and not, or otherwise, in the other.
pub fn changed_servers(before: &Services, after: &Services) -> HashSet<Subject> {
    let mut changed = HashSet::new();
    let none = Servers::default();
    for (key, service) in after {
        let (old, new) = (before.get(key).map_or(&none, |service| &service.servers), &*service.servers);
        // Mostly they are shared.
        if ptr::eq(old, new) {
            continue;
        }
        let differs = new.iter().filter(|(server, real)| old.get(*server) != Some(*real));
        let gone = old.keys().filter(|server| !new.contains_key(*server));
        let servers = differs.map(|(server, _)| server).chain(gone);
        changed.extend(servers.map(|server| Subject::Server(*key, *server)));
    }
    changed
}

/// A file reduced to some of its virtual services.
fn part(file: &Desired, services: &[ServiceKey]) -> Desired {
    let of = |key: &ServiceKey| file.state.services.get(key).map(|service| (*key, service.clone()));
    Desired {
        state: State { services: services.iter().filter_map(of).collect(), ..State::default() },
        clusters: file.clusters.clone(),
        drains: file.drains.clone(),
        health: file.health.clone(),
        policy: file.policy,
        ..Desired::default()
    }
}

/// Makes the kernel equal to what other conditions make of a file, in these virtual services: all others stay as they are. The file was verified
/// under the conditions `before`. Only the servers are edited that the conditions change; what another program has changed is left to the next
/// whole pass. `None`, and nothing was done, where a whole pass has to do it.
///
/// # Errors
/// Where the kernel cannot be read, the result of the operations is not known, or `lock` was lost.
pub fn partial_pass(
    kernel: &mut dyn Kernel,
    file: &Desired,
    services: &[ServiceKey],
    before: &Conditions,
    after: &Conditions,
    lock: Option<&Lock>,
) -> Result<Option<PartialPass>, KernelError> {
    // What leaves a service drains, which takes the whole pass.
    let is_left = |key: &ServiceKey| {
        let has_fallback = file.health.services.get(key).is_some_and(|health| health.fallback.is_some());
        has_fallback || after.drains.concern(key)
    };
    if services.len() > MOST || services.iter().any(is_left) {
        return Ok(None);
    }
    let part = part(file, services);
    let (old, new) = (Target::new(&part, before), Target::new(&part, after));
    let changed = changed_servers(&old.desired.state.services, &new.desired.state.services);
    let is_other = |operation: &Operation| !changed.contains(&operation.subject());
    let compare = |kernel: &mut dyn Kernel| -> Result<(StateDiff, bool), KernelError> {
        let live = kernel.read_services(services)?;
        let is_whole = live.state.services.len() == part.state.services.len();
        let mut comparison = StateDiff::new(live, &new.desired, Some(&new.desired), &Record::default());
        comparison.defer(&is_other);
        comparison.leave_out(&new);
        Ok((comparison, is_whole))
    };
    let (mut comparison, is_whole) = compare(kernel)?;
    if !is_whole {
        return Ok(None);
    }
    let execute = |kernel: &mut dyn Kernel| Ok(execute(kernel, &mut comparison, &new.desired)?.done);
    let done = super::with_permit(kernel, lock, execute)?;
    let (last, is_whole) = compare(kernel)?;
    let is_verified = is_whole && last.plan.is_empty();
    Ok(Some(PartialPass { done, last, is_verified }))
}
