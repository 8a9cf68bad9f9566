//! Puts the verdicts in force into a desired state, above file and overrides.

use std::borrow::Cow;

use super::guard::{Place, ServicePlace};
use super::in_force::InForce;
use super::reason::CheckReason;
use super::reasons::CheckReasons;
use super::report::{CheckedService, HealthReport, ServerReport};
use super::state::{ServerHealth, ServerState};
use super::survey::{Member, Survey, survey};
use crate::model::{Desired, OnFailure, ServerKey, ServiceHealth, ServiceKey, VirtualService, get_near};
use crate::target::overridden::{Overridden, overrules_checks};
use crate::target::refuses_clients;

/// What the verdicts in force make of a file.
pub(in crate::target) struct Effects<'a> {
    /// The file under its overrides, without verdicts, where these change anything
    pub(in crate::target) without: Option<Cow<'a, Desired>>,
    pub(in crate::target) reasons: CheckReasons,
    pub(in crate::target) report: HealthReport,
}

/// What the verdicts change in a service.
#[derive(Default)]
struct Changes {
    /// The servers with another weight, by their places in the table
    weights: Vec<(usize, u32)>,
    /// Those that are taken out of the table
    removed: Vec<usize>,
}

/// Puts the verdicts in force into `desired`, which is the file under its overrides. Pure.
pub(in crate::target) fn put<'a>(
    desired: &mut Cow<'a, Desired>,
    in_force: &InForce,
    overridden: &Overridden<'_>,
) -> Effects<'a> {
    let mut effects =
        Effects { without: None, reasons: CheckReasons::default(), report: HealthReport::default() };
    let health = std::sync::Arc::clone(&desired.health);
    if health.services.is_empty() {
        return effects;
    }
    for place in 0..desired.state.services.len() {
        let Some((key, service)) = desired.state.services.get_index(place) else { continue };
        let Some(of) = get_near(&health.services, place, key) else { continue };
        let states = in_force.states(place, key);
        let is_overruled = |server: &ServerKey| overrules_checks(overridden, key, server);
        let surveyed = survey(of, &service.servers, states.map(|states| &**states), &is_overruled);
        let changes = changes(of, service, key, &surveyed, &mut effects);
        let fallback = of.fallback.filter(|_| surveyed.place == ServicePlace::Fallback);
        if changes.weights.is_empty() && changes.removed.is_empty() && fallback.is_none() {
            continue;
        }
        effects.without.get_or_insert_with(|| desired.clone());
        let Some((_, service)) = desired.to_mut().state.services.get_index_mut(place) else { continue };
        change(service, &changes);
        if let Some((server, real)) = fallback {
            service.servers_mut().entry(server).or_insert(real);
        }
    }
    effects
}

/// Finds what the verdicts change in a service, and describes it.
fn changes(
    health: &ServiceHealth,
    service: &VirtualService,
    key: &ServiceKey,
    Survey { place, members }: &Survey<'_>,
    effects: &mut Effects<'_>,
) -> Changes {
    let mut changes = Changes::default();
    let report = &mut effects.report;
    let (mut may_serve, mut checked, mut unknown) = (false, 0, 0);
    for (number, member) in members.iter().enumerate() {
        may_serve |= member.real.serves();
        let Some(of) = member.health else { continue };
        checked += 1;
        if matches!(of.state, ServerState::Unproven | ServerState::Waiting) {
            unknown += 1;
        }
        if of.is_plain() {
            // While the fallback serves, none does that passes or is not proven.
            continue;
        }
        let (full, weight) = (member.real.weight, member.weight());
        let server = (*key, *member.server);
        report.servers.push(ServerReport { server, health: of.clone(), place: member.place, full, weight });
        if weight == full {
            continue;
        }
        if member.place == Place::Out && is_removed(health, service, of) {
            changes.removed.push(number);
        } else {
            changes.weights.push((number, weight));
        }
        if let Some(reason) = reason(member, of) {
            effects.reasons.push(*member.server, reason);
        }
    }
    if checked > 0 {
        report.checked.push(CheckedService { service: *key, servers: checked, unknown });
    }
    match place {
        ServicePlace::Serves => {}
        ServicePlace::Guarded | ServicePlace::FailsOpen | ServicePlace::Fallback | ServicePlace::Nothing => {
            report.services.push((*key, *place));
        }
    }
    if let (ServicePlace::Fallback, Some((fallback, _))) = (place, &health.fallback) {
        let why = if may_serve { CheckReason::NonePasses } else { CheckReason::NoneServes };
        effects.reasons.push(*fallback, why);
    }
    effects.reasons.end(*key);
    changes
}

/// Whether a server that is out of service is taken out of the table, in place of weight 0.
fn is_removed(health: &ServiceHealth, service: &VirtualService, of: &ServerHealth) -> bool {
    match &of.state {
        ServerState::Failing(failing) => match health.on_failure {
            OnFailure::Remove => true,
            OnFailure::Quiesce => failing.is_reset,
        },
        // It has no connections, but could get clients that would be refused.
        ServerState::Waiting => refuses_clients(&service.scheduling),
        ServerState::Unproven | ServerState::Passing => false,
    }
}

/// Why a server has another weight than file and overrides say.
fn reason(member: &Member<'_>, of: &ServerHealth) -> Option<CheckReason> {
    let check = || member.checks.first().map(|check| check.name.clone());
    match &of.state {
        ServerState::Failing(failing) => Some(CheckReason::Failing(std::sync::Arc::clone(failing))),
        ServerState::Waiting => Some(CheckReason::Waiting { check: check()? }),
        ServerState::Unproven | ServerState::Passing => match (of.slow_start, of.weight) {
            (Some(start), _) => Some(CheckReason::SlowStart { check: check()?, start }),
            (None, Some(weight)) => Some(CheckReason::Weight { check: check()?, weight }),
            (None, None) => None,
        },
    }
}

fn change(service: &mut VirtualService, Changes { weights, removed }: &Changes) {
    let servers = service.servers_mut();
    for (number, weight) in weights {
        if let Some((_, real)) = servers.get_index_mut(*number) {
            real.weight = *weight;
        }
    }
    let (mut number, mut next) = (0, removed.iter());
    let mut is_next = next.next();
    if is_next.is_some() {
        servers.retain(|_, _| {
            let is_removed = is_next == Some(&number);
            if is_removed {
                is_next = next.next();
            }
            number += 1;
            !is_removed
        });
    }
}
