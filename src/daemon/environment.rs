//! Connects the daemon's loop with the host: signals, the file, interfaces, nftables, the thread of the passes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::sleep;
use tracing::error;

use super::event::{DaemonAction, Event, Notice};
use super::examiner::Examiner;
use super::file::WatchedFile;
use super::pass::Passes;
use super::status_file::StatusFile;
use super::worker::Worker;
use super::{Environment, StartError};
use crate::kernel::interfaces;
use crate::kernel::nftables::RulesetMonitor;
use crate::model::Link;
use crate::store::Store;
use crate::systemd::Notifier;

/// The environment on a real host.
pub struct HostEnvironment<'a> {
    events: UnboundedReceiver<Event>,
    worker: Worker,
    file: WatchedFile,
    examiner: Examiner,
    status: StatusFile,
    notifier: &'a Notifier,
    progress: Arc<AtomicU64>,
    awaited: Vec<Link>,
    ruleset: RulesetMonitor,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl<'a> HostEnvironment<'a> {
    /// Starts all threads, in the network namespace of this one. `progress` grows with what the passes do.
    ///
    /// # Errors
    /// Where signals cannot be received or threads cannot be started.
    pub fn start(
        file: &Path,
        store: &Store,
        passes: impl FnOnce() -> Passes + Send + 'static,
        progress: Arc<AtomicU64>,
        notifier: &'a Notifier,
    ) -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Signals);
        // Before anything else: from here on a signal stops the daemon cleanly.
        let (hangup, terminate, interrupt) = (
            listen(SignalKind::hangup())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::interrupt())?,
        );
        let (sender, events) = unbounded_channel();
        let threads = || -> io::Result<_> {
            Ok((
                Worker::start(passes, sender.clone())?,
                WatchedFile::start(
                    file.to_owned(),
                    store.condition_files(),
                    store.verdicts_path(),
                    sender.clone(),
                )?,
                Examiner::start(file.to_owned(), sender.clone())?,
                StatusFile::start(store.clone())?,
            ))
        };
        let (worker, file, examiner, status) = threads().map_err(StartError::Threads)?;
        Ok(Self {
            events,
            worker,
            file,
            examiner,
            status,
            notifier,
            progress,
            awaited: Vec::new(),
            ruleset: RulesetMonitor::open(),
            hangup,
            terminate,
            interrupt,
        })
    }
}

impl Environment for HostEnvironment<'_> {
    async fn event(&mut self) -> Event {
        select! {
            // Signals come first, however many other events there are.
            biased;
            _ = self.terminate.recv() => Event::Stop,
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.hangup.recv() => Event::Reload,
            Some(event) = self.events.recv() => event,
            () = appeared(&self.awaited) => Event::Link,
            () = self.ruleset.changed() => Event::Ruleset,
        }
    }

    fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    fn perform(&mut self, action: DaemonAction) {
        match action {
            DaemonAction::StartPass(job) => self.worker.start_pass(job),
            DaemonAction::Look(look) => self.worker.look(look),
            DaemonAction::ExamineHost(desired) => self.examiner.examine(desired),
            DaemonAction::ReadFile => self.file.read(),
            DaemonAction::CheckFile => self.file.check(),
            DaemonAction::AwaitLinks(links) => self.awaited = links,
            DaemonAction::WriteStatus(status) => self.status.write(status),
            DaemonAction::NoteEvent(event) => self.status.note(event),
            DaemonAction::LogInvalid(problem) => {
                error!("the file is not valid, the last good state is kept: {problem}")
            }
            DaemonAction::Notify(notice) => match notice {
                Notice::Ready(line) => self.notifier.ready(&line),
                Notice::Status(line) => self.notifier.status(&line),
                Notice::Reloading => self.notifier.reloading(),
                Notice::Alive => self.notifier.watchdog(),
                Notice::Stopping => self.notifier.stopping(),
            },
        }
    }
}

/// Waits until one of the interfaces is ready; for ever where there is none to wait for.
async fn appeared(awaited: &[Link]) {
    /// A check is cheap, and an interface that appears late carries traffic soon.
    const INTERVAL: Duration = Duration::from_secs(1);
    if awaited.is_empty() {
        return std::future::pending().await;
    }
    while !interfaces::any_ready(awaited) {
        sleep(INTERVAL).await;
    }
}
