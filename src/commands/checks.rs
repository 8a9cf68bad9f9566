//! Takes in what the checker says for a file that a command is about to follow, as the daemon would.

use crate::files::FileError;
use crate::health::Probes;
use crate::model::Desired;
use crate::store::{Heard, KnownHealth, Store};
use crate::target::{Advance, Clock, Conditions, SILENT};

/// Brings the verdicts in force to what they are for this file: as the daemon will, where one runs. Where none does they stay, and new servers
/// enter with their weights, since nobody would give them these later. `before` is the file that was verified before it.
pub(super) fn take_in(
    store: &Store,
    conditions: &mut Conditions,
    desired: &Desired,
    before: Option<&Desired>,
    now: Clock,
) -> Heard {
    // Why it cannot be read, the conditions say.
    let known = store.load_health().unwrap_or_default();
    let probes = Probes::of(desired);
    if probes.is_empty() && known.in_force.is_empty() {
        return Heard::default();
    }
    let is_followed = store.daemon().is_ok_and(|daemon| daemon.is_some());
    let hash = probes.hash();
    // Without a daemon, none writes down what is to be probed.
    let written = is_followed.then_some(&*hash);
    // The daemon may have yet to follow this file.
    let most = probes.len().max(known.in_force.iter().count());
    let heard = if probes.is_empty() { Heard::default() } else { store.hear(written, most, &known, now) };
    let advance = Advance {
        desired,
        before,
        overrides: &conditions.overrides,
        pauses: &conditions.pauses,
        verdicts: heard.verdicts.as_ref().filter(|verdicts| is_followed && verdicts.probes == hash),
        silent_for: if is_followed { heard.silent_for(now) } else { SILENT },
        now,
    };
    let in_force = conditions.health.advance(&advance);
    let before = std::mem::replace(&mut conditions.health, in_force);
    conditions.take_in_altered(desired, &before, &known.altered);
    heard
}

/// The same before a pass of a command, which is to be called under its lock: where no daemon runs, the command writes down what is in force, since
/// a daemon that starts later must not take a server that serves for a new one.
pub(super) fn take_in_for_pass(
    store: &Store,
    conditions: &mut Conditions,
    desired: &Desired,
    before: Option<&Desired>,
    now: Clock,
) -> Result<(), FileError> {
    let heard = take_in(store, conditions, desired, before, now);
    if conditions.unreadable.is_some() || !store.daemon().is_ok_and(|daemon| daemon.is_none()) {
        return Ok(());
    }
    let known = KnownHealth {
        in_force: conditions.health.clone(),
        silent_since: heard.silent_since,
        altered: conditions.altered.clone(),
    };
    if store.load_health().is_ok_and(|before| before != known) {
        store.save_health(known, None)?;
    }
    Ok(())
}
