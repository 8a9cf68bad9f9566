//! Sums up what checks do at present, for the daemon's status and for `lbd status`.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::ServiceKey;
use crate::status::{HealthSummary, Timestamp};
use crate::store::{Heard, SILENCE};
use crate::target::{Clock, HealthReport, Place, SILENT, ServerReport, ServerState, ServicePlace};

/// How many servers and services are named at most.
const NAMED: usize = 20;

/// What checks do at present: `health` is what they make of a file, `heard` what has come from the checker. Pure.
pub fn health_summary(health: &HealthReport, heard: &Heard, now: Clock) -> HealthSummary {
    let HealthReport { checked: _, servers, services } = health;
    let checked = health.checked();
    let count = |is_so: &dyn Fn(&ServerReport) -> bool| servers.iter().filter(|server| is_so(server)).count();
    let is_in =
        |place: ServicePlace| services.iter().filter(move |(_, of)| *of == place).map(|(service, _)| service);
    let guarded: HashSet<&ServiceKey> = is_in(ServicePlace::Guarded).collect();
    let is_kept = |server: &&ServerReport| server.place == Place::Kept && guarded.contains(&server.server.0);
    let kept = servers.iter().filter(is_kept);
    let waiting = count(&|server| matches!(server.health.state, ServerState::Waiting));
    let silent_for = if checked > 0 { heard.silent_for(now) } else { 0 };
    let of_heard = heard.verdicts.as_ref();
    HealthSummary {
        checked,
        failing: count(&|server| matches!(server.health.state, ServerState::Failing(_))),
        waiting,
        flapping: count(&|server| server.health.flapping),
        unknown: health.unknown().saturating_sub(waiting),
        kept: kept.clone().count(),
        kept_named: kept.take(NAMED).map(named).collect(),
        open: is_in(ServicePlace::FailsOpen).count(),
        open_named: is_in(ServicePlace::FailsOpen).take(NAMED).map(ToString::to_string).collect(),
        on_fallback: is_in(ServicePlace::Fallback).count(),
        on_fallback_named: is_in(ServicePlace::Fallback).take(NAMED).map(ToString::to_string).collect(),
        frozen: of_heard.and_then(|verdicts| verdicts.frozen.as_ref()).map(ToString::to_string),
        silent: (silent_for > SILENCE).then(|| {
            let since = now.wall.checked_sub(Duration::from_millis(silent_for)).unwrap_or(now.wall);
            let since = Timestamp::from(since);
            if of_heard.is_some() {
                return format!(
                    "since {since} the checker has not read what is to be probed; `systemctl status lbd-check` shows why, and \
                     `systemctl restart lbd-check` starts it anew"
                );
            }
            let problem = heard.problem.as_ref().map(|problem| format!(" ({problem})")).unwrap_or_default();
            format!(
                "nothing has come from the checker since {since}{problem}; `systemctl status lbd-check` shows why"
            )
        }),
        not_known: silent_for >= SILENT,
        warnings: of_heard
            .iter()
            .flat_map(|verdicts| &verdicts.warnings)
            .take(NAMED)
            .map(ToString::to_string)
            .collect(),
    }
}

fn named(ServerReport { server: (service, server), health, .. }: &ServerReport) -> String {
    let why = match &health.state {
        ServerState::Failing(failing) => failing.to_string(),
        ServerState::Waiting => "no result yet".to_owned(),
        ServerState::Unproven | ServerState::Passing => String::new(),
    };
    format!("{server} of {service}: {why}")
}
