//! Decides whether a director takes the revision of the head now: from one picture of the fleet, alone.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::records::{Outcome, OutcomeKind};
use super::strategy::{Revert, Strategy};
use super::view::View;
use crate::status::Timestamp;

/// What a director does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It has a slot already, and goes on with this revision
    Continue(String),
    /// It takes this revision, where it gets a slot
    Take(String),
    /// It goes back to the file before, since the revision failed at this director
    GoBack {
        /// The revision
        revision: String,
        /// Where it failed
        failed_at: String,
    },
    /// It does nothing
    Stay(Stay),
}

/// Why a director does nothing. `Display` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stay {
    /// It has verified the revision of the head
    Done,
    /// There is no head
    NoHead,
    /// There is no strategy
    NoStrategy,
    /// Something in etcd cannot be read
    Unreadable(String),
    /// The strategy does not have this director
    NotInInventory,
    /// The revision failed here, or this director went back
    Ended {
        /// How
        result: OutcomeKind,
        /// What went wrong
        error: Option<String>,
    },
    /// An operator halted the fleet
    Halted {
        /// Who
        by: String,
        /// Why
        reason: Option<String>,
    },
    /// The revision failed at another director
    Failed {
        /// Where
        director: String,
        /// What went wrong
        error: Option<String>,
    },
    /// Directors of an earlier stage have not verified it
    EarlierStage {
        /// The stage, from 1
        stage: usize,
        /// The first of them
        director: String,
        /// How many more
        more: usize,
    },
    /// The time of an earlier stage is not over
    OnHold {
        /// The stage, from 1
        stage: usize,
        /// When it is over
        until: Timestamp,
    },
    /// Too many directors do not report
    Unavailable {
        /// The first of them
        director: String,
        /// How many there are
        count: usize,
        /// How many may be
        most: usize,
    },
    /// As many as may have slots
    NoSlot {
        /// The first that has one
        director: String,
        /// How many have one
        count: usize,
    },
}

impl Stay {
    /// When it goes on, where nothing but time is missing.
    pub fn until(&self) -> Option<SystemTime> {
        match self {
            Self::OnHold { until, .. } => Some(SystemTime::from(*until)),
            _ => None,
        }
    }

    /// Whether an operator has to do something before it goes on.
    pub fn is_error(&self) -> bool {
        match self {
            Self::NoStrategy
            | Self::Unreadable(_)
            | Self::NotInInventory
            | Self::Ended { .. }
            | Self::Failed { .. }
            | Self::Unavailable { .. } => true,
            Self::Done
            | Self::NoHead
            | Self::Halted { .. }
            | Self::EarlierStage { .. }
            | Self::OnHold { .. }
            | Self::NoSlot { .. } => false,
        }
    }
}

fn because(f: &mut fmt::Formatter<'_>, reason: Option<&String>) -> fmt::Result {
    reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
}

impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("verified"),
            Self::NoHead => f.write_str("no revision is promoted yet"),
            Self::NoStrategy => {
                f.write_str("there is no strategy in etcd; set one: lbd fleet strategy set FILE")
            }
            Self::Unreadable(what) => f.write_str(what),
            Self::NotInInventory => {
                f.write_str("the strategy does not have this director; add it: lbd fleet strategy set FILE")
            }
            Self::Ended { result: OutcomeKind::Reverted, error } => {
                f.write_str("went back to the file before")?;
                because(f, error.as_ref())
            }
            Self::Ended { result: _, error } => {
                f.write_str("the revision failed here")?;
                because(f, error.as_ref())
            }
            Self::Halted { by, reason } => {
                write!(f, "halted by {by}")?;
                because(f, reason.as_ref())
            }
            Self::Failed { director, error } => {
                write!(f, "the revision failed at {director}")?;
                because(f, error.as_ref())
            }
            Self::EarlierStage { stage, director, more: 0 } => {
                write!(f, "waits for {director} of stage {stage}")
            }
            Self::EarlierStage { stage, director, more } => {
                write!(f, "waits for {director} and {more} more of stage {stage}")
            }
            Self::OnHold { stage, until } => write!(f, "waits until {until}, for the hold of stage {stage}"),
            Self::Unavailable { director, count, most } => {
                write!(f, "{count} directors do not report, and {most} may: {director} is the first")
            }
            Self::NoSlot { director, count } => {
                write!(f, "waits for a slot: {count} in use, the first by {director}")
            }
        }
    }
}

/// Decides what the director of this name does now.
pub fn decide(view: &View, director: &str, now: SystemTime) -> Decision {
    if let Some(slot) = view.slots.get(director) {
        // What was begun is ended, whatever has happened since.
        return Decision::Continue(slot.value.revision.clone());
    }
    // With half of the picture, a failure might be what is missing.
    if let Some(unreadable) = view.unreadable.first() {
        return Decision::Stay(Stay::Unreadable(unreadable.to_string()));
    }
    let Some(head) = &view.head else { return Decision::Stay(Stay::NoHead) };
    let Some(strategy) = view.strategy.as_ref().map(|strategy| &strategy.value) else {
        return Decision::Stay(Stay::NoStrategy);
    };
    let Some(stage) = strategy.stage_of(director) else { return Decision::Stay(Stay::NotInInventory) };
    let revision = &head.value.revision;
    match view.outcome(director) {
        Some(Outcome { result: OutcomeKind::Verified, .. }) => {
            return match failure_of_others(view, strategy, stage) {
                Some(failed_at) => Decision::GoBack { revision: revision.clone(), failed_at },
                None => Decision::Stay(Stay::Done),
            };
        }
        Some(Outcome { result, error, .. }) => {
            return Decision::Stay(Stay::Ended { result: *result, error: error.clone() });
        }
        None => {}
    }
    if let Some(halt) = &view.halt {
        return Decision::Stay(Stay::Halted { by: halt.by.clone(), reason: halt.reason.clone() });
    }
    if let Some((failed, outcome)) = view.failed().next()
        && strategy.on_failure.halt
    {
        return Decision::Stay(Stay::Failed { director: failed.to_owned(), error: outcome.error.clone() });
    }
    if head.value.is_rollback {
        return Decision::Take(revision.clone());
    }
    let waits = earlier_stages(view, strategy, stage, now)
        .or_else(|| unavailable(view, strategy, director))
        .or_else(|| slots_in_use(view, strategy, stage));
    waits.map_or_else(|| Decision::Take(revision.clone()), Decision::Stay)
}

/// The director whose failure takes those of this stage back, too.
fn failure_of_others(view: &View, strategy: &Strategy, stage: usize) -> Option<String> {
    let concerns = |failed: &str| match strategy.on_failure.revert {
        Revert::Own => false,
        Revert::Stage => strategy.stage_of(failed) == Some(stage),
        Revert::Fleet => true,
    };
    view.failed().map(|(failed, _)| failed).find(|failed| concerns(failed)).map(str::to_owned)
}

/// Whether an earlier stage is not through.
fn earlier_stages(view: &View, strategy: &Strategy, stage: usize, now: SystemTime) -> Option<Stay> {
    for (index, earlier) in strategy.stages.iter().enumerate().take(stage) {
        let number = index + 1;
        let mut missing = strategy.directors_of(index).filter(|name| !view.is_verified(name));
        if let Some(director) = missing.next() {
            let (director, more) = (director.to_owned(), missing.count());
            return Some(Stay::EarlierStage { stage: number, director, more });
        }
        let last = strategy.directors_of(index).filter_map(|name| Some(view.outcome(name)?.at)).max();
        let until = last.map(|last| SystemTime::from(last) + earlier.hold);
        if let Some(until) = until.filter(|until| *until > now && earlier.hold > Duration::ZERO) {
            return Some(Stay::OnHold { stage: number, until: until.into() });
        }
    }
    None
}

/// Whether too many directors do not report. Those with a slot do not count: that they are away for a moment is part of taking a revision, and
/// where they do not come back, their slot limits what is lost.
fn unavailable(view: &View, strategy: &Strategy, own: &str) -> Option<Stay> {
    let is_away =
        |name: &&str| *name != own && !view.reports.contains_key(*name) && !view.slots.contains_key(*name);
    let mut away = strategy.directors.keys().map(String::as_str).filter(is_away);
    let first = away.next()?;
    let (count, most) = (1 + away.count(), strategy.max_unavailable);
    (count > most).then(|| Stay::Unavailable { director: first.to_owned(), count, most })
}

/// Whether as many directors of the stage have slots as may have one. A slot counts whatever its revision is: a new head during a rollout must
/// not double what is at risk.
fn slots_in_use(view: &View, strategy: &Strategy, stage: usize) -> Option<Stay> {
    let most = strategy.stages.get(stage)?.max_parallel.of(strategy.directors_of(stage).count());
    let mut in_use = view.slots.keys().filter(|name| strategy.stage_of(name) == Some(stage));
    let first = in_use.next()?.clone();
    let count = 1 + in_use.count();
    (count >= most).then_some(Stay::NoSlot { director: first, count })
}
