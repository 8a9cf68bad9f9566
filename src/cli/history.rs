//! Defines the options of the commands about the history: `history` and `rollback`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::ReportOutput;
use super::conditions::length as trial_length;

/// Arguments of `history`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HistoryOptions {
    /// What else to do than to list the files
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,

    /// List the events instead, the oldest first: what was applied, repaired, refused, overridden, paused, restored
    #[arg(long)]
    pub events: bool,

    /// Only the events of this time: `2h`, `1d` or `1w`
    #[arg(long, value_name = "TIME", requires = "events", value_parser = length)]
    pub since: Option<Duration>,

    /// Only so many events, the last ones
    #[arg(long, value_name = "NUMBER", requires = "events", conflicts_with = "follow")]
    pub last: Option<usize>,

    /// Go on with the events that come, until Ctrl-C; with `--output json` each is a line
    #[arg(long, requires = "events")]
    pub follow: bool,

    /// Only the events that concern these clusters, or none in particular
    #[arg(value_name = "CLUSTER", requires = "events")]
    pub clusters: Vec<String>,

    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,
}

impl HistoryOptions {
    /// Without any option.
    pub fn plain() -> Self {
        Self {
            command: None,
            events: false,
            since: None,
            last: None,
            follow: false,
            clusters: Vec::new(),
            output: ReportOutput::Text,
        }
    }
}

/// The commands of `history`.
#[derive(Debug, Clone, Subcommand)]
pub enum HistoryCommand {
    /// Write the text of a file; on a terminal with what it would act on escaped, elsewhere as it is
    Show {
        /// The number of the file, as `lbd history` lists it
        #[arg(value_name = "NUMBER")]
        number: u64,

        /// Write it into this directory, which is made, with all files that it includes
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

/// Arguments of `rollback`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("how").args(["now", "length"]).required(true))]
pub struct RollbackOptions {
    /// The number of the file, as `lbd history` lists it
    #[arg(value_name = "NUMBER")]
    pub number: u64,

    /// Make it the desired file at once
    #[arg(long)]
    pub now: bool,

    /// Try it so long, as `lbd try` does: `90s`, `2m` or `1h`, at most 30 days
    #[arg(long = "for", value_name = "TIME", value_parser = trial_length)]
    pub length: Option<Duration>,

    /// Do not ask for confirmation
    #[arg(long, short)]
    pub yes: bool,

    /// Allow a file with no clusters to empty the table, and services to lose their last server with a weight above 0
    #[arg(long)]
    pub allow_empty: bool,

    /// Allow more deletions of services and servers than `policy.max_delete`
    #[arg(long)]
    pub allow_deletes: bool,
}

/// How far back events are listed; a bare number counts seconds.
fn length(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().map(Duration::from_secs).ok();
    seconds.or_else(|| humantime::parse_duration(text).ok()).ok_or("expected a time, such as 2h, 1d or 1w")
}
