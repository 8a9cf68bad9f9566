//! Refuses a change of the file that looks like an accident: one that would empty the director, or nearly.
//!
//! Pure: a function of the last verified state, the record, the live state and the file. Every pass calls it, so that no
//! restart, reboot or lost record bypasses it.

mod refusal;
mod servers;
mod services;

use std::ptr;

use compact_str::CompactString;

use crate::model::{Desired, ServiceKey, Services, Spared, Table};

pub use self::refusal::{Guard, GuardRefusal, NamedServices, Violation};

/// What there was before the change.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The last verified state, of whichever boot; the desired state itself where the file has not changed since, and
    /// nothing where it is not known
    pub verified: Option<&'a Desired>,
    /// The services of the last verified state: all that is known of it where `verified` is not there
    pub verified_services: &'a [ServiceKey],
    /// The services that lbd owns, with their clusters
    pub owned: &'a Table<ServiceKey, CompactString>,
    /// The live services that the pass may edit and delete
    pub managed: &'a Services,
    /// The live services that the pass leaves alone
    pub foreign: &'a Services,
    /// The services whose deletion was refused before
    pub spared: &'a Spared,
}

impl Before<'_> {
    /// Whether the desired state is the one that was verified last.
    fn is(&self, desired: &Desired) -> bool {
        self.verified.is_some_and(|verified| ptr::eq(verified, desired))
    }

    /// Whether a service is in the kernel.
    fn is_live(&self, service: &ServiceKey) -> bool {
        self.managed.contains_key(service) || self.foreign.contains_key(service)
    }
}

/// Checks what the change would delete, and returns what of it looks like an accident.
///
/// Services that leave count against `max_delete`, per cluster only those beyond what it newly listens on; so do, where
/// that is a share, real servers that leave services that stay, beyond those that come. The last service, and the last
/// usable server of a service, count against `allow_empty`. With `prune: all`, services that never were in the file count,
/// too; where they alone are too many, their deletion alone is refused.
pub fn check(before: &Before<'_>, desired: &Desired) -> Option<GuardRefusal> {
    let leaving = services::leaving(before, desired);
    let mut violations: Vec<Violation> = leaving.violation(before, desired).into_iter().collect();
    violations.extend(servers::violations(before, desired, &leaving.moved));
    if violations.is_empty() {
        return None;
    }
    let spared = match violations.iter().all(Violation::is_of_unlisted) {
        true => Spared { of: leaving.there_are(before), services: leaving.unlisted },
        false => Spared::default(),
    };
    Some(GuardRefusal { violations, spared })
}

#[cfg(test)]
mod tests;
