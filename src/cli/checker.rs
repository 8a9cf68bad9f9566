//! Defines the options of the process that probes, and of who starts it.

use clap::{Args, ValueEnum};

use super::ReportOutput;

/// Arguments of `checker`.
#[derive(Debug, Clone, Args)]
pub struct CheckerOptions {
    /// Log level, as for `lbd run`
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// The number of the process with which this one ends
    #[arg(long, value_name = "PROCESS")]
    pub parent: Option<u32>,
}

/// Who starts the process that probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckerStart {
    /// The daemon, as its child, while the file has checks
    Child,
    /// Another one than the daemon: a unit of its own
    None,
}

/// Arguments of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckOptions {
    /// Only the servers of this cluster, or this server: `web`, `web/192.168.8.14`, or `192.168.8.14` in every cluster
    #[arg(value_name = "CLUSTER[/SERVER]")]
    pub name: Option<String>,

    /// Output format
    #[arg(long, short, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: ReportOutput,

    /// The number of the process with which this one ends: root's, which probes nothing itself
    #[arg(long, value_name = "PROCESS", hide = true)]
    pub parent: Option<u32>,
}
