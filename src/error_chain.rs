//! Writes an error and its causes in one line, for the places where errors end: a terminal, the log, the status.

use std::error::Error;
use std::fmt;

/// An error with all its causes: `cannot write the result: No space left on device`.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
