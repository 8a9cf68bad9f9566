//! Resolves one real server of a cluster, and checks whether it fits each virtual service of the cluster.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use super::{address, value};
use crate::config::format::document::{Choice, FullServer, Limit, ServerEntry, TunnelEntry};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{
    Checksum, Family, Forwarding, ForwardingMethod, RealServer, ServerKey, ServiceKey, Thresholds, Tunnel,
    TunnelKind,
};

/// A server as the file describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) address: IpAddr,
    port: Option<u16>,
    /// Whether the address looks like one with a port
    pub(super) is_port_like: bool,
    pub(super) real: RealServer,
    /// How long it drains, where its entry says it
    pub(super) drain: Option<Duration>,
}

/// Reads one entry of `servers`; `inherited` is the forwarding method of its cluster.
pub(super) fn server(
    entry: &ServerEntry,
    inherited: ForwardingMethod,
    here: impl Fn() -> KeyPath,
    issues: &mut Issues,
) -> Option<Wanted> {
    let (text, full) = match entry {
        ServerEntry::Short(text) => (text, None),
        ServerEntry::Full(full) => (&full.address, Some(full)),
    };
    let path = || if full.is_some() { here().then("address") } else { here() };
    let real = match full {
        None => RealServer {
            weight: 1,
            forwarding: forwarding(inherited, Tunnel::IPIP),
            thresholds: Thresholds::default(),
        },
        Some(full) => real_server(full, inherited, &here, issues),
    };
    let drain = full.and_then(|full| full.drain.as_ref());
    let drain = drain.and_then(|drain| value::drain(drain, || here().then("drain"), issues));
    match address::server(text.as_str()) {
        Ok((address, port)) => {
            if let Some(why) = address::unusable(address) {
                issues.push(
                    Issue::new(path(), format!("{address} {why}"))
                        .expected("the address of one server")
                        .suggest(address::instead(address).map(|instead| instead.to_string())),
                );
                return None;
            }
            if let Some(issue) = nat_to_loopback(address, real.forwarding, path) {
                issues.push(involving_methods(issue, &here()));
                return None;
            }
            let is_port_like = port.is_none() && address::is_port_like(text.as_str());
            Some(Wanted { address, port, is_port_like, real, drain })
        }
        Err(error) => {
            issues.push(
                Issue::new(path(), error.to_string())
                    .suggest(address::with_number(text.as_str(), &error))
                    .expected("an IP address, with or without a port: 192.168.8.14, 192.168.8.14:8080 or \"[fd00::14]:8080\""),
            );
            None
        }
    }
}

/// The kernel does not rewrite the destination of a packet from outside to a loopback address, whatever `route_localnet` is
/// (`ip_vs_nat_xmit`): clients wait until their timeout, and the director itself is served.
fn nat_to_loopback(address: IpAddr, forwarding: Forwarding, path: impl FnOnce() -> KeyPath) -> Option<Issue> {
    let is_rewritten = match forwarding {
        Forwarding::Nat | Forwarding::FullNat => true,
        Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Other(_) => false,
    };
    (is_rewritten && address.is_loopback()).then(|| {
        let message = format!(
            "`{forwarding}` cannot reach the loopback address {address}: the kernel drops the packets of clients"
        );
        Issue::new(path(), message).expected(
            "`forward: dr`, with the port of the service; or a server that listens on another address of this host",
        )
    })
}

/// An issue that only follows where a forwarding method could not be read.
pub(super) fn involving_methods(issue: Issue, server: &KeyPath) -> Issue {
    issue
        .involving(server.then("forward"))
        .involving(cluster_of(server).then("forward"))
        .involving(key_path!["defaults", "forward"])
}

fn forwarding(method: ForwardingMethod, tunnel: Tunnel) -> Forwarding {
    match method {
        ForwardingMethod::Nat => Forwarding::Nat,
        ForwardingMethod::FullNat => Forwarding::FullNat,
        ForwardingMethod::DirectRouting => Forwarding::DirectRouting,
        ForwardingMethod::Tunnel => Forwarding::Tunnel(tunnel),
    }
}

fn real_server(
    full: &FullServer,
    inherited: ForwardingMethod,
    here: &impl Fn() -> KeyPath,
    issues: &mut Issues,
) -> RealServer {
    let FullServer {
        address: _,
        weight,
        forward,
        tunnel,
        upper_threshold,
        lower_threshold,
        drain: _,
        check: _,
    } = full;
    let method = forward.map_or(inherited, |Choice(method)| method);
    let tunnel = match tunnel {
        None => Tunnel::IPIP,
        Some(tunnel) => {
            if method != ForwardingMethod::Tunnel {
                issues.push(
                    Issue::new(
                        here().then("tunnel"),
                        format!("`tunnel` is for `forward: tun`, and this server is reached by `{method}`"),
                    )
                    .at_key()
                    .expected("`forward: tun`, or no `tunnel`")
                    .involving(here().then("forward"))
                    .involving(key_path!["defaults", "forward"])
                    .involving(cluster_of(&here()).then("forward")),
                );
            }
            self::tunnel(*tunnel, &here().then("tunnel"), issues)
        }
    };
    RealServer {
        weight: weight.map_or(1, |weight| weight.get()),
        forwarding: forwarding(method, tunnel),
        thresholds: thresholds(*upper_threshold, *lower_threshold, here, issues),
    }
}

/// The cluster that a server's place lies in.
fn cluster_of(server: &KeyPath) -> KeyPath {
    KeyPath(server.0.iter().take(2).cloned().collect())
}

fn thresholds(
    upper: Option<Limit>,
    lower: Option<Limit>,
    here: &impl Fn() -> KeyPath,
    issues: &mut Issues,
) -> Thresholds {
    let number = |limit: Option<Limit>| limit.and_then(|limit| NonZeroU32::new(limit.get()));
    let (upper, lower) = (number(upper), number(lower));
    if let Some(low) = lower
        && upper.is_none_or(|high| low > high)
    {
        let (message, expected) = match upper {
            Some(high) => (
                format!("the lower threshold {low} is above the upper threshold {high}"),
                format!("a number from 0 to {high}"),
            ),
            None => (
                "`lower_threshold` has no effect without `upper_threshold`".into(),
                "`upper_threshold` with a number".into(),
            ),
        };
        issues.push(
            Issue::new(here().then("lower_threshold"), message)
                .expected(expected)
                .involving(here().then("upper_threshold")),
        );
    }
    Thresholds { upper, lower }
}

fn tunnel(entry: TunnelEntry, here: &KeyPath, issues: &mut Issues) -> Tunnel {
    let TunnelEntry { kind, port, checksum } = entry;
    let kind = kind.map_or(TunnelKind::Ipip, |Choice(kind)| kind);
    match (kind, port) {
        (TunnelKind::Gue, None) => issues.push(
            Issue::new(here.then("type"), "a `gue` tunnel needs a port")
                .expected("`port` with the UDP port at which the server takes the packets")
                .involving(here.then("port")),
        ),
        (TunnelKind::Ipip | TunnelKind::Gre | TunnelKind::Other(_), Some(_)) => issues.push(
            Issue::new(here.then("port"), format!("a tunnel of type `{kind}` has no port"))
                .at_key()
                .expected("`type: gue`, or no `port`")
                .involving(here.then("type")),
        ),
        (TunnelKind::Gue, Some(_)) | (TunnelKind::Ipip | TunnelKind::Gre | TunnelKind::Other(_), None) => {}
    }
    let checksum = checksum.map_or(Checksum::None, |Choice(checksum)| checksum);
    let checksums = checksums(kind);
    if !checksums.contains(&checksum) {
        let names: Vec<String> = checksums.iter().map(ToString::to_string).collect();
        issues.push(
            Issue::new(
                here.then("checksum"),
                format!("a tunnel of type `{kind}` has no checksum `{checksum}`"),
            )
            .expected(match names.as_slice() {
                [only] => format!("`{only}`"),
                _ => format!("one of {}", names.join(", ")),
            })
            .involving(here.then("type")),
        );
    }
    Tunnel { kind, port: port.and_then(|port| u16::try_from(port.get()).ok()).unwrap_or(0), checksum }
}

/// The checksums that a tunnel can have.
fn checksums(kind: TunnelKind) -> &'static [Checksum] {
    match kind {
        TunnelKind::Gue => &[Checksum::None, Checksum::Csum, Checksum::Remcsum],
        TunnelKind::Gre => &[Checksum::None, Checksum::Csum],
        TunnelKind::Ipip | TunnelKind::Other(_) => &[Checksum::None],
    }
}

impl Wanted {
    /// What the server is called in this virtual service.
    pub(super) fn key(&self, service: &ServiceKey) -> ServerKey {
        ServerKey { address: self.address, port: self.port.unwrap_or_else(|| service.default_server_port()) }
    }

    /// Why the server does not fit this virtual service, if so. `here` is the place of the server's entry, `address` that of
    /// its address.
    pub(super) fn misfit(
        &self,
        service: &ServiceKey,
        here: impl Fn() -> KeyPath,
        address: impl Fn() -> KeyPath,
        sync: bool,
    ) -> Option<Issue> {
        let tunnelled = matches!(self.real.forwarding, Forwarding::Tunnel(_));
        let issue = if let ServiceKey::Address { port, .. } = *service
            && !matches!(self.real.forwarding, Forwarding::Nat | Forwarding::FullNat)
            && let Some(own) = self.port
            && own != port
        {
            // The kernel stores the port, and sends to the virtual one all the same.
            let kept = if port == 0 { "the port they were sent to".into() } else { format!("port {port}") };
            Issue::new(
                address(),
                format!(
                    "`{}` cannot change the port: packets for {service} reach the server at {kept}, not {own}",
                    self.real.forwarding
                ),
            )
            .expected(format!("no port, or port {port}; `forward: nat` changes ports"))
            .suggest(Some(self.address.to_string()))
        } else if self.real.forwarding == Forwarding::FullNat
            && matches!(service, ServiceKey::Address { port: 0, .. })
        {
            // The rule that replaces the source knows a service by the port that the client sent to.
            Issue::new(
                address(),
                format!("`fullnat` does not support {service}, which is every port of the address"),
            )
            .expected("a service with a port, or one that listens on a firewall mark for several")
        } else if Family::of(self.address) != service.family() {
            let (own, virtual_family) = (Family::of(self.address), service.family());
            if !tunnelled {
                Issue::new(
                    address(),
                    format!(
                        "`{}` does not cross address families: the server is {own}, and {service} is {virtual_family}",
                        self.real.forwarding
                    ),
                )
                .expected(format!("an {virtual_family} address, or `forward: tun`"))
            } else if sync {
                Issue::new(
                    address(),
                    format!(
                        "the sync daemons cannot describe an {own} server of an {virtual_family} service, \
                         and the kernel refuses to have both"
                    ),
                )
                .expected(format!("an {virtual_family} address, or a file without `sync`"))
            } else {
                return None;
            }
        } else {
            return None;
        };
        Some(involving_methods(issue, &here()))
    }
}
