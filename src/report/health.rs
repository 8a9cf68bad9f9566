//! Writes what checks do at present: which servers fail, what becomes of them, and what the checker says of itself.

use std::collections::HashMap;
use std::io;

use serde_json::{Value, json};

use super::output::Output;
use super::styled::{PLAIN, line};
use super::text::{DELETE, EDIT, HEAD};
use crate::model::{ServerKey, ServiceKey};
use crate::reconcile::StateDiff;
use crate::status::HealthSummary;
use crate::target::{Place, ServerOf, ServerReport, ServerState, ServicePlace};

/// How many servers are listed in a text; the JSON has all.
const LISTED: usize = 50;

/// Writes it as text; nothing where nothing is checked.
pub(super) fn text(out: &mut Output, summary: &HealthSummary, comparison: &StateDiff) -> io::Result<()> {
    if summary.checked == 0 && summary.is_well() {
        return Ok(());
    }
    let style = if summary.is_bad() {
        DELETE
    } else if summary.is_well() {
        HEAD
    } else {
        EDIT
    };
    line(out, &[(style, &"checks:"), (PLAIN, &format_args!(" {summary}"))])?;
    for (service, place) in comparison.health.services.iter().take(LISTED) {
        line(
            out,
            &[(EDIT, &format_args!("  {service}")), (PLAIN, &format_args!(" {}", of_service(*place)))],
        )?;
    }
    for server in comparison.health.servers.iter().take(LISTED) {
        let (service, name) = server.server;
        line(out, &[(PLAIN, &format_args!("  {name} of {service}: {}", of_server(server)))])?;
    }
    if let Some(more) = comparison.health.servers.len().checked_sub(LISTED).filter(|more| *more > 0) {
        line(out, &[(PLAIN, &format_args!("  and {more} more (`lbd status --output json` has them all)"))])?;
    }
    for warning in &summary.warnings {
        line(out, &[(EDIT, &"checker warns:"), (PLAIN, &format_args!(" {warning}"))])?;
    }
    Ok(())
}

/// What becomes of a service.
fn of_service(place: ServicePlace) -> &'static str {
    match place {
        ServicePlace::Serves => "is served by what passes",
        ServicePlace::Guarded => {
            "has too few servers that pass, so that others are kept in service (min_serving)"
        }
        ServicePlace::FailsOpen => "has no server that passes, so that all serve",
        ServicePlace::Fallback => "has no server that may serve and passes, so that its fallback serves",
        ServicePlace::Nothing => "has no server that passes, and none serves (min_serving is 0)",
    }
}

/// What its checks have shown of a server, and what becomes of it.
fn of_server(ServerReport { health, place, full, weight, server: _ }: &ServerReport) -> String {
    let mut text = match &health.state {
        ServerState::Failing(failing) => failing.to_string(),
        ServerState::Waiting => "new, waiting for its first success".to_owned(),
        ServerState::Unproven => "no result yet".to_owned(),
        ServerState::Passing => "passing".to_owned(),
    };
    if health.flapping {
        text.push_str("; flapping");
    }
    if let Some(start) = health.slow_start {
        text.push_str(&format!("; slow start, step {}", start.step));
    }
    text.push_str(match place {
        Place::Serves | Place::Idle => "",
        Place::Kept => "; kept in service",
        Place::Overruled => "; in service despite its checks",
        Place::Out => "; out of service",
    });
    if *place == Place::Serves && weight != full {
        text.push_str(&format!("; weight {weight} of {full}"));
    }
    text
}

/// The servers that have a mark in the table.
pub(super) struct Marks<'a>(HashMap<ServerOf, &'a ServerReport>);

impl<'a> Marks<'a> {
    /// Those of a comparison.
    pub(super) fn of(comparison: &'a StateDiff) -> Self {
        Self(comparison.health.servers.iter().map(|report| (report.server, report)).collect())
    }

    /// That of a server.
    pub(super) fn mark(&self, service: &ServiceKey, server: &ServerKey) -> &'static str {
        let Some(ServerReport { health, place, .. }) = self.0.get(&(*service, *server)) else { return "" };
        match (&health.state, place) {
            (ServerState::Failing(_), Place::Kept) => " (failing, kept in service)",
            (ServerState::Failing(_), Place::Overruled) => " (failing, in service despite its checks)",
            (ServerState::Failing(_), Place::Out | Place::Idle | Place::Serves) => " (failing)",
            (ServerState::Waiting, _) => " (waiting for its first success)",
            (ServerState::Passing | ServerState::Unproven, _) if health.slow_start.is_some() => {
                " (slow start)"
            }
            (ServerState::Passing | ServerState::Unproven, _) if health.flapping => " (flapping)",
            (ServerState::Passing | ServerState::Unproven, _) => "",
        }
    }
}

/// Writes it as JSON: the numbers, and each server that does not just pass.
pub(super) fn json(summary: &HealthSummary, comparison: &StateDiff) -> Value {
    let server = |report: &ServerReport| {
        let ServerReport { server: (service, server), health, place, full, weight } = report;
        let (state, failing) = match &health.state {
            ServerState::Failing(failing) => ("failing", Some(failing)),
            ServerState::Waiting => ("waiting", None),
            ServerState::Unproven => ("unknown", None),
            ServerState::Passing => ("passing", None),
        };
        json!({
            "cluster": comparison.cluster(service),
            "service": service.to_string(),
            "server": server.to_string(),
            "state": state,
            "check": failing.map(|failing| failing.check.as_str()),
            "detail": failing.map(|failing| failing.failure.detail.as_str()),
            "since": failing.map(|failing| failing.failure.since),
            "flapping": health.flapping,
            "slow_start": health.slow_start.map(|start| start.step),
            "place": of_place(*place),
            "full_weight": full,
            "weight": weight,
        })
    };
    let service = |(service, place): &(ServiceKey, ServicePlace)| {
        let place = match place {
            ServicePlace::Serves => "serves",
            ServicePlace::Guarded => "kept",
            ServicePlace::FailsOpen => "fails_open",
            ServicePlace::Fallback => "fallback",
            ServicePlace::Nothing => "nothing",
        };
        json!({ "service": service.to_string(), "cluster": comparison.cluster(service), "place": place })
    };
    let HealthSummary { checked, failing, waiting, flapping, unknown, kept, open, on_fallback, .. } = summary;
    let HealthSummary { frozen, silent, not_known, warnings, .. } = summary;
    json!({
        "checked": checked,
        "failing": failing,
        "waiting": waiting,
        "flapping": flapping,
        "unknown": unknown,
        "kept_in_service": kept,
        "failing_open": open,
        "on_fallback": on_fallback,
        "frozen": frozen,
        "silent": silent,
        "not_known": not_known,
        "warnings": warnings,
        "services": comparison.health.services.iter().map(service).collect::<Vec<_>>(),
        "servers": comparison.health.servers.iter().map(server).collect::<Vec<_>>(),
    })
}

fn of_place(place: Place) -> &'static str {
    match place {
        Place::Serves => "serves",
        Place::Kept => "kept",
        Place::Overruled => "overruled",
        Place::Out => "out",
        Place::Idle => "idle",
    }
}
