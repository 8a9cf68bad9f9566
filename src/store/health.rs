//! Stores which verdicts are in force, in the daemon's directory of this boot, and reads what the checker says.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{LoadError, Store};
use crate::files::seal::SealError;
use crate::files::{BoundFile, BoundFileError, FileError};
use crate::health::{Probes, SharedFiles, Verdicts};
use crate::target::{Altered, Clock, InForce};

/// The verdicts in force. 100,000 servers are 4 MB.
const IN_FORCE: BoundFile = BoundFile { name: "in-force.json", version: 2, limit: 128 << 20 };

/// A checker writes at least every 10 s; where nothing has come from it for longer than this, in milliseconds, it is gone, or hangs.
pub const SILENCE: u64 = 30_000;

/// How far the time of a file may be ahead, in milliseconds: a pass reads the clock before it reads the file.
const AHEAD: u64 = 5_000;

/// What is known of checks between two passes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KnownHealth {
    /// The verdicts in force
    pub in_force: InForce,
    /// Since when nothing has come from the checker, in milliseconds since the boot, where that is so
    pub silent_since: Option<u64>,
    /// What checks have altered and passes have yet to put back, while a pause lets checks go on
    #[serde(default, skip_serializing_if = "Altered::is_empty")]
    pub altered: Altered,
}

/// What has come from the checker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// What it says, where it lives
    pub verdicts: Option<Verdicts>,
    /// Since when nothing has come from it, or nothing about what is to be probed, in milliseconds since the boot, where that is so
    pub silent_since: Option<u64>,
    /// Why its file cannot be used, if so
    pub problem: Option<String>,
}

impl Heard {
    /// How long nothing has come from the checker, in milliseconds; 0 where it lives.
    pub fn silent_for(&self, now: Clock) -> u64 {
        self.silent_since.map_or(0, |since| now.since_boot.saturating_sub(since).max(1))
    }
}

/// Whether a checker that wrote at this time, in milliseconds since the boot, lives. A time that is still to come is no sign of life: it would be
/// one for ever.
fn is_living(at: u64, now: Clock) -> bool {
    at <= now.since_boot.saturating_add(AHEAD) && now.since_boot.saturating_sub(at) <= SILENCE
}

impl Store {
    /// The same, with the files that the daemon and the checker share.
    #[must_use]
    pub fn with_shared_files(self, shared: SharedFiles) -> Self {
        Self { shared: Some(shared), ..self }
    }

    /// Reads what is known of checks; nothing after a boot.
    ///
    /// # Errors
    /// Where there is a file, and it cannot be read.
    pub fn load_health(&self) -> Result<KnownHealth, LoadError> {
        let Some(shared) = &self.shared else { return Ok(KnownHealth::default()) };
        let (directory, origin) = shared.of_daemon();
        match IN_FORCE.read(directory, origin) {
            Ok(known) => Ok(known.unwrap_or_default()),
            Err(error) => {
                let text = error.to_string();
                Err(match error {
                    BoundFileError::File(_) | BoundFileError::Content(_, SealError::Newer(..)) => {
                        LoadError::Unreadable(text)
                    }
                    BoundFileError::Content(_, SealError::Corrupt(_)) => LoadError::Corrupt(text),
                })
            }
        }
    }

    /// Writes what is known of checks. Where nothing is, and there is no file, nothing is written.
    ///
    /// # Errors
    /// Where it cannot be written. The old file stays intact then.
    pub fn save_health(&self, known: &KnownHealth) -> Result<(), FileError> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let (directory, origin) = shared.of_daemon();
        if known.in_force.is_empty() {
            return directory.remove(IN_FORCE.name);
        }
        shared.dirs().make_daemon()?;
        IN_FORCE.write(directory, origin, known)
    }

    /// Writes what is to be probed.
    ///
    /// # Errors
    /// Where it cannot be written. The old file stays intact then.
    pub fn save_probes(&self, probes: &Probes) -> Result<(), FileError> {
        self.shared.as_ref().map_or(Ok(()), |shared| shared.save_probes(probes))
    }

    /// The file of the verdicts, for the daemon to watch.
    pub fn verdicts_path(&self) -> Option<PathBuf> {
        self.shared.as_ref().map(SharedFiles::verdicts_path)
    }

    /// Whether the verdicts in force have been removed from the disk, though there are some.
    pub fn lacks_health(&self, known: &KnownHealth) -> bool {
        let is_gone = |shared: &SharedFiles| {
            shared.of_daemon().0.identity(IN_FORCE.name).is_ok_and(|identity| identity.is_none())
        };
        !known.in_force.is_empty() && self.shared.as_ref().is_some_and(is_gone)
    }

    /// Whether what is to be probed is not on disk.
    pub fn lacks_probes(&self) -> bool {
        self.shared.as_ref().is_some_and(SharedFiles::lacks_probes)
    }

    /// Reads what the checker says; `known` is what was known before. `probes` is the hash of what is to be probed, where it is known: a checker
    /// that goes on with other probes says nothing of these. `most` is how many probes there are: a longer file is not read.
    pub fn hear(&self, probes: Option<&str>, most: usize, known: &KnownHealth, now: Clock) -> Heard {
        let loaded = self.shared.as_ref().map_or(Ok(None), |shared| shared.load_verdicts(most));
        let silent_since = || Some(known.silent_since.unwrap_or(now.since_boot));
        match loaded {
            Ok(Some(verdicts)) if is_living(verdicts.at, now) => {
                let is_of_others = probes.is_some_and(|hash| verdicts.probes != hash);
                let silent_since = silent_since().filter(|_| is_of_others);
                Heard { verdicts: Some(verdicts), silent_since, problem: None }
            }
            Ok(Some(verdicts)) => {
                // A checker that had nothing to do has written nothing.
                let at = if known.in_force.is_empty() { now.since_boot } else { verdicts.at };
                let since = known.silent_since.unwrap_or(at.min(now.since_boot));
                Heard { verdicts: None, silent_since: Some(since), problem: None }
            }
            Ok(None) => Heard { verdicts: None, silent_since: silent_since(), problem: None },
            Err(error) => {
                Heard { verdicts: None, silent_since: silent_since(), problem: Some(error.to_string()) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::health::{ProbedCheck, RunDirs};
    use crate::model::{CheckKind, Timing};
    use crate::target::{ServerHealth, ServerState};

    // A checker that went on probed servers of which lbd knew nothing any more.
    #[test]
    fn where_lbd_manages_nothing_any_more_no_verdict_is_in_force_and_nothing_is_probed() {
        let directory = tempfile::tempdir().unwrap();
        let files = SharedFiles::new(&RunDirs::new(&directory.path().join("run")), None).unwrap();
        let store = Store::new(&directory.path().join("state"), None).unwrap();
        let store = store.with_shared_files(files.clone());
        // Where nothing was, nothing is written.
        store.end_conditions().unwrap();
        assert!(store.lacks_probes());
        let (service, server) = ("tcp://10.0.0.1:80", "192.168.8.1:80");
        let text = format!(r#"[{{"service":"{service}","unproven":["{server}"]}}]"#);
        let in_force: InForce = serde_json::from_str(&text).unwrap();
        let known = in_force.of(&service.parse().unwrap(), &server.parse().unwrap());
        assert_eq!(known, Some(&ServerHealth::new(ServerState::Unproven)));
        store.save_health(&KnownHealth { in_force, ..KnownHealth::default() }).unwrap();
        let check = ProbedCheck {
            what: "1".to_owned().try_into().unwrap(),
            name: "web".into(),
            cluster: None,
            source: None,
            kind: CheckKind::Ping,
            timing: Timing::DEFAULT,
            targets: vec![server.parse().unwrap()],
        };
        store.save_probes(&Probes { checks: vec![check] }).unwrap();
        store.end_conditions().unwrap();
        assert_eq!(store.load_health().unwrap(), KnownHealth::default());
        assert_eq!(files.load_probes().unwrap(), Some(Probes::default()));
    }

    #[test]
    fn a_checker_lives_while_it_has_written_lately_and_not_in_a_time_to_come() {
        let now = Clock { since_boot: 100_000, wall: SystemTime::UNIX_EPOCH };
        let lives = [69_999, 70_000, 100_000, 105_000, 105_001, u64::MAX].map(|at| is_living(at, now));
        assert_eq!(lives, [false, true, true, true, false, false]);
    }
}
