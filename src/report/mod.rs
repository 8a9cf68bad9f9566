//! Plans and what became of them, as text for people and as JSON for scripts.

mod json;
mod text;

pub use json::{comparison as comparison_json, report as report_json};
pub use text::{comparison as comparison_text, count, operations as operations_text, report as report_text};

use crate::model::{Action, Operation};

/// How many operations of each kind there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Summary {
    /// Additions
    pub add: usize,
    /// Edits
    pub edit: usize,
    /// Deletions
    pub delete: usize,
}

impl Summary {
    /// Counts operations.
    pub fn of<'a>(operations: impl Iterator<Item = &'a Operation>) -> Self {
        let mut summary = Self::default();
        for operation in operations {
            match operation.action() {
                Action::Add => summary.add += 1,
                Action::Edit => summary.edit += 1,
                Action::Delete => summary.delete += 1,
            }
        }
        summary
    }
}
