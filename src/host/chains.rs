//! Describes chains of firewall rules as packets walk them: conditions and verdicts, as far as they can be read.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::hook::HookPoint;
use crate::model::{Family, Prefix, Protocol};

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Where it is, for the operator: `chain input of table inet filter (nftables)`
    pub place: String,
    /// Of which family its packets are; none is both
    pub family: Option<Family>,
    /// Where packets enter it; none for a chain that only others jump to
    pub entry: Option<Entry>,
    /// Its rules, in order
    pub rules: Vec<ChainRule>,
}

/// Where packets enter a chain, and what becomes of those that no rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The place in the path of packets
    pub point: HookPoint,
    /// Whether the policy is to drop
    pub drops: bool,
}

/// A rule: what it does with packets that meet all of its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRule {
    /// What a packet has to meet
    pub conditions: Vec<Condition>,
    /// What becomes of it
    pub verdict: Verdict,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes the hook.
    Accept,
    /// It is dropped or rejected.
    Drop,
    /// It goes back to the rule behind the jump.
    Return,
    /// It walks the chain of this number, and comes back where that does not decide.
    Jump(usize),
    /// It walks the chain of this number in place of the rest of this one.
    Goto(usize),
    /// It goes on to the next rule.
    Continue,
    /// That cannot be read.
    Unknown,
}

/// The state of a packet's connection, as connection tracking knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackState {
    /// The first packets of a connection
    New,
    /// Of a connection with packets of both directions
    Established,
    /// Of another connection's helper, or an ICMP error
    Related,
    /// Of no known connection
    Invalid,
    /// It passes connection tracking by
    Untracked,
}

impl TrackState {
    /// By its name in rules, in small letters.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "new" => Self::New,
            "established" => Self::Established,
            "related" => Self::Related,
            "invalid" => Self::Invalid,
            "untracked" => Self::Untracked,
            _ => return None,
        })
    }
}

/// What a packet has to meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// One of these states
    States(Vec<TrackState>),
    /// None of these states
    NotStates(Vec<TrackState>),
    /// One of these protocols; no entry: only protocols that IPVS does not know
    Protocols(Vec<Protocol>),
    /// This family
    Family(Family),
    /// One of these source ports
    SourcePorts(Vec<RangeInclusive<u16>>),
    /// One of these destination ports
    Ports(Vec<RangeInclusive<u16>>),
    /// One of these sources
    Sources(Vec<Prefix>),
    /// One of these destinations
    Destinations(Vec<Prefix>),
    /// It comes in by one of these interfaces
    InputInterfaces(Vec<String>),
    /// It leaves by one of these interfaces
    OutputInterfaces(Vec<String>),
    /// Its destination is an address of the host
    ToHost,
    /// Nothing that IPVS balances meets it.
    Never,
    /// That cannot be read.
    Unknown,
}

/// `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0` is none.
pub(super) fn prefix(text: &str) -> Option<Prefix> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let bits = Family::of(address).bits();
    let length = length.unwrap_or(bits);
    (length <= bits).then(|| Prefix::around(address, length))
}
