//! The thread that writes the status, so that the loop waits for a slow disk only for a moment.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use tracing::debug;

use crate::status::Status;
use crate::store::Store;

/// How long the loop waits until a status is on disk: usually it is, and then the log and the status say the same.
const PATIENCE: Duration = Duration::from_millis(100);

/// The thread, as the loop knows it.
pub(super) struct StatusFile {
    statuses: Sender<Box<Status>>,
    written: Receiver<()>,
    /// How many are on their way
    pending: usize,
}

impl StatusFile {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(super) fn start(store: Store) -> io::Result<Self> {
        let (statuses, wanted) = mpsc::channel::<Box<Status>>();
        let (done, written) = mpsc::channel();
        let write = move || {
            while let Ok(mut status) = wanted.recv() {
                let mut count = 1;
                // Only the last of several is of interest.
                while let Ok(newer) = wanted.try_recv() {
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
        self.pending += usize::from(self.statuses.send(status).is_ok());
        while self.pending > 0 && self.written.recv_timeout(PATIENCE).is_ok() {
            self.pending -= 1;
        }
    }
}
