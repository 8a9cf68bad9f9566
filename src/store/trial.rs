//! Stores the trial of another desired file, which ends with the boot.

use super::conditions::{OnDisk, TRIAL, VERSION};
use super::{LoadError, Store};
use crate::files::FileError;
use crate::target::{Trial, TrialEnd};

impl Store {
    /// Reads the trial of this boot, in force or over.
    ///
    /// # Errors
    /// Where there is one, and it cannot be read, or would put back what no desired file can set.
    pub fn load_trial(&self) -> Result<Option<Trial>, LoadError> {
        let on_disk: Option<OnDisk<Trial>> = self.load_json(TRIAL, VERSION)?;
        let trial = on_disk.filter(|file| file.boot == self.boot()).map(|file| file.conditions);
        match trial {
            Some(trial) if !trial.is_sound() => {
                let name = self.directory.path().join(TRIAL);
                Err(LoadError::Corrupt(format!("{}: not a trial of lbd", name.display())))
            }
            trial => Ok(trial),
        }
    }

    /// Writes a trial, of this boot.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save_trial(&self, trial: &Trial) -> Result<(), FileError> {
        self.save_conditions(TRIAL, VERSION, trial, false)
    }

    /// Ends a trial: the next pass puts the state before it back.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn end_trial(&self, trial: &Trial, end: TrialEnd) -> Result<(), FileError> {
        self.save_trial(&Trial { ended: Some(end), ..trial.clone() })
    }

    /// Removes the file of a trial: one whose effects were taken back, or that cannot be read.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn forget_trial(&self) -> Result<(), FileError> {
        self.directory.remove(TRIAL)
    }

    /// Removes the trial of an earlier boot, which has ended with it, and returns it; what cannot be read stays.
    ///
    /// # Errors
    /// Where its file cannot be removed.
    pub fn end_trial_of_another_boot(&self) -> Result<Option<Trial>, FileError> {
        match self.load_json::<OnDisk<Trial>>(TRIAL, VERSION) {
            Ok(Some(file)) if file.boot != self.boot() => self.forget_trial().map(|()| Some(file.conditions)),
            Ok(_) | Err(_) => Ok(None),
        }
    }
}
