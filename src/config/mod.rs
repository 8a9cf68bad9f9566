//! The desired file: its format, how it is read, and what is wrong with it. Nothing of the kernel.

mod bounds;
mod check;
mod diagnose;
pub mod document;
mod given;
mod nearest;
mod place;
mod render;
mod resolve;
mod scalar;
mod schema;
mod source;
mod syntax;
mod tree;
mod words;

pub use diagnose::{Problem, Problems};
pub use document::Document;
pub use render::{Rendered, render};
pub use schema::schema;
pub use source::{ReadCause, ReadError, Source, read};

use crate::model::Desired;

/// The state that a file asks for, or everything that is wrong with it.
pub fn load(source: &Source) -> Result<Desired, Problems> {
    let tame = bounds::check(&source.text).map_err(|problem| Problems::new(source, vec![problem], 0))?;
    // Places cost time and memory, so they are looked for only when there is a problem to show.
    let mut refusal = None;
    if tame == bounds::Nesting::Shallow {
        match serde_yaml::from_str::<Document>(&source.text) {
            Ok(document) => {
                let (desired, findings) = resolve::resolve(&document);
                if findings.is_empty() {
                    return Ok(desired);
                }
            }
            Err(error) => refusal = Some(error),
        }
    }
    explain(source, refusal)
}

/// Finds all that is wrong with a file, and where. `refusal` is what serde_yaml said, if it was asked.
fn explain(source: &Source, refusal: Option<serde_yaml::Error>) -> Result<Desired, Problems> {
    let one = |problem| Problems::new(source, vec![problem], 0);
    let tree = tree::Tree::parse(source).map_err(one)?;
    let mut checked = check::Checked::new(&tree, schema::schema_value());
    let (value, mut problems) = (checked.value.take(), std::mem::take(&mut checked.problems));
    let mut more = checked.more;
    let resolved = value.map(serde_json::from_value::<Document>).transpose();
    debug_assert!(resolved.is_ok(), "the schema let something through: {resolved:?}");
    let resolved = resolved.map(|document| document.as_ref().map(resolve::resolve).unwrap_or_default());
    if let Ok((_, findings)) = &resolved {
        problems.extend(findings.list.iter().cloned().filter_map(|finding| checked.locate(finding)));
        more += findings.more;
    }
    if !problems.is_empty() {
        return Err(Problems::new(source, problems, more));
    }
    match (refusal, resolved) {
        // What the two parsers do not agree about.
        (Some(error), _) => {
            let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
            Err(one(syntax::at(&source.text, line, column, &error.to_string())))
        }
        (None, Ok((desired, findings))) if findings.is_empty() => Ok(desired),
        (None, Ok((_, findings))) => {
            let message = findings.list.into_iter().next().map(|finding| finding.message);
            Err(one(Problem::new(1, 1, 0, message.unwrap_or_default())))
        }
        (None, Err(error)) => Err(one(Problem::new(1, 1, 0, error.to_string()))),
    }
}
