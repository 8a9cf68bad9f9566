//! Says what is wrong with a file: all of it, each problem with its place, and shows it.

pub(super) mod bounds;
pub(super) mod check;
pub(super) mod diagnose;
mod lines;
pub(super) mod problem;
pub(super) mod syntax;
