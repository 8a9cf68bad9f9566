//! Defines why a trial is not begun, or not confirmed.

use std::fmt;

use crate::files::FileError;
use crate::model::ServiceKey;
use crate::target::Trial;

/// Why a trial is not begun, or not confirmed. `Display` says what to do.
#[derive(Debug)]
pub enum TrialError {
    /// Another one is under way.
    UnderWay(Box<Trial>),
    /// One before it has ended, and its effects were not taken back yet.
    NotTakenBack(Box<Trial>),
    /// Something is paused: what.
    Paused(String),
    /// The conditions cannot be read.
    Unreadable(String),
    /// No state was verified before, or it cannot be read: why.
    NoWayBack(String),
    /// The file has services that another program has put into the kernel, and that could not be put back.
    Foreign(Vec<ServiceKey>),
    /// None is under way; how the last one ended, where that is known.
    None(Option<Box<Trial>>),
    /// No pass has verified it so far.
    NotVerified(Box<Trial>),
    /// The desired file has changed since it began.
    Changed,
    /// Of several files, another one than that of the trial has changed since it began.
    OthersChanged,
    /// The desired file was removed since it began.
    Removed,
    /// What lies beside the desired file is not what `lbd try` has put there: why.
    NotIntact(String),
    /// The copy cannot be written, or put into place.
    File(FileError),
}

impl TrialError {
    /// Whether it is a refusal, with the exit code of one.
    pub(in crate::commands) fn is_refusal(&self) -> bool {
        match self {
            Self::UnderWay(_)
            | Self::NotTakenBack(_)
            | Self::Paused(_)
            | Self::Foreign(_)
            | Self::Changed
            | Self::OthersChanged
            | Self::Removed => true,
            Self::Unreadable(_)
            | Self::NoWayBack(_)
            | Self::None(_)
            | Self::NotVerified(_)
            | Self::NotIntact(_)
            | Self::File(_) => false,
        }
    }
}

impl fmt::Display for TrialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnderWay(trial) => write!(
                f,
                "refused, nothing was changed: a trial is under way: {trial}; `lbd confirm` or `lbd cancel` ends it"
            ),
            Self::NotTakenBack(trial) => write!(
                f,
                "refused, nothing was changed: the trial of {trial} has ended ({}), and the state before it is not back yet; `lbd cancel` \
                 puts it back",
                trial.end()
            ),
            Self::Paused(pauses) => write!(
                f,
                "refused, nothing was changed: paused: {pauses}; `lbd resume` ends that"
            ),
            Self::Unreadable(reason) => f.write_str(reason),
            Self::NoWayBack(reason) => write!(
                f,
                "a trial has to end with the state before it, and that is not known: {reason}; nothing was changed; `lbd apply` verifies \
                 the desired file first"
            ),
            Self::Foreign(services) => {
                f.write_str("refused, nothing was changed: another program has put into the kernel what the file has, and a trial could not put that back: ")?;
                for (index, service) in services.iter().take(5).enumerate() {
                    write!(f, "{}{service}", if index == 0 { "" } else { ", " })?;
                }
                if let Some(more) = services.len().checked_sub(5).filter(|more| *more > 0) {
                    write!(f, " and {more} more")?;
                }
                f.write_str("; `lbd apply` takes it over")
            }
            Self::None(None) => f.write_str("no trial is under way; nothing was changed"),
            Self::None(Some(trial)) => {
                write!(f, "no trial is under way; that of {trial} has ended: {}; nothing was changed", trial.end())
            }
            Self::NotVerified(trial) => write!(
                f,
                "no pass has verified the trial so far: {trial}; nothing was changed; `lbd status` shows what is missing, `lbd cancel` ends \
                 it"
            ),
            Self::Changed => f.write_str(
                "refused, nothing was changed: the desired file has changed since the trial began, as shown; `--over` replaces it all the \
                 same, `lbd cancel` ends the trial",
            ),
            Self::OthersChanged => f.write_str(
                "refused, nothing was changed: another of the files that the desired state consists of has changed since the trial began, and \
                 what was tried is all of them together; `lbd cancel` ends the trial, and `lbd try` begins another",
            ),
            Self::Removed => f.write_str(
                "refused, nothing was changed: the desired file was removed since the trial began; `--over` puts the file of the trial there \
                 all the same, `lbd cancel` ends the trial",
            ),
            Self::NotIntact(reason) => write!(
                f,
                "{reason}; nothing was changed; `lbd cancel` ends the trial, and `lbd try` begins another"
            ),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrialError {}
