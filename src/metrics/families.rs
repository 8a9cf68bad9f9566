//! Describes the metrics: the name, the meaning, the labels and the values of each, whatever the format is.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::passes::PassCounts;
use super::snapshot::{ServerNumbers, ServiceNumbers, Snapshot};
use crate::guard::Guard;
use crate::health::ProbeResults;
use crate::model::{Counters, Durations, Kind};
use crate::reconcile::ServerStatus;

/// A kind of counter of [`Counters`]: the end of its name, its meaning, and its value.
type Counted = (&'static str, &'static str, fn(&Counters) -> u64);

const COUNTED: [Counted; 5] = [
    ("connections", "Connections that were scheduled", |of| of.connections),
    ("incoming_packets", "Packets from clients", |of| of.incoming_packets),
    ("outgoing_packets", "Packets to clients; none of servers that answer them directly", |of| {
        of.outgoing_packets
    }),
    ("incoming_bytes", "Bytes from clients", |of| of.incoming_bytes),
    ("outgoing_bytes", "Bytes to clients; none of servers that answer them directly", |of| of.outgoing_bytes),
];

/// Metrics of one name and type.
struct Family<'a>(MetricEncoder<'a>);

impl Family<'_> {
    fn gauge(&mut self, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    fn seconds(&mut self, labels: &impl EncodeLabelSet, value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    fn counter(&mut self, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }
}

const NO_LABELS: [(&str, &str); 0] = [];

/// The names and values of metrics, as they are written.
struct Names<'a>(DescriptorEncoder<'a>);

impl Names<'_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        of: MetricType,
        each: impl FnOnce(&mut Family<'_>) -> fmt::Result,
    ) -> fmt::Result {
        each(&mut Family(self.0.encode_descriptor(name, help, None, of)?))
    }

    /// A gauge without labels.
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<u64>) -> fmt::Result {
        // There are never so many.
        let value = value.try_into().unwrap_or(u64::MAX);
        self.family(name, help, MetricType::Gauge, |family| family.gauge(&NO_LABELS, value))
    }

    /// How long something took, in seconds.
    fn histogram(&mut self, name: &str, help: &str, of: &Durations) -> fmt::Result {
        let bounds = Durations::BOUNDS.map(|bound| f64::from(bound) / 1_000.0).into_iter();
        let counts = of.buckets.into_iter().chain([of.longer]);
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let sum = of.micros as f64 / 1_000_000.0;
        self.family(name, help, MetricType::Histogram, |family| {
            family.0.encode_histogram::<NoLabelSet>(sum, of.count(), &buckets, None)
        })
    }

    /// Something that does not change, in a label.
    fn info(&mut self, name: &str, help: &str, label: (&str, &str)) -> fmt::Result {
        self.family(name, help, MetricType::Info, |family| family.0.encode_info(&[label]))
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut names = Names(encoder);
        names.info("build", "The version of lbd", ("version", env!("CARGO_PKG_VERSION")))?;
        state(&mut names, self)?;
        checks(&mut names, self)?;
        if let Some(passes) = &self.passes {
            of_passes(&mut names, passes)?;
        }
        kernel(&mut names, self)?;
        services(&mut names, &self.services)?;
        servers(&mut names, &self.services)
    }
}

fn state(names: &mut Names<'_>, of: &Snapshot) -> fmt::Result {
    names.gauge("in_sync", "Whether the file is valid and the kernel is equal to it (1)", of.is_in_sync)?;
    names.gauge("file_valid", "Whether the desired file is valid (1)", of.is_file_valid)?;
    if let Some(sha256) = &of.file_sha256 {
        names.info("file", "The desired file, by the SHA-256 of its text", ("sha256", sha256))?;
    }
    let help = "Whether this guard refuses a change of the file, or a part of it (1)";
    names.family("guard_refused", help, MetricType::Gauge, |family| {
        Guard::ALL.iter().try_for_each(|guard| {
            family.gauge(&[("guard", Shown(guard))], of.refusing.contains(guard).into())
        })
    })?;
    let help = "Virtual services in the kernel that lbd does not manage";
    names.gauge("foreign_services", help, of.foreign_services)?;
    let help = "Servers that have left the file and keep their connections for a while";
    names.gauge("draining_servers", help, of.draining_servers)?;
    names.gauge(
        "overrides",
        "Overrides in force: what `lbd drain` and `lbd weight` have set",
        of.overrides,
    )?;
    names.gauge("paused", "Whether anything is paused, so that it is not written (1)", of.is_paused)?;
    names.gauge("daemon_running", "Whether the daemon runs (1)", of.daemon.is_some())?;
    let Some(daemon) = &of.daemon else { return Ok(()) };
    names.gauge("conflicts", "Entries that another program keeps reverting", daemon.conflicts)?;
    if let Some(warnings) = daemon.warnings.as_ref().filter(|warnings| !warnings.is_empty()) {
        let help = "Warnings about the host, by their code";
        names.family("warnings", help, MetricType::Gauge, |family| {
            warnings.iter().try_for_each(|(code, count)| family.gauge(&[("code", code.as_str())], *count))
        })?;
    }
    Ok(())
}

fn checks(names: &mut Names<'_>, of: &Snapshot) -> fmt::Result {
    let Snapshot { checks: of, probes, .. } = of;
    names.gauge(
        "checked_servers",
        "Servers with health checks; in several services each counts",
        of.checked,
    )?;
    let help = "Of these, servers whose checks have shown nothing yet";
    names.gauge("check_unknown_servers", help, of.unknown + of.waiting)?;
    let help =
        "Of these, servers that fail and serve all the same, since too few would be left (min_serving)";
    names.gauge("check_kept_servers", help, of.kept)?;
    let help = "Virtual services in which no server passes its checks, so that all of them serve";
    names.gauge("check_open_services", help, of.open)?;
    let help = "Virtual services in which the fallback serves";
    names.gauge("check_fallback_services", help, of.on_fallback)?;
    let help = "Whether the checker gives no verdicts at present: it is silent, or cannot check (1)";
    names.gauge("check_silent", help, of.silent.is_some() || of.frozen.is_some())?;
    let Some(ProbeResults { passed, failed, durations }) = probes else { return Ok(()) };
    let help = "Probes of the checker, by their result; those that it could not make are not among them";
    names.family("check_results", help, MetricType::Counter, |family| {
        family.counter(&[("result", "passed")], *passed)?;
        family.counter(&[("result", "failed")], *failed)
    })?;
    names.histogram("check_duration_seconds", "How long these probes took", durations)
}

fn of_passes(names: &mut Names<'_>, of: &PassCounts) -> fmt::Result {
    if !of.passes.is_empty() {
        let help = "Passes of the daemon, by why they ran and how they ended";
        names.family("passes", help, MetricType::Counter, |family| {
            of.passes.iter().try_for_each(|((reason, end), count)| {
                family.counter(
                    &[("reason", Word(reason.to_string())), ("outcome", Word(end.to_string()))],
                    *count,
                )
            })
        })?;
    }
    let help = "How long the passes took that have read the table, or a part of it";
    names.histogram("pass_duration_seconds", help, &of.durations)?;
    if let Some(at) = of.last_verified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()) {
        let help = "When a pass last found the kernel equal to what it should be, in seconds since 1970";
        names.family("last_verified_timestamp_seconds", help, MetricType::Gauge, |family| {
            family.seconds(&NO_LABELS, at.as_secs_f64())
        })?;
    }
    let help =
        "Operations of the daemon that have repaired what another program changed, by the kind of object";
    names.family("drift_repairs", help, MetricType::Counter, |family| {
        Kind::ALL.iter().try_for_each(|kind| {
            let count = of.drift_repairs.get(kind).copied().unwrap_or_default();
            family.counter(&[("kind", Shown(kind))], count)
        })
    })
}

fn kernel(names: &mut Names<'_>, of: &Snapshot) -> fmt::Result {
    if let Some(are_running) = of.are_counters_running {
        let help = "Whether the kernel counts for services and servers (1), which net.ipv4.vs.run_estimation: 0 stops (0)";
        names.gauge("kernel_counters_running", help, are_running)?;
    }
    let Some(totals) = &of.totals else { return Ok(()) };
    COUNTED.iter().try_for_each(|(name, help, value)| {
        let help = format!("{help}, of all services that the host has and had");
        names.family(&format!("kernel_{name}"), &help, MetricType::Counter, |family| {
            family.counter(&NO_LABELS, value(totals))
        })
    })
}

fn services(names: &mut Names<'_>, of: &[ServiceNumbers]) -> fmt::Result {
    if of.iter().any(|service| service.counters.is_some()) {
        COUNTED.iter().try_for_each(|(name, help, value)| {
            names.family(&format!("service_{name}"), help, MetricType::Counter, |family| {
                of.iter().try_for_each(|service| match &service.counters {
                    Some(counters) => family.counter(&labels(service), value(counters)),
                    None => Ok(()),
                })
            })
        })?;
    }
    if of.is_empty() {
        return Ok(());
    }
    let help = "Servers of a service, by how they are";
    names.family("service_servers", help, MetricType::Gauge, |family| {
        let each = |service: &ServiceNumbers| {
            let [cluster, name] = labels(service);
            service.servers.iter().zip(ServerStatus::ALL).try_for_each(|(count, status)| {
                family.gauge(&[cluster, name, ("state", status.as_str())], *count)
            })
        };
        of.iter().try_for_each(each)
    })
}

/// A number of a server: the end of its name, its meaning, its type, and its value, where it has one.
type OfServer = (&'static str, &'static str, MetricType, fn(&ServerNumbers) -> Option<u64>);

const OF_SERVERS: [OfServer; 5] = [
    ("server_weight", "Weight of a server in the kernel", MetricType::Gauge, |of| {
        Some(of.live.as_ref()?.weight.into())
    }),
    ("server_active_connections", "Active connections of a server", MetricType::Gauge, |of| {
        Some(of.live.as_ref()?.active.into())
    }),
    ("server_inactive_connections", "Inactive connections of a server", MetricType::Gauge, |of| {
        Some(of.live.as_ref()?.inactive.into())
    }),
    ("server_connections", "Connections that were scheduled to a server", MetricType::Counter, |of| {
        of.live.as_ref()?.connections
    }),
    (
        "check_up",
        "Whether the health checks of a server pass, or nothing is known of them (1)",
        MetricType::Gauge,
        |of| of.is_up.map(u64::from),
    ),
];

fn servers(names: &mut Names<'_>, of: &[ServiceNumbers]) -> fmt::Result {
    for (name, help, kind, value) in OF_SERVERS {
        if !of.iter().flat_map(|service| &service.each).any(|server| value(server).is_some()) {
            continue;
        }
        names.family(name, help, kind, |family| {
            for service in of {
                let [cluster, name] = labels(service);
                for server in &service.each {
                    let Some(value) = value(server) else { continue };
                    let labels = [cluster, name, ("server", server.server.as_str())];
                    match kind {
                        MetricType::Counter => family.counter(&labels, value)?,
                        _ => family.gauge(&labels, value)?,
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn labels(of: &ServiceNumbers) -> [(&'static str, &str); 2] {
    [("cluster", of.cluster.as_str()), ("service", of.service.as_str())]
}

/// A label that is written as it shows itself.
struct Shown<T>(T);

impl<T: fmt::Display> EncodeLabelValue for Shown<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        fmt::Write::write_fmt(encoder, format_args!("{}", self.0))
    }
}

/// A label of several words, written as one.
struct Word(String);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        fmt::Write::write_str(encoder, &self.0.replace(' ', "_"))
    }
}
