//! Defines the options of `status`.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::ReportOutput;

/// Arguments of `status`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("numbers").args(["stats", "rates"]).multiple(true))]
pub struct StatusOptions {
    /// Show only these clusters: their services and servers
    #[arg(value_name = "CLUSTER")]
    pub clusters: Vec<String>,

    /// Show what the kernel has counted, instead of weights: connections, packets and bytes of clusters, services and servers
    ///
    /// In the text 12.3k is 12,300, as precise as it is shown; `--exact` and JSON have each digit. The kernel sums its counters up every two
    /// seconds. Servers that answer their clients directly (dr, tun) send nothing through the director.
    #[arg(long)]
    pub stats: bool,

    /// Show how many of them per second, by the kernel's estimator: an average that is new every two seconds
    #[arg(long)]
    pub rates: bool,

    /// Show each digit of these numbers in the text
    #[arg(long, requires = "numbers")]
    pub exact: bool,

    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,

    /// Exit code 1 where no daemon runs, also where it was stopped
    #[arg(long)]
    pub require_daemon: bool,

    /// Repeat this every SECONDS (0.2 to 86400; 2 where no number is given) until Ctrl-C, in place on a terminal
    ///
    /// Elsewhere one output follows the other: text with an empty line between, JSON as one object on each line. The exit code is
    /// that of the last output.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", value_parser = interval)]
    pub watch: Option<Duration>,
}

impl StatusOptions {
    /// Without any option.
    pub fn plain() -> Self {
        Self {
            clusters: Vec::new(),
            stats: false,
            rates: false,
            exact: false,
            output: ReportOutput::Text,
            require_daemon: false,
            watch: None,
        }
    }
}

/// The interval of `--watch`.
fn interval(seconds: &str) -> Result<Duration, &'static str> {
    let seconds = seconds.parse().ok().filter(|seconds| (0.2..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("expected a number of seconds from 0.2 to 86400")
}
