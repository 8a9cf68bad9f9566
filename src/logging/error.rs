//! Defines why logging cannot be set up.

use std::error::Error;
use std::fmt;

/// Why logging cannot be set up.
#[derive(Debug)]
pub enum LoggingError {
    /// The level is not valid.
    Level {
        /// Where it was given: `--log-level` or `LBD_LOG`
        origin: &'static str,
        /// What is wrong with it
        cause: LevelError,
    },
    /// Another logger was set up before in this process.
    Occupied(Box<dyn Error + Send + Sync>),
}

/// What is wrong with a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LevelError {
    /// This is not the name of a level.
    NotALevel(String),
    /// This cannot be the name of a module.
    NotAModule(String),
}

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level { origin, cause: _ } => f.write_str(origin),
            Self::Occupied(_) => f.write_str("cannot set up logging"),
        }
    }
}

impl Error for LoggingError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Level { cause, .. } => Some(cause),
            Self::Occupied(cause) => Some(&**cause),
        }
    }
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALevel(text) => write!(
                f,
                "`{text}` is not a level; use error, warn, info, debug, trace or off, or the level of a module, such as \
                 `lbd::watch=debug`"
            ),
            Self::NotAModule(text) => {
                write!(f, "`{text}` is not a module's name; use, for example, `lbd::watch=debug`")
            }
        }
    }
}

impl Error for LevelError {}
