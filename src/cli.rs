//! Defines the commands and options of `lbd` with their help texts; man page and completions come from here.

mod agent;
mod checker;
mod conditions;
mod export;
mod fleet;
mod history;
mod man;
mod metrics;
mod parser;
mod plan;
mod status;
mod tips;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::files::AGENT_DIR;
use crate::health::RunDirs;

pub use self::agent::{AgentCommand, AgentFiles, AgentOptions};
pub use self::checker::{CheckOptions, CheckerOptions, CheckerStart};
pub use self::conditions::{
    DrainOptions, Lasting, PauseOptions, Term, TryOptions, UndoOptions, WeightOptions,
};
pub use self::export::{Export, ExportOutput, ImportFormat};
pub use self::fleet::{FleetCommand, FleetOptions, StrategyCommand};
pub use self::history::{HistoryCommand, HistoryOptions, RollbackOptions};
pub use self::man::ManPage;
pub use self::metrics::MetricsOptions;
pub use self::plan::{Apply, Diff, DiffOutput, Overrides, PruneOption};
pub use self::status::{ConnectionsOptions, StatusOptions, TopOptions, ZeroOptions};
pub use self::tips::is_file_name;

/// Keeps a Linux load balancer (IPVS) equal to one file.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "lbd",
    version,
    about,
    long_about = "Keeps a Linux host's layer-4 load balancer (IPVS, the kernel side of LVS) equal to one file: it reads \
                  the live table, computes the smallest set of edits, carries them out, and reads the table back to \
                  prove it.",
    after_help = "Exit codes: 0 done or in sync, 1 not in sync (diff, status), not all pass (check), paused, servers in service against \
                  their checks, or the daemon or its checker dead (status), 2 error, 3 refused \
                  by a guard, a pause, a trial or `--expect` (apply, pause, try, confirm, rollback).",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// The desired file; `-` is standard input
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        default_value = "/etc/lbd/desired.yaml",
        global = true
    )]
    pub file: PathBuf,

    /// The directory in which lbd records what it owns and what was last verified
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lbd", global = true)]
    pub state_dir: PathBuf,

    /// The directory in which the daemon writes what is to be probed; the checker writes into the one beside it, DIR-check
    #[arg(long, value_name = "DIR", default_value = RunDirs::DAEMON, global = true)]
    pub run_dir: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Show what `apply` would do now; changes nothing
    ///
    /// Exit code 0: in sync (foreign services alone are), 1: differs, 2: error.
    Diff(Diff),

    /// Make the kernel equal to the file: read, plan, execute, read back, verify
    ///
    /// Exit code 0: verified, 2: error, 3: refused by a guard, a pause or `--expect`.
    Apply(Apply),

    /// The daemon: watch the file and the kernel, and keep them equal until SIGTERM
    ///
    /// SIGHUP reconciles now. Stopping leaves the table serving. Exit code 0: stopped by a signal, 2: error.
    Run(Run),

    /// The process that probes, without privileges; the service manager or `lbd run` starts it
    ///
    /// Exit code 0: stopped by a signal, 2: error.
    #[command(hide = true)]
    Checker(CheckerOptions),

    /// The boot-time pass: the file if it is valid, else the last state that was applied and verified
    ///
    /// Exit code 0: verified (with a warning where it was the last state), 2: neither could be.
    Restore,

    /// Show what the daemon did last and why, whether all is in sync, and the table with its connections
    ///
    /// Exit code 0: in sync, 1: not in sync, paused, servers in service against their checks, or the daemon or its checker ended without being
    /// stopped, 2: error.
    Status(StatusOptions),

    /// Show clusters, services and servers with their rates on the whole terminal, new every two seconds
    ///
    /// Sorted, filtered and folded by keys; `?` shows them, and `q` ends it. From the daemon's socket where there is one; without it, needs the
    /// privileges of `status`. Exit code 0: ended by a key or a signal, 2: error.
    Top(TopOptions),

    /// Write what monitoring reads: numbers in the text format of Prometheus
    ///
    /// Of the daemon, the table and the host. A timer, `lbd-metrics.timer`, writes them for the textfile collector of node_exporter.
    /// Exit code 0: done, 2: error.
    Metrics(MetricsOptions),

    /// List the connections that pass through the director: client, virtual service, real server, state
    ///
    /// Needs no privileges. The kernel walks its list while that changes: what begins or ends meanwhile may be missing, or be there twice, and
    /// the list of a million connections takes it long. Exit code 0: done, 2: error.
    Connections(ConnectionsOptions),

    /// Set the kernel's counters of connections, packets and bytes to zero, after a confirmation
    ///
    /// What passed in the last two seconds is counted afterwards. Also during a pause: no entry of the table is changed. Exit code 0: done,
    /// 2: error, or not confirmed.
    Zero(ZeroOptions),

    /// Edit the file in $VISUAL or $EDITOR: validated, shown as a diff, confirmed, and renamed into place
    ///
    /// Exit code 0: done, or nothing new was written, 2: error, or not confirmed; what was written is kept beside the file then.
    Edit {
        /// Edit this file, which the desired file includes, by its path from the directory of that file on
        #[arg(long, value_name = "FILE")]
        fragment: Option<PathBuf>,

        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },

    /// List the files that were verified, the newest first: when, by whom, what was done; the one in force is marked
    ///
    /// `policy.history` says how many are kept. With `--events`: what happened, and who did it. Exit code 0: done, 2: error.
    History(HistoryOptions),

    /// Make a file of the history the desired file again, and the kernel equal to it
    ///
    /// Shown as a diff and confirmed first; what it replaces goes into the history. Exit code 0: verified, 2: error, or not confirmed,
    /// 3: refused by a guard or a pause.
    Rollback(RollbackOptions),

    /// Take servers out of service for a time: they keep their connections and get no new ones
    ///
    /// For this director only, and above the file until it ends. Exit code 0: done, 2: error, or with `--wait` not empty when it ended.
    Drain(DrainOptions),

    /// Give servers another weight for a time
    ///
    /// For this director only, and above the file until it ends; a change of the weight in the file ends it, too. Exit code 0: done,
    /// 2: error.
    Weight(WeightOptions),

    /// End what `drain` and `weight` have set
    ///
    /// Exit code 0: done, 2: error, or there is no such override.
    Undo(UndoOptions),

    /// List what `drain` and `weight` have set: who, what, why, until when
    ///
    /// Exit code 0: done, 2: error.
    Overrides {
        /// Output format
        #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
        output: ReportOutput,
    },

    /// Look and report, but write nothing, for a time: for all that the file describes, or for some clusters
    ///
    /// In force as soon as this command has ended. `lbd apply` is refused meanwhile, and `lbd resume` ends it, as a reboot does.
    /// Exit code 0: done, 2: error, 3: refused, since a trial is under way.
    Pause(PauseOptions),

    /// End a pause: of these clusters, or all
    ///
    /// Exit code 0: done, also where nothing was paused, 2: error.
    Resume {
        /// Only the pauses of these clusters
        #[arg(value_name = "CLUSTER")]
        clusters: Vec<String>,
    },

    /// Have the kernel follow another file for a time, and then the desired file again, unless `lbd confirm` comes before
    ///
    /// What the other file takes away is quiesced and not deleted meanwhile. A time-out, a crash, a reboot or a lost session ends it, as
    /// `lbd cancel` does. Where no daemon runs, this command keeps the trial until it ends. Exit code 0: under trial and verified, or
    /// confirmed, 2: error, or rolled back, 3: refused by a guard, a pause or another trial.
    Try(TryOptions),

    /// Make the file of the trial under way the desired file
    ///
    /// Exit code 0: done and verified, 2: error, 3: the desired file has changed since the trial began.
    Confirm {
        /// Also where the desired file has changed since the trial began: it is replaced
        #[arg(long)]
        over: bool,
    },

    /// End the trial under way, and have the kernel follow the desired file again
    ///
    /// Exit code 0: done and verified, also where there is no trial, 2: error.
    Cancel,

    /// Remove what lbd owns, after a confirmation
    ///
    /// Refused while the daemon runs. Exit code 0: done, 2: error.
    Teardown {
        /// Do not ask for confirmation
        #[arg(long, short)]
        yes: bool,
    },

    /// Check the file; needs no kernel and no privileges, unless `--host` is given
    ///
    /// Exit code 0: the file is valid, 2: it is not.
    Validate(Validate),

    /// Probe the servers by the checks of the file, once, and print verdict and time; needs no kernel and no daemon
    ///
    /// Run by root it becomes the user `lbd-check` first, or `nobody`, who has to be able to read the certificates that checks name.
    /// Exit code 0: all pass, 1: not all, 2: error, or something could not be probed.
    Check(CheckOptions),

    /// Write the live state as a desired file; applying it changes nothing
    ///
    /// Exit code 0: done, 2: error, or something cannot be written in the file's terms: a comment in the output names it.
    Export(Export),

    /// Fetch the desired file from git or etcd: what runs on a director of a fleet; needs the package lbd-agent
    Agent(AgentOptions),

    /// Show and steer the rollout of a revision to all directors of a fleet; needs the package lbd-agent
    Fleet(FleetOptions),

    /// Write the JSON Schema of the desired file, for completion and validation in editors
    Schema {
        /// That of the files that it includes
        #[arg(long)]
        fragment: bool,

        /// That of the replies of the daemon's socket that no command writes
        #[arg(long, conflicts_with = "fragment")]
        api: bool,
    },

    /// Write a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: CompletionShell,
    },

    /// Write the man pages into a directory, which has to be there
    #[command(hide = true)]
    Man {
        /// The directory
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Log level: error, warn, info, debug, trace or off, also by module (`lbd::watch=debug`); default: LBD_LOG, else info
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Who starts the process that probes servers
    #[arg(long, value_enum, value_name = "WHO", default_value = "child")]
    pub checker: CheckerStart,

    /// Serve the state on this Unix socket, to be read by HTTP; commands of users in its group look for it as `lbd.sock` in `--run-dir`
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// The directory of an agent, below which the socket plans files (`/v1/plan?file=`)
    #[arg(long, value_name = "DIR", default_value = AGENT_DIR)]
    pub agent_dir: PathBuf,
}

/// Arguments of `validate`.
#[derive(Debug, Clone, Args)]
pub struct Validate {
    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,

    /// Check this host as well, and warn about what the file needs and does not configure
    #[arg(long)]
    pub host: bool,

    /// Treat warnings as errors: exit code 2
    #[arg(long, requires = "host")]
    pub strict: bool,

    /// Print warnings in full: each way out, and all that they concern
    #[arg(long)]
    pub verbose: bool,
}

/// The output formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// The shells that completions are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
    /// GNU bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl From<CompletionShell> for Shell {
    fn from(shell: CompletionShell) -> Self {
        match shell {
            CompletionShell::Bash => Self::Bash,
            CompletionShell::Zsh => Self::Zsh,
            CompletionShell::Fish => Self::Fish,
        }
    }
}
