//! Stores the conditions: a file for each kind. Pauses and trials end with the boot, overrides go on.

use std::io::Write;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::health::KnownHealth;
use super::{LoadError, Store};
use crate::files::FileError;
use crate::files::seal;
use crate::health::Probes;
use crate::history::{EventKind, HistoryEvent};
use crate::model::Services;
use crate::target::{Clock, Conditions, Drains, FileServers, MOST_OVERRIDES, Overrides, Pause, Pauses};

/// The file of the pauses.
const PAUSES: &str = "pauses.json";
/// The file of the overrides.
const OVERRIDES: &str = "overrides.json";
/// The file of the drains, which passes write.
const DRAINS: &str = "drains.json";
/// The file of the trial.
pub(super) const TRIAL: &str = "trial.json";
/// The version of the files of conditions; the first that has a checksum.
pub(super) const VERSION: u32 = 2;
/// The version of a file with what an older lbd would not know of: that checks go on in a pause, or are overruled.
const OF_CHECKS: u32 = 3;

/// A file of conditions.
#[derive(Serialize, Deserialize)]
pub(super) struct OnDisk<T> {
    /// The boot in which they are in force
    pub(super) boot: String,
    pub(super) conditions: T,
}

/// Why it is not known which servers fail, and what the way out is.
pub fn unknown_health(error: &LoadError) -> String {
    format!(
        "{error}; once the file is removed, verdicts are taken in anew; weights stay as they are, and no checked server is added or deleted meanwhile"
    )
}

impl Store {
    /// Reads the conditions that are in force at this time.
    pub fn load_conditions(&self, now: Clock) -> Conditions {
        let mut conditions = self.load_all_but_health(now);
        match self.load_health() {
            Ok(known) => conditions.health = known.in_force,
            Err(error) => drop(conditions.unreadable.get_or_insert(unknown_health(&error))),
        }
        conditions
    }

    /// The same but for what checks have shown, which the daemon knows itself.
    pub fn load_all_but_health(&self, now: Clock) -> Conditions {
        let mut conditions = Conditions::default();
        let mut problems = Vec::new();
        let (pauses, overrides, drains, trial) =
            (self.load_pauses(now), self.read_overrides(now), self.load_drains(), self.load_trial());
        if let (Err(error), Err(other), Err(third)) = (&pauses, &overrides, &drains)
            && error == other
            && error == third
        {
            // It is the directory that cannot be read.
            problems.push(error.to_string());
        } else {
            let way_out = |error: LoadError, command: &str, what: &str| {
                format!("{error}; `{command}` removes the file, and with it {what}")
            };
            match pauses {
                Ok(pauses) => conditions.pauses = pauses,
                Err(error) => problems.push(way_out(error, "lbd resume", "all pauses")),
            }
            match overrides {
                Ok((overrides, ended)) => (conditions.overrides, conditions.ended) = (overrides, ended),
                Err(error) => problems.push(way_out(error, "lbd undo --all", "all overrides")),
            }
            match trial {
                Ok(trial) => {
                    (conditions.ended_trial, conditions.trial) =
                        trial.map_or((None, None), |trial| match trial.is_over(now) {
                            true => (Some(trial), None),
                            false => (None, Some(trial)),
                        });
                }
                Err(error) => problems.push(way_out(error, "lbd cancel", "the trial")),
            }
            match drains {
                Ok(drains) => conditions.drains = drains,
                Err(error) => problems.push(way_out(error, "lbd apply --drain=0", "all drains")),
            }
        }
        conditions.unreadable = (!problems.is_empty()).then(|| {
            format!("{}; weights stay as they are and nothing is deleted meanwhile", problems.join("; "))
        });
        let ends = [
            conditions.pauses.end_old(now),
            conditions.overrides.changes_in(now),
            conditions.drains.changes_in(now),
            conditions.trial.as_ref().and_then(|trial| trial.period.left(now)),
        ];
        conditions.changes_in = ends.into_iter().flatten().min();
        conditions
    }

    /// Reads the pauses of this boot that are not over at this time.
    ///
    /// # Errors
    /// Where there are some, and they cannot be read.
    pub fn load_pauses(&self, now: Clock) -> Result<Pauses, LoadError> {
        let on_disk: Option<OnDisk<Pauses>> = self.load_json(PAUSES, OF_CHECKS)?;
        let mut pauses =
            on_disk.filter(|file| file.boot == self.boot()).map(|file| file.conditions).unwrap_or_default();
        pauses.end_old(now);
        Ok(pauses)
    }

    /// Reads the drains of this boot, also those whose time is over: the pass that deletes their servers takes them out.
    ///
    /// # Errors
    /// Where there are some, and they cannot be read.
    pub fn load_drains(&self) -> Result<Drains, LoadError> {
        let on_disk: Option<OnDisk<Drains>> = self.load_json(DRAINS, VERSION)?;
        Ok(on_disk.filter(|file| file.boot == self.boot()).map(|file| file.conditions).unwrap_or_default())
    }

    /// Writes the drains, for this boot.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn save_drains(&self, drains: &Drains) -> Result<(), FileError> {
        self.save_conditions(DRAINS, VERSION, drains, drains.is_empty())
    }

    /// Reads the overrides that are not over at this time, also those of an earlier boot.
    ///
    /// # Errors
    /// Where there are some, and they cannot be read.
    pub fn load_overrides(&self, now: Clock) -> Result<Overrides, LoadError> {
        self.read_overrides(now).map(|(overrides, _)| overrides)
    }

    /// The same; and those that are over and still in the file.
    fn read_overrides(&self, now: Clock) -> Result<(Overrides, Overrides), LoadError> {
        let on_disk = self.load_json::<OnDisk<Overrides>>(OVERRIDES, OF_CHECKS)?;
        let Some(OnDisk { boot, conditions: mut overrides }) = on_disk else { return Ok(Default::default()) };
        if overrides.len() > MOST_OVERRIDES {
            let name = self.directory.path().join(OVERRIDES);
            return Err(LoadError::Corrupt(format!(
                "{}: more than {MOST_OVERRIDES} overrides",
                name.display()
            )));
        }
        if boot != self.boot() {
            overrides.begin_boot(now);
        }
        let ended = overrides.end_old(now);
        Ok((overrides, ended))
    }

    /// Writes the overrides, with their ends by the clock of this boot.
    ///
    /// # Errors
    /// Where they cannot be written. The old ones stay in force then.
    pub fn save_overrides(&self, overrides: &Overrides) -> Result<(), FileError> {
        let version = if overrides.overrule_checks() { OF_CHECKS } else { VERSION };
        self.save_conditions(OVERRIDES, version, overrides, overrides.is_empty())
    }

    pub(super) fn save_conditions(
        &self,
        name: &str,
        version: u32,
        conditions: &impl Serialize,
        are_none: bool,
    ) -> Result<(), FileError> {
        if are_none {
            return self.directory.remove(name);
        }
        let on_disk = OnDisk { boot: self.boot().to_owned(), conditions };
        self.directory.replace(name, |file| file.write_all(&seal::json(version, &on_disk)?))
    }

    /// Ends the overrides that this file has ended, and puts the ends of those of an earlier boot on the clock of this one. To be called
    /// under the lock of a pass that has verified the file.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn settle_overrides(&self, file: &Services, now: Clock) -> Result<(), FileError> {
        // What cannot be read is named elsewhere.
        let Ok(Some(OnDisk { boot, conditions: before })) =
            self.load_json::<OnDisk<Overrides>>(OVERRIDES, OF_CHECKS)
        else {
            return Ok(());
        };
        let mut overrides = before.clone();
        let is_old = boot != self.boot();
        if is_old {
            overrides.begin_boot(now);
        }
        let over = overrides.end_old(now);
        let mut by_file = overrides.clone();
        overrides.end_by_file(&FileServers::of(file));
        by_file.end(|one| overrides.iter().any(|other| other.scope == one.scope));
        if is_old || overrides != before {
            self.save_overrides(&overrides)?;
        }
        self.note_ended(&over, "its time is over", now)?;
        self.note_ended(&by_file, "the file has changed", now)
    }

    /// Notes which overrides are over, for a command that is about to write the others.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn note_ended_overrides(&self, now: Clock) -> Result<(), FileError> {
        // What cannot be read is named by the command.
        let ended = self.read_overrides(now).map(|(_, ended)| ended).unwrap_or_default();
        self.note_ended(&ended, "its time is over", now)
    }

    fn note_ended(&self, ended: &Overrides, why: &str, now: Clock) -> Result<(), FileError> {
        ended.iter().try_for_each(|one| {
            let text = format_args!("{one} ({why})");
            self.note_event(&HistoryEvent::new(now.wall, EventKind::OverrideEnded, text).of(one.cluster()))
        })
    }

    /// Takes the pauses that are over out of their file, and notes that. To be called under the lock of a pass.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn settle_pauses(&self, now: Clock) -> Result<(), FileError> {
        // What cannot be read is named elsewhere.
        let Ok(Some(OnDisk { boot, conditions: mut pauses })) =
            self.load_json::<OnDisk<Pauses>>(PAUSES, OF_CHECKS)
        else {
            return Ok(());
        };
        let is_old = boot != self.boot();
        let ended: Vec<Pause> = if is_old { pauses.end(None) } else { pauses.over(now).cloned().collect() };
        if ended.is_empty() {
            return Ok(());
        }
        pauses.end_old(now);
        self.save_pauses(&pauses)?;
        self.note_ended_pauses(ended.iter(), if is_old { "with the boot" } else { "its time is over" }, now)
    }

    fn note_ended_pauses<'a>(
        &self,
        mut ended: impl Iterator<Item = &'a Pause>,
        why: &str,
        now: Clock,
    ) -> Result<(), FileError> {
        ended.try_for_each(|pause| {
            let text = format_args!("{pause} ({why})");
            let event = HistoryEvent::new(now.wall, EventKind::PauseEnded, text);
            self.note_event(&event.of(pause.cluster.as_deref()))
        })
    }

    /// Removes the pauses and drains of an earlier boot, which have ended with it, and returns them; what cannot be read stays.
    ///
    /// # Errors
    /// Where their files cannot be removed.
    pub fn end_conditions_of_another_boot(&self) -> Result<(Pauses, Drains), FileError> {
        let pauses: Pauses = self.end_another_boots(PAUSES)?;
        self.note_ended_pauses(pauses.iter(), "with the boot", Clock::now())?;
        Ok((pauses, self.end_another_boots(DRAINS)?))
    }

    fn end_another_boots<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, FileError> {
        match self.load_json::<OnDisk<T>>(name, OF_CHECKS) {
            Ok(Some(file)) if file.boot != self.boot() => {
                self.directory.remove(name).map(|()| file.conditions)
            }
            Ok(_) | Err(_) => Ok(T::default()),
        }
    }

    /// Writes the pauses, for this boot.
    ///
    /// # Errors
    /// Where they cannot be written. The old ones stay in force then.
    pub fn save_pauses(&self, pauses: &Pauses) -> Result<(), FileError> {
        let version = if pauses.keep_checks() { OF_CHECKS } else { VERSION };
        self.save_conditions(PAUSES, version, pauses, pauses.is_empty())
    }

    /// The files in which commands write conditions, for the daemon to watch.
    pub fn condition_files(&self) -> [PathBuf; 3] {
        [PAUSES, OVERRIDES, TRIAL].map(|name| self.directory.path().join(name))
    }

    /// Ends all conditions, and has nothing probed any more.
    ///
    /// # Errors
    /// Where their files cannot be removed or written.
    pub fn end_conditions(&self) -> Result<(), FileError> {
        self.save_health(KnownHealth::default(), None)?;
        self.save_probes(&Probes::default())?;
        [PAUSES, DRAINS, OVERRIDES, TRIAL].into_iter().try_for_each(|name| self.directory.remove(name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::target::{Effect, Override, Period, Scope};

    #[test]
    fn pauses_are_in_force_until_their_end_in_the_same_boot() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let now = Clock::now();
        assert_eq!(store.load_conditions(now), Conditions::default());
        let period = Period::new(now, Duration::from_secs(60));
        let mut pauses = Pauses::default();
        pauses.add(Pause {
            cluster: Some("web".into()),
            by: "alice".into(),
            reason: Some("why".into()),
            keep_checks: false,
            period,
        });
        store.save_pauses(&pauses).unwrap();
        let in_force = Conditions { pauses, changes_in: Some(60_000), ..Conditions::default() };
        assert_eq!(store.load_conditions(now), in_force);
        assert!(!in_force.are_none());
        let later = Clock { since_boot: now.since_boot + 60_000, ..now };
        assert_eq!(store.load_conditions(later), Conditions::default());
        let path = directory.path().join(PAUSES);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(store.boot(), "another", 1)).unwrap();
        let unreadable = store.load_conditions(now);
        assert!(unreadable.unreadable.unwrap().contains("pauses.json: its checksum does not match"));
        store.save_pauses(&Pauses::default()).unwrap();
        assert_eq!(store.load_conditions(now), Conditions::default());
        assert!(!path.exists());
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_command_that_removes_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        fs::create_dir(&path).unwrap();
        let store = Store::new(&path, None).unwrap();
        let now = Clock::now();
        let says = || store.load_conditions(now).unreadable.unwrap();
        let one = Override {
            name: "web".into(),
            scope: Scope::All(Vec::new()),
            effect: Effect::Drain,
            by: "alice".into(),
            reason: None,
            since: now.wall.into(),
            period: None,
        };
        let too_many = OnDisk { boot: store.boot().to_owned(), conditions: vec![one; MOST_OVERRIDES + 1] };
        fs::write(path.join(OVERRIDES), seal::json(VERSION, &too_many).unwrap()).unwrap();
        let meanwhile = "weights stay as they are and nothing is deleted meanwhile";
        let name = path.display();
        assert_eq!(
            says(),
            format!(
                "{name}/overrides.json: more than 1000 overrides; `lbd undo --all` removes the file, and with it all overrides; \
                 {meanwhile}"
            )
        );
        // Where it is the directory, no file is to be removed.
        fs::remove_dir_all(&path).unwrap();
        std::os::unix::fs::symlink("state", &path).unwrap();
        assert_eq!(says(), format!("{name}: Too many levels of symbolic links (os error 40); {meanwhile}"));
    }

    #[test]
    fn pauses_of_another_boot_are_over() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let now = Clock::now();
        let mut pauses = Pauses::default();
        let period = Period::new(now, Duration::from_secs(60));
        pauses.add(Pause { cluster: None, by: "alice".into(), reason: None, keep_checks: false, period });
        let on_disk = OnDisk { boot: "another".to_owned(), conditions: &pauses };
        fs::write(directory.path().join(PAUSES), seal::json(VERSION, &on_disk).unwrap()).unwrap();
        assert_eq!(store.load_conditions(now), Conditions::default());
        assert_eq!(store.end_conditions_of_another_boot().unwrap(), (pauses, Drains::NONE));
        assert!(!directory.path().join(PAUSES).exists());
        assert_eq!(store.end_conditions_of_another_boot().unwrap(), Default::default());
    }
}
