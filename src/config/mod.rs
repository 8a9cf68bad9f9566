//! The desired file: its format, how it is read, and what is wrong with it. Nothing of the kernel.
//!
//! `yaml` and `format` know nothing of each other. `resolve` turns a document into a state, `validate` finds what is wrong
//! with a file and where, `render` writes one, `load` puts them together.

mod format;
mod load;
mod render;
mod resolve;
mod source;
mod validate;
mod yaml;

pub use format::document::{self, Document};
pub use format::nearest::nearest;
pub use format::schema::schema;
pub use load::load;
pub use render::{
    Rendered, bare_address, cluster_name, duration, empty as empty_document, is_name, problem_of_check,
    render, render_document, render_in_order, state_of,
};
pub use source::{ReadCause, ReadError, Source, is_still, read, read_closed, read_or_pipe};
pub use validate::diagnose::Diagnostics;
pub use validate::foreign::{Program, not_rules, of_another_program, program};
pub use validate::problem::Diagnostic;
pub use validate::remark::{Remark, remarks};
