//! The desired file: its format, how it is read, and what is wrong with it. Nothing of the kernel.

mod bounds;
mod check;
mod diagnose;
mod format;
mod letters;
mod meaning;
mod problem;
mod render;
mod resolve;
mod source;
mod stream;
mod syntax;
mod tree;
mod whole;

pub use diagnose::Problems;
pub use format::document::{self, Document};
pub use format::schema::schema;
pub use problem::Problem;
pub use render::{Rendered, render};
pub use source::{ReadCause, ReadError, Source, is_still, read, read_closed};

use crate::model::Desired;

/// The state that a file asks for, or everything that is wrong with it.
pub fn load(source: &Source) -> Result<Desired, Problems> {
    bounds::check(&source.text).map_err(|problem| Problems::new(source, vec![problem], 0))?;
    // Places cost time and memory, so they are looked for only when there is a problem to show.
    match read_fast(&source.text) {
        Ok(desired) => Ok(desired),
        Err(refusal) => explain(source, refusal),
    }
}

/// Reads a file without places. What is wrong with it is only good for telling that something is.
fn read_fast(text: &str) -> Result<Desired, Option<Problem>> {
    if let Some(problem) = syntax::control_character(text) {
        return Err(Some(problem));
    }
    let problem = |message| Problem::new(1, 1, 0, message);
    let (desired, findings) =
        whole::read(text).map_err(|refusal| (!refusal.is_unread).then(|| problem(refusal.message)))?;
    match findings.list.into_iter().next() {
        None => Ok(desired),
        Some(finding) => Err(Some(problem(finding.message))),
    }
}

/// Finds all that is wrong with a file, and where. `refusal` is why it was refused without places, if it was.
fn explain(source: &Source, refusal: Option<Problem>) -> Result<Desired, Problems> {
    let one = |problem| Problems::new(source, vec![problem], 0);
    let tree = tree::Tree::parse(source).map_err(one)?;
    let mut checked = check::Checked::new(&tree, format::schema::schema_value());
    let (value, mut problems) = (checked.value.take(), std::mem::take(&mut checked.problems));
    let document = value.map(serde_json::from_value::<Document>).transpose();
    debug_assert!(document.is_ok(), "the schema let something through: {document:?}");
    let document = document.unwrap_or_else(|error| {
        problems.push(Problem::new(1, 1, 0, error.to_string()));
        None
    });
    let (desired, findings) = document.map(resolve::resolve).unwrap_or_default();
    let more = checked.more + findings.more;
    problems.extend(findings.list.into_iter().filter_map(|finding| checked.locate(finding)));
    // What was refused once stays refused, should the two readings ever disagree.
    if problems.is_empty() {
        problems.extend(refusal);
    }
    if problems.is_empty() { Ok(desired) } else { Err(Problems::new(source, problems, more)) }
}
