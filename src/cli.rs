//! The arguments of `lbd`: the one place where commands, options and their help texts are defined.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::model::Prune;

/// Keeps a Linux load balancer (IPVS) equal to one file.
#[derive(Debug, Parser)]
#[command(
    name = "lbd",
    version,
    about,
    long_about = "Keeps a Linux host's layer-4 load balancer (IPVS, the kernel side of LVS) equal to one file: it reads \
                  the live table, works out the smallest set of edits, carries them out, and reads the table back to \
                  prove it.",
    after_help = "Exit codes: 0 done or in sync, 1 differs (diff), 2 trouble, 3 refused by a guard (apply).",
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

    /// Where lbd remembers what it owns and what was last verified
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lbd", global = true)]
    pub state_dir: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what `apply` would do now; changes nothing
    ///
    /// Exit code 0: in sync (foreign services alone are), 1: differs, 2: trouble.
    Diff(Diff),

    /// Make the kernel equal to the file: read, plan, execute, read back, verify
    ///
    /// Exit code 0: verified, 2: trouble, 3: refused by a guard.
    Apply(Apply),

    /// The daemon: watch the file and the kernel, and keep them equal until SIGTERM
    ///
    /// SIGHUP reconciles now. Stopping leaves the table serving. Exit code 0: stopped by a signal, 2: trouble.
    Run(Run),

    /// The boot-time pass: the file if it holds, else the last state that was applied and verified
    ///
    /// Exit code 0: verified (with a warning where it was the last state), 2: neither could be.
    Restore,

    /// Show what the daemon did last and why, whether all is in sync, and the table with its connections
    ///
    /// Exit code 0: in sync, 1: not in sync, 2: trouble.
    Status(StatusOptions),

    /// Remove what lbd owns; asks first
    ///
    /// Not while the daemon runs. Exit code 0: done, 2: trouble.
    Teardown {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },

    /// Check the file; needs no kernel and no privileges, unless `--host` is given
    ///
    /// Exit code 0: the file holds, 2: it does not.
    Validate(Validate),

    /// Write the live state as a desired file; applying that changes nothing
    ///
    /// Exit code 0: done, 2: trouble, or something cannot be written in the file's terms: a comment there says what.
    Export(Export),

    /// Write the JSON Schema of the desired file, for completion and checks in editors
    Schema,

    /// Write shell completions
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: CompletionShell,
    },
}

/// How far a pass may go, for this once.
#[derive(Debug, Args)]
pub struct Overrides {
    /// Which virtual services may be deleted, in place of `policy.prune`: those that lbd owns, all that the file does
    /// not hold, or none
    #[arg(long, value_enum, value_name = "WHICH")]
    pub prune: Option<PruneWord>,

    /// Let a file with no clusters empty the table, and services lose their last server with a weight above 0, for once
    #[arg(long)]
    pub allow_empty: bool,

    /// Delete more services and servers than `policy.max_delete` allows, for once
    #[arg(long)]
    pub allow_deletes: bool,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// In which form
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORM")]
    pub output: DiffOutput,

    /// Compare with an export (YAML, JSON or `ipvsadm -Sn` text) in place of the kernel; needs no privileges
    #[arg(long, value_name = "EXPORT")]
    pub live: Option<PathBuf>,

    /// Take warnings about the host for trouble: exit code 2
    #[arg(long, conflicts_with = "live")]
    pub strict: bool,

    /// How far `apply` would be allowed to go
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// In which form
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORM")]
    pub output: ReportOutput,

    /// Change nothing while there are warnings about the host: exit code 2
    #[arg(long)]
    pub strict: bool,

    /// How far the pass may go
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// How much to log: error, warn, info, debug or trace; without it, LBD_LOG, else info
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusOptions {
    /// In which form
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORM")]
    pub output: ReportOutput,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// In which form
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORM")]
    pub output: ReportOutput,

    /// Look at this host as well, and warn about what the file needs of it and does not ask for
    #[arg(long)]
    pub host: bool,

    /// Take warnings for trouble: exit code 2
    #[arg(long, requires = "host")]
    pub strict: bool,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// In which form
    #[arg(long, short, value_enum, default_value = "yaml", value_name = "FORM")]
    pub output: ExportOutput,

    /// Convert saved `ipvsadm -S` rules in place of the live state; needs no kernel
    #[arg(long, value_name = "RULES")]
    pub from: Option<PathBuf>,

    /// Add the value of this kernel setting (`net.ipv4.ip_forward`); may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub sysctl: Vec<String>,
}

/// The forms of `diff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffOutput {
    /// For people
    Text,
    /// For scripts
    Json,
    /// The ipvsadm commands that would do the same
    Ipvsadm,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportOutput {
    /// For people
    Text,
    /// For scripts
    Json,
}

/// The forms of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportOutput {
    /// A desired file
    Yaml,
    /// A desired file, as JSON
    Json,
    /// Rules for `ipvsadm -R`
    Ipvsadm,
}

/// The words for [`Prune`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PruneWord {
    /// Those that lbd itself put there or adopted
    Owned,
    /// Every one that is not in the file
    All,
    /// None
    Never,
}

impl From<PruneWord> for Prune {
    fn from(word: PruneWord) -> Self {
        match word {
            PruneWord::Owned => Self::Owned,
            PruneWord::All => Self::All,
            PruneWord::Never => Self::Never,
        }
    }
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
