//! Defines the options of the process that probes, and of who starts it.

use clap::{Args, ValueEnum};

/// Arguments of `checker`.
#[derive(Debug, Args)]
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
