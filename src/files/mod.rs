//! Opens and writes files that somebody else may have prepared: no link is followed, nothing is waited for, all is limited.

mod directory;
mod error;
mod regular;
pub mod seal;

pub use self::directory::{Directory, Identity};
pub use self::error::{FileCause, FileError};
pub use self::regular::{NotRead, open_regular, read_limited, read_regular};
