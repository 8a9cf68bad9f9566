//! What the packet filter of others does with marks and connection states: the rules of nftables and iptables, found.

use std::path::Path;

use super::program::{self, Trouble};
use super::{iptables, nftables};
use crate::kernel::generation::Generation;
use crate::model::Family;

/// What was found in the rules of others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Rules that set the mark of packets
    pub marks: Vec<MarkRule>,
    /// Rules that ask for the state of a connection
    pub states: Vec<StateRule>,
    /// The families of which all rules could be read, so that what is not here is nowhere
    pub known: Vec<Family>,
}

/// A rule that sets the mark of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRule {
    /// Where it stands, for the operator: `chain pre of table inet filter (nftables)`
    pub place: String,
    /// Of which family its packets are; none is both
    pub family: Option<Family>,
    /// Which marks it sets
    pub sets: Sets,
    /// From where in the path of packets it is reached
    pub points: Vec<HookPoint>,
}

/// A rule that asks for the state of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRule {
    /// Where it stands, for the operator
    pub place: String,
    /// Of which family its packets are; none is both
    pub family: Option<Family>,
    /// From where in the path of packets it is reached
    pub points: Vec<HookPoint>,
}

/// Which marks a rule sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sets {
    /// This one
    Exactly(u32),
    /// Those bits of `mask` that are in `value`; the others stay
    Bits {
        /// What is set
        value: u32,
        /// Of which bits
        mask: u32,
    },
    /// One that is worked out, or restored from the connection
    Computed,
    /// It cannot be seen whether it sets one at all
    Perhaps,
}

impl Sets {
    /// Whether a packet can have this mark after it.
    pub fn can_be(self, mark: u32) -> bool {
        match self {
            Self::Exactly(value) => value == mark,
            // What only clears bits gives no packet its mark.
            Self::Bits { value, mask } => value & mask != 0 && mark & mask == value & mask,
            Self::Computed | Self::Perhaps => true,
        }
    }
}

/// A place in the path of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookPoint {
    /// Which hook
    pub hook: Hook,
    /// Its order among others at the same hook: the lowest is first
    pub priority: i32,
}

/// The hooks of the packet filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Before everything else, per interface
    Ingress,
    /// Before routing
    Prerouting,
    /// To the host itself; IPVS takes its packets here, at priority 99
    Input,
    /// Through the host
    Forward,
    /// From the host itself
    Output,
    /// After routing
    Postrouting,
}

/// Reads the rules that concern these families.
pub(super) fn look(families: &[Family], proc: &Path, unknown: &mut Vec<String>) -> Filter {
    let mut filter = Filter::default();
    // Where nobody ever made a rule, no program has to be started to hear of none.
    if families.iter().all(|family| legacy_tables(proc, *family).is_empty())
        && Generation::default().is_first()
    {
        filter.known.extend(families);
        return filter;
    }
    let mut tables = Vec::new();
    let mut has_iptables = false;
    for &family in families {
        let legacy = legacy_tables(proc, family);
        let mut is_known = true;
        let (save, legacy_save) = match family {
            Family::V4 => ("iptables-save", "iptables-legacy-save"),
            Family::V6 => ("ip6tables-save", "ip6tables-legacy-save"),
        };
        match program::ask(save, &[]) {
            Ok(text) => {
                has_iptables = true;
                let found = iptables::parse(&text, family, &mut filter);
                // What is not among the old kernel tables is one of nftables, and listed there once more.
                tables.extend(
                    found.iter().filter(|name| !legacy.contains(name)).map(|name| (family, name.clone())),
                );
                if legacy.iter().any(|name| !found.contains(name)) {
                    is_known = also_legacy(legacy_save, family, &mut filter, unknown);
                }
            }
            Err(Trouble::Missing) if legacy.is_empty() => {}
            Err(Trouble::Missing) => is_known = also_legacy(legacy_save, family, &mut filter, unknown),
            Err(trouble) => {
                is_known = false;
                unknown.push(format!("cannot look at the rules of iptables: {save}: {trouble}"));
            }
        }
        if is_known {
            filter.known.push(family);
        }
    }
    let listed = program::ask("nft", &["-j", "list", "ruleset"]);
    match listed.and_then(|text| nftables::parse(&text, &tables, &mut filter).map_err(Trouble::Failed)) {
        Ok(()) => {}
        // A kernel without nftables has no rules of it.
        Err(Trouble::Failed(words)) if words.contains("cache initialization failed") => {}
        // A host that has only iptables.
        Err(Trouble::Missing) if has_iptables => {}
        Err(trouble) => {
            filter.known.clear();
            unknown.push(format!("cannot look at the rules of nftables: nft: {trouble}"));
        }
    }
    filter.marks.retain(|rule| rule.family.is_none_or(|family| families.contains(&family)));
    filter.states.retain(|rule| rule.family.is_none_or(|family| families.contains(&family)));
    filter
}

/// Reads the rules of the old kernel tables, and tells whether they could be read.
fn also_legacy(program: &str, family: Family, filter: &mut Filter, unknown: &mut Vec<String>) -> bool {
    match program::ask(program, &[]) {
        Ok(text) => {
            iptables::parse(&text, family, filter);
            true
        }
        Err(trouble) => {
            unknown.push(format!("cannot look at the rules of iptables: {program}: {trouble}"));
            false
        }
    }
}

/// The old tables that the kernel has for a family. Only to ask for others would load their modules.
fn legacy_tables(proc: &Path, family: Family) -> Vec<String> {
    let name = match family {
        Family::V4 => "thread-self/net/ip_tables_names",
        Family::V6 => "thread-self/net/ip6_tables_names",
    };
    let names = std::fs::read_to_string(proc.join(name)).unwrap_or_default();
    names.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_marks_a_rule_can_give() {
        assert!(Sets::Exactly(10).can_be(10) && !Sets::Exactly(10).can_be(11));
        // Kubernetes: one bit, whatever the others are.
        let bit = Sets::Bits { value: 0x4000, mask: 0x4000 };
        assert!(bit.can_be(0x400a) && !bit.can_be(10));
        assert!(!Sets::Bits { value: 0, mask: 0xffff_fff0 }.can_be(4));
        assert!(Sets::Computed.can_be(7) && Sets::Perhaps.can_be(7));
    }
}
