//! Has the host examined in a thread of its own, so that what hangs there delays neither a pass nor the loop.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::event::Event;
use super::findings::examine;
use crate::model::Desired;

/// The handle of the thread.
pub(super) struct Examiner {
    requests: Sender<Arc<Desired>>,
}

impl Examiner {
    /// Starts the thread, in the network namespace of the calling thread. Results come as events.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(file: PathBuf, events: UnboundedSender<Event>) -> io::Result<Self> {
        let (requests, requested) = mpsc::channel::<Arc<Desired>>();
        let work = move || {
            for desired in requested {
                // The receiver is gone where the daemon ends.
                let _ = events.send(Event::Examined(Box::new(examine(&desired, &file))));
            }
        };
        thread::Builder::new().name("host".to_owned()).spawn(work)?;
        Ok(Self { requests })
    }

    /// Requests an examination for this desired state.
    pub(super) fn examine(&self, desired: Arc<Desired>) {
        // The thread ends only with the process.
        let _ = self.requests.send(desired);
    }
}
