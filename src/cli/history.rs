//! Defines the options of the commands about the history: `history` and `rollback`.

use clap::{Args, Subcommand};

use super::ReportOutput;

/// Arguments of `history`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct HistoryOptions {
    /// What else to do than to list the files
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,

    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,
}

/// The commands of `history`.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Write the text of a file; on a terminal with what it would act on escaped, elsewhere as it is
    Show {
        /// The number of the file, as `lbd history` lists it
        #[arg(value_name = "NUMBER")]
        number: u64,
    },
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackOptions {
    /// The number of the file, as `lbd history` lists it
    #[arg(value_name = "NUMBER")]
    pub number: u64,

    /// Make it the desired file at once
    #[arg(long, required = true)]
    pub now: bool,

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
