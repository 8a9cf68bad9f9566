//! Writes reports to standard output: with or without colours, and without waiting for a slow reader where that matters.

use std::io::{self, Write};
use std::mem;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use anstyle::Style;

/// Output is collected up to this many bytes before it is written; a longer text is passed on as it is.
pub const COLLECTED: usize = 64 * 1024;

/// A stream for reports. A reader that closes the pipe, as `head` does when it has enough, ends the writing and nothing else: the
/// work goes on, and the exit code is that of the work.
pub struct Output {
    stream: Stream,
    is_coloured: bool,
    /// Whether the reader was seen to have closed the pipe
    is_closed: bool,
}

/// Where the text goes.
enum Stream {
    Attached(Box<dyn Write + Send>),
    Detached(Detached),
}

/// A thread that writes while its owner goes on.
struct Detached {
    /// What was not passed to the thread yet
    collected: Vec<u8>,
    texts: Sender<Vec<u8>>,
    thread: JoinHandle<(Box<dyn Write + Send>, io::Result<()>)>,
}

impl Output {
    /// Writes to `stream`, with colours or without.
    pub fn new(stream: Box<dyn Write + Send>, is_coloured: bool) -> Self {
        Self { stream: Stream::Attached(stream), is_coloured, is_closed: false }
    }

    /// Whether reports have colours.
    pub fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// Whether the reader has closed the pipe: what is written since then is lost. Known only after a write or a flush.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// This style, or none where colours are off: no colour is ever written to be taken out again.
    pub(super) fn style(&self, style: Style) -> Style {
        if self.is_coloured { style } else { Style::new() }
    }

    /// From now on a thread does the writing, so that the caller never waits for the reader. What the reader has not taken is kept
    /// in memory. Where no thread can be started, nothing changes.
    pub fn detach(&mut self) {
        let (texts, received) = mpsc::channel::<Vec<u8>>();
        let (streams, given) = mpsc::channel::<Box<dyn Write + Send>>();
        let write = move || {
            let Ok(mut stream) = given.recv() else { return (Box::new(io::sink()) as _, Ok(())) };
            // After the first error nothing more is written; the rest is discarded.
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

    /// Waits until everything is written; from now on the caller writes directly again.
    ///
    /// # Errors
    /// Those of the stream since it was detached.
    pub fn attach(&mut self) -> io::Result<()> {
        let sink = Stream::Attached(Box::new(io::sink()));
        match mem::replace(&mut self.stream, sink) {
            Stream::Detached(mut detached) => {
                detached.pass_on();
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
    fn pass_on(&mut self) {
        if !self.collected.is_empty() {
            // The thread receives until it is joined.
            let _ = self.texts.send(mem::take(&mut self.collected));
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Attached(stream) => match stream.write(bytes) {
                Err(error) if is_closed(&error) => {
                    self.stream = Stream::Attached(Box::new(io::sink()));
                    self.is_closed = true;
                    Ok(bytes.len())
                }
                written => written,
            },
            Stream::Detached(detached) => {
                detached.collected.extend_from_slice(bytes);
                if detached.collected.len() >= COLLECTED {
                    detached.pass_on();
                }
                Ok(bytes.len())
            }
        }
    }

    /// A detached output does not wait for its reader.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Attached(stream) => match stream.flush() {
                Err(error) if is_closed(&error) => {
                    self.stream = Stream::Attached(Box::new(io::sink()));
                    self.is_closed = true;
                    Ok(())
                }
                flushed => flushed,
            },
            Stream::Detached(detached) => {
                detached.pass_on();
                Ok(())
            }
        }
    }
}

/// Whether the reader has closed the pipe.
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
        let mut output = Output::new(Box::new(writer), false);
        output.write_all(b"first\n").unwrap();
        output.detach();
        // More than a pipe holds.
        let line = "a line of a plan\n".repeat(100);
        for _ in 0..1_000 {
            output.write_all(line.as_bytes()).unwrap();
            output.flush().unwrap();
        }
        let read = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        });
        output.attach().unwrap();
        output.write_all(b"last\n").unwrap();
        drop(output);
        assert_eq!(read.join().unwrap(), format!("first\n{}last\n", line.repeat(1_000)));
    }

    // `lbd apply | true` ended with 2 though all was done.
    #[test]
    fn a_reader_that_goes_away_ends_what_is_written_and_nothing_else() {
        for is_detached in [false, true] {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let mut output = Output::new(Box::new(writer), false);
            if is_detached {
                output.detach();
            }
            output.write_all(b"text").unwrap();
            output.attach().unwrap();
            output.write_all(b"more").unwrap();
            output.flush().unwrap();
            assert_eq!(output.is_closed(), !is_detached);
        }
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut output = Output::new(Box::new(full), false);
        assert!(output.write_all(b"text").is_err());
    }
}
