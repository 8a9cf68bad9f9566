//! Stores which verdicts are in force, in the daemon's directory of this boot, and reads what the checker says.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LoadError, Store};
use crate::files::seal::SealError;
use crate::files::{BoundFile, BoundFileError, FileError, Identity};
use crate::health::{Probes, SharedFiles, Verdicts};
use crate::target::{Altered, Clock, InForce};

/// The verdicts in force. 100,000 servers are 4 MB.
const IN_FORCE: BoundFile = BoundFile { name: "in-force.json", version: 2, limit: 128 << 20 };

/// What has changed of them since that file was written, so that a verdict does not wait for megabytes.
const CHANGES: BoundFile = BoundFile { name: "in-force-changes.json", version: 2, limit: 128 << 20 };

/// Of how many virtual services the changes are written; where more have changed, all is.
const MOST_CHANGED: usize = 256;

/// How often the two files are read where another process writes them meanwhile.
const MOST_READINGS: usize = 3;

/// A checker writes at least every 10 s; where nothing has come from it for longer than this, in milliseconds, it is gone, or hangs.
pub const SILENCE: u64 = 30_000;

/// How far the time of a file may be ahead, in milliseconds: a pass reads the clock before it reads the file.
const AHEAD: u64 = 5_000;

/// What is known of checks between two passes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownHealth {
    /// The verdicts in force
    pub in_force: InForce,
    /// Since when nothing has come from the checker, in milliseconds since the boot, where that is so
    pub silent_since: Option<u64>,
    /// What checks have altered and passes have yet to put back, while a pause lets checks go on
    pub altered: Altered,
}

/// What is known of checks as it is in a file.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    /// Which changes belong to which verdicts in force; an older lbd wrote none
    #[serde(default)]
    number: u64,
    in_force: InForce,
    silent_since: Option<u64>,
    #[serde(default, skip_serializing_if = "Altered::is_empty")]
    altered: Altered,
}

/// What of the verdicts in force a process has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedHealth {
    /// What both files say together
    pub known: KnownHealth,
    /// What is in the file of all
    whole: Arc<InForce>,
    /// The number of that file
    number: u64,
    /// The file itself
    identity: Option<Identity>,
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

/// Reads what is in force; none where there is no file from here.
fn load(shared: &SharedFiles) -> Result<KnownHealth, BoundFileError> {
    let (directory, origin) = shared.of_daemon();
    let mut last = None;
    for _ in 0..MOST_READINGS {
        let Some(whole) = IN_FORCE.read::<OnDisk>(directory, origin)? else { break };
        let changes = CHANGES.read::<OnDisk>(directory, origin)?;
        let OnDisk { number, in_force, silent_since, altered } = whole;
        match changes {
            Some(changes) if changes.number == number => {
                let OnDisk { number: _, in_force: part, silent_since, altered } = changes;
                return Ok(KnownHealth { in_force: in_force.with(&part), silent_since, altered });
            }
            // They belong to a file that was written after this one was read, or to one that is no more.
            Some(_) => last = Some(KnownHealth { in_force, silent_since, altered }),
            None => return Ok(KnownHealth { in_force, silent_since, altered }),
        }
    }
    Ok(last.unwrap_or_default())
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
        load(shared).map_err(|error| {
            let text = error.to_string();
            match error {
                BoundFileError::File(_) | BoundFileError::Content(_, SealError::Newer(..)) => {
                    LoadError::Unreadable(text)
                }
                BoundFileError::Content(_, SealError::Corrupt(_)) => LoadError::Corrupt(text),
            }
        })
    }

    /// Writes what is known of checks: the changes only, where few services have changed since this process has `saved` all, and nobody has
    /// written since. Where nothing is known, the files are removed. Gives what is on disk.
    ///
    /// # Errors
    /// Where it cannot be written. The old files stay intact then.
    pub fn save_health(
        &self,
        known: KnownHealth,
        saved: Option<&SavedHealth>,
    ) -> Result<Option<SavedHealth>, FileError> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let (directory, origin) = shared.of_daemon();
        if known.in_force.is_empty() {
            directory.remove(IN_FORCE.name)?;
            directory.remove(CHANGES.name)?;
            return Ok(None);
        }
        let write = |file: BoundFile, number, in_force| {
            let (silent_since, altered) = (known.silent_since, known.altered.clone());
            file.write(directory, origin, &OnDisk { number, in_force, silent_since, altered })
        };
        let identity = directory.identity(IN_FORCE.name)?;
        if let Some(saved) = saved.filter(|saved| saved.identity.is_some() && saved.identity == identity) {
            let changed = known.in_force.services_other_than(&saved.whole);
            if changed.len() <= MOST_CHANGED
                && let Some(part) = known.in_force.part(&changed)
            {
                write(CHANGES, saved.number, part)?;
                let SavedHealth { whole, number, identity, known: _ } = saved;
                return Ok(Some(SavedHealth {
                    known,
                    whole: Arc::clone(whole),
                    number: *number,
                    identity: *identity,
                }));
            }
        }
        shared.dirs().make_daemon()?;
        let number = fastrand::u64(..);
        write(IN_FORCE, number, known.in_force.clone())?;
        // Those of another number count for nothing.
        directory.remove(CHANGES.name)?;
        let identity = directory.identity(IN_FORCE.name)?;
        Ok(Some(SavedHealth { whole: Arc::new(known.in_force.clone()), known, number, identity }))
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
        store.save_health(KnownHealth { in_force, ..KnownHealth::default() }, None).unwrap();
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
    fn only_what_has_changed_is_written_until_it_is_much_or_another_process_has_written() {
        let directory = tempfile::tempdir().unwrap();
        let run = directory.path().join("run");
        let files = SharedFiles::new(&RunDirs::new(&run), None).unwrap();
        let store = Store::new(&directory.path().join("state"), None).unwrap().with_shared_files(files);
        let known = |passing: std::ops::Range<u32>| {
            let service = |number: u32| {
                let state = if passing.contains(&number) { "passing" } else { "unproven" };
                format!(r#"{{"service":"tcp://10.0.0.1:{}","{state}":["192.168.8.1:80"]}}"#, number + 1)
            };
            let text = format!("[{}]", (0..1_000).map(service).collect::<Vec<_>>().join(","));
            let in_force: InForce = serde_json::from_str(&text).unwrap();
            KnownHealth { in_force, silent_since: Some(passing.len() as u64), ..KnownHealth::default() }
        };
        let lengths = || {
            ["in-force.json", "in-force-changes.json"]
                .map(|name| run.join(name).metadata().map_or(0, |file| file.len()))
        };
        let mut saved = store.save_health(known(0..0), None).unwrap();
        let whole = lengths();
        assert!(whole[0] > 50_000 && whole[1] == 0, "{whole:?}");
        for passing in [0..1, 5..7, 0..256, 0..0] {
            saved = store.save_health(known(passing.clone()), saved.as_ref()).unwrap();
            assert_eq!(store.load_health().unwrap(), known(passing.clone()));
            assert_eq!((lengths()[0], lengths()[1] > 0), (whole[0], true), "{passing:?}");
        }
        // Much has changed.
        saved = store.save_health(known(0..257), saved.as_ref()).unwrap();
        assert_eq!((store.load_health().unwrap(), lengths()[1]), (known(0..257), 0));
        // A command has written: what belongs to the file before counts for nothing.
        let before = saved.clone();
        store.save_health(known(0..258), saved.as_ref()).unwrap();
        let left = std::fs::read(run.join("in-force-changes.json")).unwrap();
        store.save_health(known(0..900), None).unwrap();
        std::fs::write(run.join("in-force-changes.json"), left).unwrap();
        assert_eq!(store.load_health().unwrap(), known(0..900));
        saved = store.save_health(known(0..259), before.as_ref()).unwrap();
        assert_eq!((store.load_health().unwrap(), lengths()[1]), (known(0..259), 0));
        // A service that is gone is in no list of changes.
        let mut gone = known(0..259);
        gone.in_force = gone.in_force.part(&["tcp://10.0.0.1:9".parse().unwrap()]).unwrap();
        store.save_health(gone.clone(), saved.as_ref()).unwrap();
        assert_eq!((store.load_health().unwrap(), lengths()[1]), (gone, 0));
    }

    #[test]
    fn a_checker_lives_while_it_has_written_lately_and_not_in_a_time_to_come() {
        let now = Clock { since_boot: 100_000, wall: SystemTime::UNIX_EPOCH };
        let lives = [69_999, 70_000, 100_000, 105_000, 105_001, u64::MAX].map(|at| is_living(at, now));
        assert_eq!(lives, [false, true, true, true, false, false]);
    }
}
