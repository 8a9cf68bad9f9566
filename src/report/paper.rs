//! What a report is written on, whether colours show there, and how nobody waits for its reader.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

/// So many bytes are collected before they are written. What is longer is handed on as it is.
pub const COLLECTED: usize = 64 * 1024;

/// A stream that may be given styled text. A reader that goes away, as `head` does when it has enough, ends what is written and
/// nothing else: the work goes on, and the exit code is the work's.
pub struct Paper {
    stream: Stream,
    shows_colours: bool,
}

/// Where the text goes.
enum Stream {
    Attached(Box<dyn Write + Send>),
    Detached(Detached),
}

/// A thread that writes while its owner goes on.
struct Detached {
    /// What is not handed over yet
    collected: Vec<u8>,
    texts: Sender<Vec<u8>>,
    thread: JoinHandle<(Box<dyn Write + Send>, io::Result<()>)>,
}

impl Paper {
    /// Writes to `stream`, which takes out colours that do not show.
    pub fn new(stream: Box<dyn Write + Send>, shows_colours: bool) -> Self {
        Self { stream: Stream::Attached(stream), shows_colours }
    }

    /// Whether colours show: it is not worth the while to put them into a hundred thousand lines and take them out again.
    pub(super) fn shows_colours(&self) -> bool {
        self.shows_colours
    }

    /// From now on writing waits for no reader: a thread of its own does it. What the reader has not taken is kept in memory.
    /// Where no thread can be had, all is as before.
    pub fn detach(&mut self) {
        let (texts, received) = mpsc::channel::<Vec<u8>>();
        let (streams, given) = mpsc::channel::<Box<dyn Write + Send>>();
        let write = move || {
            let Ok(mut stream) = given.recv() else { return (Box::new(io::sink()) as _, Ok(())) };
            // After the first error nothing more is written, and what comes is thrown away.
            let mut result = Ok(());
            for text in received {
                if result.is_ok() {
                    result = stream.write_all(&text).and_then(|()| stream.flush());
                }
            }
            match result {
                Err(error) if is_closed(&error) => (Box::new(io::sink()) as _, Ok(())),
                result => (stream, result),
            }
        };
        if let Stream::Attached(stream) = &mut self.stream
            && let Ok(thread) = thread::Builder::new().name("output".to_owned()).spawn(write)
        {
            let _ = streams.send(mem::replace(stream, Box::new(io::sink())));
            self.stream = Stream::Detached(Detached { collected: Vec::new(), texts, thread });
        }
    }

    /// Waits until all is written, and writes directly again.
    ///
    /// # Errors
    /// Those of the stream since it was detached.
    pub fn attach(&mut self) -> io::Result<()> {
        let sink = Stream::Attached(Box::new(io::sink()));
        match mem::replace(&mut self.stream, sink) {
            Stream::Detached(mut detached) => {
                detached.hand_over();
                let Detached { texts, thread, .. } = detached;
                drop(texts);
                let (stream, result) = thread.join().map_err(|_| io::Error::other("the output was lost"))?;
                self.stream = Stream::Attached(stream);
                result
            }
            attached => {
                self.stream = attached;
                Ok(())
            }
        }
    }
}

impl Detached {
    fn hand_over(&mut self) {
        if !self.collected.is_empty() {
            // The thread takes all there is until it is joined.
            let _ = self.texts.send(mem::take(&mut self.collected));
        }
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Attached(stream) => match stream.write(bytes) {
                Err(error) if is_closed(&error) => {
                    self.stream = Stream::Attached(Box::new(io::sink()));
                    Ok(bytes.len())
                }
                written => written,
            },
            Stream::Detached(detached) => {
                detached.collected.extend_from_slice(bytes);
                if detached.collected.len() >= COLLECTED {
                    detached.hand_over();
                }
                Ok(bytes.len())
            }
        }
    }

    /// Where it is detached, nothing is waited for.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Attached(stream) => match stream.flush() {
                Err(error) if is_closed(&error) => {
                    self.stream = Stream::Attached(Box::new(io::sink()));
                    Ok(())
                }
                flushed => flushed,
            },
            Stream::Detached(detached) => {
                detached.hand_over();
                Ok(())
            }
        }
    }
}

/// Whether the reader has gone away.
fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    #[test]
    fn a_reader_that_does_not_read_is_waited_for_only_at_the_end() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut paper = Paper::new(Box::new(writer), false);
        paper.write_all(b"first\n").unwrap();
        paper.detach();
        // More than a pipe holds.
        let line = "a line of a plan\n".repeat(100);
        for _ in 0..1_000 {
            paper.write_all(line.as_bytes()).unwrap();
            paper.flush().unwrap();
        }
        let read = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        paper.attach().unwrap();
        paper.write_all(b"last\n").unwrap();
        drop(paper);
        assert_eq!(read.join().unwrap(), format!("first\n{}last\n", line.repeat(1_000)));
    }

    // `lbd apply | true` ended with 2 though all was done.
    #[test]
    fn a_reader_that_goes_away_ends_what_is_written_and_nothing_else() {
        for is_detached in [false, true] {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let mut paper = Paper::new(Box::new(writer), false);
            if is_detached {
                paper.detach();
            }
            paper.write_all(b"text").unwrap();
            paper.attach().unwrap();
            paper.write_all(b"more").unwrap();
            paper.flush().unwrap();
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut paper = Paper::new(Box::new(full), false);
        assert!(paper.write_all(b"text").is_err());
    }
}
