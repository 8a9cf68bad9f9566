//! The thread that owns the connection to the kernel and carries out one pass at a time, so that the loop never waits for one.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::event::Event;
use super::pass::{Job, Passes};

/// The thread, as the loop knows it. It ends after its pass when this goes.
pub(super) struct Worker {
    jobs: Sender<Box<Job>>,
}

impl Worker {
    /// Starts the thread, in the network namespace of this one. `passes` is made there, and stays there. What there is to say of
    /// a pass comes as events.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(super) fn start(
        passes: impl FnOnce() -> Passes + Send + 'static,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let (jobs, ordered) = mpsc::channel::<Box<Job>>();
        let work = move || {
            let mut passes = passes();
            for job in ordered {
                // Nobody listens any more where the daemon ends.
                let say = |event| drop(events.send(event));
                let pass = passes.run(
                    &job,
                    |holder| say(Event::PassWaits(holder.to_owned())),
                    || say(Event::PassBegins),
                );
                say(Event::PassEnded(Box::new(pass)));
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
