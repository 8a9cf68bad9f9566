//! Describes firewall rules of other programs: which marks they set, which match the state of a connection, and what they drop.

use super::chains::Chain;
use super::hook::HookPoint;
use crate::model::Family;

/// What was found in the rules of other programs, of nftables and iptables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirewallRules {
    /// Rules that set the mark of packets
    pub marks: Vec<MarkRule>,
    /// Rules that match the state of a connection
    pub states: Vec<StateRule>,
    /// All chains, those of either family, by the numbers that jumps have
    pub chains: Vec<Chain>,
    /// The families of which all rules could be read, so that what is not here is nowhere
    pub known: Vec<Family>,
}

/// A rule that sets the mark of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRule {
    /// Where it is, for the operator: `chain pre of table inet filter (nftables)`
    pub place: String,
    /// Of which family its packets are; none is both
    pub family: Option<Family>,
    /// Which marks it sets
    pub sets: MarkEffect,
    /// From where in the path of packets it is reached
    pub points: Vec<HookPoint>,
}

/// A rule that matches the state of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRule {
    /// Where it is, for the operator
    pub place: String,
    /// Of which family its packets are; none is both
    pub family: Option<Family>,
    /// From where in the path of packets it is reached
    pub points: Vec<HookPoint>,
}

/// Which marks a rule sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkEffect {
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

impl MarkEffect {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_marks_a_rule_can_give() {
        assert!(MarkEffect::Exactly(10).can_be(10) && !MarkEffect::Exactly(10).can_be(11));
        // Kubernetes: one bit, whatever the others are.
        let bit = MarkEffect::Bits { value: 0x4000, mask: 0x4000 };
        assert!(bit.can_be(0x400a) && !bit.can_be(10));
        assert!(!MarkEffect::Bits { value: 0, mask: 0xffff_fff0 }.can_be(4));
        assert!(MarkEffect::Computed.can_be(7) && MarkEffect::Perhaps.can_be(7));
    }
}
