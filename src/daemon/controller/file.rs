//! Takes in readings of the desired file: the last good state is kept where one cannot be used.

use tracing::info;

use super::Controller;
use crate::daemon::event::DaemonAction;
use crate::daemon::goal::{Goal, UnusableFile};
use crate::error_chain::ErrorChain;

impl Controller {
    /// Takes in the content of the file, or why it cannot be used.
    pub(super) fn take_file(&mut self, reading: Result<Goal, UnusableFile>) {
        match reading {
            Ok(goal) => {
                if self.status.bad_file.take().is_some() {
                    info!("the file is valid again");
                }
                // Another text ends the refusal of the one before, and the conflicts about it.
                if self.pending.as_ref().is_none_or(|pending| pending.text != goal.text) {
                    self.status.refused = None;
                }
                self.conflicts.forget_all();
                if let Some(trial) = &self.status.trial {
                    info!("the desired file has changed, and waits for the end of the trial of {trial}");
                }
                self.pending = Some(goal);
            }
            Err(error) => {
                let problem = ErrorChain(&error).to_string();
                let is_new = self.status.bad_file.as_ref() != Some(&problem);
                self.status.bad_file = Some(problem.clone());
                // At once: the next pass may have to wait for the lock.
                self.write_status();
                if is_new {
                    self.actions.push(DaemonAction::LogInvalid(problem));
                }
            }
        }
    }
}
