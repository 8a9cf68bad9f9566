//! The format of the desired file: its types, from which the schema is generated, its limits, and places in it. Knows
//! nothing of YAML.

mod check;
mod check_scalar;
pub(super) mod choice;
pub mod document;
pub(super) mod extension;
pub(super) mod fragment;
pub(super) mod issue;
pub(super) mod limits;
pub(super) mod nearest;
pub(super) mod non_null;
pub(super) mod path;
pub(super) mod scalar;
pub(super) mod schema;
mod server;
pub(super) mod shorten;
mod shorthand;
