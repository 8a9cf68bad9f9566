//! Another program that manages IPVS in this network namespace.

use std::path::PathBuf;

/// Another program that manages IPVS here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// keepalived with virtual servers in its configuration
    Keepalived {
        /// The process
        process: u32,
        /// Its configuration
        file: PathBuf,
        /// Why that was not read, if it was not: it may have virtual servers then
        unread: Option<String>,
    },
    /// kube-proxy
    KubeProxy {
        /// The process
        process: u32,
    },
    /// ldirectord
    Ldirectord {
        /// The process
        process: u32,
    },
    /// ipvsadm, which puts back rules of its own at boot
    IpvsadmAtBoot {
        /// The file that says so
        file: PathBuf,
    },
}
