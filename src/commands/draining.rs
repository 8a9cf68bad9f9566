//! What `lbd apply` does about servers that drain: it says who ends that, or waits for it.

use std::thread;
use std::time::Duration;

use super::inputs::LastVerified;
use super::shown_pass::shown_pass;
use super::{CommandError, Console, DONE, ERROR, checks, inputs};
use crate::cli::Apply;
use crate::config::Source;
use crate::kernel::Kernel;
use crate::kernel::director::Director;
use crate::model::Desired;
use crate::reconcile::{self, Outcome, PassInput};
use crate::report;
use crate::status::ChangedBy;
use crate::store::Store;
use crate::target::{Clock, Drains};

/// How often the connections are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Says how long the servers that have left the file drain, and who ends that.
pub(super) fn note_who_ends(drains: &Drains, store: &Store, console: &mut Console<'_>) {
    let Some(last) = drains.iter().map(|(_, drain)| drain.period.until).max() else { return };
    let servers = report::count(drains.iter().count(), "server");
    let who = match store.daemon() {
        Ok(None) => "no daemon runs: the next `lbd apply` ends that, or this one with `--wait`",
        Ok(Some(_)) | Err(_) => "the daemon ends that",
    };
    console.note(format_args!("draining: {servers}, until {last} at the latest; {who}"));
}

/// Waits until nothing drains any more. Where no daemon runs, it ends the drains itself, one pass for all that have ended meanwhile.
pub(super) fn wait(
    source: &Source,
    desired: &Desired,
    options: &Apply,
    store: &Store,
    kernel: &mut Director,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    let mut seen = Drains::NONE;
    let (mut shown, mut has_ended) = (None, false);
    loop {
        let mut drains = store.load_drains()?;
        drains.recall(&seen);
        if drains.is_empty() {
            if shown.is_some() || has_ended {
                console.note("nothing drains any more");
            }
            return Ok(DONE);
        }
        let live = kernel.read_services(&drains.services())?;
        let of = |(server, _)| live.connections.get(server);
        let connections: usize =
            drains.iter().filter_map(of).map(|of| of.active as usize + of.inactive as usize).sum();
        let has_drained = drains.look(&reconcile::live_connections(&live), Clock::now());
        seen.clone_from(&drains);
        if has_drained && store.daemon().is_ok_and(|daemon| daemon.is_none()) {
            if !end(source, desired, &seen, options, store, kernel, console)? {
                return Ok(ERROR);
            }
            has_ended = true;
            // What a pause keeps is looked at again later.
            if store.load_drains()?.iter().count() < seen.iter().count() {
                continue;
            }
        }
        let left = (drains.iter().count(), connections);
        if shown != Some(left) {
            let (servers, connections) =
                (report::count(left.0, "server"), report::count(left.1, "connection"));
            console.note(format_args!("draining: {servers}, {connections}"));
            shown = Some(left);
        }
        thread::sleep(INTERVAL);
    }
}

/// Ends the drains that are over by a pass; says whether it was verified. It is about the file that was verified last: where another
/// command has applied another file meanwhile, this one must not take that back.
fn end(
    source: &Source,
    desired: &Desired,
    seen: &Drains,
    options: &Apply,
    store: &Store,
    kernel: &mut Director,
    console: &mut Console<'_>,
) -> Result<bool, CommandError> {
    let lock = inputs::lock(store, "apply", console);
    let now = Clock::now();
    let mut conditions = store.load_conditions(now);
    if conditions.trial.is_some() {
        // Whoever keeps the trial ends the drains.
        return Ok(true);
    }
    conditions.drains.recall(seen);
    let mut verified = inputs::verified(store, source);
    let other = match verified.is_same() {
        true => None,
        // What is wrong with it, `verified` says.
        false => inputs::last_verified(store, &console.progress).unwrap_or_default(),
    };
    let (source, desired) = match &other {
        Some((source, desired)) => {
            verified = LastVerified::same();
            (source, desired)
        }
        None => (source, desired),
    };
    let kept = checks::take_in_for_pass(store, &mut conditions, desired, verified.state(desired), now);
    console.out.detach();
    // The file was verified before: there is nothing for the history.
    let order = PassInput {
        conditions: &conditions,
        verified: verified.state(desired),
        unknown: verified.unknown(),
        now,
        ..PassInput::new(desired, &source.text)
    };
    let output = options.output;
    let report = shown_pass(kernel, &order, store, lock.as_ref(), ChangedBy::Apply, output, console);
    drop(lock);
    console.out.attach()?;
    console.warn_of(kept);
    let report = report?;
    report.warnings.iter().for_each(|warning| console.warn(warning));
    console.print_failures(&report.failed);
    Ok(match report.outcome {
        Outcome::Verified | Outcome::PartlyRefused(_) | Outcome::Paused | Outcome::Deferred => true,
        Outcome::Failed | Outcome::Refused(_) | Outcome::Unexpected(_) | Outcome::Unverified(_) => {
            console.error("the drains could not be ended; `lbd status` shows what drains");
            false
        }
    })
}
