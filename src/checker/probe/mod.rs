//! Probes one server once, by one of the types of checks; one file each.

mod answer;
mod socket;
mod tcp;

use std::time::Duration;

use compact_str::{CompactString, format_compact};
use tokio::time::{Instant, timeout};

use self::tcp::Tcp;
use crate::health::{Endpoint, Outcome, ProbedCheck};
use crate::model::CheckKind;

/// What a probe has shown, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// What it has shown
    pub outcome: Outcome,
    /// When it began
    pub began: Instant,
    /// How long it took
    pub took: Duration,
}

/// A check that is ready to probe: what is built once for all targets is built.
#[derive(Debug)]
pub struct Prober {
    timeout: Duration,
    kind: Kind,
}

/// What each type has ready.
#[derive(Debug)]
enum Kind {
    Tcp(Tcp),
    /// It cannot be made ready, and why
    Invalid(CompactString),
}

impl Prober {
    /// Makes a check ready. What is wrong with it is the outcome of each probe then.
    pub fn new(check: &ProbedCheck) -> Self {
        let kind = match &check.kind {
            CheckKind::Tcp(exchange) => Kind::Tcp(Tcp::new(exchange, check.source)),
            other => Kind::Invalid(format_compact!("{other}: not yet")),
        };
        Self { timeout: check.timing.timeout, kind }
    }

    /// Probes a target; never takes longer than the time-out of the check.
    pub async fn probe(&self, target: Endpoint) -> Probed {
        let began = Instant::now();
        let outcome = match timeout(self.timeout, self.outcome(target)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(format_compact!("no answer within {}", shown(self.timeout))),
        };
        Probed { outcome, began, took: began.elapsed() }
    }

    async fn outcome(&self, target: Endpoint) -> Outcome {
        let result = match &self.kind {
            Kind::Tcp(tcp) => tcp.probe(target).await,
            Kind::Invalid(text) => Err(Outcome::Own(text.clone())),
        };
        result.unwrap_or_else(|outcome| outcome)
    }
}

/// A time as people write it: `2 s`, `200 ms`.
fn shown(time: Duration) -> String {
    match time.as_millis() {
        whole if whole % 1_000 == 0 => format!("{} s", whole / 1_000),
        rest => format!("{rest} ms"),
    }
}
