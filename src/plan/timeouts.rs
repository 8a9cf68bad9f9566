//! Plans the timeouts of connections.

use super::Plan;
use crate::model::{SetTimeouts, Timeouts};

/// Plans the timeouts that differ.
pub(super) fn plan(plan: &mut Plan, live: Timeouts, desired: Timeouts) {
    let (from, to) = (live, live.lacking(desired));
    if to != Timeouts::default() {
        plan.prepare.push(SetTimeouts { from, to }.into());
    }
}
