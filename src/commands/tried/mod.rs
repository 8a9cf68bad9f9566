//! Reads the file of a trial, for the commands that follow it in place of the desired file.

mod error;
mod files;
mod followed;

pub(super) use self::error::TrialError;
pub(super) use self::files::{Notes, TrialFiles, parse};
pub(super) use self::followed::{Followed, followed, trial_of, tried};
