//! Defines the options of `lbd fleet`: one look at all directors of a fleet, and who may go when.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ReportOutput;
use super::conditions::reason;
use super::status::interval;

/// Arguments of `fleet`.
#[derive(Debug, Clone, Args)]
pub struct FleetOptions {
    /// The agent's own file, which says where the etcd of the fleet is
    #[arg(long, value_name = "FILE", default_value = "/etc/lbd/agent.yaml")]
    pub config: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// The commands of `fleet`.
#[derive(Debug, Clone, Subcommand)]
pub enum FleetCommand {
    /// Show the directors: stage, revision, in sync or not, since when, and the last error
    ///
    /// Exit code 0: all verified the newest revision and report, 1: not, 2: error.
    Status {
        /// Output format
        #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
        output: ReportOutput,

        /// Repeat this every SECONDS (0.2 to 86400; 2 where no number is given) until Ctrl-C
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", value_parser = interval)]
        watch: Option<Duration>,
    },

    /// Show what each director would do with a revision, from the directors' own dry runs
    ///
    /// Exit code 0: nothing would change, 1: something would, 2: error, or a director does not answer.
    Diff {
        /// The revision: a commit, or the number that `lbd fleet push` prints
        #[arg(value_name = "REVISION")]
        revision: String,

        /// Output format
        #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
        output: ReportOutput,
    },

    /// Publish a desired file in etcd for the directors with these labels, where the source is etcd
    ///
    /// The file is validated, and the directors are named and counted first. Exit code 0: done, 2: error, also a label that no director has,
    /// 3: no director has all of these labels.
    Push {
        /// The desired file; `-` is standard input
        #[arg(id = "pushed", value_name = "FILE")]
        file: PathBuf,

        /// For whom: `site=fra` or `site=fra,role=edge`; `name=lb1` is one director
        #[arg(long = "for", value_name = "LABELS", value_delimiter = ',', required_unless_present = "all", value_parser = label)]
        labels: Vec<(String, String)>,

        /// For all directors; needed, too, where the labels are those of all of several
        #[arg(long)]
        all: bool,

        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,

        /// Why, for the record
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },

    /// Show or set the strategy: the directors, and the stages in which a revision goes out
    Strategy {
        /// What to do
        #[command(subcommand)]
        command: StrategyCommand,
    },

    /// No director takes a new revision any more, until `lbd fleet resume`
    ///
    /// What is under way ends as it would. Exit code 0: done, 2: error.
    Halt {
        /// Why, for those who see it in `lbd fleet status`
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },

    /// End what `halt` has begun
    ///
    /// The halt of a revision that failed does not end: a new revision goes on. Exit code 0: done, also where nothing was halted, 2: error.
    Resume,

    /// Make a revision the one that all directors take, stage by stage
    ///
    /// With git the first canary does so itself where its role in etcd allows that. Exit code 0: done, 2: error.
    Promote {
        /// The revision: a commit with all 40 digits, or what `lbd fleet push` printed
        #[arg(value_name = "REVISION")]
        revision: String,

        /// Why, for the record
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },

    /// Have all directors go back to a revision at once, without stages
    ///
    /// Exit code 0: done, 2: error, or not confirmed.
    Rollback {
        /// The revision; default: the last one that all directors had verified before
        #[arg(value_name = "REVISION")]
        revision: Option<String>,

        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,

        /// Why, for the record
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },

    /// Free the slot of a director that does not come back, so that another one can go on
    ///
    /// Exit code 0: done, 2: error, or it has none.
    Release {
        /// The director
        #[arg(value_name = "DIRECTOR")]
        director: String,

        /// Why, for the record
        #[arg(long, value_name = "TEXT", required = true, value_parser = reason)]
        reason: Option<String>,
    },

    /// Print the commands of `etcdctl` that make the roles and users of the directors, and change nothing
    ///
    /// Exit code 0: done, 2: error.
    Roles,
}

/// The commands of `fleet strategy`.
#[derive(Debug, Clone, Subcommand)]
pub enum StrategyCommand {
    /// Validate a strategy and put it into etcd
    ///
    /// Exit code 0: done, 2: error.
    Set {
        /// The file; `-` is standard input
        #[arg(id = "strategy", value_name = "FILE")]
        file: PathBuf,

        /// Why, for the record
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },

    /// Print the strategy that is in etcd
    ///
    /// Exit code 0: done, 2: error, or there is none.
    Show,

    /// Check a file; needs no network
    ///
    /// Exit code 0: it is valid, 2: it is not.
    Validate {
        /// The file; `-` is standard input
        #[arg(id = "strategy", value_name = "FILE")]
        file: PathBuf,
    },
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(label, value)| !label.is_empty() && !value.is_empty());
    pair.map(|(label, value)| (label.to_owned(), value.to_owned()))
        .ok_or("expected `label=value`, such as `site=fra`")
}
