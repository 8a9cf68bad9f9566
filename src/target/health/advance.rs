//! Decides which verdicts are in force next: only a verdict changes what is in force, whatever else happens.

use std::borrow::Cow;
use std::sync::Arc;

use super::guard::Place;
use super::in_force::{InForce, States};
use super::state::{Failing, ServerHealth, ServerState, SlowStart, milliseconds, printed};
use super::survey::{Member, Tally, entering, survey};
use crate::health::{Addresses, ExecWeight, Failure, Keys, Verdict, Verdicts};
use crate::model::{Check, Desired, ServerKey, Servers, ServiceHealth, ServiceKey, VirtualService, get_near};
use crate::target::clock::Clock;
use crate::target::overridden::{self, Overridden, overrules_checks};
use crate::target::overrides::Overrides;
use crate::target::pause::Pauses;

/// After so long without a living checker, in milliseconds, servers that wait for a first success get their weights.
pub const SILENT: u64 = 5 * 60 * 1_000;

/// What decides which verdicts are in force next.
#[derive(Clone, Copy)]
pub struct Advance<'a> {
    /// The file that the kernel is about to follow
    pub desired: &'a Desired,
    /// Another one that it may go back to, such as the desired file while another one is tried: what is in force for its servers stays
    pub before: Option<&'a Desired>,
    /// The overrides in force
    pub overrides: &'a Overrides,
    /// The pauses in force, which freeze verdicts
    pub pauses: &'a Pauses,
    /// What a living checker says of the probes of `desired`; `None` where there is none, or it has not read these probes yet
    pub verdicts: Option<&'a Verdicts>,
    /// For how long there has been no living checker, in milliseconds; 0 where there is one
    pub silent_for: u64,
    /// The time
    pub now: Clock,
}

/// What the checks of a server show together.
enum Shown<'a> {
    /// Nothing, as long as one of them has no result
    Unknown,
    /// All pass
    Passing { flapping: bool, weights: Vec<ExecWeight> },
    /// One fails
    Failing { check: &'a Check, failure: &'a Failure, flapping: bool },
}

impl InForce {
    /// What is in force next. Pure.
    #[must_use]
    pub fn advance(&self, of: &Advance<'_>) -> Self {
        let mut keys = Keys::default();
        let mut file = Cow::Borrowed(of.desired);
        let overridden = overridden::put(&mut file, of.overrides);
        let said = of.verdicts.filter(|verdicts| verdicts.frozen.is_none()).map(Verdicts::addresses);
        let services = of.desired.state.services.iter().enumerate();
        let next = services.filter_map(|(place, (key, raw))| {
            let health = get_near(&of.desired.health.services, place, key)?;
            let known = self.states(place, key);
            let old = known.map(|states| &**states);
            let service = Service { of, key, health, raw, file: &file, old, overridden: &overridden };
            let states = if service.is_frozen() {
                service.frozen()
            } else if service.just_passes(said.as_ref(), &mut keys) {
                return Some((*key, Arc::clone(known?)));
            } else {
                service.advance(&mut keys)
            };
            // What stays is shared with what was: then it is compared in no time.
            match known.filter(|known| known.iter().eq(&states)) {
                Some(known) => Some((*key, Arc::clone(known))),
                None => (!states.is_empty()).then(|| (*key, Arc::new(states))),
            }
        });
        let next: Self = next.collect();
        match of.before {
            Some(before) => next.with_servers_of(self, before),
            None => next,
        }
    }

    /// The same, and what was in force before for the servers of another file.
    fn with_servers_of(self, old: &Self, file: &Desired) -> Self {
        let of_service = |(place, (key, states)): (usize, (&ServiceKey, &Arc<States>))| {
            let service = file.state.services.get(key)?;
            let known = self.states(place, key);
            let is_missing = |(server, _): &(&ServerKey, &ServerHealth)| {
                known.is_none_or(|known| !known.contains_key(*server))
                    && service.servers.contains_key(*server)
            };
            let missing = states.iter().filter(is_missing);
            let missing: Vec<_> = missing.map(|(server, health)| (*server, health.clone())).collect();
            if missing.is_empty() {
                return None;
            }
            let mut all = known.map(|known| States::clone(known)).unwrap_or_default();
            all.extend(missing);
            Some((*key, Arc::new(all)))
        };
        let kept: Self = old.services().enumerate().filter_map(of_service).collect();
        if kept.is_empty() { self } else { self.with(&kept) }
    }

    /// How long it stays as it is, in milliseconds, where nothing but time passes after this advance to it; for ever where it is `None`.
    pub fn changes_in(&self, of: &Advance<'_>) -> Option<u64> {
        let now = of.now.since_boot;
        let mut next: Option<u64> = None;
        let mut at = |left: u64| next = Some(next.map_or(left, |next| next.min(left)).max(1));
        let mut waits = false;
        for (place, (key, states)) in self.services().enumerate() {
            // Mostly all are passing, and nothing else: time changes nothing then.
            if states.values().all(ServerHealth::is_plain) {
                continue;
            }
            let Some(health) = of.desired.health.services.get(key) else { continue };
            if of.pauses.freeze_verdicts(of.desired.clusters.get(key).map(AsRef::as_ref)) {
                continue;
            }
            let Some(service) = get_near(&of.desired.state.services, place, key) else { continue };
            // For those of a file that it may go back to, time changes nothing.
            let servers = service.servers.keys().enumerate();
            for server in servers.filter_map(|(place, server)| get_near(states, place, server)) {
                if let (Some(start), Some(length)) = (server.slow_start, health.slow_start) {
                    at(start.changes_in(length, now));
                }
                match &server.state {
                    ServerState::Failing(failing) if !failing.is_reset => {
                        if let Some(after) = health.reset_after {
                            at(failing.since_boot.saturating_add(milliseconds(after)).saturating_sub(now));
                        }
                    }
                    ServerState::Waiting => waits = true,
                    ServerState::Failing(_) | ServerState::Unproven | ServerState::Passing => {}
                }
            }
        }
        if waits && of.silent_for > 0 && of.silent_for < SILENT {
            at(SILENT - of.silent_for);
        }
        next
    }
}

/// A virtual service of the file.
struct Service<'a> {
    of: &'a Advance<'a>,
    key: &'a ServiceKey,
    health: &'a ServiceHealth,
    /// As the file has it
    raw: &'a VirtualService,
    /// The file under the overrides
    file: &'a Desired,
    /// What was in force
    old: Option<&'a States>,
    overridden: &'a Overridden<'a>,
}

impl<'a> Service<'a> {
    fn cluster(&self) -> Option<&'a str> {
        self.of.desired.clusters.get(self.key).map(AsRef::as_ref)
    }

    /// Its servers under the overrides.
    fn under(&self) -> &'a Servers {
        // Overrides take away servers, and no service.
        self.file.state.services.get(self.key).map_or(&self.raw.servers, |service| &service.servers)
    }

    /// Whether a pause freezes its verdicts.
    fn is_frozen(&self) -> bool {
        // Mostly there is no pause, and then the cluster is not looked for.
        !self.of.pauses.is_empty() && self.of.pauses.freeze_verdicts(self.cluster())
    }

    /// What was in force for the servers that are still there.
    fn frozen(&self) -> States {
        let old = self.old.into_iter().flatten();
        let stays = old.filter(|(server, _)| self.raw.servers.contains_key(*server));
        stays.map(|(server, health)| (*server, health.clone())).collect()
    }

    /// Whether all servers of the file were passing and nothing else, and go on so: mostly that is the case, and costs next to nothing.
    /// `said` are the addresses of which the verdicts say something else.
    fn just_passes(&self, said: Option<&Addresses>, keys: &mut Keys<'a>) -> bool {
        let Some(said) = said else { return false };
        let Some(old) = self.old.filter(|old| old.len() == self.raw.servers.len()) else { return false };
        // Where the file has another order, what is in force gets it, too.
        self.raw.servers.keys().zip(old).all(|(server, (known, old))| {
            let checks = self.health.checks(server);
            let was_passing = server == known && !checks.is_empty() && old.just_passes();
            let passes = |keys: &mut Keys<'a>| match self.shown(keys, server, checks) {
                Shown::Passing { flapping, weights } => !flapping && weights.is_empty(),
                Shown::Unknown | Shown::Failing { .. } => false,
            };
            let is_said = |check: &Arc<Check>| said.contains(&check.address.unwrap_or(server.address));
            was_passing && (said.is_empty() || !checks.iter().any(is_said) || passes(keys))
        })
    }

    /// What is in force next; for new servers only where they enter.
    fn advance(&self, keys: &mut Keys<'a>) -> States {
        let now = self.of.now.since_boot;
        // What the file says anew waits for the end of a pause.
        let may_enter = self.of.pauses.is_empty() || !self.of.pauses.cover(self.cluster());
        let mut states = States::default();
        states.reserve(self.raw.servers.len());
        let mut new = Vec::new();
        let mut back = Vec::new();
        for (place, server) in self.raw.servers.keys().enumerate() {
            let checks = self.health.checks(server);
            if checks.is_empty() {
                // It serves; if it gets a check later, it goes on until that shows something.
                states.insert(*server, ServerHealth::new(ServerState::Unproven));
                continue;
            }
            let shown = self.shown(keys, server, checks);
            let Some(old) = self.old.and_then(|old| get_near(old, place, server)) else {
                if may_enter {
                    new.push((server, shown));
                }
                continue;
            };
            let mut next = match shown {
                Shown::Unknown => {
                    let mut next = old.clone();
                    if next.state == ServerState::Waiting && self.of.silent_for >= SILENT {
                        next.state = ServerState::Unproven;
                    }
                    next
                }
                Shown::Passing { .. } => {
                    let comes_back = match &old.state {
                        ServerState::Waiting | ServerState::Failing(_) => true,
                        ServerState::Unproven | ServerState::Passing => false,
                    };
                    if comes_back && self.health.slow_start.is_some() {
                        back.push(*server);
                    }
                    self.passing(server, shown, old.slow_start)
                }
                Shown::Failing { check, failure, flapping } => failing(old, check, failure, flapping, now),
            };
            self.let_time_pass(&mut next, now);
            states.insert(*server, next);
        }
        self.begin_slow_starts(&mut states, &back, now);
        self.enter(&mut states, new);
        states
    }

    /// What the checks of a server show.
    fn shown(&self, keys: &mut Keys<'a>, server: &ServerKey, checks: &'a [Arc<Check>]) -> Shown<'a> {
        let Some(verdicts) = self.of.verdicts.filter(|verdicts| verdicts.frozen.is_none()) else {
            return Shown::Unknown;
        };
        let (mut worst, mut is_unknown, mut is_flapping) = (None::<(&Check, &Failure)>, false, false);
        let mut weights = Vec::new();
        let cluster = self.cluster().unwrap_or_default();
        for check in checks {
            let probe = keys.of(check, cluster, self.key, server);
            let finding = verdicts.of(&probe);
            is_flapping |= finding.flapping;
            weights.extend(finding.weight);
            match &finding.verdict {
                Verdict::Unknown => is_unknown = true,
                Verdict::Passing => {}
                // The one that failed first.
                Verdict::Failing(failure) => {
                    if worst.is_none_or(|(_, worst)| failure.since_boot < worst.since_boot) {
                        worst = Some((check, failure));
                    }
                }
            }
        }
        match worst {
            Some((check, failure)) => Shown::Failing { check, failure, flapping: is_flapping },
            None if is_unknown => Shown::Unknown,
            None => Shown::Passing { flapping: is_flapping, weights },
        }
    }

    fn passing(&self, server: &ServerKey, shown: Shown<'_>, slow_start: Option<SlowStart>) -> ServerHealth {
        let (flapping, weights) = match shown {
            Shown::Passing { flapping, weights } => (flapping, weights),
            Shown::Unknown | Shown::Failing { .. } => (false, Vec::new()),
        };
        // Of several programs the one that says the least counts.
        let file = self.under().get(server).map_or(1, |real| real.weight);
        let weight = weights.into_iter().min_by_key(|weight| printed(*weight, file));
        ServerHealth { flapping, weight, slow_start, ..ServerHealth::new(ServerState::Passing) }
    }

    /// Takes in what time alone changes.
    fn let_time_pass(&self, health: &mut ServerHealth, now: u64) {
        health.slow_start =
            health.slow_start.zip(self.health.slow_start).and_then(|(start, length)| start.at(length, now));
        if let ServerState::Failing(failing) = &mut health.state {
            let is_reset = self
                .health
                .reset_after
                .is_some_and(|after| now.saturating_sub(failing.since_boot) >= milliseconds(after));
            if is_reset != failing.is_reset {
                Arc::make_mut(failing).is_reset = is_reset;
            }
        }
    }

    /// Begins the slow start of servers that pass again, but for those that served all the time.
    fn begin_slow_starts(&self, states: &mut States, back: &[ServerKey], now: u64) {
        if back.is_empty() {
            return;
        }
        let is_overruled = |server: &ServerKey| overrules_checks(self.overridden, self.key, server);
        let before = survey(self.health, self.under(), self.old, &is_overruled);
        for Member { server, place, .. } in before.members {
            if place == Place::Out
                && back.contains(server)
                && let Some(health) = states.get_mut(server)
            {
                health.slow_start = Some(SlowStart::new(now));
            }
        }
    }

    /// Lets new servers enter.
    fn enter(&self, states: &mut States, new: Vec<(&'a ServerKey, Shown<'a>)>) {
        if new.is_empty() {
            return;
        }
        let now = self.of.now.since_boot;
        let is_live = self.old.is_some_and(|old| states.keys().any(|server| old.contains_key(server)));
        let mut unknown = Vec::new();
        let mut tally = Tally::default();
        let mut known = Vec::new();
        for (server, shown) in new {
            match shown {
                Shown::Unknown => unknown.push(*server),
                Shown::Passing { .. } => {
                    let start = self.health.slow_start.filter(|_| is_live).map(|_| SlowStart::new(now));
                    known.push((*server, self.passing(server, shown, start)));
                }
                Shown::Failing { check, failure, flapping } => {
                    let none = ServerHealth::new(ServerState::Waiting);
                    let mut health = failing(&none, check, failure, flapping, now);
                    self.let_time_pass(&mut health, now);
                    known.push((*server, health));
                }
            }
        }
        if !unknown.is_empty() {
            let is_unknown: std::collections::HashSet<&ServerKey> = unknown.iter().collect();
            for (server, _) in self.under().iter().filter(|(_, real)| real.serves()) {
                let is_checked = !overrules_checks(self.overridden, self.key, server);
                if is_checked && is_unknown.contains(server) {
                    tally.all += 1;
                } else {
                    // Only those that were there before have proven anything about the service.
                    tally.count(states.get(server).filter(|_| is_checked));
                }
            }
            let state = match self.of.silent_for >= SILENT {
                true => ServerState::Unproven,
                false => {
                    let Tally { all, passing, is_proven } = tally;
                    entering(self.health.min_serving, all, passing, is_proven)
                }
            };
            states.extend(unknown.into_iter().map(|server| (server, ServerHealth::new(state.clone()))));
        }
        states.extend(known);
        states.sort_by_cached_key(|server, _| self.raw.servers.get_index_of(server));
    }
}

/// What is in force for a server of which one check fails.
fn failing(old: &ServerHealth, check: &Check, failure: &Failure, flapping: bool, now: u64) -> ServerHealth {
    let (since_boot, passed_until, since) = match &old.state {
        // Its place among those that fail stays, so that nothing else is taken out in its place.
        ServerState::Failing(failing) => {
            let is_same = failing.check == check.name;
            let since = if is_same { failing.failure.since } else { failure.since };
            (failing.since_boot, failing.passed_until, since)
        }
        ServerState::Passing => (failure.since_boot, Some(now), failure.since),
        ServerState::Unproven | ServerState::Waiting => (failure.since_boot, None, failure.since),
    };
    let failing = Failing {
        check: check.name.clone(),
        failure: Failure { since, ..failure.clone() },
        since_boot,
        passed_until,
        is_reset: false,
    };
    let state = ServerState::Failing(Arc::new(failing));
    ServerHealth { state, flapping, weight: None, slow_start: None }
}

#[cfg(test)]
mod tests;
