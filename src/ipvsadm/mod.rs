//! The words of `ipvsadm`: what it saves and what an operator types with it, in and out.

mod command_line;
mod names;
mod read;
mod values;
mod write;

pub use names::ServiceNames;
pub use read::{LineProblem, Parsed, is_rules_text, read, read_with};
pub use write::{command, save, unsaved};
