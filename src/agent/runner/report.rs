//! Says what the agent does: in a file of this director, and to the fleet.

use std::path::Path;
use std::process;
use std::time::SystemTime;

use tracing::warn;

use super::Agent;
use crate::agent::pause;
use crate::agent::place::Desired;
use crate::agent::settings::SourceSettings;
use crate::agent::status::AgentStatus;
use crate::error_chain::ErrorChain;
use crate::fleet::{Report, Version};

impl Agent {
    /// Writes what it does where others see it.
    pub(super) fn report(&mut self) {
        let seen = self.seen();
        let daemon = self.daemon_state.as_ref();
        let last_error = self.is_error.then(|| self.doing.clone()).or_else(|| self.source_error.clone());
        let report = Report {
            version: Version,
            at: SystemTime::now().into(),
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            labels: self.settings.labels.clone(),
            revision: self.state.in_force.as_ref().map(|file| file.revision.clone()),
            verified_sha256: daemon.and_then(|daemon| daemon.verified_sha256.clone()),
            in_sync: daemon.map(|daemon| daemon.in_sync),
            doing: self.doing.clone(),
            since: self.since,
            error: last_error,
            paused: paused(self.directory.followed_by(&self.desired), &self.desired),
            source_down_since: self.source_down_since,
            plan: self.plan.clone(),
        };
        if let Some(reporter) = &self.reporter {
            reporter.set(report.clone(), !self.is_under_way());
        }
        let stage =
            seen.view.as_ref().and_then(|view| view.strategy.as_ref()?.value.stage_of(&self.settings.name));
        let status = AgentStatus {
            version: Version,
            process: process::id(),
            name: self.settings.name.clone(),
            source: source_word(&self.settings.source).to_owned(),
            newest: self.newest.clone(),
            looks: self.looks,
            last_success: self.last_success,
            source_error: self.source_error.clone(),
            etcd_down: seen.down,
            stage: stage.map(|stage| stage + 1),
            head: seen.view.as_ref().and_then(|view| Some(view.head.as_ref()?.value.revision.clone())),
            is_error: self.is_error,
            report,
            verified: self.counts.0,
            failed: self.counts.1,
        };
        let is_same = self.written.as_ref().is_some_and(|written| {
            let report = Report { at: status.report.at, ..written.report.clone() };
            AgentStatus { report, ..written.clone() } == status
        });
        if !is_same {
            if let Err(error) = status.save(&self.directory) {
                warn!("{}", ErrorChain(&error));
            }
            self.written = Some(status);
        }
    }
}

/// Why the desired file is not the agent's, if so.
fn paused(followed: Desired, desired: &Path) -> Option<String> {
    match followed {
        Desired::Followed => None,
        Desired::Elsewhere | Desired::Missing => Some(pause::reason(desired)),
    }
}

/// The word for a source.
pub fn source_word(source: &SourceSettings) -> &'static str {
    match source {
        SourceSettings::Git(_) => "git",
        SourceSettings::Etcd(_) => "etcd",
        SourceSettings::Directory(_) => "directory",
    }
}
