//! Gives account of what verdicts change: in the log, in the history and in the status, each once.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use super::Controller;
use super::outcome::{LOGGED, PassContext, log_applied};
use crate::daemon::checks::ChecksPass;
use crate::daemon::health_change::HealthChange;
use crate::history::{EventKind, HistoryEvent, MOST_CHANGES, MOST_CLUSTERS};
use crate::model::{Operation, ServiceKey};
use crate::reconcile::{PartialPass, Summary, noted};
use crate::status::PassOutcome;
use crate::target::{ServerOf, ServicePlace};

impl Controller {
    /// Takes in the result of a pass that has carried out what verdicts change, and nothing else.
    pub(super) fn finish_checks(&mut self, pass: ChecksPass, context: PassContext, warnings: Vec<String>) {
        let ChecksPass { part: PartialPass { done, last, is_verified: _ }, services, health } = pass;
        let is_read = |service: &ServiceKey| services.contains(service);
        self.reasons.retain(|subject, _| !subject.service().is_some_and(is_read));
        self.reasons.extend(last.reasons.iter().map(|(subject, reason)| (subject.clone(), reason.clone())));
        let summary = Summary::of(done.iter());
        if !done.is_empty() {
            let operations: Vec<&Operation> = done.iter().collect();
            let event = HistoryEvent::new(context.at, EventKind::Applied, context.reason);
            self.note_event(noted(event, &operations, &last));
            log_applied(&done, &last, |_| None);
            self.note_end(PassOutcome::Verified, context, summary);
        }
        self.note_health(health, context);
        for warning in warnings {
            if !self.warned.contains(&warning) {
                warn!("{warning}");
                self.warned.push(warning);
            }
        }
        self.write_status();
    }

    /// Records what checks do, and logs what has changed of it.
    pub(super) fn note_health(&mut self, change: HealthChange, context: PassContext) {
        let HealthChange { summary, services, failed, passed, changes_in } = change;
        self.checks.change_in(changes_in, context.now);
        for ((service, server), why) in failed.iter().take(LOGGED) {
            info!(%service, %server, "check failed: {server} of {service}: {why}");
        }
        for (service, server) in passed.iter().take(LOGGED) {
            info!(%service, %server, "check passed: {server} of {service}");
        }
        let failed =
            failed.iter().map(|((service, server), why)| (service, format!("{server} of {service}: {why}")));
        self.note_event_of_checks(EventKind::CheckFailed, failed.collect(), context);
        let one = |(service, server): &ServerOf| format!("{server} of {service}");
        let passed = passed.iter().map(|server| (&server.0, one(server))).collect();
        self.note_event_of_checks(EventKind::CheckPassed, passed, context);
        self.log_places(&services);
        self.places = services;
        let before = std::mem::replace(&mut self.status.health, summary);
        let after = &self.status.health;
        match (&before.frozen, &after.frozen) {
            (None, Some(reason)) => {
                warn!("verdicts stay as they are, since the checker cannot check: {reason}")
            }
            (Some(reason), None) => info!("the checker gives verdicts again, after: {reason}"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        match (&before.silent, &after.silent) {
            (None, Some(silent)) => warn!("verdicts stay as they are: {silent}"),
            (Some(_), None) => info!("the checker reports again"),
            (Some(_), Some(_)) if after.not_known && !before.not_known => {
                warn!("health of {} servers is not known", after.checked);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        for warning in after.warnings.iter().filter(|warning| !before.warnings.contains(warning)) {
            warn!("checker: {warning}");
        }
        for warning in before.warnings.iter().filter(|warning| !after.warnings.contains(warning)) {
            info!("checker, no longer: {warning}");
        }
    }

    fn log_places(&self, services: &BTreeMap<ServiceKey, ServicePlace>) {
        let differs =
            |(service, place): &(&ServiceKey, &ServicePlace)| self.places.get(*service) != Some(*place);
        for (service, place) in services.iter().filter(differs).take(LOGGED) {
            match place {
                ServicePlace::Serves => {}
                ServicePlace::Guarded => {
                    warn!(%service, "too few servers pass, so that failing ones are kept in service: {service}");
                }
                ServicePlace::FailsOpen => warn!(%service, "no server passes, so that all serve: {service}"),
                ServicePlace::Fallback => {
                    warn!(%service, "no server that may serve passes, so that the fallback serves: {service}")
                }
                ServicePlace::Nothing => warn!(%service, "no server passes, and none serves: {service}"),
            }
        }
        let checked = self.goal.as_ref().map(|goal| &goal.desired.health.services);
        for service in self.places.keys().filter(|service| !services.contains_key(*service)).take(LOGGED) {
            if checked.is_none_or(|checked| checked.contains_key(service)) {
                info!(%service, "enough servers pass again: {service}");
            } else {
                info!(%service, "no longer checked: {service}");
            }
        }
    }

    /// Notes servers in the history: one event, however many there are.
    fn note_event_of_checks(
        &mut self,
        kind: EventKind,
        servers: Vec<(&ServiceKey, String)>,
        context: PassContext,
    ) {
        let text = match servers.as_slice() {
            [] => return,
            [(_, one)] => one.clone(),
            servers => format!("{} servers", servers.len()),
        };
        let goal = self.goal.as_ref().map(|goal| &goal.desired.clusters);
        let cluster =
            |service: &ServiceKey| goal.and_then(|clusters| clusters.get(service)).map(ToString::to_string);
        let clusters: BTreeSet<String> = servers.iter().filter_map(|(service, _)| cluster(service)).collect();
        let is_short = clusters.len() <= MOST_CLUSTERS;
        let is_list = servers.len() > 1;
        let changes =
            servers.into_iter().filter(|_| is_list).take(MOST_CHANGES).map(|(_, text)| text).collect();
        let clusters = clusters.into_iter().filter(|_| is_short).collect();
        self.note_event(HistoryEvent { clusters, changes, ..HistoryEvent::new(context.at, kind, text) });
    }
}
