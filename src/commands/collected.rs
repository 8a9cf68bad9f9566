//! Runs a command into memory: what it writes, and its exit code.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CommandError, Console};
use crate::progress::Progress;
use crate::report::Output;

/// What one round of a command wrote, to standard output into a `T`.
pub(super) struct Round<T> {
    /// Its exit code
    pub(super) result: Result<u8, CommandError>,
    /// To standard output
    pub(super) text: T,
    /// To standard error
    pub(super) messages: String,
}

/// Runs a command, which writes with colours or without.
pub(super) fn collected(
    is_coloured: bool,
    is_err_coloured: bool,
    command: impl FnOnce(&mut Console<'_>) -> Result<u8, CommandError>,
) -> Round<Vec<u8>> {
    collected_in(is_coloured, is_err_coloured, command)
}

/// The same into another stream than one piece of memory.
pub(super) fn collected_in<T: Write + Default + Send + 'static>(
    is_coloured: bool,
    is_err_coloured: bool,
    command: impl FnOnce(&mut Console<'_>) -> Result<u8, CommandError>,
) -> Round<T> {
    let (text, mut messages) = (Collected::default(), Vec::new());
    let result = command(&mut Console {
        out: &mut Output::new(Box::new(text.clone()), is_coloured),
        err: &mut messages,
        is_err_coloured,
        progress: Progress::default(),
    });
    let messages = String::from_utf8_lossy(&messages).into_owned();
    Round { result, text: text.take(), messages }
}

/// A stream into memory, which two have.
#[derive(Default)]
struct Collected<T>(Arc<Mutex<T>>);

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Collected<T> {
    fn take(&self) -> T {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Write> Write for Collected<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
