//! Plans the rules by which packets pass connection tracking by.

use super::Plan;
use crate::model::{MarkMatch, ReplaceUntracked};

/// Plans the replacement of all of them, where any differs. It is independent of the marks, so that it comes before them unless it
/// deletes.
pub(super) fn plan(plan: &mut Plan, live: &[MarkMatch], desired: &[MarkMatch]) {
    if live != desired {
        let place = if desired.is_empty() { plan.marks.len() } else { 0 };
        plan.marks.insert(place, ReplaceUntracked { from: live.into(), to: desired.into() }.into());
    }
}
