//! Defines what the last change of the kernel was, by whichever command: a small document on disk, for `lbd status`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LastPass, PassOutcome, PassReason, Timestamp};

/// The last pass that changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastChange {
    /// When it ended
    pub at: Timestamp,
    /// The command
    #[serde(flatten)]
    pub by: ChangedBy,
    /// Whether the kernel was read back and is what the file says
    pub verified: bool,
    /// How many additions
    pub added: usize,
    /// How many edits
    pub edited: usize,
    /// How many deletions
    pub deleted: usize,
    /// How many of all these repaired what another program had changed
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drift: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The command that changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase")]
pub enum ChangedBy {
    /// `lbd apply`
    Apply,
    /// `lbd rollback`
    Rollback,
    /// `lbd try`
    Try,
    /// `lbd confirm`
    Confirm,
    /// `lbd restore`
    Restore,
    /// `lbd teardown`
    Teardown,
    /// `lbd run`, the daemon
    Run {
        /// Why its pass ran
        reason: PassReason,
    },
}

impl ChangedBy {
    /// The command, as it is typed behind `lbd`.
    pub fn command(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Restore => "restore",
            Self::Teardown => "teardown",
            Self::Run { .. } => "run",
        }
    }
}

impl LastChange {
    /// The change that the last pass of a daemon made, if it did; older versions of lbd recorded no other.
    pub fn of_pass(pass: &LastPass) -> Option<Self> {
        let LastPass { at, reason, outcome, added, edited, deleted } = *pass;
        let verified = matches!(outcome, PassOutcome::Verified | PassOutcome::PartlyRefused);
        let is_change = added + edited + deleted > 0;
        is_change.then_some(Self {
            at,
            by: ChangedBy::Run { reason },
            verified,
            added,
            edited,
            deleted,
            drift: 0,
        })
    }
}

impl fmt::Display for LastChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, by, verified, added, edited, deleted, drift } = self;
        let end = if *verified { "verified" } else { "not verified" };
        write!(f, "{at}, {by}: {end}; {added} added, {edited} edited, {deleted} deleted")?;
        match drift {
            0 => Ok(()),
            drift => write!(f, "; {drift} of them repaired what another program had changed"),
        }
    }
}

impl fmt::Display for ChangedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply | Self::Rollback | Self::Try | Self::Confirm | Self::Restore | Self::Teardown => {
                write!(f, "lbd {}", self.command())
            }
            Self::Run { reason } => reason.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_written_and_names_its_command() {
        let at = Timestamp::from(UNIX_EPOCH + Duration::from_secs(1_795_460_685));
        let change = |by| LastChange {
            at,
            by,
            verified: by != ChangedBy::Restore,
            added: 1,
            edited: 2,
            deleted: 3,
            drift: 0,
        };
        let start = ChangedBy::Run { reason: PassReason::File };
        let json = |command: &str, verified: bool| {
            json!({
                "at": "2026-11-23T19:04:45Z", "command": command, "verified": verified, "added": 1, "edited": 2, "deleted": 3
            })
        };
        let mut of_daemon = json("run", true);
        of_daemon["reason"] = "file changed".into();
        for (by, written, shown) in [
            (ChangedBy::Apply, json("apply", true), "lbd apply: verified"),
            (ChangedBy::Restore, json("restore", false), "lbd restore: not verified"),
            (ChangedBy::Teardown, json("teardown", true), "lbd teardown: verified"),
            (start, of_daemon, "file changed: verified"),
        ] {
            assert_eq!(to_value(change(by)).unwrap(), written);
            assert_eq!(from_value::<LastChange>(written).unwrap(), change(by));
            let shown = format!("2026-11-23T19:04:45Z, {shown}; 1 added, 2 edited, 3 deleted");
            assert_eq!(change(by).to_string(), shown);
        }
        let drift = LastChange { drift: 4, ..change(start) };
        assert_eq!(from_value::<LastChange>(to_value(drift).unwrap()).unwrap(), drift);
        let shown = "; 1 added, 2 edited, 3 deleted; 4 of them repaired what another program had changed";
        assert!(drift.to_string().ends_with(shown), "{drift}");
    }

    // "Last change: refused" was shown after `lbd apply --allow-deletes`.
    #[test]
    fn a_pass_that_changed_nothing_is_no_change() {
        let at = Timestamp::from(UNIX_EPOCH);
        let pass = |outcome, deleted| LastPass {
            at,
            reason: PassReason::Resync,
            outcome,
            added: 0,
            edited: 0,
            deleted,
        };
        let by = ChangedBy::Run { reason: PassReason::Resync };
        let change =
            |verified| Some(LastChange { at, by, verified, added: 0, edited: 0, deleted: 1, drift: 0 });
        for (outcome, deleted, expected) in [
            (PassOutcome::Refused, 0, None),
            (PassOutcome::Verified, 0, None),
            (PassOutcome::Verified, 1, change(true)),
            (PassOutcome::Failed, 1, change(false)),
        ] {
            assert_eq!(LastChange::of_pass(&pass(outcome, deleted)), expected);
        }
    }
}
