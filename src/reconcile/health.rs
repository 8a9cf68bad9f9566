//! Sums up what checks do at present, for the daemon's status and for `lbd status`.

use std::collections::HashSet;
use std::time::Duration;

use crate::model::ServiceKey;
use crate::status::{HealthSummary, Timestamp};
use crate::store::{Heard, SILENCE};
use crate::target::{Clock, HealthReport, Place, SILENT, ServerReport, ServerState, ServicePlace};

/// How many servers and services are named at most.
const NAMED: usize = 20;

/// What checks do at present: `health` is what they make of a file, `heard` what has come from the checker, and `is_child` whether the daemon starts
/// that itself. Pure.
pub fn health_summary(health: &HealthReport, heard: &Heard, is_child: bool, now: Clock) -> HealthSummary {
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
            silence(heard, Timestamp::from(since), is_child)
        }),
        not_known: silent_for >= SILENT,
        is_child: is_child && checked > 0,
        warnings: of_heard
            .iter()
            .flat_map(|verdicts| &verdicts.warnings)
            .take(NAMED)
            .map(ToString::to_string)
            .collect(),
    }
}

/// Since when nothing has come from the checker, and where its reason is.
fn silence(heard: &Heard, since: Timestamp, is_child: bool) -> String {
    let (reason, anew) = match is_child {
        true => (
            "the log of the daemon, which has started it, has the reason",
            "a restart of the daemon starts it anew",
        ),
        false => ("`systemctl status lbd-check` shows why", "`systemctl restart lbd-check` starts it anew"),
    };
    if heard.verdicts.is_some() {
        return format!("since {since} the checker has not read what is to be probed; {reason}, and {anew}");
    }
    let problem = heard.problem.as_ref().map(|problem| format!(" ({problem})")).unwrap_or_default();
    format!("nothing has come from the checker since {since}{problem}; {reason}")
}

fn named(ServerReport { server: (service, server), health, .. }: &ServerReport) -> String {
    let why = match &health.state {
        ServerState::Failing(failing) => failing.to_string(),
        ServerState::Waiting => "no result yet".to_owned(),
        ServerState::Unproven | ServerState::Passing => String::new(),
    };
    format!("{server} of {service}: {why}")
}
