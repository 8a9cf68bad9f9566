//! Finds everything that is wrong with a file, each problem with its place, and prints it.

pub(super) mod check;
pub(super) mod diagnose;
mod lines;
pub(super) mod problem;
pub(super) mod syntax;
