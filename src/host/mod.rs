//! Reads what of the host a director depends on; it changes nothing.
//!
//! What cannot be read (a program that is not installed, no permission) is in [`Host::unknown`], and the rest is read all
//! the same.

mod chains;
mod filter;
mod hook;
mod iptables;
mod iptables_chains;
mod keepalived;
mod local;
mod manager;
mod managers;
mod modules;
mod nft_chains;
mod nftables;
mod permissions;
mod process;
mod program;
mod resolver;
mod routes;
mod rtnetlink;
mod rules;
mod units;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::error_chain::ErrorChain;
use crate::kernel::sysctl;
use crate::model::{Family, Sysctls};

pub use self::chains::{Chain, ChainRule, Condition, Entry, TrackState, Verdict};
pub use self::filter::firewall_listings;
#[cfg(test)]
pub(crate) use self::filter::recorded;
pub use self::hook::{Hook, HookPoint};
pub use self::iptables::{without_comment, words};
pub use self::manager::Manager;
pub use self::permissions::{Writable, writable};
pub use self::resolver::{addresses_of, all_addresses_of, port_of};
pub use self::routes::{AddressInterface, InterfaceKind};
pub use self::rules::{FirewallRules, MarkEffect, MarkRule, StateRule};

/// The name of the host; empty where it is not known.
pub fn name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

/// What to read of the host; nothing else is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostScope {
    /// Virtual addresses
    pub addresses: Vec<Target>,
    /// The servers whose replies the host forwards
    pub servers: Vec<IpAddr>,
    /// Whether the IPv6 routes that routers announced matter
    pub learned_routes: bool,
    /// The families for which the rules of nftables and iptables matter
    pub filter: Vec<Family>,
    /// Whether others who manage IPVS matter
    pub managers: bool,
    /// The kernel settings that the file sets
    pub sysctls: Vec<String>,
    /// Kernel modules that the file needs beside IPVS itself
    pub modules: Vec<String>,
    /// Whether IPv6 matters
    pub ipv6: bool,
}

/// Where packets are sent: an address, and the mark that they have when they are routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// The destination
    pub address: IpAddr,
    /// The firewall mark
    pub mark: Option<u32>,
}

/// What was seen of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// The kernel settings that matter and that are there
    pub settings: Sysctls,
    /// The virtual addresses whose packets the kernel does not take for its own
    pub not_local: Vec<Target>,
    /// The interfaces that carry a virtual IPv4 address
    pub address_interfaces: Vec<AddressInterface>,
    /// The interfaces over which IPv6 routes lead that routers announced
    pub learned: Vec<String>,
    /// What the rules of other programs do with marks, connection states and packets
    pub filter: FirewallRules,
    /// By which interfaces these servers are reached, where rules for what is forwarded make that matter
    pub server_interfaces: HashMap<IpAddr, Vec<String>>,
    /// Others who manage IPVS
    pub managers: Vec<Manager>,
    /// The kernel settings of the file that are not there, and do not belong to an interface that may come
    pub absent: Vec<AbsentSetting>,
    /// The modules that the file needs and that are neither loaded nor can be
    pub missing_modules: Vec<MissingModule>,
    /// Whether IPv6 matters and the kernel was started without
    pub is_ipv6_off: bool,
    /// What of the desired file others may write
    pub writable: Vec<Writable>,
    /// What warnings depend on and could not be read
    pub unread: Vec<Part>,
    /// What could not be looked at, each with the reason, for the operator
    pub unknown: Vec<String>,
}

/// A part of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Addresses and routes
    Routes,
    /// The rules of nftables and iptables
    Rules,
}

/// A kernel setting that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbsentSetting {
    /// Its name
    pub name: String,
    /// Why it may be missing, or which one was probably meant
    pub reason: String,
}

/// A kernel module that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingModule {
    /// Its name, with the `_` and `-` of the file
    pub name: String,
    /// Why it is not there
    pub absence: ModuleAbsence,
}

/// Why a module is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleAbsence {
    /// It is not installed for the kernel that runs.
    NotInstalled,
    /// It is installed, and the kernel loads no modules any more (`kernel.modules_disabled`).
    LoadingForbidden,
}

/// Where the host's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The processes
    pub proc: PathBuf,
    /// The configuration
    pub etc: PathBuf,
    /// The control groups
    pub cgroup: PathBuf,
    /// What the kernel shows of modules and devices
    pub sys: PathBuf,
    /// The modules of each kernel
    pub modules: PathBuf,
    /// The user whose processes and files are trusted: root
    pub owner: u32,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            etc: "/etc".into(),
            cgroup: "/sys/fs/cgroup".into(),
            sys: "/sys".into(),
            modules: "/lib/modules".into(),
            owner: 0,
        }
    }
}

/// The values of those settings that are there.
pub fn settings<'a>(names: impl IntoIterator<Item = &'a str>) -> Sysctls {
    let value = |name: &str| Some((name.to_owned(), sysctl::read(name).ok()?));
    names.into_iter().filter_map(value).collect()
}

/// Looks at the host, in the network namespace of this thread. `settings` are those that were read before.
pub fn look(scope: HostScope, settings: Sysctls, roots: &Roots) -> Host {
    let HostScope { addresses, servers, learned_routes, filter, managers, sysctls, modules, ipv6 } = scope;
    let mut host = Host { settings, ..Host::default() };
    if let Err(error) = routes::look(addresses, learned_routes, &mut host) {
        host.unread.push(Part::Routes);
        host.unknown.push(format!("cannot read addresses and routes: {}", ErrorChain(&error)));
    }
    let per_interface = host.address_interfaces.iter().map(|holder| (&holder.interface, "ipv4", "rp_filter"));
    let per_interface = per_interface.chain(host.learned.iter().map(|name| (name, "ipv6", "accept_ra")));
    let names: Vec<String> =
        per_interface.map(|(interface, family, name)| of_interface(family, interface, name)).collect();
    host.settings.extend(self::settings(names.iter().map(String::as_str)));
    if !filter.is_empty() {
        host.filter = filter::look(&filter, &roots.proc, &mut host.unknown);
        if filter.iter().any(|family| !host.filter.known.contains(family)) {
            host.unread.push(Part::Rules);
        }
        let is_forward = |chain: &Chain| chain.entry.is_some_and(|entry| entry.point.hook == Hook::Forward);
        if !servers.is_empty() && host.filter.chains.iter().any(is_forward) {
            match routes::interfaces_to(servers) {
                Ok(interfaces) => host.server_interfaces = interfaces,
                Err(error) => {
                    host.unknown.push(format!("cannot read the routes to servers: {}", ErrorChain(&error)));
                }
            }
        }
    }
    let absent = |name: String| Some(AbsentSetting { reason: sysctl::absence(&name)?, name });
    host.absent = sysctls.into_iter().filter_map(absent).collect();
    modules::look(modules, roots, &mut host);
    host.is_ipv6_off = ipv6 && modules::is_ipv6_off(roots);
    if managers {
        host.managers = managers::look(roots, &mut host.unknown);
    }
    host
}

/// The name of a setting that an interface has for itself; by slashes where the interface's name holds a dot.
pub fn of_interface(family: &str, interface: &str, name: &str) -> String {
    let separator = if interface.contains('.') { "/" } else { "." };
    ["net", family, "conf", interface, name].join(separator)
}
