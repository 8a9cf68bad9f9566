//! The format of the desired file: its types, which are its schema, its words, and places in it. Knows nothing of YAML.

pub mod document;
pub(super) mod given;
pub(super) mod nearest;
pub(super) mod place;
mod scalar;
pub(super) mod schema;
pub(super) mod shorten;
mod shorthand;
mod words;
