//! Finds the servers that an operator names: `web/192.168.8.14`, `192.168.8.14` in every cluster that has it, or a cluster.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config;
use crate::model::{Desired, ServerKey, ServiceKey};
use crate::target::{Address, FileServers, Scope, Text};

/// A name that is about nothing in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownName {
    /// No cluster has this name, and it is no address.
    Cluster {
        /// The name
        name: String,
        /// The nearest name of a cluster, where one is near
        nearest: Option<String>,
    },
    /// It is no address of a server.
    Address(String),
    /// No server has this address, in the cluster or at all.
    Server {
        /// The name
        name: String,
        /// The cluster in which it was looked for
        cluster: Option<String>,
        /// The servers that there are, the first of them
        servers: Vec<String>,
    },
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { name, nearest: Some(nearest) } => {
                write!(f, "{name}: no cluster has this name; did you mean `{nearest}`?")
            }
            Self::Cluster { name, nearest: None } => write!(
                f,
                "{name}: no cluster of the file has this name, and it is no address; expected `CLUSTER/ADDRESS`, `ADDRESS` or `CLUSTER`"
            ),
            Self::Address(name) => {
                write!(
                    f,
                    "{name}: expected an address behind the `/`, such as `web/192.168.8.14`, with or without a port"
                )
            }
            Self::Server { name, cluster, servers } => {
                match cluster {
                    Some(cluster) => write!(f, "{name}: the cluster `{cluster}` has no such server")?,
                    None => write!(f, "{name}: no cluster has such a server")?,
                }
                if servers.is_empty() { Ok(()) } else { write!(f, "; it could be {}", servers.join(", ")) }
            }
        }
    }
}

/// Finds what a name is about in the file.
///
/// # Errors
/// Where it is about nothing.
pub(super) fn find(name: &str, file: &Desired) -> Result<Scope, UnknownName> {
    let names = || file.clusters.values().map(|cluster| cluster.as_str());
    let services = |cluster: &str| -> Vec<Text<ServiceKey>> {
        let of = file.clusters.iter().filter(|(_, name)| name.as_str() == cluster);
        of.map(|(service, _)| Text(*service)).collect()
    };
    let all = services(name);
    if !all.is_empty() {
        return Ok(Scope::All(all));
    }
    if let Some(address) = address(name) {
        let scope = Scope::Everywhere(address);
        let servers = || some(file.state.services.values().flat_map(|service| service.servers.keys()));
        return exists(scope, file, || UnknownName::Server {
            name: name.into(),
            cluster: None,
            servers: servers(),
        });
    }
    let unknown = |cluster: &str| UnknownName::Cluster {
        name: cluster.to_owned(),
        nearest: config::nearest(cluster, names()).map(str::to_owned),
    };
    // A name of a cluster may have a `/` in it.
    let Some((cluster, server)) = name.rsplit_once('/') else { return Err(unknown(name)) };
    let of = services(cluster);
    if of.is_empty() {
        return Err(unknown(cluster));
    }
    let address = address(server).ok_or_else(|| UnknownName::Address(name.into()))?;
    let servers = || {
        let found = of.iter().filter_map(|key| file.state.services.get(&key.0));
        some(found.flat_map(|service| service.servers.keys()))
    };
    exists(Scope::In(of.clone(), address), file, || UnknownName::Server {
        name: name.into(),
        cluster: Some(cluster.into()),
        servers: servers(),
    })
}

fn exists(scope: Scope, file: &Desired, unknown: impl FnOnce() -> UnknownName) -> Result<Scope, UnknownName> {
    if scope.servers(&FileServers::of(&file.state.services)).is_empty() { Err(unknown()) } else { Ok(scope) }
}

/// An address with or without a port.
fn address(text: &str) -> Option<Address> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Address { address, port: None });
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Some(address) = bare.and_then(|text| text.parse().ok()) {
        return Some(Address { address: IpAddr::V6(address), port: None });
    }
    let socket: SocketAddr = text.parse().ok()?;
    Some(Address { address: socket.ip(), port: Some(socket.port()) })
}

/// The first addresses of some servers.
fn some<'a>(servers: impl Iterator<Item = &'a ServerKey>) -> Vec<String> {
    const NAMED: usize = 5;
    let addresses: BTreeSet<IpAddr> = servers.map(|server| server.address).collect();
    addresses.into_iter().take(NAMED).map(|address| address.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn file() -> Desired {
        let text = "version: 1\nclusters:\n\
                    - { name: web, listen: ['tcp://10.0.0.1:80', 'tcp://10.0.0.1:443'], forward: nat, servers: [192.168.8.14, 192.168.8.15] }\n\
                    - { name: six, listen: 'tcp://[fd00::1]:80', forward: nat, servers: ['fd00:8::14'] }\n\
                    - { name: dns, listen: 'udp://10.0.0.1:53', servers: [192.168.8.14] }\n";
        load(&Source::new("x", text)).unwrap()
    }

    #[test]
    fn a_name_is_a_server_of_a_cluster_a_server_of_all_or_a_cluster() {
        let file = file();
        let found = |name: &str| {
            let servers = find(name, &file).unwrap().servers(&FileServers::of(&file.state.services));
            servers.into_iter().map(|(service, server)| format!("{service} {server}")).collect::<Vec<_>>()
        };
        assert_eq!(
            found("web/192.168.8.14"),
            ["tcp://10.0.0.1:80 192.168.8.14:80", "tcp://10.0.0.1:443 192.168.8.14:443"]
        );
        assert_eq!(found("web/192.168.8.14:443"), ["tcp://10.0.0.1:443 192.168.8.14:443"]);
        assert_eq!(found("192.168.8.14").len(), 3);
        assert_eq!(found("web").len(), 4);
        for name in ["fd00:8::14", "[fd00:8::14]", "[fd00:8::14]:80", "six/fd00:8::14"] {
            assert_eq!(found(name), ["tcp://[fd00::1]:80 [fd00:8::14]:80"], "{name}");
        }
    }

    #[test]
    fn a_name_that_is_about_nothing_gets_the_nearest_one() {
        let file = file();
        for (name, says) in [
            ("wbe", "wbe: no cluster has this name; did you mean `web`?"),
            ("wbe/192.168.8.14", "wbe: no cluster has this name; did you mean `web`?"),
            (
                "mail",
                "mail: no cluster of the file has this name, and it is no address; expected `CLUSTER/ADDRESS`, `ADDRESS` or `CLUSTER`",
            ),
            (
                "web/14",
                "web/14: expected an address behind the `/`, such as `web/192.168.8.14`, with or without a port",
            ),
            (
                "web/192.168.8.16",
                "web/192.168.8.16: the cluster `web` has no such server; it could be 192.168.8.14, 192.168.8.15",
            ),
            (
                "10.1.1.1",
                "10.1.1.1: no cluster has such a server; it could be 192.168.8.14, 192.168.8.15, fd00:8::14",
            ),
        ] {
            assert_eq!(find(name, &file).unwrap_err().to_string(), says);
        }
    }
}
