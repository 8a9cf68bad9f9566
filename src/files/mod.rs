//! Opens and writes files that another user may have prepared: without following links, without blocking, and with limits.

mod agent_place;
mod below;
pub mod beside;
mod bound;
mod digest;
mod directory;
mod error;
mod group_directory;
mod origin;
pub mod pattern;
mod regular;
pub mod seal;
mod users;

pub use self::agent_place::{AGENT_DIR, AGENT_FILE, AGENT_USER};
pub use self::below::read_below;
pub use self::bound::{BoundFile, BoundFileError};
pub use self::digest::sha256;
pub use self::directory::{Directory, Identity};
pub use self::error::{FileCause, FileError};
pub use self::group_directory::make_group_directory;
pub use self::origin::Origin;
pub use self::pattern::Pattern;
pub use self::regular::{UntrustedFileError, open_regular, read_limited, read_regular};
pub use self::users::{User, group};
