//! One real server of a cluster, and whether it fits the virtual services that it stands behind.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::address;
use crate::config::format::document::{self, Checksum, Forward, Limit, Server, TunnelType};
use crate::config::format::place::{Finding, Findings, Place, place};
use crate::model::{
    self, Family, Forwarding, RealServer, ServerKey, ServiceKey, Thresholds, Tunnel, TunnelKind,
};

/// A server as the file asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    address: IpAddr,
    port: Option<u16>,
    pub(super) real: RealServer,
}

/// Reads one entry of `servers`; `inherited` is the forwarding method of its cluster.
pub(super) fn server(
    entry: &Server,
    inherited: Forward,
    here: impl Fn() -> Place,
    findings: &mut Findings,
) -> Option<Wanted> {
    let (text, full) = match entry {
        Server::Short(text) => (text, None),
        Server::Full(full) => (&full.address, Some(full)),
    };
    let place = || if full.is_some() { here().then("address") } else { here() };
    let real = match full {
        None => RealServer {
            weight: 1,
            forwarding: forwarding(inherited, Tunnel::IPIP),
            thresholds: Thresholds::default(),
        },
        Some(full) => real_server(full, inherited, &here, findings),
    };
    match address::server(text.as_str()) {
        Ok((address, port)) => {
            if let Some(why) = address::unusable(address) {
                findings.push(
                    Finding::new(place(), format!("{address} {why}"))
                        .expected("the address of one server")
                        .suggest(address::instead(address).map(|instead| instead.to_string())),
                );
                return None;
            }
            Some(Wanted { address, port, real })
        }
        Err(message) => {
            findings.push(
                Finding::new(place(), message)
                    .expected("an IP address, with or without a port: 192.168.8.14, 192.168.8.14:8080 or \"[fd00::14]:8080\""),
            );
            None
        }
    }
}

fn forwarding(method: Forward, tunnel: Tunnel) -> Forwarding {
    match method {
        Forward::Nat => Forwarding::Nat,
        Forward::FullNat => Forwarding::FullNat,
        Forward::Dr => Forwarding::DirectRouting,
        Forward::Tun => Forwarding::Tunnel(tunnel),
    }
}

fn real_server(
    full: &document::RealServer,
    inherited: Forward,
    here: &impl Fn() -> Place,
    findings: &mut Findings,
) -> RealServer {
    let document::RealServer { address: _, weight, forward, tunnel, upper_threshold, lower_threshold } = full;
    let method = forward.unwrap_or(inherited);
    let tunnel = match tunnel {
        None => Tunnel::IPIP,
        Some(given) => {
            if method != Forward::Tun {
                findings.push(
                    Finding::new(
                        here().then("tunnel"),
                        format!(
                            "`tunnel` is for `forward: tun`, and this server is reached by `{}`",
                            method.word()
                        ),
                    )
                    .at_key()
                    .expected("`forward: tun`, or no `tunnel`")
                    .involving(here().then("forward"))
                    .involving(place!["defaults", "forward"])
                    .involving(cluster_of(&here()).then("forward")),
                );
            }
            self::tunnel(given, &here().then("tunnel"), findings)
        }
    };
    RealServer {
        weight: weight.map_or(1, |weight| weight.get()),
        forwarding: forwarding(method, tunnel),
        thresholds: thresholds(*upper_threshold, *lower_threshold, here, findings),
    }
}

/// The cluster that a server's place lies in.
fn cluster_of(server: &Place) -> Place {
    Place(server.0.iter().take(2).cloned().collect())
}

fn thresholds(
    upper: Option<Limit>,
    lower: Option<Limit>,
    here: &impl Fn() -> Place,
    findings: &mut Findings,
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
                "a lower threshold means nothing without an upper one".into(),
                "`upper_threshold` with a number".into(),
            ),
        };
        findings.push(
            Finding::new(here().then("lower_threshold"), message)
                .expected(expected)
                .involving(here().then("upper_threshold")),
        );
    }
    Thresholds { upper, lower }
}

fn tunnel(given: &document::Tunnel, here: &Place, findings: &mut Findings) -> Tunnel {
    let document::Tunnel { kind, port, checksum } = given;
    let kind = kind.unwrap_or(TunnelType::Ipip);
    match (kind, port) {
        (TunnelType::Gue, None) => findings.push(
            Finding::new(here.then("type"), "a `gue` tunnel needs a port")
                .expected("`port` with the UDP port that the server takes the packets at")
                .involving(here.then("port")),
        ),
        (TunnelType::Ipip | TunnelType::Gre, Some(_)) => findings.push(
            Finding::new(here.then("port"), format!("a tunnel of type `{}` has no port", kind.word()))
                .at_key()
                .expected("`type: gue`, or no `port`")
                .involving(here.then("type")),
        ),
        (TunnelType::Gue, Some(_)) | (TunnelType::Ipip | TunnelType::Gre, None) => {}
    }
    let checksum = checksum.unwrap_or(Checksum::None);
    let fits = match checksum {
        Checksum::None => true,
        Checksum::Csum => kind != TunnelType::Ipip,
        Checksum::Remcsum => kind == TunnelType::Gue,
    };
    if !fits {
        findings.push(
            Finding::new(
                here.then("checksum"),
                format!("a tunnel of type `{}` has no checksum `{}`", kind.word(), checksum.word()),
            )
            .expected(match kind {
                TunnelType::Ipip => "`none`",
                TunnelType::Gre => "one of none, csum",
                TunnelType::Gue => "one of none, csum, remcsum",
            })
            .involving(here.then("type")),
        );
    }
    Tunnel {
        kind: match kind {
            TunnelType::Ipip => TunnelKind::Ipip,
            TunnelType::Gue => TunnelKind::Gue,
            TunnelType::Gre => TunnelKind::Gre,
        },
        port: port.and_then(|port| u16::try_from(port.get()).ok()).unwrap_or(0),
        checksum: match checksum {
            Checksum::None => model::Checksum::None,
            Checksum::Csum => model::Checksum::Csum,
            Checksum::Remcsum => model::Checksum::Remcsum,
        },
    }
}

impl Wanted {
    /// What the server is called in this virtual service.
    pub(super) fn key(&self, service: &ServiceKey) -> ServerKey {
        ServerKey { address: self.address, port: self.port.unwrap_or_else(|| service.default_server_port()) }
    }

    /// Why the server cannot stand behind this virtual service, if so. `here` is the server's entry, `address` where
    /// its address stands.
    pub(super) fn misfit(
        &self,
        service: &ServiceKey,
        here: impl Fn() -> Place,
        address: impl Fn() -> Place,
        sync: bool,
    ) -> Option<Finding> {
        let tunnelled = matches!(self.real.forwarding, Forwarding::Tunnel(_));
        let finding = if let ServiceKey::Address { port, .. } = *service
            && !matches!(self.real.forwarding, Forwarding::Nat | Forwarding::FullNat)
            && let Some(own) = self.port
            && own != port
        {
            // The kernel stores the port, and sends to the virtual one all the same.
            let kept = if port == 0 { "the port they were sent to".into() } else { format!("port {port}") };
            Finding::new(
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
            Finding::new(
                address(),
                format!("`fullnat` does not serve {service}, which is every port at once"),
            )
            .expected("a service with a port, or one that listens on a firewall mark for several")
        } else if Family::of(self.address) != service.family() {
            let (own, virtual_family) = (Family::of(self.address), service.family());
            if !tunnelled {
                Finding::new(
                    address(),
                    format!(
                        "`{}` does not cross address families: the server is {own}, and {service} is {virtual_family}",
                        self.real.forwarding
                    ),
                )
                .expected(format!("an {virtual_family} address, or `forward: tun`"))
            } else if sync {
                Finding::new(
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
        Some(
            finding
                .involving(here().then("forward"))
                .involving(cluster_of(&here()).then("forward"))
                .involving(place!["defaults", "forward"]),
        )
    }
}
