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
