//! Streams a list of any length to a client, line by line, as fast as the client reads it.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::sync::Arc;
use std::thread;

use hyper::body::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::problem::Problem;
use super::question::ConnectionQuestion;
use super::worker::{Documents, MakeDocuments};
use crate::report::COLLECTED;

/// How many pieces wait in memory for a client.
const MOST_WAITING: usize = 4;

/// A piece of a list, or why there is none.
pub(super) type Piece = Result<Bytes, Problem>;

/// Starts to write the connections, in a thread of its own, as one of those that `permit` counts.
///
/// # Errors
/// Where no thread can be started.
pub(super) fn connections<D: Documents + 'static>(
    documents: &Arc<MakeDocuments<D>>,
    question: ConnectionQuestion,
    permit: OwnedSemaphorePermit,
) -> io::Result<Receiver<Piece>> {
    let (sender, receiver) = channel(MOST_WAITING);
    let documents = Arc::clone(documents);
    let write = move || {
        let _permit = permit;
        let pieces = BufWriter::with_capacity(COLLECTED, Pieces(sender.clone()));
        if let Err(problem) = documents().connections(&question, Box::new(pieces)) {
            let _ = sender.blocking_send(Err(problem));
        }
    };
    thread::Builder::new().name("lines".to_owned()).spawn(write)?;
    Ok(receiver)
}

/// Sends what is written; a client that has gone is a reader that has closed the pipe.
struct Pieces(Sender<Piece>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
