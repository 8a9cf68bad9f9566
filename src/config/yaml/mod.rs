//! Reads YAML: by its events, as fast as can be, or as a tree with the place of every value. Knows nothing of lbd.

mod events;
pub(super) mod limits;
pub(super) mod plain_scalar;
mod str_input;
pub(super) mod stream;
pub(super) mod tree;
