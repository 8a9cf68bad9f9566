//! Plans the mark rules.

use super::Plan;
use crate::model::{ReplaceMarks, State, mark};

/// Plans the replacement of all mark rules, and of what else is in lbd's table, where any differs.
pub(super) fn plan(plan: &mut Plan, live: &State, desired: &State) {
    let (from, to) = (live.mark_rules(), desired.mark_rules());
    if !mark::are_same(&from, &to) || !live.strays.is_empty() {
        let strays = live.strays.as_slice().into();
        plan.marks.push(ReplaceMarks { from: from.into(), to: to.into(), strays }.into());
    }
}
