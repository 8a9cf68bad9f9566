//! Defines what the checker says of each probe.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use compact_str::CompactString;
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::probe::ProbeKey;
use crate::model::Durations;
use crate::status::Timestamp;

/// What the results of a probe add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There were not yet enough results.
    Unknown,
    /// The server does what is expected.
    Passing,
    /// It does not.
    Failing(Failure),
}

/// Why a server is failing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What the last probe saw, such as `status 503`; may contain what the server sent, and is escaped where it is shown
    pub detail: CompactString,
    /// Since when the verdict is "failing", by the wall clock
    pub since: Timestamp,
    /// The same in milliseconds since the boot: verdicts are compared by it
    pub since_boot: u64,
    /// How many probes in a row have failed, at most `fall`
    pub failed: u32,
    /// How many have to fail in a row
    pub fall: u32,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} of {}, since {}", self.detail, self.failed, self.fall, self.since)
    }
}

/// The weight that a program has printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecWeight {
    /// A share in per cent of the weight in the file
    Percent(u32),
    /// A weight
    Weight(u32),
}

/// What the checker says of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict
    pub verdict: Verdict,
    /// Whether it changed so often that a success has to last before it counts
    pub flapping: bool,
    /// The weight that a program has printed
    pub weight: Option<ExecWeight>,
}

impl Finding {
    /// Passing, and nothing else to say: such findings are not written.
    pub const PASSING: Self = Self { verdict: Verdict::Passing, flapping: false, weight: None };
}

/// What the checker says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdicts {
    /// The SHA-256 of the probes that it is about: [`super::Probes::hash`]
    pub probes: String,
    /// When it was written, in milliseconds since the boot: the checker writes at least every 10 s, so that a dead one is noticed
    pub at: u64,
    /// What is not just [`Finding::PASSING`]
    pub findings: HashMap<ProbeKey, Finding, RandomState>,
    /// Why the checker gives no verdicts at present, if so: a shortage of its own, or the director's own network
    pub frozen: Option<CompactString>,
    /// What an operator should know, such as a certificate that ends soon
    pub warnings: Vec<CompactString>,
    /// What its probes have shown so far: for monitoring, since nothing follows from it
    pub results: ProbeResults,
}

/// What the probes of a checker have shown since it began to probe; not those that it could not make, or was too slow for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbeResults {
    /// How many have passed
    pub passed: u64,
    /// How many have failed
    pub failed: u64,
    /// How long these took
    pub durations: Durations,
}

/// Addresses that are probed.
pub type Addresses = HashSet<IpAddr, RandomState>;

impl Verdicts {
    /// The addresses of which something else is said than that they are passing: whether a server may be concerned is known without the key
    /// of its probe.
    pub fn addresses(&self) -> Addresses {
        self.findings.keys().map(|probe| probe.target.ip()).collect()
    }

    /// What the checker says of a probe that it knows.
    pub fn of(&self, probe: &ProbeKey) -> &Finding {
        self.findings.get(probe).unwrap_or(&Finding::PASSING)
    }
}
