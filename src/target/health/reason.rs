//! Defines why a check, or that nothing is known of it, makes a real server another one than the file says.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

use super::state::{Failing, SlowStart};
use crate::health::ExecWeight;
use crate::status::Timestamp;

/// Why a real server is not what file and overrides say, as far as checks are the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckReason {
    /// A check fails.
    Failing(Arc<Failing>),
    /// The server is new, and has yet to pass.
    Waiting {
        /// The name of the first check
        check: CompactString,
    },
    /// It passes again, and gets its weight step by step.
    SlowStart {
        /// The name of the first check
        check: CompactString,
        /// How far it is
        start: SlowStart,
    },
    /// A program has printed a weight.
    Weight {
        /// The name of the first check
        check: CompactString,
        /// The weight
        weight: ExecWeight,
    },
    /// It is the fallback, and no server passes.
    NonePasses,
    /// It is the fallback, and the file or operators let no server serve.
    NoneServes,
}

impl CheckReason {
    /// Whether it takes a server out of service, in place of giving it a part of its weight.
    pub fn takes_out(&self) -> bool {
        match self {
            Self::Failing(_) | Self::Waiting { .. } => true,
            Self::SlowStart { .. } | Self::Weight { .. } | Self::NonePasses | Self::NoneServes => false,
        }
    }

    /// Since when, where that is known.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Failing(failing) => Some(failing.failure.since),
            Self::Waiting { .. }
            | Self::SlowStart { .. }
            | Self::Weight { .. }
            | Self::NonePasses
            | Self::NoneServes => None,
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check {}: {}", self.check, self.failure)
    }
}

impl fmt::Display for CheckReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(failing) => failing.fmt(f),
            Self::Waiting { check } => write!(f, "check {check}: no result yet"),
            Self::SlowStart { check, start } => {
                write!(f, "check {check}: slow start, {} of {}", start.step, SlowStart::STEPS)
            }
            Self::Weight { check, weight: ExecWeight::Percent(share) } => {
                write!(f, "check {check}: its program says {share}%")
            }
            Self::Weight { check, weight: ExecWeight::Weight(weight) } => {
                write!(f, "check {check}: its program says weight {weight}")
            }
            Self::NonePasses => f.write_str("fallback: no server passes its checks"),
            Self::NoneServes => f.write_str("fallback: no server is to serve"),
        }
    }
}
