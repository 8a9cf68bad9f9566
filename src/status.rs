//! Defines what the daemon reports about itself: a small document on disk, for `lbd status`.

mod change;
mod health;
mod host;
mod presence;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use self::change::{ChangedBy, LastChange};
pub use self::health::HealthSummary;
pub use self::host::{HostFindings, Warning};
pub use self::presence::Presence;

/// What the daemon did last and why, what is wrong, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// The desired file
    pub file: String,
    /// How the file is watched
    pub watching: String,
    /// The last pass that changed something, or whose outcome differed from that of the pass before
    pub last_pass: Option<LastPass>,
    /// What is wrong with the current file, if it is not valid; the last good state is kept meanwhile
    pub bad_file: Option<String>,
    /// Why a guard refuses the current file, if one does; the last good state is kept meanwhile
    pub refused: Option<String>,
    /// Why a guard refuses some deletions, while the rest of the file is applied
    #[serde(default)]
    pub refused_in_part: Option<String>,
    /// The operations that the kernel refused, or why the pass could not run to its end
    pub failed: Vec<String>,
    /// When the next attempt is due, after a pass that failed
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// What waits for an interface that is not there yet
    #[serde(default)]
    pub waiting: Vec<String>,
    /// Why there is no state directory any more. Only the service manager can show this: without the directory nothing is on disk.
    #[serde(default)]
    pub no_directory: Option<String>,
    /// The pauses in force: what, who, since and until when, and why
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<String>,
    /// The overrides in force: what, who, since and until when, and why
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<String>,
    /// The trial under way: its file, who, since and until when, and why
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<String>,
    /// What checks do at present
    #[serde(default, skip_serializing_if = "HealthSummary::is_none")]
    pub health: HealthSummary,
    /// The process that has the lock, while the daemon waits for it
    #[serde(default)]
    pub lock_holder: Option<String>,
    /// The entries that another program keeps reverting
    #[serde(rename = "fights")]
    pub conflicts: Vec<String>,
    /// What was found on the host; nothing before it was examined
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostFindings>,
    /// Whether a signal has stopped the daemon: this is its last status
    #[serde(default)]
    pub stopped: bool,
    /// The process that wrote this, and when; older versions of lbd did not write it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<Writer>,
}

/// The process that wrote a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The boot in which it ran
    pub boot: String,
    /// Its number
    pub process: u32,
    /// When it wrote the status
    pub at: Timestamp,
}

/// How a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPass {
    /// When it ended
    pub at: Timestamp,
    /// Why it ran
    pub reason: PassReason,
    /// How it ended
    pub outcome: PassOutcome,
    /// How many additions
    pub added: usize,
    /// How many edits
    pub edited: usize,
    /// How many deletions
    pub deleted: usize,
}

/// Why a pass runs, in ascending order: where several reasons wait for the same pass, the last of them counts. `Display` and the file
/// on disk have the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PassReason {
    /// Verdicts of checks have changed, or what they do changes with the time
    #[serde(rename = "checks")]
    Checks,
    /// The resync interval is over
    #[serde(rename = "resync")]
    Resync,
    /// Another program changed nftables
    #[serde(rename = "nftables changed", alias = "packet filter changed")]
    Ruleset,
    /// Virtual services are gone
    #[serde(rename = "services gone")]
    Services,
    /// The pass before failed
    #[serde(rename = "retry")]
    Retry,
    /// An interface that something waited for has appeared
    #[serde(rename = "interface appeared")]
    Link,
    /// A command has changed the conditions, or one of them has ended
    #[serde(rename = "condition changed")]
    Condition,
    /// The operator requested it (SIGHUP)
    #[serde(rename = "requested", alias = "asked")]
    Requested,
    /// The file has changed
    #[serde(rename = "file changed")]
    File,
    /// The daemon has just started
    #[serde(rename = "start")]
    Start,
}

/// How a pass ended, as it is reported. `Display` and the file on disk have the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PassOutcome {
    /// The kernel was read back and is what the file says
    #[serde(rename = "verified")]
    Verified,
    /// The same, but for deletions that a guard refuses
    #[serde(rename = "refused in part")]
    PartlyRefused,
    /// The same, but for entries whose repair is deferred, since another program keeps reverting them
    #[serde(rename = "deferred", alias = "waiting")]
    Deferred,
    /// Nothing was written, or not all, because of pauses
    #[serde(rename = "paused")]
    Paused,
    /// A guard refused the file
    #[serde(rename = "refused")]
    Refused,
    /// Everything was added and edited, and nothing was deleted, since the record cannot be read
    #[serde(rename = "unverified")]
    Unverified,
    /// The kernel refused something, or could not be read
    #[serde(rename = "failed")]
    Failed,
}

impl fmt::Display for PassReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for PassOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A moment by the wall clock, to the second. It is written in UTC by RFC 3339: `2026-11-23T19:04:45Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(SystemTime);

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        // What is written and read back is the same moment.
        let nanoseconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        Self(time - Duration::from_nanos(nanoseconds.into()))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

impl Timestamp {
    /// How long after another moment it is; no time where it is before.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.0).fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map(Self::from).map_err(de::Error::custom)
    }
}

impl Status {
    /// Takes out that a guard refuses the file: another command has applied it since.
    pub fn end_refusal(&mut self) {
        (self.refused, self.refused_in_part) = (None, None);
    }

    /// One line for `systemctl status`: the most important thing first, and how many warnings there are. `last_change` is the last one
    /// by whichever command.
    pub fn line(&self, last_change: Option<&LastChange>) -> String {
        let problem = if let Some(bad) = &self.bad_file {
            Some(format!("bad file, keeping the last good state: {bad}"))
        } else if let Some(refused) = &self.refused {
            Some(format!("change refused, keeping the last good state: {refused}"))
        } else if let Some(pause) = self.paused.first() {
            Some(format!("paused: {pause}"))
        } else if let Some(holder) = &self.lock_holder {
            Some(format!("waiting for the lock, which {holder} has"))
        } else if let Some(gone) = &self.no_directory {
            Some(gone.clone())
        } else if let Some(failed) = self.failed.first() {
            Some(format!("not in sync, trying again: {failed}"))
        } else if let Some(refused) = &self.refused_in_part {
            Some(format!("not in sync, deletions refused: {refused}"))
        } else {
            self.conflicts.first().map(|entry| format!("another program keeps reverting {entry}"))
        };
        let mut line = problem.unwrap_or_else(|| match &self.last_pass {
            Some(_) => {
                let waiting = match self.waiting.len() {
                    0 => String::new(),
                    _ => format!("; waiting: {}", self.waiting.join(", ")),
                };
                let change =
                    last_change.map(|LastChange { at, by, .. }| format!("; last change {at} ({by})"));
                let trial = self.trial.as_ref().map(|trial| format!(" with the trial of {trial}"));
                format!("in sync{}{}{waiting}", trial.unwrap_or_default(), change.unwrap_or_default())
            }
            None => "starting".to_owned(),
        });
        match self.overridden.len() {
            0 => {}
            1 => line.push_str("; 1 override"),
            count => line.push_str(&format!("; {count} overrides")),
        }
        if !self.health.is_well() {
            line.push_str(&format!("; checks: {}", self.health));
        }
        match self.host.as_ref().map_or(0, HostFindings::count) {
            0 => {}
            1 => line.push_str("; 1 warning"),
            count => line.push_str(&format!("; {count} warnings")),
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    fn status() -> Status {
        let at = Timestamp::from(UNIX_EPOCH + Duration::from_millis(1_795_460_685_999));
        let (reason, outcome) = (PassReason::File, PassOutcome::Failed);
        Status {
            file: "desired.yaml".into(),
            watching: "watching the desired file".into(),
            last_pass: Some(LastPass { at, reason, outcome, added: 1, edited: 2, deleted: 0 }),
            failed: vec!["add service tcp://10.0.0.1:80: no memory".into()],
            retry_at: Some(Timestamp::from(UNIX_EPOCH + Duration::from_secs(1_795_460_687))),
            host: Some(HostFindings::new(
                vec![Warning::new(
                    "address-not-local",
                    ["10.0.0.1", "10.0.0.2"].into_iter(),
                    "why",
                    "way out",
                )],
                ["cannot read rules".to_owned()],
            )),
            writer: Some(Writer { boot: "5eb0b4ef".into(), process: 707, at }),
            ..Status::default()
        }
    }

    #[test]
    fn a_status_is_read_as_it_was_written() {
        let written = to_value(status()).unwrap();
        assert_eq!(
            written,
            json!({
                "file": "desired.yaml",
                "watching": "watching the desired file",
                "last_pass": {
                    "at": "2026-11-23T19:04:45Z", "reason": "file changed", "outcome": "failed", "added": 1, "edited": 2, "deleted": 0
                },
                "bad_file": null,
                "refused": null,
                "refused_in_part": null,
                "failed": ["add service tcp://10.0.0.1:80: no memory"],
                "retry_at": "2026-11-23T19:04:47Z",
                "waiting": [],
                "no_directory": null,
                "lock_holder": null,
                "fights": [],
                "host": {
                    "warnings": [{
                        "code": "address-not-local", "subjects": ["10.0.0.1", "10.0.0.2"], "count": 2, "cause": "why",
                        "advice": "way out"
                    }],
                    "more": 0,
                    "not_examined": ["cannot read rules"]
                },
                "stopped": false,
                "writer": { "boot": "5eb0b4ef", "process": 707, "at": "2026-11-23T19:04:45Z" },
            })
        );
        assert_eq!(from_value::<Status>(written).unwrap(), status());
    }

    #[test]
    fn the_status_of_an_older_lbd_is_read() {
        let (mut older, mut expected) = (to_value(status()).unwrap(), status());
        let keys = [
            "retry_at",
            "refused_in_part",
            "waiting",
            "no_directory",
            "lock_holder",
            "stopped",
            "writer",
            "host",
        ];
        for key in keys {
            older.as_object_mut().unwrap().remove(key);
        }
        (expected.retry_at, expected.writer, expected.host) = (None, None, None);
        let last = expected.last_pass.unwrap();
        use {PassOutcome as Outcome, PassReason as Reason};
        for (words, reason, outcome) in [
            (("asked", "waiting"), Reason::Requested, Outcome::Deferred),
            (("packet filter changed", "refused in part"), Reason::Ruleset, Outcome::PartlyRefused),
            (("interface appeared", "unverified"), Reason::Link, Outcome::Unverified),
            (("start", "refused"), Reason::Start, Outcome::Refused),
            (("retry", "failed"), Reason::Retry, Outcome::Failed),
            (("resync", "verified"), Reason::Resync, Outcome::Verified),
        ] {
            (older["last_pass"]["reason"], older["last_pass"]["outcome"]) = (words.0.into(), words.1.into());
            expected.last_pass = Some(LastPass { reason, outcome, ..last });
            assert_eq!(from_value::<Status>(older.clone()).unwrap(), expected);
        }
    }

    #[test]
    fn the_line_is_what_matters_most() {
        let mut status = status();
        let at = status.last_pass.unwrap().at;
        let by = ChangedBy::Apply;
        let change = LastChange { at, by, verified: true, added: 0, edited: 1, deleted: 0, drift: 0 };
        assert_eq!(
            status.line(Some(&change)),
            "not in sync, trying again: add service tcp://10.0.0.1:80: no memory; 1 warning"
        );
        status.failed.clear();
        assert_eq!(
            status.line(Some(&change)),
            "in sync; last change 2026-11-23T19:04:45Z (lbd apply); 1 warning"
        );
        assert_eq!(status.line(None), "in sync; 1 warning");
        status.conflicts = vec!["tcp://10.0.0.1:80".into()];
        assert_eq!(status.line(None), "another program keeps reverting tcp://10.0.0.1:80; 1 warning");
        assert_eq!(Status::default().line(None), "starting");
    }
}
