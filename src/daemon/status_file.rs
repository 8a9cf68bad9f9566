//! Writes the status in a thread of its own, so that a slow disk delays the loop only for a moment.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use tracing::debug;

use crate::status::Status;
use crate::store::Store;

/// How long the loop waits for a status to be on disk, so that the log and the status usually agree.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same for the last status of a daemon that was stopped: without it, `lbd status` calls the daemon dead.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// The handle of the thread.
pub(super) struct StatusFile {
    statuses: Sender<Box<Status>>,
    written: Receiver<()>,
    /// How many are not written yet
    pending: usize,
}

impl StatusFile {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(store: Store) -> io::Result<Self> {
        let (statuses, requested) = mpsc::channel::<Box<Status>>();
        let (done, written) = mpsc::channel();
        let write = move || {
            while let Ok(mut status) = requested.recv() {
                let mut count = 1;
                // Only the last of several matters.
                while let Ok(newer) = requested.try_recv() {
                    status = newer;
                    count += 1;
                }
                if let Err(error) = store.save_status(&status) {
                    debug!("{error}");
                }
                for _ in 0..count {
                    let _ = done.send(());
                }
            }
        };
        thread::Builder::new().name("status".to_owned()).spawn(write)?;
        Ok(Self { statuses, written, pending: 0 })
    }

    /// Writes a status; on a slow disk, after this returns.
    pub(super) fn write(&mut self, status: Box<Status>) {
        let patience = if status.stopped { LAST_PATIENCE } else { PATIENCE };
        self.pending += usize::from(self.statuses.send(status).is_ok());
        while self.pending > 0 && self.written.recv_timeout(patience).is_ok() {
            self.pending -= 1;
        }
    }
}
