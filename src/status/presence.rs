//! Decides whether a daemon runs, and how the last one ended, by the daemon's lock and its last status.

use std::fmt;

use super::{Status, Timestamp};

/// Whether a daemon runs on a state directory, by its lock and its last status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// This process is the daemon.
    Running(String),
    /// None runs; a signal stopped the last one.
    Stopped(Timestamp),
    /// None runs; the last one in this boot ended without being stopped.
    Died {
        /// Which process it was
        process: u32,
        /// When it wrote its last status: it ended later
        after: Timestamp,
    },
    /// None runs, and there is no status of one in this boot.
    Absent,
    /// The lock cannot be examined.
    Unknown,
}

impl Presence {
    /// Decides it for a lock that `holder` has and the boot `boot`.
    pub fn of(holder: Option<String>, status: Option<&Status>, boot: &str) -> Self {
        if let Some(holder) = holder {
            return Self::Running(holder);
        }
        match status.and_then(|status| status.writer.as_ref().map(|writer| (writer, status.stopped))) {
            Some((writer, true)) => Self::Stopped(writer.at),
            Some((writer, false)) if writer.boot == boot => {
                Self::Died { process: writer.process, after: writer.at }
            }
            Some((_, false)) | None => Self::Absent,
        }
    }

    /// The process that runs as the daemon, if one does.
    pub fn holder(&self) -> Option<&str> {
        match self {
            Self::Running(holder) => Some(holder),
            Self::Stopped(_) | Self::Died { .. } | Self::Absent | Self::Unknown => None,
        }
    }

    /// Since when no daemon runs, where that is known; at the earliest, for one that was not stopped.
    pub fn ended(&self) -> Option<Timestamp> {
        match self {
            Self::Stopped(at) | Self::Died { after: at, .. } => Some(*at),
            Self::Running(_) | Self::Absent | Self::Unknown => None,
        }
    }

    /// Whether a daemon that should run does not: it ended without being stopped, or one is required.
    pub fn is_missing(&self, is_required: bool) -> bool {
        match self {
            Self::Running(_) => false,
            Self::Died { .. } => true,
            Self::Stopped(_) | Self::Absent | Self::Unknown => is_required,
        }
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(holder) => f.write_str(holder),
            Self::Stopped(at) => write!(f, "not running since {at}, when a signal stopped it"),
            Self::Died { process, after } => write!(
                f,
                "not running since {after} or later: process {process} ended without being stopped; `systemctl status \
                 lbd` shows why, `systemctl start lbd` starts it again"
            ),
            Self::Absent => f.write_str("not running"),
            Self::Unknown => f.write_str("not known whether it runs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::status::Writer;

    // `lbd status` ended with 0 while the daemon was dead.
    #[test]
    fn a_daemon_that_was_not_stopped_is_missing_and_a_stopped_one_only_where_one_is_required() {
        let at = Timestamp::from(UNIX_EPOCH + Duration::from_secs(1_795_460_685));
        let (boot, process) = ("5eb0b4ef".to_owned(), 707);
        let status = Status { writer: Some(Writer { boot: boot.clone(), process, at }), ..Status::default() };
        let stopped = Status { stopped: true, ..status.clone() };
        let older = Status { writer: None, ..status.clone() };
        let of = |status: &Status, boot: &str| Presence::of(None, Some(status), boot);
        for (presence, expected, is_missing, says) in [
            (
                Presence::of(Some("process 9".into()), Some(&status), &boot),
                Presence::Running("process 9".into()),
                [false, false],
                "process 9",
            ),
            (
                of(&status, &boot),
                Presence::Died { process, after: at },
                [true, true],
                "not running since 2026-11-23T19:04:45Z or later: process 707 ended without being stopped; `systemctl status \
                 lbd` shows why, `systemctl start lbd` starts it again",
            ),
            (of(&status, "another boot"), Presence::Absent, [false, true], "not running"),
            (of(&older, &boot), Presence::Absent, [false, true], "not running"),
            (
                of(&stopped, &boot),
                Presence::Stopped(at),
                [false, true],
                "not running since 2026-11-23T19:04:45Z, when a signal stopped it",
            ),
            (Presence::of(None, None, &boot), Presence::Absent, [false, true], "not running"),
        ] {
            assert_eq!(presence, expected);
            assert_eq!([false, true].map(|required| presence.is_missing(required)), is_missing, "{presence}");
            assert_eq!(presence.to_string(), says);
        }
    }
}
