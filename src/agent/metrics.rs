//! Describes the metrics of the agent, beside those of the daemon: the name, the meaning and the value of each.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::status::AgentStatus;

/// What is exported of an agent.
#[derive(Debug)]
pub struct AgentMetrics {
    /// What it wrote last; `None`: it has not run yet
    pub status: Option<AgentStatus>,
    /// Whether it runs
    pub is_running: bool,
    /// Whether the newest revision of the source is in force
    pub is_newest: bool,
    /// Whether the desired file is not the agent's at present
    pub is_paused: bool,
}

const NO_LABELS: [(&str, &str); 0] = [];

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    labelled(encoder, name, help, &NO_LABELS, value)
}

fn labelled(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    labels: &impl EncodeLabelSet,
    value: f64,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    family.encode_family(labels)?.encode_gauge(&value)
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

impl Collector for AgentMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        gauge(encoder, "agent_running", "Whether the agent runs (1)", flag(self.is_running))?;
        gauge(
            encoder,
            "agent_paused",
            "Whether the desired file is not the agent's at present (1)",
            flag(self.is_paused),
        )?;
        let Some(status) = &self.status else { return Ok(()) };
        let help = "Whether the newest revision of the source is in force, and nothing is wrong (1)";
        gauge(encoder, "agent_newest_in_force", help, flag(self.is_newest))?;
        gauge(
            encoder,
            "agent_error",
            "Whether an operator has to do something, as `lbd agent status` says (1)",
            flag(status.is_error),
        )?;
        let source = [("source", status.source.as_str())];
        let help = "Whether the source answered last (1)";
        labelled(
            encoder,
            "source_up",
            help,
            &source,
            flag(status.source_error.is_none() && status.last_success.is_some()),
        )?;
        if let Some(last) = status.last_success {
            let since = SystemTime::from(last).duration_since(UNIX_EPOCH).unwrap_or_default();
            let help = "When the source answered last";
            labelled(encoder, "source_last_success_timestamp_seconds", help, &source, since.as_secs_f64())?;
        }
        let mut family = encoder.encode_descriptor(
            "source_looks",
            "How often the source was looked at since the agent began",
            None,
            MetricType::Counter,
        )?;
        family.encode_family(&source)?.encode_counter::<NoLabelSet, _, f64>(&status.looks, None)?;
        if let Some(stage) = status.stage {
            // (There are never so many.)
            let stage = u32::try_from(stage).unwrap_or(u32::MAX);
            gauge(encoder, "rollout_stage", "The stage of this director, from 1", f64::from(stage))?;
        }
        gauge(
            encoder,
            "rollout_etcd_up",
            "Whether the etcd of the fleet answers, where there is one (1)",
            flag(status.etcd_down.is_none()),
        )?;
        let help = "Revisions that ended here since the agent began, by their result";
        let mut family = encoder.encode_descriptor("rollout_revisions", help, None, MetricType::Counter)?;
        for (result, count) in [("verified", status.verified), ("failed", status.failed)] {
            family
                .encode_family(&[("result", result)])?
                .encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        Ok(())
    }
}
