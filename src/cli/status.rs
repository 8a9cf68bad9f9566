//! Defines the options of the commands that show what passes through the director: `status`, `top`, `connections` and `zero`.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::ReportOutput;
use crate::connections::Endpoint;

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
pub(super) fn interval(seconds: &str) -> Result<Duration, &'static str> {
    let seconds = seconds.parse().ok().filter(|seconds| (0.2..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or("expected a number of seconds from 0.2 to 86400")
}

/// Arguments of `top`.
#[derive(Debug, Clone, Args)]
pub struct TopOptions {
    /// Write all of it once and end; needs no terminal
    #[arg(long)]
    pub once: bool,

    /// Output format of `--once`; JSON is the document of `/v1/table`
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT", requires = "once")]
    pub output: ReportOutput,
}

/// Arguments of `connections`.
#[derive(Debug, Clone, Args)]
pub struct ConnectionsOptions {
    /// Only the connections of these clusters
    #[arg(value_name = "CLUSTER")]
    pub clusters: Vec<String>,

    /// Only those of this client: an address, with or without a port, or a prefix such as 192.0.2.0/24
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<Endpoint>,

    /// Only those to this real server: an address, with or without a port, or a prefix
    #[arg(long, value_name = "ADDRESS")]
    pub server: Option<Endpoint>,

    /// Only those in this state, such as ESTABLISHED or FIN_WAIT, small or large; `persistence` for the templates
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,

    /// Count them instead: by cluster, service, server and state
    #[arg(long)]
    pub count: bool,

    /// Output format; JSON is one object on each line
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,
}

impl ConnectionsOptions {
    /// Without any option.
    pub fn plain() -> Self {
        Self {
            clusters: Vec::new(),
            client: None,
            server: None,
            state: None,
            count: false,
            output: ReportOutput::Text,
        }
    }
}

/// Arguments of `zero`.
#[derive(Debug, Clone, Args)]
pub struct ZeroOptions {
    /// Only the counters of these clusters; without a name, of all that lbd owns
    #[arg(value_name = "CLUSTER", conflicts_with = "all")]
    pub clusters: Vec<String>,

    /// Those of the services of other programs, too, and the totals of the host
    #[arg(long)]
    pub all: bool,

    /// Do not ask for confirmation
    #[arg(long, short)]
    pub yes: bool,
}
