//! Runs a command into memory: what it writes, and its exit code.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CommandError, Console};
use crate::progress::Progress;
use crate::report::Output;

/// What one round of a command wrote.
pub(super) struct Round {
    /// Its exit code
    pub(super) result: Result<u8, CommandError>,
    /// To standard output
    pub(super) text: Vec<u8>,
    /// To standard error
    pub(super) messages: String,
}

/// Runs a command, which writes with colours or without.
pub(super) fn collected(
    is_coloured: bool,
    is_err_coloured: bool,
    command: impl FnOnce(&mut Console<'_>) -> Result<u8, CommandError>,
) -> Round {
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

/// A stream into memory.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
