//! The desired file: its format, how it is read, and what is wrong with it. Nothing of the kernel.

mod diagnose;
pub mod document;
mod nearest;
mod place;
mod render;
mod resolve;
mod scalar;
mod schema;
mod source;
mod words;

pub use diagnose::{Problem, Problems};
pub use document::Document;
pub use render::{Rendered, render};
pub use schema::schema;
pub use source::{ReadCause, ReadError, Source, read};

use crate::model::Desired;

/// The state that a file asks for, or everything that is wrong with it.
pub fn load(source: &Source) -> Result<Desired, Problems> {
    match serde_yaml::from_str::<Document>(&source.text) {
        Ok(document) => {
            let (desired, findings) = resolve::resolve(&document);
            if findings.is_empty() {
                return Ok(desired);
            }
            let problem = |finding: &place::Finding| Problem {
                line: 1,
                column: 1,
                width: 0,
                message: finding.message.clone(),
                expected: finding.expected.clone(),
                suggestion: finding.suggestion.clone(),
            };
            Err(Problems::new(source, findings.list.iter().map(problem).collect(), findings.more))
        }
        Err(error) => {
            let (line, column) =
                error.location().map_or((1, 1), |location| (location.line(), location.column()));
            let message = error.to_string();
            let problem = Problem { line, column, width: 0, message, expected: None, suggestion: None };
            Err(Problems::new(source, vec![problem], 0))
        }
    }
}
