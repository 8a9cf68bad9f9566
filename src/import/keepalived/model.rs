//! What a configuration says, in keepalived's terms and before it repairs anything.

use std::net::IpAddr;
use std::time::Duration;

use super::text::Origin;
use crate::model::{Checksum, Family, ForwardingMethod, Protocol, SchedulerFlags, TunnelKind};

/// Where a virtual server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Address(IpAddr, u16),
    Mark(u32),
    Group(String),
}

/// How packets get to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) method: ForwardingMethod,
    pub(super) kind: TunnelKind,
    /// 0 where there is none
    pub(super) port: u16,
    pub(super) checksum: Checksum,
}

impl Forward {
    pub(super) const NAT: Self =
        Self { method: ForwardingMethod::Nat, kind: TunnelKind::Ipip, port: 0, checksum: Checksum::None };
}

/// Which clients are one for persistence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Granularity {
    Mask(std::net::Ipv4Addr),
    Length(u32),
}

/// How a server is checked, or those of a virtual server that say nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) delay_loop: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) retry: Option<u32>,
    pub(super) delay_before_retry: Option<Duration>,
}

impl Pace {
    /// These times, and where there are none, those of another.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self {
            delay_loop: self.delay_loop.or(other.delay_loop),
            connect_timeout: self.connect_timeout.or(other.connect_timeout),
            retry: self.retry.or(other.retry),
            delay_before_retry: self.delay_before_retry.or(other.delay_before_retry),
        }
    }
}

/// A virtual server.
#[derive(Debug)]
pub(super) struct Virtual {
    pub(super) origin: Origin,
    pub(super) target: Target,
    pub(super) family: Option<Family>,
    pub(super) scheduler: Option<String>,
    pub(super) flags: SchedulerFlags,
    pub(super) one_packet: bool,
    pub(super) forward: Option<Forward>,
    /// In seconds
    pub(super) persistence: Option<u32>,
    pub(super) granularity: Option<Granularity>,
    pub(super) engine: Option<String>,
    pub(super) protocol: Option<Protocol>,
    pub(super) weight: u32,
    pub(super) inhibit: bool,
    pub(super) virtualhost: Option<String>,
    pub(super) pace: Pace,
    pub(super) quorum: Option<(u32, Origin)>,
    pub(super) hysteresis: Option<(u32, Origin)>,
    pub(super) sorry: Option<Sorry>,
    pub(super) servers: Vec<Real>,
}

/// A sorry server.
#[derive(Debug)]
pub(super) struct Sorry {
    pub(super) origin: Origin,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) forward: Option<Forward>,
    pub(super) inhibit: Option<Origin>,
}

/// A real server.
#[derive(Debug)]
pub(super) struct Real {
    pub(super) origin: Origin,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) weight: Option<u32>,
    pub(super) forward: Option<Forward>,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) inhibit: Option<bool>,
    pub(super) virtualhost: Option<String>,
    pub(super) pace: Pace,
    pub(super) checkers: Vec<Checker>,
}

/// A health check.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) origin: Origin,
    pub(super) kind: CheckerKind,
    pub(super) address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    pub(super) source: Option<IpAddr>,
    pub(super) pace: Pace,
}

/// What is checked.
#[derive(Debug)]
pub(super) enum CheckerKind {
    Tcp,
    Smtp,
    Ping,
    Http { tls: bool, virtualhost: Option<String>, urls: Vec<Url> },
    Misc { command: Vec<String>, timeout: Option<Duration> },
    Dns { name: Option<String>, record: Option<String> },
    Udp { payload: Option<String>, reply: Option<String> },
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Url {
    pub(super) path: Option<String>,
    pub(super) status: Vec<(u16, u16)>,
    pub(super) virtualhost: Option<String>,
    pub(super) regex: Option<String>,
    pub(super) regex_options: String,
    pub(super) origin: Option<Origin>,
}
