//! Defines the options of the commands that plan: `diff` and `apply`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ReportOutput, conditions};
use crate::model::Prune;

/// Exceptions from the policy of the file, for one pass.
#[derive(Debug, Clone, Args)]
pub struct Overrides {
    /// The virtual services that may be deleted, overriding `policy.prune`: those that lbd owns, all that are not in the
    /// file, or none
    #[arg(long, value_enum, value_name = "WHICH")]
    pub prune: Option<PruneOption>,

    /// Allow a file with no clusters to empty the table, and services to lose their last server with a weight above 0
    #[arg(long)]
    pub allow_empty: bool,

    /// Allow more deletions of services and servers than `policy.max_delete`
    #[arg(long)]
    pub allow_deletes: bool,
}

impl Overrides {
    /// No exception.
    pub fn none() -> Self {
        Self { prune: None, allow_empty: false, allow_deletes: false }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.prune.is_none() && !self.allow_empty && !self.allow_deletes
    }
}

/// Arguments of `diff`.
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// Show only these clusters: their services and servers
    #[arg(value_name = "CLUSTER")]
    pub clusters: Vec<String>,

    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: DiffOutput,

    /// Compare with an export (YAML, JSON or `ipvsadm -Sn` text) instead of the kernel; needs no privileges
    #[arg(long, value_name = "EXPORT")]
    pub live: Option<PathBuf>,

    /// Compare with this file of the history instead of the desired file: what `lbd rollback` to it would do
    #[arg(long, value_name = "NUMBER", conflicts_with = "live")]
    pub against: Option<u64>,

    /// Treat warnings about the host as errors: exit code 2
    #[arg(long, conflicts_with = "live")]
    pub strict: bool,

    /// Print warnings in full: each way out, and all that they concern
    #[arg(long)]
    pub verbose: bool,

    /// Exceptions that `apply` would be given
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Arguments of `apply`.
#[derive(Debug, Clone, Args)]
pub struct Apply {
    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,

    /// Carry out exactly the plan with this fingerprint, which `lbd diff` has shown, or nothing: exit code 3
    #[arg(long, value_name = "FINGERPRINT")]
    pub expect: Option<String>,

    /// Change nothing while there are warnings about the host: exit code 2
    #[arg(long)]
    pub strict: bool,

    /// Apply the file also where a daemon keeps another one and will undo this, and in spite of a pause
    #[arg(long)]
    pub force: bool,

    /// Print warnings in full: each way out, and all that they concern
    #[arg(long)]
    pub verbose: bool,

    /// How long servers that leave the file with this pass keep their connections, such as 30s, 10m or 0; 0 also ends the drains under way
    #[arg(long, value_name = "TIME", value_parser = conditions::drain_length)]
    pub drain: Option<Duration>,

    /// Return when nothing drains any more
    #[arg(long)]
    pub wait: bool,

    /// Exceptions for this pass
    #[command(flatten)]
    pub overrides: Overrides,
}

impl Diff {
    /// Without any option.
    pub fn plain() -> Self {
        let overrides = Overrides::none();
        let (clusters, output) = (Vec::new(), DiffOutput::Text);
        Self { clusters, output, live: None, against: None, strict: false, verbose: false, overrides }
    }
}

impl Apply {
    /// Without any option.
    pub fn plain() -> Self {
        let overrides = Overrides::none();
        Self {
            output: ReportOutput::Text,
            expect: None,
            strict: false,
            force: false,
            verbose: false,
            drain: None,
            wait: false,
            overrides,
        }
    }
}

/// The output formats of `diff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffOutput {
    /// For people
    Text,
    /// For scripts
    Json,
    /// The ipvsadm commands that would do the same
    Ipvsadm,
}

/// [`Prune`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PruneOption {
    /// Those that lbd itself put there or adopted
    Owned,
    /// Every one that is not in the file
    All,
    /// None
    Never,
}

impl From<PruneOption> for Prune {
    fn from(option: PruneOption) -> Self {
        match option {
            PruneOption::Owned => Self::Owned,
            PruneOption::All => Self::All,
            PruneOption::Never => Self::Never,
        }
    }
}
