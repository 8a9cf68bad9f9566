//! Plans the timeouts of connections.

use super::Plan;
use crate::model::{SetTimeouts, State, Timeouts};

/// Plans the timeouts that differ.
pub(super) fn plan(plan: &mut Plan, live: &State, desired: &State) {
    let (from, to) = (live.timeouts, live.timeouts.lacking(desired.timeouts));
    if to != Timeouts::default() {
        plan.prepare.push(SetTimeouts { from, to }.into());
    }
}
