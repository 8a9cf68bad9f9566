//! Carries out one pass at a time in the thread that owns the connection to the kernel, so that the loop never waits for one.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::event::Event;
use super::pass::{Job, Passes};

/// The handle of the thread, which ends after its pass when this is dropped.
pub(super) struct Worker {
    jobs: Sender<Box<Job>>,
}

impl Worker {
    /// Starts the thread, in the network namespace of the calling thread. `passes` is created there. Begin and result of each pass
    /// come as events.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        passes: impl FnOnce() -> Passes + Send + 'static,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let (jobs, ordered) = mpsc::channel::<Box<Job>>();
        let work = move || {
            let mut passes = passes();
            for job in ordered {
                // The receiver is gone where the daemon ends.
                let send = |event| drop(events.send(event));
                let pass = passes.run(
                    &job,
                    |holder| send(Event::PassWaitsForLock(holder.to_owned())),
                    || send(Event::PassStarted),
                );
                send(Event::PassEnded(Box::new(pass)));
            }
        };
        thread::Builder::new().name("passes".to_owned()).spawn(work)?;
        Ok(Self { jobs })
    }

    /// Starts a pass.
    pub(super) fn start_pass(&self, job: Box<Job>) {
        // The thread ends only with the process.
        let _ = self.jobs.send(job);
    }
}
