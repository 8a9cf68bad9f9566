//! The options of `export`, which of them convert a file of another program, and its formats.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Arguments of `export`.
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Output format
    #[arg(long, short, value_enum, default_value = "yaml", value_name = "FORMAT")]
    pub output: ExportOutput,

    /// Convert a keepalived.conf, an ldirectord.cf or rules of ipvsadm instead of the live state; needs no kernel
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// The format of that file. Default: it is recognised
    #[arg(long, value_enum, value_name = "FORMAT", requires = "from")]
    pub format: Option<ImportFormat>,

    /// Look up the names of hosts and ports in that file by the system's resolver (`getent`)
    #[arg(long, requires = "from")]
    pub resolve: bool,

    /// Turn the rules of this `iptables-save` or `nft -j list ruleset` listing that set marks into `match`; of a live table the
    /// host's own firewall is read without it
    #[arg(long, value_name = "FILE")]
    pub marks: Option<PathBuf>,

    /// Write the weights that the kernel has, also where `lbd drain` or `lbd weight` has set them
    #[arg(long, conflicts_with = "from")]
    pub as_is: bool,

    /// Add the value of this kernel setting (`net.ipv4.ip_forward`); may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub sysctl: Vec<String>,
}

/// The formats that `export --from` converts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// keepalived.conf
    Keepalived,
    /// ldirectord.cf
    Ldirectord,
    /// Rules that `ipvsadm -S` saved, or a script of `ipvsadm` commands
    Ipvsadm,
}

/// The output formats of `export`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportOutput {
    /// A desired file
    Yaml,
    /// A desired file, as JSON
    Json,
    /// Rules for `ipvsadm -R`
    Ipvsadm,
}
