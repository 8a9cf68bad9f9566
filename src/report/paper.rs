//! What a report is written on, and whether colours show there.

use std::io::{self, Write};

/// So many bytes are collected before they are written. What is longer is handed on as it is.
pub const COLLECTED: usize = 64 * 1024;

/// A stream that may be given styled text.
pub struct Paper {
    stream: Box<dyn Write>,
    shows_colours: bool,
}

impl Paper {
    /// Writes to `stream`, which takes out colours that do not show.
    pub fn new(stream: Box<dyn Write>, shows_colours: bool) -> Self {
        Self { stream, shows_colours }
    }

    /// Whether colours show: it is not worth the while to put them into a hundred thousand lines and take them out again.
    pub(super) fn shows_colours(&self) -> bool {
        self.shows_colours
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
