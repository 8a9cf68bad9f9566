//! Opens and writes files that another user may have prepared: without following links, without blocking, and with limits.

pub mod beside;
mod digest;
mod directory;
mod error;
mod regular;
pub mod seal;

pub use self::digest::sha256;
pub use self::directory::{Directory, Identity};
pub use self::error::{FileCause, FileError};
pub use self::regular::{UntrustedFileError, open_regular, read_limited, read_regular};
