//! Reads YAML: by its events, as fast as can be, or as a tree with the place of every value. Knows nothing of lbd.

mod letters;
pub(super) mod limits;
pub(super) mod meaning;
pub(super) mod stream;
pub(super) mod tree;
