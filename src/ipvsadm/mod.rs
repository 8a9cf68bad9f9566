//! Reads and writes the command language of `ipvsadm`: what it saves, and what an operator types.

mod command_line;
mod error;
mod names;
mod read;
mod reading;
mod values;
mod write;

pub use error::{LineError, OptionError, SplitError, ValueError};
pub use names::{Lookup, ServiceNames};
pub use read::{
    LineProblem, Parsed, TableReader, has_rules, is_ipvsadm, is_listing, is_rules_text, read, read_with,
};
pub use reading::Origin;
pub use write::{command, save, unsaved};
