//! The thread that watches the desired file and reads it, which may take as long as its writer and its disk please.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::runtime;
use tokio::select;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::debug;

use super::event::Event;
use super::reader::Reader;
use crate::advice;
use crate::watch::Watch;

/// The thread, as the loop knows it.
pub(super) struct WatchedFile {
    wishes: UnboundedSender<Wish>,
}

/// What the loop wants of it.
enum Wish {
    /// To read the file, unless a writer is in the middle of it
    Read,
    /// To make sure that nothing was missed
    Check,
}

impl WatchedFile {
    /// Starts the thread. What it reads comes as events, the first at once.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub(super) fn start(file: PathBuf, events: UnboundedSender<Event>) -> io::Result<Self> {
        let (wishes, wished) = unbounded_channel();
        let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
        let follow = move || runtime.block_on(follow(file, wished, events));
        thread::Builder::new().name("file".to_owned()).spawn(follow)?;
        Ok(Self { wishes })
    }

    pub(super) fn read(&self) {
        let _ = self.wishes.send(Wish::Read);
    }

    pub(super) fn check(&self) {
        let _ = self.wishes.send(Wish::Check);
    }
}

/// Who else than root may write the file, each with what to do.
fn writable(file: &Path) -> Vec<String> {
    advice::grouped(&advice::of_file(file))
}

/// Follows the file until the loop is gone.
async fn follow(file: PathBuf, mut wished: UnboundedReceiver<Wish>, events: UnboundedSender<Event>) {
    let mut watch = Watch::new(&file);
    let ahead = watch.ahead();
    let mut reader = Reader::new(&file);
    let mut mode = None;
    loop {
        let now = watch.mode();
        if mode.as_ref() != Some(&now) {
            let _ = events.send(Event::Watching(now.to_string()));
            mode = Some(now);
        }
        select! {
            () = ahead.whole() => reader.prepare(),
            look = watch.changed() => {
                // Where a writer came in between, the next look comes when he is done.
                if let Some(reading) = reader.read(&mut watch, &look).await {
                    debug!("looked at the file: {:?}", look.reason);
                    // First, so that the pass for this file says it.
                    let _ = events.send(Event::Writable(writable(&file)));
                    let _ = events.send(Event::File(reading));
                }
            }
            wish = wished.recv() => match wish {
                Some(Wish::Read) => watch.ask(),
                Some(Wish::Check) => watch.recheck(),
                None => return,
            },
        }
    }
}
