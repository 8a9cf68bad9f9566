//! Watches and reads the desired file, and watches those of the conditions and of the checker, in a thread of its own, so that a slow disk or
//! writer never delays the loop.

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::thread;

use tokio::runtime;
use tokio::select;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::debug;

use super::event::Event;
use super::reader::FileReader;
use crate::watch::{Completion, ReadReason, ReadRequest, Watch};

/// The handle of the thread.
pub(super) struct WatchedFile {
    requests: UnboundedSender<FileRequest>,
}

/// What the loop requests of the thread.
enum FileRequest {
    /// Read the file, once no process is writing it
    Read,
    /// Check that no change was missed
    Check,
}

impl WatchedFile {
    /// Starts the thread. It sends what it reads of the desired file as events, the first at once, and each time that a command has
    /// written or removed a file of conditions, or the checker its verdicts: each pass reads these.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        file: PathBuf,
        conditions: [PathBuf; 3],
        verdicts: Option<PathBuf>,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let (requests, requested) = unbounded_channel();
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let follow = move || runtime.block_on(follow(file, conditions, verdicts, requested, events));
        thread::Builder::new().name("file".to_owned()).spawn(follow)?;
        Ok(Self { requests })
    }

    pub(super) fn read(&self) {
        let _ = self.requests.send(FileRequest::Read);
    }

    pub(super) fn check(&self) {
        let _ = self.requests.send(FileRequest::Check);
    }
}

/// Watches the files until the loop has ended.
async fn follow(
    file: PathBuf,
    conditions: [PathBuf; 3],
    verdicts: Option<PathBuf>,
    mut requested: UnboundedReceiver<FileRequest>,
    events: UnboundedSender<Event>,
) {
    let mut watch = Watch::new(&file);
    let [mut pauses, mut overrides, mut trial] = conditions.map(|file| Watch::new(&file));
    let mut verdicts = verdicts.map(|file| Watch::new(&file));
    let completion = watch.completion();
    let verdicts_complete = verdicts.as_ref().map(Watch::completion);
    let mut reader = FileReader::new(&file);
    let mut mode = None;
    loop {
        let now = watch.mode();
        if mode.as_ref() != Some(&now) {
            let _ = events.send(Event::Watching(now.to_string()));
            mode = Some(now);
        }
        select! {
            () = completion.wait() => reader.prepare(),
            request = watch.changed() => {
                // Where a writer came in between, another request follows when it is done.
                if let Some(reading) = reader.read(&mut watch, &request).await {
                    debug!("read the file: {}", request.reason);
                    let _ = events.send(Event::File(reading));
                }
            }
            request = pauses.changed() => note(&request, &events),
            request = overrides.changed() => note(&request, &events),
            request = trial.changed() => note(&request, &events),
            // The checker renames its file into place, so that it is complete at once; a second file that follows soon comes by the next arm.
            () = complete(verdicts_complete.as_ref()) => drop(events.send(Event::Verdicts)),
            () = changed(verdicts.as_mut()) => drop(events.send(Event::Verdicts)),
            request = requested.recv() => match request {
                Some(FileRequest::Read) => watch.request_read(),
                Some(FileRequest::Check) => {
                    watch.recheck();
                    verdicts.iter_mut().for_each(Watch::recheck);
                }
                None => return,
            },
        }
    }
}

/// Waits until a file is complete; for ever where none is watched.
async fn complete(watch: Option<&Completion>) {
    match watch {
        Some(completion) => completion.wait().await,
        None => pending().await,
    }
}

/// Waits until a file has changed; for ever where none is watched.
async fn changed(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => drop(watch.changed().await),
        None => pending().await,
    }
}

/// Reports a change of the conditions. The first pass reads them in any case.
fn note(request: &ReadRequest, events: &UnboundedSender<Event>) {
    if request.reason != ReadReason::Started {
        let _ = events.send(Event::Conditions);
    }
}
