//! Defines why something is not what the file alone says.

use std::fmt;
use std::sync::Arc;

use super::clock::Period;
use super::drains::{Drain, DrainEnd};
use super::health::CheckReason;
use super::overrides::Override;
use crate::status::Timestamp;

/// Why something is not what the file alone says: the condition, for people and scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An operator has overridden the file.
    Override(Override),
    /// Checks say so, or nothing is known of them yet; above an override, if there is one.
    Check(CheckReason, Option<Arc<Override>>),
    /// It left the file, and keeps its connections for a while.
    Drain(Drain),
    /// Its drain has ended, or there is none for it.
    DrainEnd(DrainEnd),
    /// The file of a trial does not have it; it stays as long as the trial is under way.
    Trial(Period),
}

impl Reason {
    /// Whether it is the same condition, perhaps at different times: what is known of the connections of a drain changes all the time.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Drain(drain), Self::Drain(other)) => drain.period == other.period,
            (one, other) => one == other,
        }
    }

    /// The override that it is, or is above of.
    pub fn overriding(&self) -> Option<&Override> {
        match self {
            Self::Override(one) => Some(one),
            Self::Check(_, one) => one.as_deref(),
            Self::Drain(_) | Self::DrainEnd(_) | Self::Trial(_) => None,
        }
    }

    /// Its kind, for scripts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Override(one) => one.kind(),
            Self::Check(..) => "check",
            Self::Drain(_) | Self::DrainEnd(_) => "drain",
            Self::Trial(_) => "trial",
        }
    }

    /// Since when, where that is known.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Override(one) => Some(one.since),
            Self::Check(check, _) => check.since(),
            Self::Drain(drain) => Some(drain.period.since),
            Self::DrainEnd(_) => None,
            Self::Trial(period) => Some(period.since),
        }
    }

    /// When it ends by itself at the latest, if it does.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Override(one) => one.until(),
            Self::Check(..) => None,
            Self::Drain(drain) => Some(drain.period.until),
            Self::DrainEnd(_) => None,
            Self::Trial(period) => Some(period.until),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Override(one) => one.fmt(f),
            Self::Check(check, _) => check.fmt(f),
            Self::Drain(drain) => drain.fmt(f),
            Self::DrainEnd(end) => end.fmt(f),
            Self::Trial(period) => write!(f, "not in the file of the trial; kept until {}", period.until),
        }
    }
}
