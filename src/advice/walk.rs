//! Walks firewall rules as a packet does: what may become of it, where conditions cannot all be read.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::host::{Chain, ChainRule, Condition, Hook, TrackState, Verdict};
use crate::model::{Family, Prefix, Protocol};

/// Rules that are visited at most for all packets together. What is not found with so many is not said.
const MOST_RULES: usize = 2_000_000;

/// Jumps within jumps.
const MOST_JUMPS: usize = 16;

/// A packet of a client to a virtual service, or of a server to its client. What is `None` can be anything.
#[derive(Debug, Clone)]
pub(super) struct Packet<'a> {
    pub(super) family: Family,
    pub(super) state: TrackState,
    pub(super) protocol: Option<Protocol>,
    pub(super) source: Option<Prefix>,
    pub(super) source_port: Option<u16>,
    pub(super) destination: Option<Prefix>,
    /// Empty: any
    pub(super) ports: &'a [RangeInclusive<u16>],
    /// The interface that it comes in by
    pub(super) input: Option<&'a str>,
    /// Whether it is for the host itself
    pub(super) is_to_host: bool,
}

/// What may become of packets at a hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome<'a> {
    /// Whether one may pass
    pub(super) may_pass: bool,
    /// The rules that may drop one: each its chain, and its number there; the policy comes behind the last rule
    pub(super) droppers: BTreeSet<(&'a str, usize)>,
}

/// The rules of a host, to be walked.
pub(super) struct Walk<'a> {
    chains: &'a [Chain],
    left: Cell<usize>,
}

/// Whether a condition is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    No,
    Perhaps,
    Yes,
}

/// Whether a walk comes back to where it began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    Never,
    Perhaps,
}

impl<'a> Walk<'a> {
    pub(super) fn new(chains: &'a [Chain]) -> Self {
        Self { chains, left: Cell::new(MOST_RULES) }
    }

    /// What may become of a packet at a hook, up to the priority of IPVS there.
    pub(super) fn at(&self, hook: Hook, before: i32, packet: &Packet<'_>) -> Outcome<'a> {
        let mut outcome = Outcome { may_pass: true, droppers: BTreeSet::new() };
        for chain in self.chains {
            let Some(entry) = chain.entry else { continue };
            let is_here = entry.point.hook == hook && entry.point.priority < before;
            if !is_here || chain.family.is_some_and(|family| family != packet.family) {
                continue;
            }
            let mut one = Outcome::default();
            if self.walk(chain, packet, 0, &mut one) == Back::Perhaps {
                if entry.drops {
                    one.droppers.insert((&chain.place, chain.rules.len()));
                } else {
                    one.may_pass = true;
                }
            }
            outcome.may_pass &= one.may_pass;
            outcome.droppers.extend(one.droppers);
        }
        if self.left.get() == 0 {
            return Outcome { may_pass: true, droppers: BTreeSet::new() };
        }
        outcome
    }

    fn walk(&self, chain: &'a Chain, packet: &Packet<'_>, depth: usize, outcome: &mut Outcome<'a>) -> Back {
        let mut back = Back::Never;
        for (number, ChainRule { conditions, verdict }) in chain.rules.iter().enumerate() {
            let left = self.left.get();
            if left == 0 || depth > MOST_JUMPS {
                outcome.may_pass = true;
                return Back::Perhaps;
            }
            self.left.set(left - 1);
            let met = conditions.iter().map(|condition| met(condition, packet)).min().unwrap_or(Met::Yes);
            if met == Met::No {
                continue;
            }
            // Whether the rules behind this one see the packet.
            let goes_on = match verdict {
                Verdict::Continue => true,
                Verdict::Accept => {
                    outcome.may_pass = true;
                    false
                }
                Verdict::Drop => {
                    outcome.droppers.insert((&chain.place, number));
                    false
                }
                Verdict::Return => {
                    back = Back::Perhaps;
                    false
                }
                Verdict::Jump(to) => self.jump(*to, packet, depth, outcome) == Back::Perhaps,
                Verdict::Goto(to) => {
                    if self.jump(*to, packet, depth, outcome) == Back::Perhaps {
                        back = Back::Perhaps;
                    }
                    false
                }
                Verdict::Unknown => {
                    outcome.may_pass = true;
                    true
                }
            };
            if met == Met::Yes && !goes_on {
                return back;
            }
        }
        Back::Perhaps
    }

    fn jump(&self, to: usize, packet: &Packet<'_>, depth: usize, outcome: &mut Outcome<'a>) -> Back {
        match self.chains.get(to) {
            Some(chain) => self.walk(chain, packet, depth + 1, outcome),
            None => {
                outcome.may_pass = true;
                Back::Perhaps
            }
        }
    }
}

fn met(condition: &Condition, packet: &Packet<'_>) -> Met {
    match condition {
        Condition::States(states) => certain(states.contains(&packet.state)),
        Condition::NotStates(states) => certain(!states.contains(&packet.state)),
        Condition::Protocols(protocols) => match packet.protocol {
            _ if protocols.is_empty() => Met::No,
            Some(protocol) => certain(protocols.contains(&protocol)),
            None => Met::Perhaps,
        },
        Condition::Family(family) => certain(*family == packet.family),
        Condition::SourcePorts(ranges) => packet
            .source_port
            .map_or(Met::Perhaps, |port| certain(ranges.iter().any(|range| range.contains(&port)))),
        Condition::Ports(ranges) => ports(ranges, packet.ports),
        Condition::Sources(prefixes) => inside(prefixes, packet.source),
        Condition::Destinations(prefixes) => inside(prefixes, packet.destination),
        Condition::InputInterfaces(names) => match packet.input {
            Some(name) => certain(names.iter().any(|one| one == name)),
            None => interfaces(names),
        },
        Condition::OutputInterfaces(names) => interfaces(names),
        Condition::ToHost => certain(packet.is_to_host),
        Condition::Never => Met::No,
        Condition::Unknown => Met::Perhaps,
    }
}

fn certain(is_met: bool) -> Met {
    if is_met { Met::Yes } else { Met::No }
}

/// Clients come from elsewhere: not from the host itself, nor from containers on it.
fn interfaces(names: &[String]) -> Met {
    if names.iter().all(|name| name == "lo" || is_of_containers(name)) { Met::No } else { Met::Perhaps }
}

/// Whether Docker made this bridge, by its name.
pub(super) fn is_of_containers(name: &str) -> bool {
    let id = name.strip_prefix("br-");
    matches!(name, "docker0" | "docker_gwbridge")
        || id.is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn ports(ranges: &[RangeInclusive<u16>], of_packet: &[RangeInclusive<u16>]) -> Met {
    if of_packet.is_empty() {
        return Met::Perhaps;
    }
    let contains = |one: &RangeInclusive<u16>| {
        ranges.iter().any(|range| range.contains(one.start()) && range.contains(one.end()))
    };
    let overlaps = |one: &RangeInclusive<u16>| {
        ranges.iter().any(|range| range.start() <= one.end() && one.start() <= range.end())
    };
    if of_packet.iter().all(contains) {
        Met::Yes
    } else if of_packet.iter().any(overlaps) {
        Met::Perhaps
    } else {
        Met::No
    }
}

fn inside(prefixes: &[Prefix], address: Option<Prefix>) -> Met {
    let Some(address) = address else { return Met::Perhaps };
    let of_family =
        prefixes.iter().filter(|prefix| Family::of(prefix.address) == Family::of(address.address));
    let met = of_family.map(|prefix| {
        let length = prefix.length.min(address.length);
        if Prefix::around(prefix.address, length) != Prefix::around(address.address, length) {
            Met::No
        } else if prefix.length <= address.length {
            Met::Yes
        } else {
            Met::Perhaps
        }
    });
    met.max().unwrap_or(Met::No)
}
