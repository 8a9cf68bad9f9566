//! Carries out one pass or look at a time in the thread that owns the connection to the kernel, so that the loop never waits for one.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::attempt::Job;
use super::event::Event;
use super::pass::Passes;
use crate::kernel::Look;

/// The handle of the thread, which ends after its pass when this is dropped.
pub(super) struct Worker {
    orders: Sender<Order>,
}

/// What the thread is to do next.
enum Order {
    Pass(Box<Job>),
    Look(Look),
}

impl Worker {
    /// Starts the thread, in the network namespace of the calling thread. `passes` is created there. Begin and result of each pass,
    /// and the result of each look, come as events.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        passes: impl FnOnce() -> Passes + Send + 'static,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let work = move || {
            let mut passes = passes();
            for order in ordered {
                // The receiver is gone where the daemon ends.
                let send = |event| drop(events.send(event));
                match order {
                    Order::Pass(job) => {
                        let pass = passes.run(
                            &job,
                            |holder| send(Event::PassWaitsForLock(holder.to_owned())),
                            || send(Event::PassStarted),
                        );
                        send(Event::PassEnded(Box::new(pass)));
                    }
                    Order::Look(look) => send(Event::Looked(passes.look(look))),
                }
            }
        };
        thread::Builder::new().name("passes".to_owned()).spawn(work)?;
        Ok(Self { orders })
    }

    /// Starts a pass.
    pub(super) fn start_pass(&self, job: Box<Job>) {
        // The thread ends only with the process.
        let _ = self.orders.send(Order::Pass(job));
    }

    /// Starts a look for services that are gone.
    pub(super) fn look(&self, look: Look) {
        let _ = self.orders.send(Order::Look(look));
    }
}
