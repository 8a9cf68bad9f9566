//! Decides which operations of a pass repair what another program changed.

use std::collections::HashSet;

use crate::model::{Operation, Subject};
use crate::reconcile::{FileChange, Reasons};

/// What explains the operations of a pass that are no drift.
#[derive(Debug, Clone, Default)]
pub struct Drift {
    /// What the file has changed since the kernel was equal to it; `None` where it never was: nothing is drift then
    pub(super) file: Option<FileChange>,
    /// What waited for its interface, which was not there for another program to change, and what a condition has changed
    pub(super) waited: HashSet<Subject>,
    /// Whether another process of the daemon has verified the state: what waited then is not known
    pub(super) is_first: bool,
}

impl Drift {
    /// Takes out what a condition has changed: what is now, or was at the pass before, for another reason not what the file says.
    pub(super) fn excuse(&mut self, before: &Reasons, now: &Reasons) {
        let both = before.keys().chain(now.keys());
        let changed = both.filter(|subject| match (before.get(*subject), now.get(*subject)) {
            (Some(before), Some(now)) => !before.is_same(now),
            (before, now) => before.is_some() || now.is_some(),
        });
        self.waited.extend(changed.cloned());
    }

    /// Whether an operation repairs drift.
    pub fn is_repaired_by(&self, operation: &Operation) -> bool {
        let may_have_waited =
            self.is_first && operation.link().is_some() || self.waited.contains(&operation.subject());
        !may_have_waited && self.file.as_ref().is_some_and(|change| !change.explains(operation))
    }
}
