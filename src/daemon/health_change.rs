//! Describes what verdicts have changed from one pass to the next, for the log, the history and the status.

use std::collections::BTreeMap;

use crate::model::ServiceKey;
use crate::reconcile;
use crate::status::HealthSummary;
use crate::store::Heard;
use crate::target::{Clock, InForce, ServerOf, ServerState, ServicePlace, Target};

/// What verdicts have changed.
#[derive(Debug, Clone, Default)]
pub struct HealthChange {
    /// What checks do now
    pub summary: HealthSummary,
    /// The services in which not just those servers serve that pass
    pub services: BTreeMap<ServiceKey, ServicePlace>,
    /// The servers that fail now and did not, each with the reason
    pub failed: Vec<(ServerOf, String)>,
    /// The servers that pass now and did fail, or had yet to pass
    pub passed: Vec<ServerOf>,
    /// When what verdicts do changes by itself, in milliseconds
    pub changes_in: Option<u64>,
}

impl HealthChange {
    /// What has changed from the verdicts that were in force to those of a target. Pure.
    pub(super) fn new(
        before: &InForce,
        target: &Target<'_>,
        heard: &Heard,
        is_child: bool,
        changes_in: Option<u64>,
        now: Clock,
    ) -> Self {
        let after = &target.conditions.health;
        let (mut failed, mut passed) = (Vec::new(), Vec::new());
        for service in after.services_other_than(before) {
            for (server, health) in after.of_service(&service) {
                let old = before.of(&service, server).map(|health| &health.state);
                match (&health.state, old) {
                    (ServerState::Failing(_), Some(ServerState::Failing(_))) => {}
                    (ServerState::Failing(failing), _) => {
                        failed.push(((service, *server), failing.to_string()));
                    }
                    (ServerState::Passing, Some(ServerState::Failing(_) | ServerState::Waiting)) => {
                        passed.push((service, *server));
                    }
                    (ServerState::Passing | ServerState::Unproven | ServerState::Waiting, _) => {}
                }
            }
        }
        failed.sort_unstable_by_key(|(server, _)| *server);
        passed.sort_unstable();
        Self {
            summary: reconcile::health_summary(target.health(), heard, is_child, now),
            services: target.health().services.iter().copied().collect(),
            failed,
            passed,
            changes_in,
        }
    }
}
