//! Finds everything that is wrong with a file, each problem with its place, and prints it.

mod brackets;
pub(super) mod check;
pub(super) mod diagnose;
pub(super) mod foreign;
pub(super) mod fullwidth;
mod lines;
pub(super) mod problem;
pub(super) mod remark;
pub(super) mod syntax;
