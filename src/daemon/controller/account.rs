//! Gives account of the daemon: the status on disk and the line of the service manager.

use super::Controller;
use crate::daemon::event::{DaemonAction, Notice};
use crate::status::LastChange;

impl Controller {
    /// Writes the status to disk, if it has changed.
    pub(super) fn write_status(&mut self) {
        if self.written.as_ref() != Some(&self.status) {
            self.written = Some(self.status.clone());
            self.actions.push(DaemonAction::WriteStatus(Box::new(self.status.clone())));
        }
    }

    /// Sends the line to the service manager, if it has changed.
    pub(super) fn notify_status(&mut self) {
        let line = self.line();
        if line != self.sent_line {
            self.sent_line.clone_from(&line);
            self.actions.push(DaemonAction::Notify(Notice::Status(line)));
        }
    }

    /// Notifies the service manager that the table was verified.
    pub(super) fn notify_ready(&mut self) {
        self.sent_line = self.line();
        self.actions.push(DaemonAction::Notify(Notice::Ready(self.sent_line.clone())));
        self.has_sent_ready = true;
    }

    fn line(&self) -> String {
        // Where it cannot be read, what this daemon did last is known.
        let own = || self.status.last_pass.as_ref().and_then(LastChange::of_pass);
        self.status.line(self.last_change.or_else(own).as_ref())
    }
}
