//! Defines the options of `lbd agent`: what brings the desired file of a fleet to one director.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ReportOutput;
use super::conditions::{length, reason};
use crate::files::AGENT_DIR;

/// Where the files of the agent are.
#[derive(Debug, Clone, Args)]
pub struct AgentFiles {
    /// The agent's own file
    #[arg(long, value_name = "FILE", default_value = "/etc/lbd/agent.yaml")]
    pub config: PathBuf,

    /// The directory in which the agent puts the desired file and what it remembers
    #[arg(long, value_name = "DIR", default_value = AGENT_DIR)]
    pub agent_dir: PathBuf,
}

/// Arguments of `agent`.
#[derive(Debug, Clone, Args)]
pub struct AgentOptions {
    /// Where its files are
    #[command(flatten)]
    pub files: AgentFiles,

    /// What to do
    #[command(subcommand)]
    pub command: AgentCommand,
}

/// The commands of `agent`.
#[derive(Debug, Clone, Subcommand)]
pub enum AgentCommand {
    /// The agent: fetch the desired file of this director and put it into place, until SIGTERM
    ///
    /// The network is no part of `lbd run`: this is another program, without any privilege. SIGHUP fetches now. Exit code 0: stopped by a
    /// signal, 2: error.
    Run {
        /// Log level: error, warn, info, debug, trace or off; default: LBD_LOG, else info
        #[arg(long, value_name = "LEVEL")]
        log_level: Option<String>,
    },

    /// Show where the desired file comes from, which revision is in force, what waits and why, and since when the source does not answer
    ///
    /// Exit code 0: the newest revision is in force, 1: it is not, or the agent is paused, not enabled or not running, 2: error.
    Status {
        /// Output format
        #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
        output: ReportOutput,
    },

    /// Write what monitoring reads of the agent, in the text format of Prometheus
    ///
    /// From what the agent wrote last; for the textfile collector of node_exporter, as `lbd metrics` is. Exit code 0: done, 2: error.
    Metrics {
        /// Write them into this file, which is replaced at once and readable for all, in place of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },

    /// Check the agent's own file; needs no network
    ///
    /// Exit code 0: it is valid, 2: it is not.
    Validate {
        /// Output format
        #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
        output: ReportOutput,
    },

    /// Have the agent fetch now, and wait until it has
    ///
    /// Exit code 0: fetched, 2: error, or the source does not answer.
    Sync,

    /// Take the desired file out of the agent's hands for a time: it becomes a plain file that can be edited
    ///
    /// The agent goes on fetching and reporting, and puts nothing into place. When the time is over, or with `lbd agent resume`, the
    /// desired file is that of the fleet again; what was edited meanwhile is in `lbd history`. Exit code 0: done, 2: error.
    Pause {
        /// How long: `90s`, `30m`, `2h` or `1d`, at most 30 days
        #[arg(long = "for", value_name = "TIME", default_value = "2h", value_parser = length)]
        length: Duration,

        /// Why, for those who see it in `lbd agent status` and `lbd fleet status`
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },

    /// End a pause: the desired file is that of the fleet again
    ///
    /// Exit code 0: done, also where nothing was paused, 2: error.
    Resume {
        /// Only where the time of the pause is over; else have it end in time
        #[arg(long, hide = true)]
        due: bool,
    },

    /// Make the desired file a link to the one that the agent puts into place, and start the agent
    ///
    /// The file that was there stays beside it, with the end `.before-agent`. Exit code 0: done, 2: error.
    Enable {
        /// Do not start the agent's unit
        #[arg(long)]
        no_start: bool,
    },

    /// Make the desired file a plain file again, with what is in force, and stop the agent
    ///
    /// Exit code 0: done, also where it was one, 2: error.
    Disable {
        /// Do not stop the agent's unit
        #[arg(long)]
        no_stop: bool,
    },

    /// Let the agent take a commit that does not descend from the one in force, once
    ///
    /// Exit code 0: done, 2: error.
    AllowRewind {
        /// The commit, with all 40 digits
        #[arg(value_name = "COMMIT")]
        commit: String,
    },
}
