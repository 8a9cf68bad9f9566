//! Stores the conditions: a file for each kind, which ends with the boot.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{LoadError, Store};
use crate::conditions::{Clock, Conditions, Pauses};
use crate::files::FileError;
use crate::files::seal;

/// The file of the pauses.
const PAUSES: &str = "pauses.json";
/// The version of the files of conditions; the first that has a checksum.
const VERSION: u32 = 2;

/// A file of conditions.
#[derive(Serialize, Deserialize)]
struct OnDisk<T> {
    /// The boot in which they are in force
    boot: String,
    conditions: T,
}

impl Store {
    /// Reads the conditions that are in force at this time.
    pub fn load_conditions(&self, now: Clock) -> Conditions {
        match self.load_pauses(now) {
            Ok(mut pauses) => {
                let changes_in = pauses.end_old(now);
                Conditions { pauses, unreadable: None, changes_in }
            }
            Err(error) => {
                let way_out = "weights stay as they are and nothing is deleted; `lbd resume` removes the file, and with it all pauses";
                Conditions { unreadable: Some(format!("{error}; {way_out}")), ..Conditions::default() }
            }
        }
    }

    /// Reads the pauses of this boot that are not over at this time.
    ///
    /// # Errors
    /// Where there are some, and they cannot be read.
    pub fn load_pauses(&self, now: Clock) -> Result<Pauses, LoadError> {
        let on_disk: Option<OnDisk<Pauses>> = self.load_json(PAUSES, VERSION)?;
        let mut pauses =
            on_disk.filter(|file| file.boot == self.boot()).map(|file| file.conditions).unwrap_or_default();
        pauses.end_old(now);
        Ok(pauses)
    }

    /// Removes the pauses of an earlier boot, which have ended with it, and returns them; what cannot be read stays.
    ///
    /// # Errors
    /// Where their file cannot be removed.
    pub fn end_pauses_of_another_boot(&self) -> Result<Pauses, FileError> {
        match self.load_json::<OnDisk<Pauses>>(PAUSES, VERSION) {
            Ok(Some(file)) if file.boot != self.boot() => {
                self.directory.remove(PAUSES).map(|()| file.conditions)
            }
            Ok(_) | Err(_) => Ok(Pauses::default()),
        }
    }

    /// Writes the pauses, for this boot.
    ///
    /// # Errors
    /// Where they cannot be written. The old ones stay in force then.
    pub fn save_pauses(&self, pauses: &Pauses) -> Result<(), FileError> {
        if pauses.is_empty() {
            return self.directory.remove(PAUSES);
        }
        let on_disk = OnDisk { boot: self.boot().to_owned(), conditions: pauses };
        self.directory.replace(PAUSES, |file| file.write_all(&seal::json(VERSION, &on_disk)?))
    }

    /// The file in which commands write conditions, for the daemon to watch.
    pub fn conditions_file(&self) -> PathBuf {
        self.directory.path().join(PAUSES)
    }

    /// Ends all conditions.
    ///
    /// # Errors
    /// Where their files cannot be removed.
    pub fn end_conditions(&self) -> Result<(), FileError> {
        self.directory.remove(PAUSES)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::conditions::{Pause, Period};

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
            period,
        });
        store.save_pauses(&pauses).unwrap();
        let in_force = Conditions { pauses, unreadable: None, changes_in: Some(60_000) };
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
    fn pauses_of_another_boot_are_over() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let now = Clock::now();
        let mut pauses = Pauses::default();
        let period = Period::new(now, Duration::from_secs(60));
        pauses.add(Pause { cluster: None, by: "alice".into(), reason: None, period });
        let on_disk = OnDisk { boot: "another".to_owned(), conditions: &pauses };
        fs::write(directory.path().join(PAUSES), seal::json(VERSION, &on_disk).unwrap()).unwrap();
        assert_eq!(store.load_conditions(now), Conditions::default());
        assert_eq!(store.end_pauses_of_another_boot().unwrap(), pauses);
        assert!(!directory.path().join(PAUSES).exists());
        assert_eq!(store.end_pauses_of_another_boot().unwrap(), Pauses::default());
    }
}
