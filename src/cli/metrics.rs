//! Defines the options of `metrics`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `metrics`.
#[derive(Debug, Clone, Args)]
pub struct MetricsOptions {
    /// Also those of the real servers, one by one: `lbd_server_…` and `lbd_check_up`
    #[arg(long)]
    pub servers: bool,

    /// Write them into this file, which is replaced at once and readable for all, in place of standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
