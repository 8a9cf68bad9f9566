//! Writes the status and the events of the history in a thread of its own, so that a slow disk delays the loop only for a moment.

use std::io;
use std::iter;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use tracing::{debug, warn};

use crate::history::HistoryEvent;
use crate::status::Status;
use crate::store::Store;

/// How long the loop waits for a status to be on disk, so that the log and the status usually agree.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same for the last status of a daemon that was stopped: without it, `lbd status` calls the daemon dead.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// What the thread is to write.
enum Writing {
    Status(Box<Status>),
    Event(Box<HistoryEvent>),
}

/// The handle of the thread.
pub(super) struct StatusFile {
    writings: Sender<Writing>,
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
        let (writings, requested) = mpsc::channel();
        let (done, written) = mpsc::channel();
        let write = move || {
            let mut is_lossy = false;
            while let Ok(first) = requested.recv() {
                let (mut last_status, mut count) = (None, 0);
                for writing in iter::once(first).chain(requested.try_iter()) {
                    count += 1;
                    match writing {
                        // Only the last of several matters.
                        Writing::Status(status) => last_status = Some(status),
                        Writing::Event(event) => {
                            let noted = store.note_event(&event);
                            // Once: a full disk stays full.
                            if let Err(error) = noted.as_ref().map_err(ToString::to_string)
                                && !is_lossy
                            {
                                warn!("{error}; lbd goes on, but the history lacks events");
                            }
                            is_lossy = noted.is_err();
                        }
                    }
                }
                if let Some(error) = last_status.and_then(|status| store.save_status(&status).err()) {
                    debug!("{error}");
                }
                for _ in 0..count {
                    let _ = done.send(());
                }
            }
        };
        thread::Builder::new().name("status".to_owned()).spawn(write)?;
        Ok(Self { writings, written, pending: 0 })
    }

    /// Notes an event, some time after this returns.
    pub(super) fn note(&mut self, event: Box<HistoryEvent>) {
        self.pending += usize::from(self.writings.send(Writing::Event(event)).is_ok());
    }

    /// Writes a status; on a slow disk, after this returns.
    pub(super) fn write(&mut self, status: Box<Status>) {
        let patience = if status.stopped { LAST_PATIENCE } else { PATIENCE };
        self.pending += usize::from(self.writings.send(Writing::Status(status)).is_ok());
        while self.pending > 0 && self.written.recv_timeout(patience).is_ok() {
            self.pending -= 1;
        }
    }
}
