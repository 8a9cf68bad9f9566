//! The desired file: its format, how it is read, and what is wrong with it. Nothing of the kernel.
//!
//! `yaml` and `format` know nothing of each other. `resolve` turns a document into a state, `validate` finds what is wrong
//! with a file and where, `render` writes one, `load` puts them together. `read` reads a file with all that it includes, as one text (`set`). `other`
//! does the same for files of another format, such as the agent's own.

mod format;
mod include;
mod load;
mod load_set;
pub mod other;
mod read;
mod render;
mod resolve;
mod set;
mod source;
mod validate;
mod yaml;

pub use format::document::{self, Document};
pub use format::nearest::nearest;
pub use format::schema::{fragment_schema, schema};
pub use include::includes;
pub use load::{load, load_alone};
pub use read::{
    from_bytes, is_one, is_still, read, read_alone, read_closed, read_from_lbd, read_or_pipe, with_main,
};
pub use render::{
    Rendered, bare_address, cluster_name, duration, empty as empty_document, is_name, problem_of_check,
    render, render_document, render_in_order, state_of,
};
pub use set::{Part, is_set, main_text, parts, with_part};
pub use source::{LARGEST, ReadCause, ReadError, Source};
pub use validate::diagnose::Diagnostics;
pub use validate::foreign::{Program, not_rules, of_another_program, program};
pub use validate::problem::Diagnostic;
pub use validate::remark::{Remark, remarks};
